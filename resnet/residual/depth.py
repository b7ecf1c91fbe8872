"""Deeper than 50: the degradation story without any training.

Randomly initialised plain and residual networks on a line of inputs, after Balduzzi, Frean, Leary,
Lewis, Ma, McWilliams 2017, "The shattered gradients problem" (1702.08591), section 2: a scalar
input on a regular grid, fully connected layers with batch norm and ReLU, He initialisation.  In
a deep plain network the gradients at neighbouring inputs have nothing to do with each other, like
white noise; shortcuts keep them alike.  Small on purpose: the effect needs no images.

    plain       h <- relu(bn(W h))                        every layer
    residual    h <- relu(h + bn(W2 relu(bn(W1 h))))      every two layers

Batch norm uses the statistics of the whole grid, as in training.  They count as constants in the
gradient, so dy/dx at one input does not depend on the other inputs.

The correlation at a given number of grid steps depends on how fine the grid is; what counts is
plain against residual on the same grid.  Here residual networks lose it with depth too, slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from resnet.residual.plain import plain

DEPTHS = (18, 34, 50, 101, 152)  # weighted layers, as in table 1 of He et al. 2015
LAGS = 16
EPS = 1e-5

Kind = Literal["plain", "residual"]


@dataclass(frozen=True)
class DepthRow:
    """One kind of network at one depth, averaged over seeds."""

    kind: Kind
    depth: int  # weighted layers asked for; one more or less if the blocks do not divide it
    layers: tuple[int, ...]  # weighted layers up to each point measured
    signal: tuple[float, ...]  # root mean square of the stream there
    gradient: tuple[float, ...]  # root mean square of dy/dh there, geometric mean over seeds
    correlation: tuple[float, ...]  # of dy/dx with itself, 0 ... 15 grid steps away; 1 at 0
    correlation_error: tuple[float, ...]  # standard error over seeds; NaN for a single seed

    @property
    def neighbours(self) -> float:
        """Correlation of the gradients at neighbouring inputs, one grid step apart."""
        return self.correlation[1]


@dataclass(frozen=True)
class DepthStudy:
    """Plain against residual over depth."""

    seeds: int
    width: int
    points: int
    rows: tuple[DepthRow, ...]
    complete: bool  # False if it was cancelled; the rows measured until then are kept

    def to_dict(self) -> dict:
        return plain(self)


def depth_study(
    depths: Sequence[int] = DEPTHS,
    seeds: int = 6,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    width: int = 32,
    points: int = 2048,
) -> DepthStudy:
    """Measure plain and residual networks of each depth at random initialisation.

    Args:
        depths: weighted layers, 4 ... 1000 each.
        seeds: networks of each kind and depth; seed s is the same network in every study.
        progress: called with (networks measured, networks in all), kinds and depths together.
        cancelled: asked before each kind and depth.
        width: units in a layer.
        points: inputs on the grid from -2 to 2; more than 16.

    Raises:
        ValueError: a depth, width or number out of range.
    """
    if not depths or min(depths) < 4 or max(depths) > 1000:
        raise ValueError("Depths run from 4 to 1000 layers.")
    if seeds < 1 or width < 1 or points <= LAGS:
        raise ValueError(f"At least one seed, one unit and {LAGS + 1} points are needed.")
    rows: list[DepthRow] = []
    kinds: tuple[Kind, ...] = ("plain", "residual")
    jobs = [(kind, depth) for depth in depths for kind in kinds]
    for kind, depth in jobs:
        if cancelled():
            return DepthStudy(seeds, width, points, tuple(rows), complete=False)
        rows.append(measure(kind, depth, seeds, width, points))
        if progress:
            progress(len(rows), len(jobs))
    return DepthStudy(seeds, width, points, tuple(rows), complete=True)


def measure(kind: Kind, depth: int, seeds: int, width: int, points: int) -> DepthRow:
    """All seeds of one kind and depth at once, as one batch of networks."""
    first, hidden, last = draw(depth, seeds, width)
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.linspace(-2, 2, points).view(1, points, 1).repeat(seeds, 1, 1)
        x.requires_grad_(True)
        h = torch.relu(batch_norm(x @ first))  # [seeds, points, width]
        streams, layers = [h], [1]
        for k in range(0, len(hidden), 2):
            if kind == "residual":
                inner = torch.relu(batch_norm(h @ hidden[k]))
                h = torch.relu(h + batch_norm(inner @ hidden[k + 1]))
            else:
                for weight in hidden[k : k + 2]:
                    h = torch.relu(batch_norm(h @ weight))
            streams.append(h)
            layers.append(k + 3)
        y = (h @ last).sum()  # networks and inputs are independent: one sum gives all gradients
        at_input, *at_streams = torch.autograd.grad(y, [x, *streams])
    correlation = autocorrelation(at_input[..., 0].double(), LAGS)  # [seeds, lags]
    spread = correlation.std(0) / math.sqrt(seeds) if seeds > 1 else correlation[0] * math.nan
    return DepthRow(
        kind=kind,
        depth=depth,
        layers=tuple(layers),
        signal=tuple(_rms(h.detach()).mean().item() for h in streams),
        gradient=tuple(_rms(g).log().mean().exp().item() for g in at_streams),
        correlation=tuple(correlation.mean(0).tolist()),
        correlation_error=tuple(spread.tolist()),
    )


def draw(depth: int, seeds: int, width: int) -> tuple[Tensor, list[Tensor], Tensor]:
    """He initialisation (1502.01852, eq. 10): std = sqrt(2 / fan in).

    Returns:
        [seeds, 1, width], an even number of [seeds, width, width], [seeds, width, 1]; the two
        kinds of network and all depths of a seed begin with the same weights.
    """
    count = 2 * ((depth - 2) // 2)
    rngs = [torch.Generator().manual_seed(seed) for seed in range(seeds)]

    def normal(rows: int, columns: int, std: float) -> Tensor:
        return torch.stack([torch.randn(rows, columns, generator=rng) for rng in rngs]) * std

    first = normal(1, width, math.sqrt(2))
    last = normal(width, 1, math.sqrt(1 / width))
    return first, [normal(width, width, math.sqrt(2 / width)) for _ in range(count)], last


def batch_norm(z: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the grid for every unit; [seeds, points, width]."""
    mean, variance = z.detach().mean(1, keepdim=True), z.detach().var(1, False, keepdim=True)
    return (z - mean) / (variance + EPS).sqrt()


def autocorrelation(series: Tensor, lags: int) -> Tensor:
    """[N, points] -> [N, lags]: sum of g_i g_(i+lag) over the sum of g_i^2, g less its mean."""
    g = series - series.mean(1, keepdim=True)
    whole = g.square().sum(1)
    n = g.shape[1]
    return torch.stack([(g[:, : n - k] * g[:, k:]).sum(1) / whole for k in range(lags)], 1)


def _rms(values: Tensor) -> Tensor:
    """Root mean square over points and units, float64 [seeds]."""
    return values.double().square().mean((1, 2)).sqrt()
