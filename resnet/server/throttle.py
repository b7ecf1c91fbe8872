"""Counting that forgets: token buckets, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 20_000  # keys; the one not seen for longest goes first


class Buckets:
    """One bucket a key: holds `burst`, gains `rate` a second; taking from an empty one waits."""

    def __init__(
        self, rate: float, burst: float, most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self.rate, self.burst, self.most = rate, float(burst), most
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # level, when
        self._lock = threading.Lock()

    def take(self, key: str, cost: float = 1.0) -> float:
        """Take from the bucket; 0, or the seconds to wait if it holds too little."""
        with self._lock:
            level = self._level(key)
            wait = 0.0 if level >= cost else (cost - level) / self.rate
            self._put(key, level if wait else level - cost)
            return wait

    def give_back(self, key: str, cost: float = 1.0) -> None:
        """Undo a `take`."""
        with self._lock:
            self._put(key, min(self.burst, self._level(key) + cost))

    def __len__(self) -> int:
        return len(self._levels)

    def _level(self, key: str) -> float:
        level, when = self._levels.get(key, (self.burst, self._clock()))
        return min(self.burst, level + (self._clock() - when) * self.rate)

    def _put(self, key: str, level: float) -> None:
        self._levels[key] = (level, self._clock())
        self._levels.move_to_end(key)
        while len(self._levels) > self.most:
            self._levels.popitem(last=False)


class Guesses:
    """Tries to sign in, counted by address and by user; right ones are not counted.

    A stranger who guesses at a name must not lock its owner out: an address from which that user
    has signed in before is counted by address alone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST):
        self._address = Buckets(1 / 30, 10, most, clock)
        self._user = Buckets(1 / 60, 10, most, clock)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._most = most

    def begin(self, address: str, user: str) -> float:
        """Count a try before it is checked; 0, or seconds to wait."""
        if wait := self._address.take(address):
            return wait
        if (address, user) in self._known:
            return 0.0
        wait = self._user.take(user)
        if wait:
            self._address.give_back(address)
        return wait

    def right(self, address: str, user: str) -> None:
        """The try was right: it does not count, and the address is known from now on."""
        self._address.give_back(address)
        if (address, user) not in self._known:
            self._user.give_back(user)
        self._known[address, user] = None
        self._known.move_to_end((address, user))
        while len(self._known) > self._most:
            self._known.popitem(last=False)
