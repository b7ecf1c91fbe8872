"""The server: FastAPI around the page, and everything that keeps its users apart."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from resnet.images import MB
from resnet.server import body, headers, identity, limits, logs, origin, proxy, routes
from resnet.server.cookies import Cookie
from resnet.server.files import Files
from resnet.server.front_page import FrontPage
from resnet.server.gate import Gate
from resnet.server.health import Health, classify_example
from resnet.server.login import Login
from resnet.server.metrics import Metrics
from resnet.server.owners import Owners
from resnet.server.settings import Settings
from resnet.server.sign_ins import SignIns
from resnet.server.status import EVERY, Status
from resnet.server.turns import take_turns, watch_jobs
from resnet.server.users import Users

SWEEP = 20.0  # seconds between two looks for what is to be deleted


class Front:
    """What the parts of one server share; `app.state.front`.

    Attributes:
        stopping: new work is refused, running work goes on.
        metrics: to be fed by the engine as well.
        owners: the register of files and sessions.
    """

    def __init__(self, page: Any, gradio_app: Any, settings: Settings, folder: Path,
                 deleted: Callable[[str], None]):  # fmt: skip
        self.page, self.gradio_app, self.settings = page, gradio_app, settings
        self.stopping = False
        self.work: Any = None  # the HTTP API's, if there is one
        self.status: Status | None = None
        self.metrics = Metrics()
        self.owners = Owners(settings, folder, self.end_session, deleted)
        self.room = limits.Room(settings, folder, self.owners.used)
        for name, text, read in (
            ("queue_length", "Jobs waiting", lambda: len(page._queue) + self.api_waiting()),
            (
                "jobs_running",
                "Jobs running",
                lambda: page._queue.get_active_worker_count() + self.api_running(),
            ),
            ("owners", "Visitors with files or sessions", lambda: self.owners.counts()[0]),
            ("files", "Files kept for visitors", lambda: self.owners.counts()[1]),
            ("files_bytes", "Bytes of files kept", self.owners.used),
            ("disk_free_bytes", "Bytes the disk of the files has left", self.room.disk_left),
            ("memory_free_bytes", "Bytes of memory left", self.room.memory_left),
            ("memory_bytes", "Bytes of memory held", limits.resident),
            ("device_memory_bytes", "Bytes held on the accelerator", _device_memory),
        ):
            self.metrics.watch(name, text, read)

    def working(self) -> bool:
        """Whether a job waits or runs, of the page or of a program."""
        return bool(self.page._queue.event_ids_to_events or (self.work and self.work.places.busy))

    def api_running(self) -> int:
        """Verbs of the HTTP API that run."""
        return self.work.places.running if self.work else 0

    def api_waiting(self) -> int:
        """Verbs of the HTTP API that wait."""
        return len(self.work.places.line) if self.work else 0

    def close_streams(self) -> None:
        """End what would stay open for ever."""
        self.gradio_app.stop_event.set()

    def end_session(self, name: str) -> bool:
        """Forget what Gradio knows of a session; not while a job of it waits or runs."""
        queue = self.page._queue
        if any(job.session_hash == name for job in list(queue.event_ids_to_events.values())):
            return False
        self.gradio_app.state_holder.session_data.pop(name, None)
        queue.pending_event_ids_session.pop(name, None)
        if name in queue.pending_messages_per_session:
            del queue.pending_messages_per_session[name]
        return True


def create_app(
    engine: Any,
    settings: Settings,
    page: Any = None,
    *,
    folder: Path | None = None,
    probe: Callable[[], None] | None = None,
    deleted: Callable[[str], None] = lambda path: None,
    status: Status | None = None,
) -> FastAPI:
    """The whole server, ready for `serve`.  Call `storage.open_folder` before.

    Args:
        engine: of the page and the HTTP API; the probe for /readyz looks at its `net`.  Without
            one there is no API.
        page: a `gr.Blocks`; `resnet.ui.page.build(engine)` if None.
        folder: for photos; GRADIO_TEMP_DIR if None, which `open_folder` sets.
        probe: what /readyz runs in a thread; raises if the model is not well.
        deleted: told the path of each file that goes, so that nothing made from it is kept.
        status: which the page shows; told of this server.

    Raises:
        users.UsersError: the users file cannot be used.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Otherwise each event sums up all events before it, and it gets slower with use.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    users = Users(settings.auth) if settings.auth else None
    keys = users.by_key if users is not None else None

    import gradio as gr

    from resnet.ui.examples import FOLDER
    from resnet.ui.page import build

    page = build(engine) if page is None else page
    page.delete_cache = None  # the sweep below knows what is in use; Gradio goes by age alone
    known = routes.ROUTES + (routes.API_ROUTES if engine is not None else ())
    known = tuple(r for r in known if users is not None or r.name not in ("sign in", "sign out"))
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=_life)
    # Added before mounting: Gradio looks for it, and leaves CORS alone if it is there.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "accept"],
    )
    gr.mount_gradio_app(app, page, "/", **mount_options(settings))
    take_turns(page._queue)
    page.has_launched = True  # without it Gradio reads any path that is posted
    mounted = app.routes.pop()
    gradio_app = mounted.app  # type: ignore[attr-defined]
    gradio_app.state_holder.capacity = 2000
    logs.quiet_gradio()

    folder = (folder or Path(os.environ["GRADIO_TEMP_DIR"])).resolve()
    front = app.state.front = Front(page, gradio_app, settings, folder, deleted)
    cookie = Cookie(
        f"resnet-{settings.port}", settings.prefix, settings.session_hours,
        framed=bool(settings.frame_origins),
    )  # fmt: skip
    sign_ins = SignIns(settings.session_hours, users.stamp) if users is not None else None
    gate = Gate(page, settings, front.owners, front.room, front.metrics, lambda: front.stopping)
    outer = [
        lambda inner: headers.secured(inner, settings),
        lambda inner: logs.observed(inner, front.metrics),
        lambda inner: proxy.proxied(inner, settings),
    ]
    inner = [
        lambda inner: routes.allowed(inner, known, settings.prefix),
        lambda inner: origin.known_host(inner, settings),
        lambda inner: origin.own_page(inner, settings),
        lambda inner: limits.counted_by_address(inner, settings),
        lambda inner: body.limited_body(inner, settings),
        lambda inner: identity.identified(inner, settings, cookie, sign_ins, keys),
        lambda inner: limits.counted_by_owner(inner, settings),
        lambda inner: limits.few_streams(inner, settings),
        gate.middleware,
    ]
    cors = app.user_middleware.pop()
    # The first is the outermost.  CORS comes before the allow-list only if it is wanted, because
    # it answers OPTIONS by itself; otherwise it stands last, allows nobody, keeps Gradio's own out.
    app.user_middleware += [Middleware(_layers, outer), Middleware(_layers, inner)]
    app.user_middleware.insert(1 if settings.cors_origins else 2, cors)

    files = Files(settings, front.owners, front.room, front.metrics, FOLDER)
    health = Health(
        probe or classify_example(engine), front.room, front.metrics, lambda: front.stopping,
        settings.metrics_from,
    )  # fmt: skip
    get = ["GET", "HEAD"]
    app.add_route("/", FrontPage(gradio_app, settings).answer, get)
    app.add_route(f"{routes.G}/upload", files.upload, ["POST"])
    app.add_route(f"{routes.G}/upload_progress", files.progress, ["GET"])
    app.add_route(routes.G + "/file={path:path}", files.file, get)
    app.add_route("/healthz", health.alive, get)
    app.add_route("/readyz", health.ready, get)
    app.add_route("/metrics", health.metrics, get)
    if users is not None and sign_ins is not None:
        login = Login(settings, users, cookie, sign_ins, front.metrics)
        app.add_route("/login", login.sign_in, ["GET", "POST"])
        app.add_route("/logout", login.sign_out, ["GET", "POST"])
    if engine is not None:
        front.work = _add_api(app, engine, front)
        engine.told.listen(front.metrics.hear)
        if status is not None:
            status.watch(front, engine)
            front.status = status
    app.routes.append(mounted)
    return app


