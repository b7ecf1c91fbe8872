"""One photo's trace out of a batch's, on its own memory and in float32.

Figures (ledger, evidence, gradients) are exact statements about S, F and their sum, so they are
given a trace in which `relu(S + F)` is the output to the bit.  A pass in reduced precision rounds
the sum once more; that rounding is undone here: outputs and logits are made anew from S and F.
That takes longer than the pass, so but for the last stage it is done when somebody asks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from resnet.network import ResNet50, Trace, Wires


def one_of(net: ResNet50, trace: Trace, index: int, count: int) -> Trace:
    """Photo `index` of a batch of `count`; the batch's own memory can go when all were taken."""
    whole = trace.stem.dtype == torch.float32
    if count == 1 and whole:
        return trace

    def own(tensor: Tensor) -> Tensor:
        part = tensor[index : index + 1]
        return part.clone() if count > 1 else part

    with torch.inference_mode():
        stem = stream = own(trace.stem)
        before, blocks = trace.stem, {}
        for name, (shortcut, branch, output) in trace.blocks.items():
            s = stream if shortcut is before else own(shortcut)  # an identity stays one
            blocks[name] = Wires(s, own(branch), own(output))
            stream, before = blocks[name].output, output
        if whole:
            return Trace(stem, blocks, own(trace.logits))
        found = Exact(stem, blocks)
        return Trace(stem.float(), found, net.head(found[net.block_names[-1]].output))


class Exact(Mapping[str, Wires]):
    """Wires by block in float32, made from a pass in reduced precision when they are asked for.

    Args:
        stem: the stream into the first block.
        rough: wires by block, in order, as the pass left them; let go once they are made exact.
    """

    def __init__(self, stem: Tensor, rough: dict[str, Wires]):
        self._names = tuple(rough)
        self._before: dict[str, str] = {}  # blocks with an identity -> the block it comes from
        stream, last = stem, ""
        for name, wires in rough.items():
            if last and wires.shortcut is stream:
                self._before[name] = last
            stream, last = wires.output, name
        self._rough = dict(rough)
        self._made: dict[str, Wires] = {}
        self._lock = threading.RLock()
        held = unique(part for wires in rough.values() for part in wires)
        self.nbytes = held * torch.float32.itemsize // stem.element_size()

    def __getitem__(self, name: str) -> Wires:
        with self._lock, torch.inference_mode():
            if name not in self._made:
                rough = self._rough.pop(name)
                before = self._before.get(name)
                s = rough.shortcut.float() if before is None else self[before].output
                f = rough.branch.float()
                self._made[name] = Wires(s, f, torch.add(s, f).relu_())  # as `join`, bit for bit
            return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def nbytes(trace: Trace) -> int:
    """Bytes of a trace in float32; a tensor shared by two blocks counts once."""
    return unique([trace.stem, trace.logits]) + held(trace.blocks)


def held(blocks: Mapping[str, Wires]) -> int:
    """Bytes of wires in float32; of those that are made when asked for, as the mapping counts."""
    known = getattr(blocks, "nbytes", None)
    if known is not None:
        return known
    return unique(part for wires in blocks.values() for part in wires)


def unique(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors, each once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())
