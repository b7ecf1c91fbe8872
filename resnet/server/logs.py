"""One JSON line a request and an event; never a photo's name, content or path."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import sys
import time
import traceback
from types import SimpleNamespace
from typing import Any

from resnet.server.metrics import Metrics
from resnet.server.visit import KEY, STOPPING, Refusal, Scope, Visit, refuse, visit_of

LOG = logging.getLogger("resnet.server")
_FORMS = ("route", "method", "status", "ms", "who", "request", "reason", "error", "at")


class JsonLines(logging.Formatter):
    """Log records as JSON, one a line; control characters are escaped, so no line can be forged."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {key: value for key in _FORMS if (value := getattr(record, key, None)) is not None}
        if record.exc_info and record.exc_info[1]:
            line |= fault(record.exc_info[1])
        return json.dumps(line)


def fault(error: BaseException) -> dict[str, Any]:
    """What went wrong and where, without the words: they may quote a path or what was sent."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "at": where}


def start_logging(level: int = logging.INFO) -> None:
    """Send our log, uvicorn's and warnings to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(level)
    logging.captureWarnings(True)


def quiet_gradio() -> None:
    """Have Gradio's queue log a callback's error by type and place instead of printing it.

    What it prints holds the values that were sent.
    """
    from gradio import queueing

    def print_exc(*_, **__) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            LOG.error("a callback failed", extra=fault(error))

    queueing.traceback = SimpleNamespace(print_exc=print_exc)  # type: ignore[assignment]


def who(owner: str) -> str | None:
    """An owner as the log has it: a user's name, or a mark of a visit that opens nothing."""
    if owner.startswith("user:"):
        return owner[5:]
    return "visit-" + hashlib.sha256(owner.encode()).hexdigest()[:8] if owner else None


def observed(app, metrics: Metrics):
    """Begin the visit, answer refusals and failures, count and log what became of it."""

    async def asgi(scope: Scope, receive, send) -> None:
        visit = scope[KEY] = Visit(secrets.token_hex(8))
        begun, status, ended = time.perf_counter(), 0, False

        async def sending(message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)

        metrics.in_flight.inc()
        try:
            await app(scope, receive, sending)
        except Refusal as refusal:
            if not status:
                await refuse(scope, sending, refusal)
        except asyncio.CancelledError:  # the end of the grace: uvicorn waits no longer
            if status:
                raise
            await refuse(scope, sending, Refusal(503, STOPPING, "stopping", 30))
        except Exception as error:
            LOG.error("a request failed", extra={"request": visit.id, **fault(error)})
            if not status:
                words = (
                    "Something unforeseen went wrong on the server. Try again; if it stays, tell "
                    f"whoever runs it this number: {visit.id}."
                )
                await refuse(scope, sending, Refusal(500, words, "failure"))
        finally:
            metrics.in_flight.dec()
            _note(metrics, scope, status, time.perf_counter() - begun)

    return asgi


def _note(metrics: Metrics, scope: Scope, status: int, seconds: float) -> None:
    visit = visit_of(scope)
    route = visit.route.name if visit.route else "unknown"
    method = scope["method"] if visit.route and scope["method"] in visit.route.methods else "other"
    metrics.request(route, method, status, None if _lasting(visit) else seconds, visit.refused)
    if route in ("health", "ready", "metrics", "assets", "static"):
        return  # asked all the time
    LOG.log(
        logging.ERROR if status >= 500 and visit.refused == "failure" else logging.INFO,
        "request",
        extra={
            "request": visit.id,
            "route": route,
            "method": method,
            "status": status,
            "ms": round(1000 * seconds, 1),
            "who": who(visit.owner),
            "reason": visit.refused or None,
        },
    )


def _lasting(visit: Visit) -> bool:
    return bool(visit.route and visit.route.stream)
