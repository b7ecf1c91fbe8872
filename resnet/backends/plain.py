"""Folded convolutions by torch's public convolution: any device, any precision.

What a reduced precision falls back to where weights cannot be packed, and the way of a GPU.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.backends.folded import Folded
from resnet.backends.trunk import Trunk
from resnet.device import PRECISIONS
from resnet.network import ResNet50, Trace


class Plain:
    """A pass over folded weights, channels last, in `fp32`, `bf16` or `fp16`."""

    name = "folded"

    def __init__(self, net: ResNet50, precision: str = "fp32"):
        self.net = net
        self.precision = precision
        type = PRECISIONS[precision]
        self._trunk = Trunk(net, partial(PlainConv, type=type, device=net.device), type)

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """As `Backend`."""
        return self._trunk.trace(x, brief)

    def logits(self, x: Tensor) -> Tensor:
        """As `Backend`."""
        return self._trunk.logits(x)


class PlainConv:
    """One convolution of torch's."""

    def __init__(self, conv: Folded, side: int, type: torch.dtype, device: torch.device):
        self._weight = conv.weight.to(device, type, memory_format=torch.channels_last)
        self._bias = conv.bias.to(device, type)
        self._how = (conv.stride, conv.padding)

    def __call__(self, x: Tensor, relu: bool = False) -> Tensor:
        y = F.conv2d(x, self._weight, self._bias, *self._how)
        return y.relu_() if relu else y

    def added(self, x: Tensor, other: Tensor) -> Tensor:
        return other.add_(self(x)).relu_()
