"""Convolution and batch norm as one convolution with a bias: the same function, one pass less."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnet.network import Block, ResNet50


@dataclass(frozen=True)
class Folded:
    """One convolution with its batch norm inside, float32."""

    weight: Tensor  # [out, in, k, k]
    bias: Tensor  # [out]
    stride: int
    padding: int

    def side_after(self, side: int) -> int:
        """Of the output, for an input of that height and width."""
        return (side + 2 * self.padding - self.weight.shape[2]) // self.stride + 1


@dataclass(frozen=True)
class FoldedBlock:
    """The convolutions of one block."""

    convs: tuple[Folded, Folded, Folded]
    projection: Folded | None  # of the shortcut; None for an identity

    def side_after(self, side: int) -> int:
        """As `Folded`."""
        for conv in self.convs:
            side = conv.side_after(side)
        return side


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Folded:
    """w * g / sqrt(var + eps), and what is left of the batch norm as a bias."""
    with torch.inference_mode(False), torch.no_grad():
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = conv.weight * scale.float().view(-1, 1, 1, 1)
        bias = norm.bias.double() - norm.running_mean.double() * scale
    padding = conv.padding[0]
    assert isinstance(padding, int)
    return Folded(weight, bias.float(), conv.stride[0], padding)


def fold_stem(net: ResNet50) -> Folded:
    """The 7x7 convolution before the max pool."""
    return fold(net.conv1, net.bn1)


def fold_block(net: ResNet50, name: str) -> FoldedBlock:
    """The three or four convolutions of block `name`."""
    return fold_any(net.block(name))


def fold_any(block: Block) -> FoldedBlock:
    """The three or four convolutions of a block."""
    convs = (
        fold(block.conv1, block.bn1),
        fold(block.conv2, block.bn2),
        fold(block.conv3, block.bn3),
    )
    if block.downsample is None:
        return FoldedBlock(convs, None)
    conv, norm = block.downsample
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return FoldedBlock(convs, fold(conv, norm))
