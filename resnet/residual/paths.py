"""Path lengths: over how many branches the gradient really comes back.

Veit, Wilber, Belongie 2016, "Residual networks behave like ensembles of relatively shallow
networks" (1605.06431), section 4.3: of the 2^n paths through n blocks, count by length, and
measure the gradient that paths of each length bring back to the start.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from resnet.network import Block, ResNet50, Trace
from resnet.residual.gains import plan_of
from resnet.residual.plain import plain
from resnet.residual.plan import baseline

BATCH = 32  # paths at once: about 300 MB for a photo of 224 x 224

Path = tuple[bool, ...]  # at each block: True through the branch, False along the shortcut


@dataclass(frozen=True)
class PathLength:
    """All paths that go through the branch of exactly `length` blocks."""

    length: int
    count: int  # n choose length
    samples: int  # paths measured
    gradient: float  # mean of ||dy/d stem|| over the measured paths
    error: float  # standard error of that mean; 0 if every path was measured
    share_count: float  # count / 2^n, adds to 1
    share_gradient: float  # count x gradient, normalised to add to 1
    share_error: float  # standard error of share_gradient from `error` alone


@dataclass(frozen=True)
class PathLengths:
    """The histogram of path lengths: by count, and by the gradient they bring back."""

    index: int
    seed: int
    rows: tuple[PathLength, ...]
    mean_count: float  # mean length over all paths: n / 2
    mean_gradient: float  # mean length weighted by count x gradient: the effective length
    complete: bool  # False if it was cancelled: no rows

    def to_dict(self) -> dict:
        return plain(self)


def path_lengths(
    net: ResNet50,
    trace: Trace,
    index: int,
    samples: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> PathLengths:
    """Gradient by path length: the forward pass stays whole, the backward pass follows one path.

    For each length L, `samples` different sets of L blocks are drawn; going back, the gradient
    passes those blocks' branches only and the other blocks' shortcuts only.  The ReLU after each
    addition gates every path as it did in the forward pass.  If there are no more than `samples`
    sets of a length, all are measured.

    Args:
        trace: of one photo, of the network as trained.
        index: class whose logit is differentiated.
        samples: paths a length; each costs about eight forward passes over all lengths.
        seed: of the drawing; the same seed, the same figures.
        progress: called with (paths measured, paths in all).
        cancelled: asked between batches; if it says yes, no rows come back.

    Raises:
        ValueError: the trace is of a changed network.
    """
    plan = plan_of(trace)
    if plan != baseline(net.block_names):
        raise ValueError("Path lengths are measured on the network as trained.")
    paths = [path for n in range(len(plan) + 1) for path in draw(len(plan), n, samples, seed)]
    paths.sort(key=lambda path: path[::-1])  # paths that end alike go together: see path_gradients
    linear = [Linearised.of(net.block(name), trace, name) for name in net.block_names]
    norms: dict[int, list[float]] = defaultdict(list)
    for start in range(0, len(paths), BATCH):
        if cancelled():
            return PathLengths(index, seed, (), len(plan) / 2, math.nan, complete=False)
        batch = paths[start : start + BATCH]
        gradients = path_gradients(net, trace, index, linear, batch)
        for path, norm in zip(batch, gradients.norm(dim=1).tolist(), strict=True):
            norms[sum(path)].append(norm)
        if progress:
            progress(start + len(batch), len(paths))
    return _histogram(len(plan), dict(sorted(norms.items())), index, seed)


def draw(n: int, length: int, samples: int, seed: int) -> list[Path]:
    """Different paths of one length through n blocks: all of them if there are few."""
    rng = random.Random(f"{seed}/{n}/{length}")
    found: set[frozenset[int]] = set()
    while len(found) < min(samples, math.comb(n, length)):
        found.add(frozenset(rng.sample(range(n), length)))
    return sorted(tuple(k in blocks for k in range(n)) for blocks in found)


def path_gradients(
    net: ResNet50, trace: Trace, index: int, linear: Sequence[Linearised], paths: Sequence[Path]
) -> Tensor:
    """dy/d stem along each path alone, float32 [paths, C * h * w].

    Paths that make the same choices in the last blocks share the way back through them.
    """
    with torch.inference_mode():
        shape = trace.blocks[net.block_names[-1]].output.shape
        gradient = net.fc.weight[index].view(1, -1, 1, 1) / (shape[2] * shape[3])
        gradient = gradient.expand(1, *shape[1:])
        rows: dict[Path, int] = {(): 0}  # the choices from block k on -> row of `gradient`
        for k in reversed(range(len(linear))):
            # False before True: first those that come back along the shortcut.
            ends = sorted({path[k:] for path in paths})
            gated = (gradient * linear[k].gate)[[rows[end[1:]] for end in ends]]
            split = sum(not end[0] for end in ends)
            parts = []
            if split:
                parts.append(linear[k].shortcut(gated[:split]))
            if split < len(ends):
                parts.append(linear[k].branch(gated[split:]))
            gradient, rows = torch.cat(parts), {end: row for row, end in enumerate(ends)}
        return gradient[[rows[tuple(path)] for path in paths]].flatten(1)


@dataclass(frozen=True)
class Linearised:
    """One block at one photo: its two wires as linear maps for gradients, J_S^T and J_F^T."""

    block: Block
    size: torch.Size  # h, w of the input
    gate: Tensor  # 1[S + F > 0], [1, C, h, w]
    first: Tensor  # 1[. > 0] after bn1
    second: Tensor  # 1[. > 0] after bn2

    @classmethod
    def of(cls, block: Block, trace: Trace, name: str) -> Linearised:
        with torch.inference_mode():
            x = trace.input_of(name).float()
            a = block.bn1(block.conv1(x))
            b = block.bn2(block.conv2(F.relu(a)))
            gate = (trace.blocks[name].output > 0).float()
            return cls(block, x.shape[2:], gate, (a > 0).float(), (b > 0).float())

    def branch(self, v: Tensor) -> Tensor:
        """J_F^T v: [N, C, h, w] -> [N, inputs, H, W]."""
        block = self.block
        v = _back(block.conv3, block.bn3, v, self.second.shape[2:]) * self.second
        v = _back(block.conv2, block.bn2, v, self.first.shape[2:]) * self.first
        return _back(block.conv1, block.bn1, v, self.size)

    def shortcut(self, v: Tensor) -> Tensor:
        """J_S^T v: v itself for an identity."""
        if self.block.downsample is None:
            return v
        conv, norm = self.block.downsample
        return _back(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm), v, self.size)


def _back(conv: nn.Conv2d, norm: nn.BatchNorm2d, v: Tensor, size: torch.Size) -> Tensor:
    """The transposed map of convolution + batch norm (running statistics)."""
    variance = cast(Tensor, norm.running_var)
    scale = norm.weight / (variance + norm.eps).sqrt()
    shape = (v.shape[0], conv.in_channels, *size)
    return conv2d_input(shape, conv.weight, v * scale.view(1, -1, 1, 1), conv.stride, conv.padding)


def _histogram(n: int, measured: dict[int, list[float]], index: int, seed: int) -> PathLengths:
    means, errors = {}, {}
    for length, norms in measured.items():
        count = math.comb(n, length)
        means[length] = mean = sum(norms) / len(norms)
        errors[length] = 0.0
        if 1 < len(norms) < count:
            variance = sum((norm - mean) ** 2 for norm in norms) / (len(norms) - 1)
            # Drawn without replacement: the finite-population correction.
            errors[length] = math.sqrt(variance / len(norms) * (1 - len(norms) / count))
        elif len(norms) < count:
            errors[length] = math.nan  # one sample tells nothing about its own error
    whole = sum(math.comb(n, length) * mean for length, mean in means.items())
    rows = tuple(
        PathLength(
            length=length,
            count=(count := math.comb(n, length)),
            samples=len(measured[length]),
            gradient=means[length],
            error=errors[length],
            share_count=count / 2**n,
            share_gradient=_divide(count * means[length], whole),
            share_error=_divide(count * errors[length], whole),
        )
        for length in measured
    )
    effective = sum(row.length * row.share_gradient for row in rows)
    return PathLengths(index, seed, rows, n / 2, effective, len(measured) == n + 1)


def _divide(a: float, b: float) -> float:
    return a / b if b > 0 else math.nan
