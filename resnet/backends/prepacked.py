"""Folded convolutions with weights laid out once as oneDNN wants them (CPU).

torch lays the weights of a convolution out anew in every call; here it is done once, and the ReLU
inside a branch is part of the convolution.  oneDNN must be told the size of the input when it
chooses the layout: without, some convolutions take ten times as long (AVX2, torch 2.14).  It may
choose another one for a batch than for a single photo; with the wrong one it changes the weights
back in every call, by its slowest way, and two photos take five times as long as one.

The operators are private to torch (its compiler uses them), so everything is tried when the back
end is made, and a torch without them is an error that says so: the ordinary pass then goes on.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from resnet.backends.base import BackendError
from resnet.backends.folded import Folded
from resnet.backends.trunk import Trunk
from resnet.device import PRECISIONS
from resnet.network import ResNet50, Trace

# On AVX2, batches of 4 to 16 photos want one layout, and those of 2 or 3 nearly the same.
SEVERAL = 8


class Prepacked:
    """A pass over packed weights.

    Args:
        net: its weights are copied.
        precision: `fp32`, or `bf16` where the processor has it.

    Raises:
        BackendError: this torch, this processor or this device cannot do it.
    """

    name = "prepacked"

    def __init__(self, net: ResNet50, precision: str = "fp32"):
        if net.device.type != "cpu" or precision not in ("fp32", "bf16"):
            raise BackendError("packed weights are for the CPU, in fp32 or bf16")
        if precision == "bf16" and not has_bf16():
            raise BackendError("this processor has no arithmetic for bf16")
        self.precision = precision
        self.net = net
        type = PRECISIONS[precision]
        try:
            self._trunk = Trunk(net, partial(Packed, type=type), type)
            self._trunk.trace(torch.zeros(1, 3, net.spec.crop, net.spec.crop))
            self._trunk.logits(torch.zeros(1, 3, net.spec.crop, net.spec.crop))
        except (AttributeError, RuntimeError, TypeError) as error:
            fault = type_name(error)
            raise BackendError(f"this torch does not pack weights ({fault})") from error

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """As `Backend`; inputs of another side go through the ordinary pass."""
        if self._fits(x):
            return self._trunk.trace(x, brief)
        return self.net.trace(x, brief=brief)

    def logits(self, x: Tensor) -> Tensor:
        """As `Backend`."""
        return self._trunk.logits(x) if self._fits(x) else self.net.trace(x).logits

    def _fits(self, x: Tensor) -> bool:
        return x.shape[2:] == (self._trunk.side, self._trunk.side)


class Fused:
    """One convolution with its bias and what follows it, in one call; for inputs of any size."""

    def __init__(self, conv: Folded, side: int, type: torch.dtype):
        self._weight = conv.weight.to(type, memory_format=torch.channels_last)
        self._bias = conv.bias.to(type)
        self._how = ([conv.padding] * 2, [conv.stride] * 2, [1, 1], 1)

    def __call__(self, x: Tensor, relu: bool = False) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._for(x), self._bias, *self._how, "relu" if relu else "none", [], None
        )

    def added(self, x: Tensor, other: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            other, x, self._for(x), self._bias, *self._how, "add", None, "relu", [], None
        )

    def _for(self, x: Tensor) -> Tensor:
        """The weights, as an input of this shape wants them."""
        return self._weight


class Packed(Fused):
    """The same with its weights laid out once, for inputs of height and width `side`.

    Inputs of another size are answered, too, but some of them ten times as slowly.
    """

    def __init__(self, conv: Folded, side: int, type: torch.dtype):
        super().__init__(conv, side, type)
        plain = self._weight
        self._weight, batch = (self._laid_out(plain, count, side) for count in (1, SEVERAL))
        self._batch = self._weight if _same_layout(self._weight, batch) else batch

    def _for(self, x: Tensor) -> Tensor:
        return self._weight if len(x) == 1 else self._batch

    def _laid_out(self, plain: Tensor, count: int, side: int) -> Tensor:
        with torch.inference_mode(False):
            return torch.ops.mkldnn._reorder_convolution_weight(
                plain, *self._how, [count, plain.shape[1], side, side]
            )


def _same_layout(one: Tensor, other: Tensor) -> bool:
    a, b = (torch.ops.mkldnn._get_mkldnn_serialized_md(weight) for weight in (one, other))
    return torch.equal(a, b)


def has_bf16() -> bool:
    """Whether oneDNN computes in bf16 here (AVX512 or better)."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def type_name(error: Exception) -> str:
    """An error's kind: torch's messages run over pages."""
    return type(error).__name__
