"""Running a verb for a program: its photo kept for as long as it takes, in turn, with an end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request

from resnet.formats import MB
from resnet.server.files import keep
from resnet.server.limits import Room
from resnet.server.metrics import Metrics
from resnet.server.owners import Owners
from resnet.server.settings import Settings
from resnet.server.turns import LEFT, Line, work_for
from resnet.server.visit import Refusal, visit_of

AT_ONCE = 8  # verbs that run beside one another: photos that wait for the network share a pass
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Waiting:
    """One who waits for a place."""

    owner: str
    turn: asyncio.Future


class Places:
    """So many at a time, in turns between owners."""

    def __init__(self, most: int):
        self._free = most
        self._running: Counter[str] = Counter()
        self.line = Line(self._running.__getitem__, lambda one: one.owner)

    @property
    def running(self) -> int:
        """How many run."""
        return sum(self._running.values())

    def of(self, owner: str) -> int:
        """How many of an owner's wait or run."""
        return self._running[owner] + sum(one.owner == owner for one in self.line)

    @property
    def busy(self) -> bool:
        """Whether somebody waits or runs."""
        return bool(self._running or self.line)

    @contextlib.asynccontextmanager
    async def place(self, owner: str) -> AsyncIterator[None]:
        """Wait for a place, and have it."""
        if self._free and not self.line:
            self._free -= 1
        else:
            one = Waiting(owner, asyncio.get_running_loop().create_future())
            self.line.append(one)
            try:
                await one.turn
            except asyncio.CancelledError:
                if one in self.line:
                    self.line.remove(one)
                else:  # it was given a place in this very moment
                    self._give()
                raise
        self._running[owner] += 1
        try:
            yield
        finally:
            self._running[owner] -= 1
            if not self._running[owner]:
                del self._running[owner]
            self._give()

    def _give(self) -> None:
        if self.line:
            self.line.pop(0).turn.set_result(None)
        else:
            self._free += 1


class Work:
    """What the six addresses have in common.

    Args:
        stopping: whether the server ends.
    """

    def __init__(
        self, settings: Settings, owners: Owners, room: Room, metrics: Metrics, most: int = AT_ONCE
    ):
        self._settings, self._owners, self._room, self._metrics = settings, owners, room, metrics
        self.places = Places(most)

    async def run(
        self, request: Request, photos: Sequence[UploadFile], make: Callable[..., Made]
    ) -> Made:
        """What `make(*paths)` gives for the photos, which lie in files for so long.

        Raises:
            Refusal: too much is asked for, a photo or an option cannot be used, or time is over.
        """
        visit = visit_of(request.scope)
        self._check(visit.owner, photos)
        async with self._lying(visit.owner, photos) as paths, self._watched(request):
            words = (
                f"This took longer than {self._settings.job_seconds:g} seconds and was stopped. "
                "Ask for less at once."
            )
            try:
                with anyio.fail_after(self._settings.job_seconds):
                    asked = time.monotonic()
                    async with self.places.place(visit.owner):
                        self._metrics.waited(time.monotonic() - asked)
                        work_for(visit)
                        with self._metrics.running():
                            return await anyio.to_thread.run_sync(
                                _sentenced, make, paths, abandon_on_cancel=True
                            )
            except TimeoutError:
                visit.over = words
                raise Refusal(503, words, "time") from None

    def _check(self, owner: str, photos: Sequence[UploadFile]) -> None:
        settings = self._settings
        self._room.for_work()
        if self.places.of(owner) >= settings.jobs_per_user:
            raise Refusal(429, "You have enough waiting already. Let some of it finish first.",
                          "jobs", 5)  # fmt: skip
        if len(self.places.line) >= settings.queue_length:
            raise Refusal(503, f"{len(self.places.line)} others are waiting already. Try again in "
                          "a minute.", "queue", 30)  # fmt: skip
        for photo in photos:
            size = photo.size or 0
            if size > settings.max_file_mb * MB:
                raise Refusal(
                    413, f"This file is too large; the limit is {settings.max_file_mb:.3g} MB.",
                    "size",
                )  # fmt: skip
            self._room.for_photos(size)

    @contextlib.asynccontextmanager
    async def _lying(self, owner: str, photos: Sequence[UploadFile]) -> AsyncIterator[list[str]]:
        """Paths of the photos, which are deleted at the end."""
        paths: list[str] = []
        try:
            for photo in photos:
                try:
                    path = await anyio.to_thread.run_sync(
                        keep, self._owners.folder, photo.file, "photo"
                    )
                except OSError:
                    raise Refusal(
                        503, "The server could not keep this photo. Try again in a few minutes.",
                        "disk", 60,
                    ) from None  # fmt: skip
                paths.append(path)
                self._owners.add(owner, path, photo.size or 0)
                self._metrics.uploads.inc(photo.size or 0)
            yield paths
        finally:
            for path in paths:
                self._owners.remove(owner, path)

    @contextlib.asynccontextmanager
    async def _watched(self, request: Request) -> AsyncIterator[None]:
        """Have the work end when nobody waits for it any longer."""

        async def watch() -> None:
            while not await request.is_disconnected():
                await asyncio.sleep(0.3)
            visit_of(request.scope).over = LEFT

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()


def _sentenced(make: Callable[..., Made], paths: Sequence[str]) -> Made:
    """`make(*paths)`, with what is wrong with photo or options as a refusal."""
    from resnet import verbs
    from resnet.engine import EngineError

    try:
        return make(*paths)
    except EngineError as error:  # no turn, no memory; nothing is wrong with the photo
        raise Refusal(503, str(error), "busy", 30) from error
    except verbs.ERRORS as error:
        raise Refusal(422, str(error), "photo or option") from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise Refusal(503, "The server ran short of memory over this. Try again in a minute.",
                      "memory", 30) from error  # fmt: skip
