"""How far a batch is, and how long the rest will take at the pace of late."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

RECENT = 9  # passes that the pace is taken from
FEWEST = 2  # passes before anything is said: the first one also warms the network up


@dataclass(frozen=True)
class BatchProgress:
    """Where a batch stands."""

    done: int  # photos, bad ones among them
    failed: int
    total: int | None  # None if the items were not counted beforehand
    elapsed: float  # seconds
    remaining: float | None  # seconds; None while nothing can be said honestly


@dataclass
class Pace:
    """Seconds a photo over the last passes; their median, so that one slow file is not the rule."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, photos: int, seconds: float) -> None:
        if photos > 0:
            self.recent.append(seconds / photos)

    def remaining(self, photos: int) -> float | None:
        """Seconds for so many more photos; None before two passes, 0 if none is left."""
        if photos <= 0:
            return 0.0
        return photos * median(self.recent) if len(self.recent) >= FEWEST else None