def _add_api(app: FastAPI, engine: Any, front: Front) -> Any:
    from resnet.server.api import problems, schema, verbs
    from resnet.server.api.work import Work

    work = Work(front.settings, front.owners, front.room, front.metrics)
    router = verbs.router(engine, work)
    app.include_router(router, prefix=routes.API)
    app.include_router(schema.describe(router, front.settings), prefix=routes.API)
    problems.install(app)
    return work


def mount_options(settings: Settings) -> dict[str, Any]:
    """Arguments for `mount_gradio_app`, from those that `resnet.ui.serve` has for `launch`."""
    from resnet.ui.serve import launch_options

    options = launch_options()
    for only_launch in ("share", "quiet"):
        options.pop(only_launch, None)
    return options | {
        "root_path": settings.root_path.rstrip("/") or None,
        "show_error": False,
        "max_file_size": int(settings.max_file_mb * MB),  # the browser asks; uploads are ours
        "allowed_paths": [],  # so are files
        "app_kwargs": {"openapi_url": None},
        "enable_monitoring": False,
    }


@contextlib.asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    front = app.state.front
    tasks = [
        asyncio.create_task(_sweep(front)),
        asyncio.create_task(_sample(front)),
        asyncio.create_task(watch_jobs(front.page._queue, front.settings.job_seconds)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _sweep(front: Front) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        try:
            front.owners.sweep()  # here, where Gradio's queue lives
            await asyncio.to_thread(front.owners.sweep_strays)
        except Exception as error:
            logs.LOG.error("deleting old photos failed", extra=logs.fault(error))


async def _sample(front: Front) -> None:
    while front.status is not None:
        await asyncio.sleep(EVERY)
        front.status.sample()


def _layers(app, layers):
    """One middleware of several, for HTTP requests alone; the page uses no WebSocket."""
    inner = app
    for layer in reversed(layers):
        inner = layer(inner)

    async def asgi(scope, receive, send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await (inner if scope["type"] == "http" else app)(scope, receive, send)

    return asgi


def _device_memory() -> float | None:
    import torch

    return float(torch.cuda.memory_allocated()) if torch.cuda.is_initialized() else None
