"""What a trained detector's held-out photos decide: overlap, calibration, classes worth showing.

Held-out photos are few (one of twenty), so every rule leans to the average where they say little.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

AIM = 0.73  # precision at a score of one half; 0.7 is promised, and held-out photos are few
NEAR = 0.2  # AP in percent that few duplicates are worth
LEARNED = 16  # boxes in training below which a class is not shown
WORTH = 5  # objects that the average of all classes counts for, beside a class's own
BAR = 1 / 3  # of the classes' mean AP50 that a class must have


def lowest_overlap(ap: Mapping[float, float]) -> float:
    """The lowest IoU at which a box is a duplicate whose AP is near the best.

    A low one leaves few duplicates; one that is too low takes neighbours for duplicates.

    Args:
        ap: overlap -> AP in percent.
    """
    best = max(ap.values())
    return min(overlap for overlap, value in ap.items() if value >= best - NEAR)


def logistic(scores: np.ndarray, right: np.ndarray, steps: int = 50) -> tuple[float, float]:
    """Slope and offset: P(right) = sigmoid(slope * logit(score) + offset), most likely ones.

    Platt 1999, by Newton's method.  A right and a wrong box more at the scores 0.9 and 0.1 keep the
    answer finite where the scores part right from wrong without a mistake.  A slope is never below
    0.1: a higher score stays a higher score.

    Args:
        scores: [n] in 0..1.
        right: bool [n].
    """
    scores = np.concatenate((scores.astype(np.float64), (0.9, 0.9, 0.1, 0.1)))
    wanted = np.concatenate((right.astype(np.float64), (1, 0, 1, 0)))
    x = np.stack((logit(scores), np.ones(len(scores))), 1)
    weights = np.array((1.0, 0.0))
    for _ in range(steps):
        found = 1 / (1 + np.exp(-(x @ weights)))
        curve = (x * (found * (1 - found))[:, None]).T @ x
        step = np.linalg.solve(curve + 1e-9 * np.eye(2), x.T @ (wanted - found))
        weights = weights + step / max(1.0, np.abs(step).max())  # far steps overshoot
        if np.abs(step).max() < 1e-9:
            break
    return max(0.1, float(weights[0])), float(weights[1])


def logit(score: np.ndarray | float) -> np.ndarray:
    """log(p / (1 - p)), finite at 0 and 1."""
    score = np.clip(np.asarray(score, np.float64), 1e-6, 1 - 1e-6)
    return np.log(score / (1 - score))


def threshold(scores: np.ndarray, right: np.ndarray, aim: float = AIM) -> float:
    """The lowest score from which at least `aim` of the boxes are right: most are found there.

    If no score reaches it, the one with the highest precision.  It lies half-way (in logits) to
    the next box below, so that rounding does not decide which boxes are in.

    Args:
        scores: [n] in 0..1, n > 0.
        right: bool [n].
    """
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    last = np.append(scores[1:] < scores[:-1], True)  # boxes of one score come together
    precision = np.where(last, right.cumsum() / np.arange(1, len(scores) + 1), -1)
    reached = np.flatnonzero(precision >= aim)
    place = reached[-1] if len(reached) else precision.argmax()
    below = scores[place + 1] if place + 1 < len(scores) else 0.0
    middle = (logit(scores[place]) + logit(below)) / 2
    return float(1 / (1 + np.exp(-middle)))


def worth_showing(
    ap50: Mapping[str, float], objects: Mapping[str, int], learned: Mapping[str, int]
) -> tuple[str, ...]:
    """Classes that had LEARNED boxes to learn from and are found at all, in their order.

    A class's AP50 counts with its held-out objects, the mean of all classes with WORTH more; it
    must come to BAR of that mean.  So a class without held-out objects is shown, and one is hidden
    that was missed on many.

    Args:
        ap50: class -> AP50 in percent on held-out photos; NaN without objects.
        objects: class -> objects on them.
        learned: class -> boxes in training.
    """
    known = [value for value in ap50.values() if not np.isnan(value)]
    mean = float(np.mean(known)) if known else 0.0

    def smoothed(name: str) -> float:
        if np.isnan(ap50[name]):
            return mean
        return (objects[name] * ap50[name] + WORTH * mean) / (objects[name] + WORTH)

    return tuple(name for name in ap50 if learned[name] >= LEARNED and smoothed(name) >= BAR * mean)
