"""Does a confidence of 80 % mean right in 80 % of the photos?

Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnet.residual.plain import plain

BINS = 15  # as in the paper's table 1


@dataclass(frozen=True)
class Bin:
    """The photos whose confidence lies in (low, high]; a confidence of 0 is in the first bin."""

    low: float
    high: float
    photos: int
    confidence: float | None  # their mean, 0..1; None if there is none
    accuracy: float | None  # share of right answers, 0..1

    @property
    def gap(self) -> float | None:
        """accuracy − confidence: negative where the network is too sure."""
        if self.accuracy is None or self.confidence is None:
            return None
        return self.accuracy - self.confidence


@dataclass(frozen=True)
class Calibration:
    """Reliability in bins of equal width, and its summary."""

    photos: int
    accuracy: float  # 0..1
    confidence: float  # mean of the answers' probabilities, 0..1
    ece: float  # expected calibration error, 0..1
    mce: float  # the largest gap of any bin, 0..1
    bins: tuple[Bin, ...]

    def to_dict(self) -> dict:
        found = plain(self)
        for row, one in zip(found["bins"], self.bins, strict=True):
            row["gap"] = one.gap
        return found


def calibration(
    confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS
) -> Calibration | None:
    """Expected calibration error and the bins of a reliability diagram.

    With B_m the photos whose confidence lies in ((m−1)/M, m/M] and n photos in all (eq. 3):

        ECE = Σ_m |B_m|/n · |acc(B_m) − conf(B_m)|

    and MCE the largest |acc − conf| of a bin that has photos (eq. 5).

    Args:
        confidences: the answer's softmax probability a photo, 0..1.
        correct: whether that answer is right.
        bins: M.

    Returns:
        None if there is no photo.

    Raises:
        ValueError: lengths differ, a confidence outside 0..1, or no bin.
    """
    p, right = np.asarray(confidences, np.float64), np.asarray(correct, bool)
    if p.shape != right.shape or p.ndim != 1 or bins < 1:
        raise ValueError("one confidence and one truth value a photo, and at least one bin")
    if not p.size:
        return None
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("confidences lie between 0 and 1")
    edges = np.arange(bins + 1) / bins  # correctly rounded, so that 0.2 is the edge 3/15
    where = np.searchsorted(edges[1:], p, side="left")  # the first upper edge not below p
    found = []
    for m in range(bins):
        inside = where == m
        count = int(inside.sum())
        conf = float(p[inside].mean()) if count else None
        acc = float(right[inside].mean()) if count else None
        found.append(Bin(float(edges[m]), float(edges[m + 1]), count, conf, acc))
    gaps = [(one.photos / p.size, abs(one.gap)) for one in found if one.gap is not None]
    return Calibration(
        photos=int(p.size),
        accuracy=float(right.mean()),
        confidence=float(p.mean()),
        ece=float(sum(weight * gap for weight, gap in gaps)),
        mce=float(max(gap for _, gap in gaps)),
        bins=tuple(found),
    )
