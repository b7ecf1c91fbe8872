"""Figures collected over many photos: quartiles, shares, and intervals of shares."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

DIGITS = 5  # significant digits kept: more than the photos can settle


class Tally:
    """Values and yes-or-no outcomes by figure and part, such as "budget.ratio" of "3.2"."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._outcomes: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))

    def add(self, figure: str, part: str, value: float) -> None:
        """One photo's value; NaN (nothing to divide by) is left out of the quartiles."""
        if not math.isnan(value):
            self._values[figure][part].append(value)

    def count(self, figure: str, part: str, outcome: bool) -> None:
        """One photo's yes or no."""
        self._outcomes[figure][part].append(bool(outcome))

    def merge(self, other: Tally) -> None:
        """Take over all that another tally holds."""
        for figure, values in other._values.items():
            for part, seen in values.items():
                self._values[figure][part] += seen
        for figure, outcomes in other._outcomes.items():
            for part, said in outcomes.items():
                self._outcomes[figure][part] += said

    def quartiles(self) -> dict[str, dict[str, list[float]]]:
        """Figure -> part -> [25 %, 50 %, 75 %], linear interpolation."""
        return {
            figure: {
                part: [_short(q) for q in np.percentile(values, (25, 50, 75))]
                for part, values in parts.items()
            }
            for figure, parts in self._values.items()
        }

    def counts(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Figure -> part -> (how many yes, of how many)."""
        return {
            figure: {part: (sum(seen), len(seen)) for part, seen in parts.items()}
            for figure, parts in self._outcomes.items()
        }

    def shares(self) -> dict[str, dict[str, float]]:
        """Figure -> part -> share of yes, 0 ... 1."""
        return {
            figure: {part: _short(yes / of) for part, (yes, of) in parts.items()}
            for figure, parts in self.counts().items()
        }


def interval(yes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, `yes` of `count` photos (Wilson 1927)."""
    z, share = 1.959964, yes / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count)
    half *= math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
