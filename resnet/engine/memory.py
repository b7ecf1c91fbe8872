"""What was worked out and may be asked for again: bounded in bytes, the oldest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from resnet.engine.caller import CALLER, Cancelled
from resnet.engine.lane import GLANCE, Tell, silence


@dataclass
class Kept:
    """One result, and the results that go when it goes."""

    value: Any
    bytes: int
    children: set[tuple] = field(default_factory=set)


class Memory:
    """Results by key.  Two who ask for the same at the same time have it made once.

    Args:
        room: bytes; the newest result is kept whatever its size.
        tell: hears ("cache", "hit" | "miss", 1).
    """

    def __init__(self, room: int, tell: Tell = silence):
        self.room = room
        self.tell = tell
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[tuple, Kept] = OrderedDict()
        self._parents: dict[tuple, tuple] = {}
        self._making: dict[tuple, threading.Event] = {}
        self._lock = threading.Lock()

    def once(
        self,
        key: tuple,
        make: Callable[[], Any],
        weigh: Callable[[Any], int],
        of: tuple | None = None,
    ) -> Any:
        """The result of `make`, from memory if it was made before.

        Args:
            weigh: bytes of the result.
            of: key of what it was made from; it goes with it, and is not kept if that is gone.
        """
        while True:
            with self._lock:
                if kept := self._touch(key):
                    self.hits += 1
                    break
                other = self._making.get(key)
                if other is None:
                    self._making[key] = mine = threading.Event()
                    self.misses += 1
                    break
            while not other.wait(GLANCE):
                if why := CALLER.get().gone():
                    raise Cancelled(why)
        self.tell("cache", "hit" if kept else "miss", 1)
        if kept:
            return kept.value
        try:
            made = make()
            self._keep(key, made, weigh(made), of)
            return made
        finally:
            with self._lock:
                del self._making[key]
            mine.set()

    def get(self, key: tuple) -> Any | None:
        """What is kept under a key, or None; nothing is made."""
        with self._lock:
            kept = self._touch(key)
            return kept.value if kept else None

    def reweigh(self, key: tuple, weigh: Callable[[Any], int]) -> None:
        """What is kept under a key, if anything still is, may have grown."""
        with self._lock:
            if kept := self._kept.get(key):
                self.bytes -= kept.bytes
                kept.bytes = weigh(kept.value)
                self.bytes += kept.bytes
                self._shrink({key, self._parents.get(key)})

    def forget(self, key: tuple) -> None:
        """Let a result and all that was made from it go."""
        with self._lock:
            self._drop(key)

    def keys(self) -> list[tuple]:
        """Of all that is kept, the oldest first."""
        with self._lock:
            return list(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: tuple) -> bool:
        return key in self._kept

    def _touch(self, key: tuple) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            if parent := self._parents.get(key):
                self._kept.move_to_end(parent)
            self._kept.move_to_end(key)
        return kept

    def _keep(self, key: tuple, value: Any, weight: int, of: tuple | None) -> None:
        with self._lock:
            self._drop(key)
            if of is not None:
                if of not in self._kept:
                    return
                self._kept[of].children.add(key)
                self._parents[key] = of
                self._kept.move_to_end(of)
            self._kept[key] = Kept(value, weight)
            self.bytes += weight
            self._shrink({key, of})

    def _shrink(self, spared: set[tuple | None]) -> None:
        """Let the oldest go until there is room."""
        while self.bytes > self.room:
            oldest = next((k for k in self._kept if k not in spared), None)
            if oldest is None:
                return
            self._drop(oldest)

    def _drop(self, key: tuple) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self.bytes -= kept.bytes
        parent = self._parents.pop(key, None)
        if parent is not None and parent in self._kept:
            self._kept[parent].children.discard(key)
        for child in kept.children:
            self._drop(child)


def weight(value: Any, depth: int = 3) -> int:
    """Bytes of a figure, roughly: text, pictures and arrays count, the rest is small."""
    if isinstance(value, str | bytes):
        return 64 + len(value)
    if isinstance(nbytes := getattr(value, "nbytes", None), int):  # an array or a tensor
        return 128 + nbytes
    if hasattr(value, "getbands"):  # a Pillow image
        return 256 + value.width * value.height * len(value.getbands())
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    elif is_dataclass(value):
        parts = list(vars(value).values()) if hasattr(value, "__dict__") else []
    else:
        return 64
    return 64 + sum(weight(part, depth - 1) for part in parts if depth)
