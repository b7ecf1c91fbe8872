"""How many photos one pass should take: found by timing the passes that run anyway."""

from __future__ import annotations

from collections import deque

MOST = 16
CLOSE = 1.05  # a larger batch must save more than this to be worth the wait of its first photo
TRIES = 3  # passes before a size is judged: one alone may have had somebody busy beside it
RECENT = 8  # passes of a size that are remembered


class Sizes:
    """Seconds a photo by batch size, and the size to take.

    Sizes are tried as the queue grows: 1, 2, 4 … as many as wait, so that a lone visitor is never
    kept waiting for an experiment.  Of a size's recent passes the fastest counts: others on the
    machine make a pass slower, never faster, and one slow pass must not rule a size out for good.
    """

    def __init__(self) -> None:
        self._times: dict[int, deque[float]] = {}  # by the power of two at or below the size

    @property
    def seconds(self) -> dict[int, float]:
        """A photo, by size."""
        return {size: min(times) for size, times in self._times.items()}

    def learn(self, size: int, seconds: float) -> None:
        """A batch of `size` took so long."""
        step = 1 << (size.bit_length() - 1)
        self._times.setdefault(step, deque(maxlen=RECENT)).append(seconds / size)

    def limit(self, most: int = MOST) -> int:
        """The largest batch to take now."""
        step = 1
        while step <= most and len(self._times.get(step, ())) >= TRIES:
            step *= 2
        if step <= most:
            return step  # not timed well enough yet
        known = {size: each for size, each in self.seconds.items() if size <= most}
        best = min(known.values())
        return min(size for size, each in known.items() if each <= CLOSE * best)
