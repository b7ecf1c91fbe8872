"""Where two streams part: block by block, how alike are the signals of A and of B?

Two measures of the stream H after each block:

- cosine: <H_A, H_B> / (||H_A|| ||H_B||) over all channels and positions.  It needs channels with a
  common meaning, so it exists between two passes of the same weights only.
- linear CKA (Kornblith et al. 2019, 1905.00414, eq. 1 and 4 with linear kernels): positions are
  the examples, channels the features, each channel centred over the positions,
      CKA = ||Y'X||_F^2 / (||X'X||_F ||Y'Y||_F),   X: [n, channels of A], Y: [n, channels of B].
  It asks whether the two signals lay the positions out alike, and does not mind which channel
  says so, nor rotations or a common scale: right between different weights.

CKA of few positions with many channels is high by itself (the last stage has 49 positions and
2,048 channels), so each row carries what unrelated positions would give, see `linear_cka`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.analysis import Analysis
from resnet.compare.answers import cosine
from resnet.compare.base import CompareError
from resnet.network import ResNet50
from resnet.residual.plain import plain

LEVEL = 1e-6  # a fall smaller than this is rounding


class Alike(NamedTuple):
    """Linear CKA, and what it is on average if B's positions are shuffled."""

    cka: float | None  # 0..1; None if a stream is the same at every position
    chance: float | None


@dataclass(frozen=True)
class StreamRow:
    """The streams of A and B after one block."""

    block: str
    cosine: float | None  # 0..1, as streams are not negative; None: other weights, or all zero
    cka: float | None  # 0..1; None if a stream is the same at every position
    chance: float | None  # CKA expected with B's positions shuffled
    identical: bool  # every value the same
    grid: tuple[int, int]  # height, width in positions of the compared streams
    pooled: bool  # A's or B's was averaged down to this grid


@dataclass(frozen=True)
class Parting:
    """Where two streams part."""

    rows: tuple[StreamRow, ...]  # blocks in order
    measure: Literal["cosine", "cka"]  # what `block` goes by
    same_weights: bool
    before: float | None  # the measure on the streams that enter the first block
    block: str | None  # the first one where the measure falls most; None if it never falls
    fall: float  # by how much there, 0..1
    left_out: tuple[str, ...]  # blocks that only one side ran

    @property
    def sentence(self) -> str:
        """Where the measure falls most and how alike the streams are in the end."""
        name = "cosine" if self.measure == "cosine" else "linear CKA"
        if all(row.identical for row in self.rows):
            text = "The two streams are identical in every block."
        elif self.block is None:
            text = f"The {name} between the two streams never falls from one block to the next."
        else:
            text = self._parting(name)
        if not self.same_weights:
            text += (
                " A and B have different weights, whose channels have no common meaning: a cosine "
                "between them says nothing, so CKA over positions is used."
            )
        if any(row.pooled for row in self.rows):
            text += (
                " The two views have different grids: the larger was averaged down to the "
                "smaller, and positions are paired by their place in the view."
            )
        if self.left_out:
            text += f" Left out, as only one side has them: {', '.join(self.left_out)}."
        return text

    def _parting(self, name: str) -> str:
        names = [row.block for row in self.rows]
        at = names.index(self.block or "")
        values = [self.before, *(getattr(row, self.measure) for row in self.rows)]
        same = [row.block for row in self.rows[:at] if row.identical]
        begin = f"The two streams are identical up to {same[-1]}. " if same else ""
        end = next((value for value in reversed(values) if value is not None), math.nan)
        return (
            f"{begin}The {name} falls most at block {self.block}, from {values[at]:.2f} to "
            f"{values[at + 1]:.2f}; after the last block it is {end:.2f}."
        )

    def to_dict(self) -> dict:
        return plain(self) | {"sentence": self.sentence}


def where_they_part(a: Analysis, b: Analysis) -> Parting:
    """Compare the streams of two analyses after every block that both ran.

    Args:
        a, b: of any photos, weights, gains and sizes.  Views of different size have grids of
            different size: both are pooled (adaptive average) to the smaller height and width.

    Raises:
        CompareError: no block of the same name.
    """
    same = same_weights(a.net, b.net)
    names = [name for name in a.blocks if name in b.blocks]
    if not names:
        raise CompareError("The two networks have no block in common.")
    other = [*(n for n in a.blocks if n not in names), *(n for n in b.blocks if n not in names)]
    rows = tuple(_row(name, a.blocks[name].output, b.blocks[name].output, same) for name in names)
    start = _row("stem", a.trace.stem, b.trace.stem, same)
    measure: Literal["cosine", "cka"] = "cosine" if same else "cka"
    before = getattr(start, measure)
    block, fall = _largest_fall(before, [(row.block, getattr(row, measure)) for row in rows])
    return Parting(rows, measure, same, before, block, fall, tuple(other))


def same_weights(a: ResNet50, b: ResNet50) -> bool:
    """Whether two networks are the same function of the same normalised input."""
    if a is b:
        return True
    one, other = a.state_dict(), b.state_dict()
    variant = (a.spec.stride_in_1x1, a.spec.eps) == (b.spec.stride_in_1x1, b.spec.eps)
    return (
        variant
        and one.keys() == other.keys()
        and all(v.shape == other[k].shape for k, v in one.items())
        and all(torch.equal(v.cpu(), other[k].cpu()) for k, v in one.items())
    )


def linear_cka(x: Tensor, y: Tensor) -> Alike:
    """Linear CKA of n examples with p and q features, in float64, and its chance level.

    The smaller of the two equal forms is computed: ||Y'X||^2 from features [p, q], or
    <XX', YY'> from examples [n, n].  If B's examples are shuffled, the mean over all orders is
        tr(XX') tr(YY') / ((n - 1) ||XX'|| ||YY'||),
    exactly, as the rows and columns of both centred matrices add up to 0.

    Args:
        x, y: [n, p] and [n, q], any features.
    """
    n = x.shape[0]
    x, y = (each.double() - each.double().mean(0) for each in (x, y))
    trace = float(x.square().sum() * y.square().sum())
    if n <= max(x.shape[1], y.shape[1]):
        k, l = x @ x.T, y @ y.T
        together, size = float((k * l).sum()), float(k.norm() * l.norm())
    else:
        together = float((y.T @ x).square().sum())
        size = float((x.T @ x).norm() * (y.T @ y).norm())
    if n < 2 or not size > 0 or not math.isfinite(size):
        return Alike(None, None)
    return Alike(min(1.0, together / size), min(1.0, trace / ((n - 1) * size)))


def _row(name: str, a: Tensor, b: Tensor, same: bool) -> StreamRow:
    """Two streams [1, C, h, w]."""
    with torch.inference_mode():
        a, b = a.detach().cpu(), b.detach().cpu()
        identical = same and torch.equal(a, b)
        grid = (min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3]))
        pooled = a.shape[2:] != grid or b.shape[2:] != grid
        a, b = (F.adaptive_avg_pool2d(t[0].double(), grid).flatten(1) for t in (a, b))  # [C, n]
        alike = linear_cka(a.T, b.T)
        return StreamRow(name, cosine(a, b) if same else None, *alike, identical, grid, pooled)


def _largest_fall(
    before: float | None, values: list[tuple[str, float | None]]
) -> tuple[str | None, float]:
    """The first step with the largest fall; steps from or to nothing do not count."""
    found, largest, last = None, LEVEL, before
    for name, value in values:
        if value is not None and last is not None and last - value > largest:
            found, largest = name, last - value
        last = value
    return found, largest if found else 0.0
