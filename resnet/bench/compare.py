"""Two ways to one answer, timed in turn: A B A B …, medians, and the ratio pair by pair.

Absolute times are of this machine at this moment, and other programs may be busy beside us: read
the ratios.  The ratio of processor time stands beside that of wall time, because it does not see
the others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Way = Callable[[], Any]  # one of the two ways; gives its answer


@dataclass(frozen=True)
class Row:
    """One comparison; seconds."""

    what: str
    ours: float  # median
    theirs: float  # median
    ratio: float  # median of ours / theirs, pair by pair
    least: float  # smallest and largest of these ratios
    most: float
    cpu: float  # median ratio of processor time; NaN if there was too little to measure
    difference: float  # largest difference between the two answers
    wanted: float = float("nan")  # the ratio to stay below; NaN if there is none

    @property
    def met(self) -> bool | None:
        """Whether the wanted ratio was reached, by processor time or wall time; None without."""
        if self.wanted != self.wanted:
            return None
        return self.ratio <= self.wanted or self.cpu <= self.wanted


@dataclass(frozen=True)
class Skipped:
    """A comparison that was not made, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Different(Skipped):
    """A comparison that was not made because the answers are not the same."""


def largest(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference between two arrays."""
    return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())


def compare(
    what: str,
    ours: Way,
    theirs: Way,
    runs: int,
    tolerance: float,
    wanted: float = float("nan"),
    differ: Callable[[Any, Any], float] = largest,
) -> Row:
    """Check that both give the same answer, then time them in turn.

    Args:
        runs: of each; if it is 1, the runs that are compared are those that are timed.
        tolerance: the largest difference that is only rounding.
        wanted: the ratio ours / theirs to stay below.
        differ: says by how much the two answers differ.

    Raises:
        RuntimeError: the answers differ by more than `tolerance`.
    """
    answers: list[Any] = []
    first = seconds(lambda: answers.append(ours())), seconds(lambda: answers.append(theirs()))
    difference = differ(*answers)
    answers.clear()
    if not difference <= tolerance:
        raise RuntimeError(f"{what}: the two answers differ by {difference:g}")
    more = runs if runs > 1 else 0
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(more)] or [first]
    return row(what, pairs, difference, wanted)


def row(
    what: str,
    pairs: list[tuple[tuple[float, float], tuple[float, float]]],
    difference: float,
    wanted: float = float("nan"),
) -> Row:
    """A row of what was measured already: (wall, processor) seconds of ours and of theirs."""
    ratios = [a[0] / b[0] for a, b in pairs]
    processor = [a[1] / b[1] for a, b in pairs if b[1] > 0]
    return Row(
        what,
        ours=statistics.median(a[0] for a, _ in pairs),
        theirs=statistics.median(b[0] for _, b in pairs),
        ratio=statistics.median(ratios),
        least=min(ratios),
        most=max(ratios),
        cpu=statistics.median(processor) if processor else float("nan"),
        difference=difference,
        wanted=wanted,
    )


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor
