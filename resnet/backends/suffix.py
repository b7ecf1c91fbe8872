"""Blocks one at a time, for what follows a cut: folded, packed where that can be, then dropped.

Making a block ready takes a hundredth of running it for thirty cuts, so nothing is kept: it would
be another copy of the weights, and stale when they change.
"""

from __future__ import annotations

from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.backends.folded import Folded, fold_block
from resnet.backends.plain import PlainConv
from resnet.backends.prepacked import Packed
from resnet.backends.trunk import Make, RunBlock
from resnet.device import PRECISIONS
from resnet.network import Gain, ResNet50


def block(net: ResNet50, name: str, side: int) -> RunBlock:
    """Block `name` in the network's own precision, ready to run.

    Args:
        side: of its input in pixels; it takes others too, slower.
    """
    return RunBlock(fold_block(net, name), side, _make(net))


class Growing:
    """A batch of streams that others join on the way, each written once and then changed in place.

    Args:
        type: of the streams.
    """

    def __init__(self, type: torch.dtype):
        self._type = type
        self._room = torch.empty(0)
        self._count = 0

    @property
    def stream(self) -> Tensor:
        """[N, C, H, W] of those that have joined."""
        return self._room[: self._count]

    @property
    def side(self) -> int:
        """Height of the streams."""
        return self._room.shape[2]

    def add(self, stream: Tensor, room: int) -> None:
        """Let one more join, [1, C, H, W].

        Args:
            room: how many there will be before the streams change their shape.
        """
        if not self._count:
            self._make_room(stream, room)
        self._count += 1
        self._room[self._count - 1] = stream[0]

    def through(self, block: RunBlock, g_s: Gain, g_f: Gain, room: int) -> None:
        """Run all that have joined through a block, each with its own gains if these are tensors.

        Args:
            room: as in `add`.
        """
        inner, shortcut = block.inner(self.stream), block.shortcut(self.stream)
        if not block.identity:
            self._make_room(shortcut, room)
            self.stream.copy_(shortcut)
        block.join(inner, self.stream, g_s, g_f)

    def _make_room(self, like: Tensor, room: int) -> None:
        self._room = torch.empty(
            (room, *like.shape[1:]), dtype=self._type, device=like.device,
            memory_format=torch.channels_last,
        )  # fmt: skip


def _make(net: ResNet50) -> Make:
    type = PRECISIONS[net.precision]
    if net.device.type == "cpu" and packs(type):
        return partial(Packed, type=type)
    return partial(PlainConv, type=type, device=net.device)


@cache
def packs(type: torch.dtype) -> bool:
    """Whether this torch and this processor run packed convolutions: tried with a small one."""
    # The answer is kept, so it must not depend on who asks first.
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        # As the streams are: in another layout, bf16 is refused.
        x, other = (
            torch.ones(1, 16, 4, 4, dtype=type).to(memory_format=torch.channels_last)
            for _ in range(2)
        )
        conv = Folded(torch.full((16, 16, 1, 1), 0.5), torch.ones(16), stride=1, padding=0)
        wanted = F.conv2d(torch.ones(1, 16, 4, 4), conv.weight, conv.bias) + 1  # 10 everywhere
        try:
            return torch.equal(Packed(conv, 4, type).added(x, other).float(), wanted)
        except (AttributeError, RuntimeError, TypeError):
            return False
