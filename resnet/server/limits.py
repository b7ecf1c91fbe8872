"""How much one visitor may ask for, and when the machine has no more to give."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from resnet.images import MB
from resnet.server.proxy import neighbourhood
from resnet.server.settings import Settings
from resnet.server.throttle import Buckets
from resnet.server.visit import Refusal, Scope, visit_of

# One address may stand for a whole office.
ADDRESS_FACTOR = 20


def counted_by_address(app, settings: Settings):
    """Refuse an address that sends far more than one visitor may; before anybody is known."""
    buckets = Buckets(ADDRESS_FACTOR * settings.rate, ADDRESS_FACTOR * settings.burst)
    return _counted(app, buckets, lambda visit: neighbourhood(visit.address), only_owners=False)


def counted_by_owner(app, settings: Settings):
    """Refuse a visitor who sends too much for long."""
    return _counted(app, Buckets(settings.rate, settings.burst), lambda visit: visit.owner, True)


def _counted(app, buckets: Buckets, key: Callable, only_owners: bool):
    async def asgi(scope: Scope, receive, send) -> None:
        visit = visit_of(scope)
        route = visit.route
        free = route is None or route.probe or not (route.belongs or route.page)
        if not (free or (only_owners and not visit.owner)):
            wait = buckets.take(key(visit))
            if wait:
                raise Refusal(
                    429,
                    f"That is more than one visitor may ask for. Wait {_seconds(wait)}, please.",
                    "rate",
                    wait,
                )
        await app(scope, receive, send)

    return asgi


def few_streams(app, settings: Settings):
    """Refuse more open connections than one visitor needs."""
    opened: Counter[str] = Counter()

    async def asgi(scope: Scope, receive, send) -> None:
        visit = visit_of(scope)
        if visit.route is None or not visit.route.stream:
            await app(scope, receive, send)
            return
        owner = visit.owner
        if opened[owner] >= settings.streams_per_user:
            raise Refusal(429, "This page is open too many times. Close some of them.", "streams",
                          10)  # fmt: skip
        opened[owner] += 1
        try:
            await app(scope, receive, send)
        finally:
            opened[owner] -= 1
            if not opened[owner]:
                del opened[owner]

    return asgi


class Room:
    """Refuses work before the disk or the memory is full.

    Args:
        folder: of the photos.
        used: bytes of photos kept now.
    """

    def __init__(self, settings: Settings, folder: Path, used: Callable[[], int]):
        self._settings, self._folder, self.used = settings, folder, used
        self._memory: tuple[float, int | None] = (-1.0, None)

    def for_photos(self, size: int) -> None:
        """Raise Refusal unless `size` more bytes may be written."""
        most = self._settings.disk_mb * MB
        left = self.disk_left()
        if self.used() + size > most or left - size < self._settings.free_disk_mb * MB:
            raise Refusal(
                503,
                "The server has no room for more photos at the moment. Try again in a few minutes.",
                "disk",
                60,
            )

    def for_work(self) -> None:
        """Raise Refusal if memory runs short."""
        left = self.memory_left()
        if left is not None and left < self._settings.free_memory_mb * MB:
            raise Refusal(
                503,
                "The server is short of memory at the moment. Try again in a minute.",
                "memory",
                30,
            )

    def disk_left(self) -> int:
        """Bytes that the disk of the photos has left."""
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return 0

    def memory_left(self) -> int | None:
        """Bytes, looked up at most twice a second; None where the system does not tell."""
        now = time.monotonic()
        if now - self._memory[0] > 0.5:
            self._memory = (now, memory_left())
        return self._memory[1]


def memory_left(meminfo: Path = Path("/proc/meminfo"), cgroup: Path | None = None) -> int | None:
    """Bytes of memory that can be had without swapping: of the machine and of our container."""
    found = []
    cgroup = cgroup or _cgroup()
    with contextlib.suppress(OSError, StopIteration, ValueError):
        line = next(x for x in meminfo.read_text().splitlines() if x.startswith("MemAvailable:"))
        found.append(1024 * int(line.split()[1]))
    with contextlib.suppress(OSError, ValueError):
        most = int((cgroup / "memory.max").read_text())  # "max": no limit
        used = int((cgroup / "memory.current").read_text())
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        found.append(most - used + int(stat.get("inactive_file", 0)))  # page cache can be dropped
    return max(0, min(found)) if found else None


def _cgroup() -> Path:
    root = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, IndexError):
        own = Path("/proc/self/cgroup").read_text().split("0::", 1)[1].splitlines()[0]
        if (root / own.lstrip("/") / "memory.max").exists():
            return root / own.lstrip("/")
    return root  # a container sees its own as the root


def resident() -> int | None:
    """Bytes of memory that this process holds."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _seconds(wait: float) -> str:
    whole = max(1, round(wait))
    return "a second" if whole == 1 else f"{whole} seconds"
