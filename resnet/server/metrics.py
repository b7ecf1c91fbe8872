"""Figures for Prometheus.  No label ever holds what a visitor wrote."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from resnet.server.visit import Refusal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
RECENT = 200  # times that the page's medians are of
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """All figures of one server, in a registry of its own.

    The engine's side is told through `hear`.
    """

    def __init__(self) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "resnet"}
        self.requests = Counter(
            "requests", "Requests answered", ["route", "method", "status"], **own
        )
        self.seconds = Histogram(
            "request_seconds", "Seconds until a request was answered, without streams", ["route"],
            buckets=_SECONDS, **own,
        )  # fmt: skip
        self.refused = Counter("refused", "Requests refused", ["reason"], **own)
        self.in_flight = Gauge("in_flight", "Requests being answered, with open streams", **own)
        self.uploads = Counter("upload_bytes", "Bytes of photos taken in", **own)
        self.wait = Histogram(
            "queue_wait_seconds", "Seconds a job waited for its turn", buckets=_SECONDS, **own
        )
        self.job = Histogram("job_seconds", "Seconds a job ran", buckets=_SECONDS, **own)
        self.jobs = Counter("jobs", "Jobs that ended", ["outcome"], **own)
        self.sign_ins = Counter("sign_ins", "Tries to sign in", ["outcome"], **own)
        self.stage = Histogram("stage_seconds", "Seconds a stage of the work took", ["stage"],
                               buckets=_SECONDS, **own)  # fmt: skip
        self.batch = Histogram("batch_photos", "Photos in one forward pass", buckets=_SIZES, **own)
        self.cache = Counter("cache", "Analyses asked of the memory", ["outcome"], **own)
        self.recent: dict[str, deque[float]] = {
            "wait": deque(maxlen=RECENT), "job": deque(maxlen=RECENT)
        }  # fmt: skip
        started = Gauge("start_time_seconds", "When the server started, in Unix time", **own)
        started.set(time.time())

    def request(
        self, route: str, method: str, status: int, seconds: float | None, refused: str
    ) -> None:
        """Count one answered request.

        Args:
            status: 0 if the visitor left before the answer.
            seconds: None for a stream, whose length says nothing about speed.
            refused: the reason, or "".
        """
        self.requests.labels(route, method, str(status or "left")).inc()
        if seconds is not None:
            self.seconds.labels(route).observe(seconds)
        if refused:
            self.refused.labels(refused).inc()

    def waited(self, seconds: float) -> None:
        """A job has got its turn."""
        self.wait.observe(seconds)
        self.recent["wait"].append(seconds)

    def ran(self, seconds: float) -> None:
        """A job has ended."""
        self.job.observe(seconds)
        self.recent["job"].append(seconds)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around a job: counts it, and how it ended."""
        started, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "done"
        except Refusal:
            outcome = "refused"
            raise
        finally:
            self.ran(time.monotonic() - started)
            self.jobs.labels(outcome).inc()

    def hear(self, what: str, which: str, amount: float) -> None:
        """One figure of the engine's: what `resnet.engine.stats.Stats.listen` passes on."""
        if what == "stage":
            self.stage.labels(which).observe(amount)
        elif what == "batch":
            self.batch.observe(amount)
        elif what == "cache":
            self.cache.labels(which).inc(amount)

    def watch(self, name: str, text: str, read: Callable[[], float | None]) -> None:
        """Add a figure that is read when it is asked for; None leaves it out."""

        class Watched:
            def collect(self) -> Iterator[GaugeMetricFamily]:
                value = read()
                if value is not None:
                    yield GaugeMetricFamily(f"resnet_{name}", text, value=value)

        self.registry.register(Watched())  # type: ignore[arg-type]

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)
