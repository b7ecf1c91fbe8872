"""Weight-only int8 without calibration photos: scale, rounding, and bias correction.

Scale: least squared error per output channel.  Rounding: so that the errors of a kernel and of a
channel sum to about zero.  Bias correction: what is left of the mean shift is folded into the next
batch norm, with the mean input worked out from the batch norms alone (Nagel et al. 2019, Data-Free
Quantization Through Weight Equalization and Bias Correction, arXiv 1906.04721, section 4.2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEVELS = 127
_TINY = 1e-30  # a channel of zeros keeps a usable scale


def quantize(weight: Tensor, candidates: int = 60, refinements: int = 8) -> tuple[Tensor, Tensor]:
    """Symmetric int8 per output channel with the scale of least squared error.

    Starts from a grid of clipping points between 40 and 100 % of the channel's largest weight and
    refines by alternating q = round(w / s) and s = <w, q> / <q, q>, which never raises the error.

    Args:
        weight: float [out, ...].

    Returns:
        int8 of the same shape in -127..127, and float32 scales [out]; weight ~ int8 * scale.
    """
    rows = weight.double().flatten(1)  # [out, n]
    largest = rows.abs().amax(1, keepdim=True).clamp_min(_TINY)

    def rounded(scale: Tensor) -> Tensor:
        return (rows / scale).round().clamp(-LEVELS, LEVELS)

    def error(scale: Tensor) -> Tensor:
        return (rows - rounded(scale) * scale).square().sum(1, keepdim=True)

    best = largest / LEVELS
    least = error(best)
    for share in torch.linspace(0.4, 1, candidates, dtype=torch.float64):
        scale = largest * share / LEVELS
        found = error(scale)
        best = torch.where(found < least, scale, best)
        least = torch.minimum(found, least)
    for _ in range(refinements):
        levels = rounded(best)
        energy = levels.square().sum(1, keepdim=True).clamp_min(1)
        best = ((rows * levels).sum(1, keepdim=True) / energy).clamp_min(_TINY)
    scale = best.float()
    return rounded(scale.double()).to(torch.int8).view_as(weight), scale.flatten()


def balance(weight: Tensor, levels: Tensor, scale: Tensor) -> Tensor:
    """Round the least certain weights the other way until the errors sum to about zero.

    First within each 3x3 (or 7x7) kernel, then within each output channel: an error that sums to
    zero does not shift the mean of what follows.

    Args:
        weight: float [out, ...]; `levels` int8 of the same shape and `scale` [out] of `quantize`.

    Returns:
        int8 of the same shape; each level moved by at most 1 a pass.
    """
    exact = weight.double() / scale.double().view(-1, *[1] * (weight.ndim - 1))
    result = levels.double()
    groups = [(len(weight), -1)]
    if weight.ndim == 4 and weight.shape[2] > 1:
        groups.insert(0, (weight.shape[0] * weight.shape[1], -1))
    for shape in groups:
        result = _balance_rows(exact.reshape(shape), result.reshape(shape)).view_as(result)
    return result.to(torch.int8)


def _balance_rows(exact: Tensor, levels: Tensor) -> Tensor:
    error = exact - levels
    free = error.abs() <= 1  # a clipped weight is wrong by more, and on purpose
    surplus = (error * free).sum(1, keepdim=True).round()
    up = torch.where(free & (levels < LEVELS), error, -math.inf)
    down = torch.where(free & (levels > -LEVELS), -error, -math.inf)

    def rank(wish: Tensor) -> Tensor:  # 0 for the level that is nearest to the next one
        return wish.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)

    raised = (rank(up) < surplus) & up.isfinite()
    lowered = (rank(down) < -surplus) & down.isfinite()
    return levels + raised.double() - lowered.double()


def rectified(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of relu(x) for normal x, per channel [C]."""
    spread = variance.clamp_min(1e-12).sqrt()
    z = mean / spread
    below = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    first = mean * below + spread * density
    second = (mean * mean + variance) * below + mean * spread * density
    return first, (second - first * first).clamp_min(0)


def correct_means(state: dict[str, Tensor], rounded: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch-norm means and `fc.bias` that undo the mean shift of the rounded weights.

    A channel's mean input is read from the batch norm before it: normal with mean beta and
    variance gamma squared, through the ReLU; along the shortcut the blocks' means add.

    Args:
        state: float32 weights, torchvision's names.
        rounded: the same after quantization, dequantized.

    Returns:
        the changed entries only: `*.running_mean` and `fc.bias`.
    """
    changed: dict[str, Tensor] = {}

    def shift(layer: str, mean: Tensor) -> Tensor:
        error = rounded[f"{layer}.weight"] - state[f"{layer}.weight"]
        return error.double().flatten(2).sum(2) @ mean if error.ndim > 2 else error.double() @ mean

    def correct(conv: str, bn: str, mean: Tensor) -> None:
        changed[f"{bn}.running_mean"] = (
            state[f"{bn}.running_mean"].double() + shift(conv, mean)
        ).float()

    def moments(bn: str) -> tuple[Tensor, Tensor]:
        return state[f"{bn}.bias"].double(), state[f"{bn}.weight"].double() ** 2

    mean, variance = rectified(*moments("bn1"))
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for index in range(depth):
            block = f"layer{stage}.{index}"
            correct(f"{block}.conv1", f"{block}.bn1", mean)
            correct(f"{block}.conv2", f"{block}.bn2", rectified(*moments(f"{block}.bn1"))[0])
            correct(f"{block}.conv3", f"{block}.bn3", rectified(*moments(f"{block}.bn2"))[0])
            if index == 0:
                correct(f"{block}.downsample.0", f"{block}.downsample.1", mean)
                mean, variance = moments(f"{block}.downsample.1")
            branch_mean, branch_variance = moments(f"{block}.bn3")
            mean, variance = rectified(mean + branch_mean, variance + branch_variance)
    changed["fc.bias"] = (state["fc.bias"].double() - shift("fc", mean)).float()
    return changed
