"""What every way to run the trunk offers, and the ordinary one, which always works."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from resnet import device as devices
from resnet.network import ResNet50, Trace


class BackendError(RuntimeError):
    """A back end that cannot be had here; the message says why in half a sentence."""


class Backend(Protocol):
    """One way to run one network; its answers agree with the others' but for rounding."""

    @property
    def name(self) -> str:
        """A key of `resnet.backends.BACKENDS`."""
        ...

    @property
    def net(self) -> ResNet50:
        """The network that it runs."""
        ...

    @property
    def precision(self) -> str:
        """Of the pass: `fp32`, `bf16` or `fp16`."""
        ...

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """The pass with S, F and output of every block kept; logits float32.

        Args:
            x: input tensor [N, 3, H, W], normalised as the weights say.
            brief: keep the last stage's blocks alone.
        """
        ...

    def logits(self, x: Tensor) -> Tensor:
        """The pass with nothing kept: float32 [N, classes]."""
        ...


class Eager:
    """The network as `resnet.network` writes it down."""

    name = "eager"

    def __init__(self, net: ResNet50, precision: str = "fp32"):
        self.net = net
        self.precision = precision

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """As `Backend`."""
        return self.net.trace(x, self.precision, brief)

    def logits(self, x: Tensor) -> Tensor:
        """As `Backend`."""
        with torch.inference_mode(), devices.autocast(self.net.device, self.precision):
            x = x.to(self.net.device, memory_format=torch.channels_last)
            return self.net(x).float()
