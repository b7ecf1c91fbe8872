"""A detector's blocks in bf16 over fused convolutions, where they can be had: the same, sooner.

The trunk's weights are not laid out once, as the classifier's are: photos come in all shapes, and
with a layout made for another one, stage 4 takes ten times as long (AVX512-BF16, torch 2.14).

Whoever compares boxes before and after a change of the trunk runs both through here: a cut that
changes nothing then leaves the same boxes to the bit.  Heat maps and evidence need the ordinary
trunk, because these convolutions cannot be differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from resnet import lazy
from resnet.backends.folded import fold_any
from resnet.backends.prepacked import Fused, Packed
from resnet.backends.suffix import packs
from resnet.backends.trunk import RunBlock, Trunk
from resnet.network import Gain, ResNet50, Wires

if TYPE_CHECKING:
    from resnet.detectors.second import Tail

second = lazy.module("resnet.detectors.second")  # with torchvision, slow to import


class AnyBlock(Protocol):
    """A residual block, as `resnet.network.Block` is one."""

    def __call__(self, x: Tensor, g_s: Gain = 1.0, g_f: Gain = 1.0, /) -> Tensor:
        """relu(g_s * S + g_f * F)."""
        ...

    def wires(self, x: Tensor, /) -> Wires:
        """S, F and output."""
        ...


class AnyTail(Protocol):
    """What reads regions: `resnet.detectors.second.Tail`, or its fused blocks."""

    def __call__(self, stage3: Tensor, boxes: Sequence[Tensor], /) -> Tensor:
        """Mean features, [boxes, 2048]."""
        ...


class AnyTrunk(Protocol):
    """What runs the trunk: the network itself, or its fused blocks."""

    @property
    def block_names(self) -> tuple[str, ...]:
        """ "1.0" ... "4.2"."""
        ...

    def stem(self, x: Tensor, /) -> Tensor:
        """Input [N, 3, H, W] of any size -> the stream into the first block."""
        ...

    def block(self, name: str, /) -> AnyBlock:
        """A block by its name."""
        ...


def fast(trunk: ResNet50) -> AnyTrunk:
    """What runs this trunk: fused blocks in bf16 on a CPU that has it, else the trunk itself."""
    if not _fuses(trunk):
        return trunk
    state = _state([*trunk.parameters(), *trunk.buffers()])
    known = _trunks.get(trunk)
    if known is None or known[0] != state:  # new, or its weights have changed
        known = _trunks[trunk] = state, FusedTrunk(trunk)
    return known[1]


def fast_tail(tail: Tail, trunk: ResNet50) -> AnyTail:
    """What reads regions of this trunk's stage 3: fused blocks, or the tail itself; as `fast`."""
    if not _fuses(trunk):
        return tail
    state = _state([t for block in tail.blocks for t in (*block.parameters(), *block.buffers())])
    known = _tails.get(tail)
    if known is None or known[0] != state:
        known = _tails[tail] = state, FusedTail(tail)
    return known[1]


def _fuses(trunk: ResNet50) -> bool:
    return trunk.precision == "bf16" and trunk.device.type == "cpu" and packs(torch.bfloat16)


class FusedTrunk:
    """The trunk over fused convolutions.

    Args:
        trunk: its weights are copied.
        type: of weights and streams.
    """

    def __init__(self, trunk: ResNet50, type: torch.dtype = torch.bfloat16):
        self.block_names = trunk.block_names
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            self._trunk = Trunk(trunk, partial(Fused, type=type), type)

    def stem(self, x: Tensor) -> Tensor:
        """As `AnyTrunk`."""
        return self._trunk.begin(x)

    def block(self, name: str) -> AnyBlock:
        """As `AnyTrunk`."""
        return FusedBlock(self._trunk.blocks[name])


class FusedBlock:
    """A block that leaves its input alone, as the network's own do."""

    def __init__(self, block: RunBlock):
        self._block = block

    def __call__(self, x: Tensor, g_s: Gain = 1.0, g_f: Gain = 1.0) -> Tensor:
        """As `AnyBlock`."""
        return self._block.join(self._block.inner(x), self._own(x), g_s, g_f)

    def wires(self, x: Tensor) -> Wires:
        """As `AnyBlock`; the output is what calling the block gives, to the bit."""
        inner = self._block.inner(x)
        output = self._block.join(inner, self._own(x))
        return Wires(self._block.shortcut(x), self._block.branch(inner), output)

    def _own(self, x: Tensor) -> Tensor:
        """S, to be written over."""
        s = self._block.shortcut(x)
        return s.clone() if self._block.identity else s


class FusedTail:
    """Stage 4 over regions, which all have one size: here weights are laid out once.

    Args:
        tail: its weights are copied.
        type: of weights and streams.
    """

    def __init__(self, tail: Tail, type: torch.dtype = torch.bfloat16):
        self._type = type
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            make = partial(Packed, type=type)
            self._blocks = [RunBlock(fold_any(block), second.CELLS, make) for block in tail.blocks]

    def __call__(self, stage3: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """As `Tail`."""
        x = second.regions(stage3, boxes).to(self._type)
        for block in self._blocks:
            x = block.output(x)
        return x.float().mean((2, 3))


_trunks: WeakKeyDictionary[ResNet50, tuple[tuple, FusedTrunk]] = WeakKeyDictionary()
_tails: WeakKeyDictionary[Tail, tuple[tuple, FusedTail]] = WeakKeyDictionary()


def _state(tensors: Sequence[Tensor]) -> tuple:
    """Differs after any change of the weights."""
    return tuple((id(t), -1 if t.is_inference() else t._version) for t in tensors)
