"""How many photos one pass should take: found by timing the passes that run anyway."""

from __future__ import annotations

MOST = 16
CLOSE = 1.05  # a larger batch must save more than this to be worth the wait of its first photo
NEW = 0.3  # weight of the newest time


class Sizes:
    """Seconds a photo by batch size, and the size to take.

    Sizes are tried as the queue grows: 1, 2, 4 … as many as wait, so that a lone visitor is never
    kept waiting for an experiment.
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}  # a photo, by the power of two at or below the size

    def learn(self, size: int, seconds: float) -> None:
        """A batch of `size` took so long."""
        step = 1 << (size.bit_length() - 1)
        each = seconds / size
        before = self.seconds.get(step, each)
        self.seconds[step] = (1 - NEW) * before + NEW * each

    def limit(self, most: int = MOST) -> int:
        """The largest batch to take now."""
        step = 1
        while step <= most and step in self.seconds:
            step *= 2
        if step <= most:
            return step  # not timed yet
        known = {size: each for size, each in self.seconds.items() if size <= most}
        best = min(known.values())
        return min(size for size, each in known.items() if each <= CLOSE * best)
