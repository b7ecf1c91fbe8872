"""A detector's trunk in bf16 over packed weights, where they can be had: the same blocks, sooner.

Whoever compares boxes before and after a change of the trunk runs both through here: a cut that
changes nothing then leaves the same boxes to the bit.  Heat maps and evidence need the ordinary
trunk, because these convolutions cannot be differentiated.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from resnet.backends.prepacked import Packed
from resnet.backends.suffix import packs
from resnet.backends.trunk import RunBlock, Trunk
from resnet.network import Gain, ResNet50, Wires


class AnyBlock(Protocol):
    """A residual block, as `resnet.network.Block` is one."""

    def __call__(self, x: Tensor, g_s: Gain = 1.0, g_f: Gain = 1.0, /) -> Tensor:
        """relu(g_s * S + g_f * F)."""
        ...

    def wires(self, x: Tensor, /) -> Wires:
        """S, F and output."""
        ...


class AnyTrunk(Protocol):
    """What runs the trunk: the network itself, or its packed blocks."""

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
    """What runs this trunk: packed blocks in bf16 on a CPU that has it, else the trunk itself."""
    if trunk.precision != "bf16" or trunk.device.type != "cpu" or not packs(torch.bfloat16):
        return trunk
    state = _state(trunk)
    known = _packed.get(trunk)
    if known is None or known[0] != state:  # new, or its weights have changed
        known = _packed[trunk] = state, PackedTrunk(trunk)
    return known[1]


class PackedTrunk:
    """The trunk over packed convolutions.

    Args:
        trunk: its weights are copied.
        type: of weights and streams.
    """

    def __init__(self, trunk: ResNet50, type: torch.dtype = torch.bfloat16):
        self.block_names = trunk.block_names
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            self._trunk = Trunk(trunk, partial(Packed, type=type), type)

    def stem(self, x: Tensor) -> Tensor:
        """As `AnyTrunk`."""
        return self._trunk.begin(x)

    def block(self, name: str) -> AnyBlock:
        """As `AnyTrunk`."""
        return PackedBlock(self._trunk.blocks[name])


class PackedBlock:
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


_packed: WeakKeyDictionary[ResNet50, tuple[tuple, PackedTrunk]] = WeakKeyDictionary()


def _state(trunk: ResNet50) -> tuple:
    """Differs after any change of the weights."""
    tensors = [*trunk.parameters(), *trunk.buffers()]
    return tuple((id(t), -1 if t.is_inference() else t._version) for t in tensors)
