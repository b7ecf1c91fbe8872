"""What the engine tells about itself: seconds by stage, sizes of batches."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

RECENT = 200  # times of a stage that its median is taken of

STAGES = ("read", "decode", "resize", "queue", "forward", "copy", "tail", "draw")


class Stats:
    """Counts and recent times; any number of threads may tell."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._counts: Counter[str] = Counter()
        self._batches: Counter[int] = Counter()
        self._listeners: list[Callable[[str, str, float], None]] = []
        self._lock = threading.Lock()

    def listen(self, listener: Callable[[str, str, float], None]) -> None:
        """Have every figure told as it comes: ("stage", its name, seconds), ("batch", "", photos),
        ("cache", "hit" or "miss", 1); from any thread."""
        self._listeners.append(listener)

    def tell(self, what: str, which: str, amount: float) -> None:
        """One figure, as `listen` hears it; "queue" and "forward" are stages."""
        if what in ("queue", "forward"):
            what, which = "stage", what
        with self._lock:
            if what == "stage":
                self._times.setdefault(which, deque(maxlen=RECENT)).append(amount)
                self._counts[which] += 1
            elif what == "batch":
                self._batches[int(amount)] += 1
        for listener in self._listeners:
            listener(what, which, amount)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """The block's seconds count towards a stage."""
        started = time.perf_counter()
        yield
        self.tell("stage", stage, time.perf_counter() - started)

    def summary(self) -> dict:
        """`stages`: by name its count and recent median in ms; `batches`: how many of each size."""
        with self._lock:
            stages = {
                name: {
                    "count": self._counts[name],
                    "ms": 1000 * statistics.median(self._times[name]),
                }
                for name in sorted(self._times, key=_order)
            }
            return {"stages": stages, "batches": dict(sorted(self._batches.items()))}


def _order(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)
