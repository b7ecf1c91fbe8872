"""How the server is doing, as plain figures for the page: what /metrics has, and the last hour."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter

from resnet.server.limits import resident
from resnet.server.proxy import within
from resnet.server.settings import networks
from resnet.server.visit import visit_of

EVERY = 60.0  # seconds between two samples
KEPT = 60  # samples


class Status:
    """Made before the page, which shows it; told of its server once that is made."""

    def __init__(self) -> None:
        self._front: Any = None
        self._engine: Any = None
        self._begun = time.monotonic()
        self._last = 0.0
        self._samples: deque[dict[str, float]] = deque(maxlen=KEPT)

    def watch(self, front: Any, engine: Any) -> None:
        """Look at this server from now on."""
        self._front, self._engine = front, engine
        self._readers = networks(front.settings.metrics_from)

    def may_see(self, scope: Mapping[str, Any]) -> bool:
        """Whether a visitor may: who has signed in, and who may read /metrics."""
        visit = visit_of(scope)
        return visit.user is not None or within(visit.address, self._readers)

    def signed_in(self, scope: Mapping[str, Any]) -> str | None:
        """Who has signed in here, and so can sign out; None where nobody does."""
        auth = self._front is not None and self._front.settings.auth
        return visit_of(scope).user if auth else None

    def sample(self) -> None:
        """Note how it is now, for the charts."""
        if self._front is None:
            return
        self._samples.append(self._now())
        self._last = self._jobs()["done"]

    def _now(self) -> dict[str, float]:
        return {
            "jobs": self._jobs()["done"] - self._last,
            "waiting": float(self._waiting()),
            "memory, MB": (resident() or 0) / (1 << 20),
        }

    def figures(self) -> dict[str, Any]:
        """Everything there is to say; {} without a server.

        Times are medians of the last 200 in seconds, `stages` in milliseconds; `history` has a
        value a minute for up to an hour, the oldest first, and one for the minute that runs.
        """
        if self._front is None:
            return {}
        front, now = self._front, self._now()
        metrics, room = front.metrics, front.room
        return {
            "up, s": time.monotonic() - self._begun,
            "visitors": front.owners.counts()[0],
            "running": front.page._queue.get_active_worker_count() + front.api_running(),
            "waiting": self._waiting(),
            "jobs": self._jobs(),
            "times": {
                name: statistics.median(kept) if kept else None
                for name, kept in metrics.recent.items()
            },
            "requests": _by_label(metrics.requests, "status"),
            "refused": _by_label(metrics.refused, "reason"),
            "photos": front.owners.counts()[1],
            "photos, MB": front.owners.used() / (1 << 20),
            "disk free, MB": room.disk_left() / (1 << 20),
            "memory, MB": (resident() or 0) / (1 << 20),
            "memory free, MB": None if room.memory_left() is None else room.memory_left() / 2**20,
            "cache": _by_label(metrics.cache, "outcome"),
            **self._engine.told.summary(),
            "history": {
                name: [*(sample[name] for sample in self._samples), value]
                for name, value in now.items()
            },
        }

    def _waiting(self) -> int:
        return len(self._front.page._queue) + self._front.api_waiting()

    def _jobs(self) -> dict[str, float]:
        found = _by_label(self._front.metrics.jobs, "outcome")
        return {name: found.get(name, 0.0) for name in ("done", "failed")}


def _by_label(counter: Counter, label: str) -> dict[str, float]:
    """Sums of a counter by one of its labels."""
    found: dict[str, float] = {}
    for family in counter.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                key = sample.labels[label]
                found[key] = found.get(key, 0.0) + sample.value
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
