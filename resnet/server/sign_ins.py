"""Who is signed in: kept on the server, so that signing out and removing a user end it at once."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

PER_USER = 20
MOST = 10_000


@dataclass(frozen=True)
class SignIn:
    """Attributes: user; stamp: of the password it was made with; until: on the clock."""

    user: str
    stamp: str
    until: float


class SignIns:
    """Sign-ins by token; only the tokens' hashes are kept.

    Args:
        hours: each lasts.
        stamp: a user's present stamp, None if the user is gone.
    """

    def __init__(
        self, hours: float, stamp: Callable[[str], str | None],
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self._seconds, self._stamp, self._clock = 3600 * hours, stamp, clock
        self._kept: OrderedDict[str, SignIn] = OrderedDict()

    def begin(self, token: str, user: str) -> None:
        """Sign a user in under a new token; the oldest goes when there are too many."""
        self._kept[_digest(token)] = SignIn(
            user, self._stamp(user) or "", self._clock() + self._seconds
        )
        own = [key for key, value in self._kept.items() if value.user == user]
        for key in own[:-PER_USER]:
            del self._kept[key]
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def user(self, token: str) -> str | None:
        """Who is signed in under a token; None if nobody, or no longer."""
        found = self._kept.get(_digest(token))
        if found is None:
            return None
        if self._clock() > found.until or self._stamp(found.user) != found.stamp:
            self.end(token)
            return None
        return found.user

    def end(self, token: str) -> None:
        """Sign out."""
        self._kept.pop(_digest(token), None)

    def __len__(self) -> int:
        return len(self._kept)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
