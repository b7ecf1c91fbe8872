"""Is it alive, does the model answer, and the figures for Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resnet.server.limits import Room
from resnet.server.logs import LOG, fault
from resnet.server.metrics import CONTENT_TYPE, Metrics
from resnet.server.proxy import within
from resnet.server.settings import networks
from resnet.server.visit import Refusal, not_found, visit_of

KEEP = 10.0  # seconds that an answer of the model is believed
PATIENCE = 15.0  # seconds for the model's answer


class Health:
    """The probes' addresses.

    Args:
        probe: classifies a photo and raises if the answer is none; run in a thread.
        stopping: whether the server is ending.
    """

    def __init__(
        self, probe: Callable[[], None], room: Room, metrics: Metrics,
        stopping: Callable[[], bool], metrics_from: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self._probe, self._room, self._metrics = probe, room, metrics
        self._stopping, self._clock = stopping, clock
        self._readers = networks(metrics_from)
        self._known: tuple[float, str] | None = None  # when, what is wrong
        self._asking: anyio.Lock | None = None
        self._busy = threading.Lock()

    async def alive(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Visitors can be served: 200, or 503 with what is wrong."""
        wrong = {
            "model": await self._model(),
            "disk": self._room_for(lambda: self._room.for_photos(0)),
            "memory": self._room_for(self._room.for_work),
            "server": "stopping" if self._stopping() else "",
        }
        checks = {name: said or "fine" for name, said in wrong.items()}
        good = not any(wrong.values())
        body: dict[str, Any] = {"status": "ready" if good else "not ready", "checks": checks}
        return JSONResponse(body, 200 if good else 503)

    async def metrics(self, request: Request) -> Response:
        """For the addresses in --metrics-from."""
        if not within(visit_of(request.scope).address, self._readers):
            raise not_found()
        return Response(await anyio.to_thread.run_sync(self._metrics.text), media_type=CONTENT_TYPE)

    async def _model(self) -> str:
        self._asking = self._asking or anyio.Lock()
        async with self._asking:  # many askers, one photo
            now = self._clock()
            if self._known is None or now - self._known[0] > KEEP:
                self._known = (now, await self._ask())
            return self._known[1]

    async def _ask(self) -> str:
        try:
            with anyio.fail_after(PATIENCE):
                await anyio.to_thread.run_sync(self._run, abandon_on_cancel=True)
        except TimeoutError:
            return "no answer in time"
        except Exception as error:
            LOG.error("the model does not answer", extra=fault(error))
            return "fails"
        return ""

    def _run(self) -> None:
        if not self._busy.acquire(blocking=False):
            raise TimeoutError  # the last one is still at it: do not pile them up
        try:
            self._probe()
        finally:
            self._busy.release()

    @staticmethod
    def _room_for(check: Callable[[], None]) -> str:
        try:
            check()
        except Refusal:
            return "too little left"
        return ""


def classify_example(engine) -> Callable[[], None]:
    """A probe: one bundled photo through the network, past every memory."""
    from resnet.analysis import analyze
    from resnet.images import read_photo
    from resnet.ui.examples import FOLDER

    def probe() -> None:
        path = FOLDER / "cat.jpg"
        answers = analyze(engine.net, read_photo(path)).probabilities
        total = float(answers.sum())
        if not 0.99 < total < 1.01:  # also when it is not a number
            raise ArithmeticError("the probabilities do not add to 1")

    return probe
