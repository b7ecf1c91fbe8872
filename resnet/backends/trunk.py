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
from resnet.network import Gain, ResNet50, Trace, Wires


class Conv(Protocol):
    """A convolution with its bias."""

    def __call__(self, x: Tensor, relu: bool = False) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W'], rectified if `relu`."""
        ...

    def added(self, x: Tensor, other: Tensor) -> Tensor:
        """relu(other + conv(x)), written over `other`."""
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
        self.blocks: dict[str, RunBlock] = {}
        for name in net.block_names:
            folded = fold_block(net, name)
            self.blocks[name] = RunBlock(folded, side, make)
            side = folded.side_after(side)

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """Input [N, 3, side, side] -> every wire in the trunk's type, logits float32.

        Args:
            brief: keep the last stage's blocks alone.
        """
        kept = self.net.last_stage if brief else self.net.block_names
        with torch.inference_mode():
            stem = x = self.begin(x)
            blocks: dict[str, Wires] = {}
            for name, block in self.blocks.items():
                if name not in kept:
                    x = block.output(x)  # never written over the stem: stages begin by projecting
                    continue
                blocks[name] = block.wires(x)
                x = blocks[name].output
            return Trace(stem, blocks, self._end(x))

    def logits(self, x: Tensor) -> Tensor:
        """The same with nothing kept: float32 [N, classes]."""
        with torch.inference_mode():
            x = self.begin(x)
            for block in self.blocks.values():
                x = block.output(x)
            return self._end(x)

    def begin(self, x: Tensor) -> Tensor:
        """Input [N, 3, H, W] of any size -> the stream into the first block."""
        x = x.to(self.net.device, self._type, memory_format=torch.channels_last)
        return F.max_pool2d(self._stem(x, relu=True), 3, 2, padding=1)

    def _end(self, stream: Tensor) -> Tensor:
        return self.net.head(stream.float())  # the exact figures begin here: float32


class RunBlock:
    """The convolutions of one block, ready to run.

    Args:
        side: of its input, in pixels.
        make: a convolution that can be called.
    """

    def __init__(self, block: FoldedBlock, side: int, make: Make):
        self._convs = []
        inner = side
        for conv in block.convs:
            self._convs.append(make(conv, inner))
            inner = conv.side_after(inner)
        self._projection = None if block.projection is None else make(block.projection, side)

    @property
    def identity(self) -> bool:
        """Whether the shortcut is the input itself."""
        return self._projection is None

    def wires(self, x: Tensor) -> Wires:
        """S, F and output, all kept; so is `x`."""
        shortcut, branch = self.shortcut(x), self.branch(self.inner(x))
        return Wires(shortcut, branch, torch.add(shortcut, branch).relu_())

    def output(self, x: Tensor) -> Tensor:
        """The output alone, written over `x` where the shortcut is an identity."""
        return self.join(self.inner(x), self.shortcut(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """S; `x` itself if it is an identity."""
        return x if self._projection is None else self._projection(x)

    def inner(self, x: Tensor) -> Tensor:
        """What comes into the branch's last convolution."""
        return self._convs[1](self._convs[0](x, relu=True), relu=True)

    def branch(self, inner: Tensor) -> Tensor:
        """F, from what `inner` gave."""
        return self._convs[2](inner)

    def join(self, inner: Tensor, shortcut: Tensor, g_s: Gain = 1.0, g_f: Gain = 1.0) -> Tensor:
        """`relu(g_s * S + g_f * F)`, written over `shortcut`."""
        if isinstance(g_s, float) and g_s == g_f == 1:
            return self._convs[2].added(inner, shortcut)
        return shortcut.mul_(g_s).add_(self.branch(inner).mul_(g_f)).relu_()
