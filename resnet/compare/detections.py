"""Two detectors, or two states of one, on one photo: what both found and what only one did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from resnet import lazy
from resnet.compare.base import CompareError
from resnet.detections import Detections
from resnet.residual.plain import plain

ops = lazy.module("torchvision.ops")

SAME = 0.5  # IoU from which two boxes are at the same place


@dataclass(frozen=True)
class Pair:
    """One thing that both found."""

    a: int  # row in A's detections
    b: int  # row in B's
    label: str
    iou: float  # intersection over union, SAME..1
    score_a: float  # 0..1
    score_b: float
    difference: float  # score_b - score_a


@dataclass(frozen=True)
class Single:
    """One thing that one side found."""

    row: int  # in that side's detections
    label: str
    score: float


@dataclass(frozen=True)
class Matches:
    """The boxes of A and B: each is in one pair or alone."""

    iou: float  # from which two boxes were paired
    both: tuple[Pair, ...]  # A's best first
    only_a: tuple[Single, ...]  # best first
    only_b: tuple[Single, ...]

    @property
    def agreement(self) -> float | None:
        """Pairs as a share of all things found, 0..1; None if nothing was found."""
        total = len(self.both) + len(self.only_a) + len(self.only_b)
        return len(self.both) / total if total else None

    @property
    def sentence(self) -> str:
        """How many in both, only A, only B."""
        if self.agreement is None:
            return "Neither found anything."
        text = (
            f"{_things(len(self.both))} found by both, {len(self.only_a)} by A only, "
            f"{len(self.only_b)} by B only (same name, overlap of {self.iou:g} or more)."
        )
        if self.both:
            mean = sum(pair.difference for pair in self.both) / len(self.both)
            text += f" Where both found it, B's score is {abs(mean):.2f} "
            text += f"{'lower' if mean < 0 else 'higher'} on average."
        return text

    def to_dict(self) -> dict:
        return plain(self) | {"agreement": self.agreement, "sentence": self.sentence}


def match(a: Detections, b: Detections, iou: float = SAME) -> Matches:
    """Pair the boxes of two results for one photo.

    Boxes are paired greedily: of all pairs with the same class name and at least this overlap,
    the one with the highest IoU first (of equals the one with the higher scores), each box once.
    That is the same whichever side is called A.  An assignment that is best in total (Hungarian)
    differs only where several boxes of one class overlap by more than half.

    Args:
        iou: lowest intersection over union, above 0 and at most 1.

    Raises:
        CompareError: the photos have different sizes, or the overlap is out of range.
    """
    if a.size != b.size:
        raise CompareError(
            "Boxes can be paired on one photo only, or on copies of the same size; these are "
            f"{a.size[0]} × {a.size[1]} and {b.size[0]} × {b.size[1]} pixels."
        )
    if not 0 < iou <= 1:
        raise CompareError(f"An overlap is above 0 and at most 1; this is {iou:g}.")
    overlap = overlaps(a.boxes, b.boxes)
    scores = a.scores[:, None].astype(np.float64) + b.scores
    named = np.array(a.label_names, object)[:, None] == np.array(b.label_names, object)
    rows, columns = np.nonzero((overlap >= iou) & named)
    best = np.lexsort((-scores[rows, columns], -overlap[rows, columns]))
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for i, j in zip(rows[best].tolist(), columns[best].tolist(), strict=True):
        if i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    both = tuple(_pair(a, b, i, partner[i], float(overlap[i, partner[i]])) for i in sorted(partner))
    return Matches(iou, both, _alone(a, set(partner)), _alone(b, taken))


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of every box of a [n, 4] with every one of b [m, 4]: float64 [n, m]; empty boxes 0."""
    found = ops.box_iou(torch.from_numpy(a).double(), torch.from_numpy(b).double())
    return found.nan_to_num(0.0).numpy()


def _pair(a: Detections, b: Detections, i: int, j: int, iou: float) -> Pair:
    one, other = float(a.scores[i]), float(b.scores[j])
    return Pair(i, j, a.label_names[i], iou, one, other, other - one)


def _alone(found: Detections, paired: set[int]) -> tuple[Single, ...]:
    rows: Sequence[int] = [i for i in range(len(found)) if i not in paired]
    return tuple(Single(i, found.label_names[i], float(found.scores[i])) for i in rows)


def _things(count: int) -> str:
    return "1 thing was" if count == 1 else f"{count} things were"
