"""Wires that are made when somebody asks: what a pass in a crowd does not keep.

All wires of a photo are 44 MB in float32.  Where photos shared a pass, writing them and giving each
photo its own copy was a third of the time of 16 users' photos (AVX2); an answer and its heat map
need none of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from resnet.engine import exact
from resnet.network import Wires

Blocks = Mapping[str, Wires]


def ignore() -> None:
    """Nobody wants to know."""


class Later(Mapping[str, Wires]):
    """Wires by block: some are here, the first question for another one has all of them made.

    Args:
        names: of all blocks, in order.
        here: the wires that were kept.
        input: of the pass, [1, 3, H, W].
        make: the pass: input -> the wires of all blocks.  It waits for its turn, and raises what
            waiting raises (`engine.EngineError`); the next question tries again.
    """

    def __init__(
        self, names: tuple[str, ...], here: Blocks, input: Tensor, make: Callable[[Tensor], Blocks]
    ):
        self._names, self._here = names, here
        self._input, self._make = input, make
        self._made: Blocks | None = None
        self._lock = threading.Lock()
        self.tell: Callable[[], object] = ignore  # hears that this has grown

    @property
    def nbytes(self) -> int:
        """What is held now."""
        made = 0 if self._made is None else exact.held(self._made)
        return exact.held(self._here) + self._input.nbytes + made

    def __getitem__(self, name: str) -> Wires:
        if name in self._here:
            return self._here[name]
        if name not in self._names:
            raise KeyError(name)
        return self._others()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # a question that needs no pass

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _others(self) -> Blocks:
        if self._made is None:
            # Not under the lock: whoever has the model's turn may ask as well, and would wait for
            # one who waits for the turn.  So two may have it made; the first one's is kept.
            made = self._make(self._input)
            with self._lock:
                first = self._made is None
                if first:
                    self._made = made
            if first:
                self.tell()
        assert self._made is not None
        return self._made
