"""The pass over folded convolutions, whatever runs one convolution.

The residual step stays in view here too: `relu(S + F)`, with S and F kept as they arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.backends.folded import Folded, FoldedBlock, fold_block, fold_stem
from resnet.network import ResNet50, Trace, Wires


class Conv(Protocol):
    """A convolution with its bias."""

    def __call__(self, x: Tensor, relu: bool = False) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W'], rectified if `relu`."""
        ...

    def added(self, x: Tensor, other: Tensor) -> Tensor:
        """relu(other + conv(x)); what the convolution alone gave is not kept."""
        ...


Make = Callable[[Folded, int], Conv]  # of a convolution and the side of its input in pixels


class Trunk:
    """The whole network of folded convolutions, for square inputs of one side.

    Args:
        net: its weights are copied; its head is used.
        make: a convolution that can be called.
        type: in which the convolutions run.
    """

    def __init__(self, net: ResNet50, make: Make, type: torch.dtype):
        self.net = net
        self.side = side = net.spec.crop
        self._type = type
        self._stem = make(fold_stem(net), side)
        side = -(-side // 4)  # the convolution's stride and the max pool's
        self._blocks: dict[str, _Block] = {}
        for name in net.block_names:
            folded = fold_block(net, name)
            self._blocks[name] = _Block(folded, side, make)
            side = folded.side_after(side)

    def trace(self, x: Tensor) -> Trace:
        """Input [N, 3, side, side] -> every wire in the trunk's type, logits float32."""
        with torch.inference_mode():
            stem = x = self._begin(x)
            blocks: dict[str, Wires] = {}
            for name, block in self._blocks.items():
                blocks[name] = block.wires(x)
                x = blocks[name].output
            return Trace(stem, blocks, self._end(x))

    def logits(self, x: Tensor) -> Tensor:
        """The same with nothing kept: float32 [N, classes]."""
        with torch.inference_mode():
            x = self._begin(x)
            for block in self._blocks.values():
                x = block.output(x)
            return self._end(x)

    def streams(self, x: Tensor) -> dict[str, Tensor]:
        """Input [N, 3, H, W] of any size -> the stream after each stage, in the trunk's type."""
        kept: dict[str, Tensor] = {}
        with torch.inference_mode():
            x = self._begin(x)
            for name, block in self._blocks.items():
                kept[name[0]] = x = block.output(x)  # the stage's last block stays
        return kept

    def _begin(self, x: Tensor) -> Tensor:
        x = x.to(self.net.device, self._type, memory_format=torch.channels_last)
        return F.max_pool2d(self._stem(x, relu=True), 3, 2, padding=1)

    def _end(self, stream: Tensor) -> Tensor:
        return self.net.head(stream.float())  # the exact figures begin here: float32


class _Block:
    """The convolutions of one block, ready to run."""

    def __init__(self, block: FoldedBlock, side: int, make: Make):
        self._convs = []
        inner = side
        for conv in block.convs:
            self._convs.append(make(conv, inner))
            inner = conv.side_after(inner)
        self._projection = None if block.projection is None else make(block.projection, side)

    def wires(self, x: Tensor) -> Wires:
        shortcut, branch = self._shortcut(x), self._convs[2](self._inner(x))
        return Wires(shortcut, branch, torch.add(shortcut, branch).relu_())

    def output(self, x: Tensor) -> Tensor:
        return self._convs[2].added(self._inner(x), self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        return x if self._projection is None else self._projection(x)

    def _inner(self, x: Tensor) -> Tensor:
        return self._convs[1](self._convs[0](x, relu=True), relu=True)
