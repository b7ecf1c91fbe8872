"""Who asks: whose turn it is, how long they wait, and whether they are still there."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from resnet.images import ImageError

PATIENCE = 60.0  # seconds


class EngineError(ImageError):
    """A photo that was not looked at now, though nothing is wrong with it; for the visitor.

    An `ImageError`, so that whoever shows a photo's errors shows these too.
    """


class Busy(EngineError):
    """Too many wait already."""


class TooLate(EngineError):
    """It did not get its turn in time."""


class Cancelled(EngineError):
    """The caller has gone, or has had its time.

    Args:
        why: what `Caller.gone` said.
    """

    def __init__(self, why: str | bool = True):
        said = isinstance(why, str) and why
        super().__init__(said or "This was stopped before its turn came.")


class NoMemory(EngineError):
    """The device has no memory left for it."""


def _here() -> bool:
    return False


@dataclass(frozen=True)
class Caller:
    """For whom a thread asks; set `CALLER` around a request.

    Attributes:
        owner: turns go round between owners; "" is one owner of its own.
        patience: seconds until the turn must have come.
        gone: whether the work should end now: True if nobody waits any more, or a sentence that
            says why; asked now and then, from any thread.
    """

    owner: str = ""
    patience: float = PATIENCE
    gone: Callable[[], bool | str] = _here


CALLER: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 it is frozen
