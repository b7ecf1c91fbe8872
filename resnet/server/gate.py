"""Between the visitor and Gradio's queue: everything in a request must be the visitor's own."""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson

from resnet.server.body import read_all, replayed
from resnet.server.limits import Room
from resnet.server.metrics import Metrics
from resnet.server.owners import Owners
from resnet.server.routes import G
from resnet.server.settings import Settings
from resnet.server.visit import (
    STOPPING,
    Refusal,
    Scope,
    answer,
    header,
    not_found,
    visit_of,
    without_headers,
)

DEPTH = 40  # of nested lists and objects; the page's own need about six
_KEPT = ("data", "event_data", "fn_index", "trigger_id")  # of what the page sends; no more is used
_NEWS = re.compile(rb'"msg":"(\w+)","event_id":"(\w+)"')
_GONE = "This photo is no longer on the server, or it is not yours. Choose it again."


class Gate:
    """The middleware's memory.

    Args:
        page: the mounted `gr.Blocks`.
        stopping: whether new work is refused because the server ends.
    """

    def __init__(
        self, page: Any, settings: Settings, owners: Owners, room: Room, metrics: Metrics,
        stopping: Callable[[], bool],
    ):  # fmt: skip
        self.page, self.settings, self.owners = page, settings, owners
        self.room, self.metrics, self.stopping = room, metrics, stopping
        self._joining: Counter[str] = Counter()
        self._times: OrderedDict[bytes, float] = OrderedDict()  # of jobs, by event
        self._routes: dict[str, Callable[..., Awaitable[None]]] = {
            "join": self.join, "data": self.data, "heartbeat": self.heartbeat,
            "cancel": self.cancel, "reset": self.reset, "call": self.call,
        }  # fmt: skip

    def middleware(self, app):
        """The ASGI middleware around `app`."""

        async def asgi(scope: Scope, receive, send) -> None:
            visit = visit_of(scope)
            name = visit.route.name if visit.route else ""
            fresh = name in ("join", "call", "upload", "sign in", "api")
            if self.stopping() and fresh and scope["method"] == "POST":
                raise Refusal(503, STOPPING, "stopping", 30)
            handle = self._routes.get(name)
            await (app(scope, receive, send) if handle is None
                   else handle(app, scope, receive, send))  # fmt: skip

        return asgi

    async def join(self, app, scope: Scope, receive, send) -> None:
        """A new job: its files, its session and the visitor's share of the queue are checked."""
        owner = visit_of(scope).owner
        body = await _json(scope, receive)
        self._check_event(body)
        self._check_files(owner, [body.get("data"), body.get("event_data")])
        kept = {key: body[key] for key in _KEPT if key in body}
        kept["session_hash"] = self.owners.session(owner, str(body.get("session_hash")))
        await self._begin(app, scope, receive, send, kept)

    async def call(self, app, scope: Scope, receive, send) -> None:
        """A job of a program's, by the endpoint's name, and then its end, by the job's number."""
        owner = visit_of(scope).owner
        name, _, event = scope["path"].removeprefix(f"{G}/call/").partition("/")
        if not any(fn.api_name == name and fn.api_visibility == "public"
                   for fn in self.page.fns.values()):  # fmt: skip
            raise not_found()
        if scope["method"] == "GET":
            if self._session_of(event) not in self.owners.sessions(owner):
                raise not_found()
            await self._along(app, scope, receive, send)
            return
        if event:
            raise not_found()
        body = await _json(scope, receive)
        if not isinstance(body.get("data"), list):
            raise Refusal(400, "“data” is the list of the endpoint's inputs.", "event")
        self._check_files(owner, body["data"])
        session = self.owners.session(owner, secrets.token_urlsafe(24))  # one a job
        await self._begin(
            app, scope, receive, send, {"data": body["data"], "session_hash": session}
        )

    def _session_of(self, event: str) -> str | None:
        queue = self.page._queue
        if job := queue.event_ids_to_events.get(event):
            return job.session_hash
        waiting = queue.pending_event_ids_session.items()
        return next((session for session, events in waiting if event in events), None)

    async def _begin(self, app, scope: Scope, receive, send, kept: dict[str, Any]) -> None:
        owner = visit_of(scope).owner
        self.room.for_work()
        self._joining[owner] += 1
        try:
            self._check_queue(owner)
            await _pass_on(app, scope, receive, send, kept)
        finally:
            self._joining[owner] -= 1
            if not self._joining[owner]:
                del self._joining[owner]

    async def data(self, app, scope: Scope, receive, send) -> None:
        """The stream of a session's events, from which we learn which results are whose."""
        owner = visit_of(scope).owner
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [])
        if len(asked) != 1:
            raise not_found()
        real = self.owners.real_name(owner, asked[0])
        if real not in self.page._queue.pending_messages_per_session:
            raise not_found()
        scope["query_string"] = urlencode({"session_hash": real}).encode()
        await self._along(app, scope, receive, send)

    async def _along(self, app, scope: Scope, receive, send) -> None:
        owner = visit_of(scope).owner
        without_headers(scope, (b"accept-encoding",))  # we read along

        async def sending(message) -> None:
            if body := message.get("body"):
                self._read_along(owner, body)
            await send(message)

        await app(scope, receive, sending)

    async def heartbeat(self, app, scope: Scope, receive, send) -> None:
        """A page that is open; when it closes, Gradio forgets its session."""
        start, _, name = scope["path"].rpartition("/")
        real = self.owners.session(visit_of(scope).owner, name)
        scope["path"] = f"{start}/{real}"
        scope["raw_path"] = scope["path"].encode()
        without_headers(scope, (b"accept-encoding",))
        await app(scope, receive, send)

    async def cancel(self, app, scope: Scope, receive, send) -> None:
        """Stop a job of one's own."""
        body = await _json(scope, receive)
        real = self.owners.real_name(visit_of(scope).owner, body.get("session_hash"))
        event = body.get("event_id")
        job = self.page._queue.event_ids_to_events.get(event) if isinstance(event, str) else None
        if job is not None and job.session_hash != real:
            raise not_found()
        if job is None or not isinstance(body.get("fn_index"), int):
            await answer(send, 200, b'{"success":true}', "application/json")  # it has ended
            return
        kept = {"session_hash": real, "event_id": event, "fn_index": body["fn_index"]}
        await _pass_on(app, scope, receive, send, kept)

    async def reset(self, app, scope: Scope, receive, send) -> None:
        """Does nothing in Gradio 6; the page still asks."""
        await answer(send, 200, b'{"success":true}', "application/json")

    def _check_event(self, body: dict[str, Any]) -> None:
        number, data, trigger = body.get("fn_index"), body.get("data"), body.get("trigger_id")
        fn = self.page.fns.get(number) if type(number) is int else None
        if fn is None or not isinstance(data, list) or len(data) != len(fn.inputs):
            raise Refusal(400, "This page is out of date. Load it again.", "event")
        if trigger is not None and type(trigger) is not int:
            raise Refusal(400, "This page is out of date. Load it again.", "event")

    def _check_files(self, owner: str, sent: Any) -> None:
        """Refuse paths that are not the owner's, wherever they stand; drop addresses of files."""
        rest = [(sent, 0)]
        while rest:
            value, depth = rest.pop()
            if depth > DEPTH:
                raise Refusal(400, "This request is nested too deeply.", "event")
            if isinstance(value, str):
                if self.owners.mentions_strange(owner, value):
                    raise Refusal(404, _GONE, "not found")
            elif isinstance(value, list):
                rest += [(part, depth + 1) for part in value]
            elif isinstance(value, dict):
                path = value.get("path")
                if path is not None and not self.owners.owns(owner, path):
                    raise Refusal(404, _GONE, "not found")
                if path is not None:
                    value.pop("url", None)  # for the browser; Gradio would fetch some
                rest += [(part, depth + 1) for part in value.values()]

    def _check_queue(self, owner: str) -> None:
        queue = self.page._queue
        own = self.owners.sessions(owner)
        jobs = sum(job.session_hash in own for job in list(queue.event_ids_to_events.values()))
        if jobs + self._joining[owner] > self.settings.jobs_per_user:
            raise Refusal(429, "You have enough waiting already. Let some of it finish first.",
                          "jobs", 5)  # fmt: skip
        waiting = len(queue)
        if waiting >= self.settings.queue_length:
            raise Refusal(503, f"{waiting} others are waiting already. Try again in a minute.",
                          "queue", 30)  # fmt: skip

    def _read_along(self, owner: str, body: bytes) -> None:
        inside = b'"' + str(self.owners.folder).encode()
        for match in re.finditer(re.escape(inside) + rb'/(?:[^"\\]|\\.)*"', body):
            self.owners.claim(owner, orjson.loads(match.group()))
        if found := _NEWS.search(body[:200]):
            self._time(*found.groups())
            if found[1] == b"process_completed":
                failed = b'"success":false' in body[-400:]
                self.metrics.jobs.labels("failed" if failed else "done").inc()

    def _time(self, news: bytes, event: bytes) -> None:
        now = time.monotonic()
        if news == b"estimation":
            self._times.setdefault(event, now)
        elif news == b"process_starts":
            self.metrics.waited(now - self._times.get(event, now))
            self._times[event] = now
        elif news == b"process_completed":
            self.metrics.ran(now - self._times.pop(event, now))
        while len(self._times) > 4096:
            self._times.popitem(last=False)


async def _json(scope: Scope, receive) -> dict[str, Any]:
    kind = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    try:
        body = orjson.loads(await read_all(receive)) if kind == "application/json" else None
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "This request is not JSON.", "json")
    return body


async def _pass_on(app, scope: Scope, receive, send, body: dict[str, Any]) -> None:
    data = orjson.dumps(body)
    without_headers(scope, (b"content-length", b"transfer-encoding"))
    scope["headers"].append((b"content-length", str(len(data)).encode()))
    await app(scope, replayed(data, receive), send)
