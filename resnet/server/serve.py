"""Running the server: its socket, its end, and the one line when it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import uvicorn

from resnet.server.door import Door
from resnet.server.logs import LOG, start_logging
from resnet.server.protocol import protocol_for
from resnet.server.settings import Settings, SettingsError

if TYPE_CHECKING:
    from fastapi import FastAPI

LAST = 1.0  # seconds of the grace that are left for the end of the streams


def listen(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        SettingsError: one sentence, such as that the port is in use.
    """
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number and number > 0 else str(error)
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {why}. "
            "Stop what uses it, or choose another --port."
        ) from None


class Server(uvicorn.Server):
    """uvicorn's, with an end that lets running jobs finish and then closes the streams."""

    def __init__(self, config: uvicorn.Config, app: FastAPI | Door, grace: float):
        super().__init__(config)
        self._front: Any = app if isinstance(app, Door) else app.state.front
        self._grace = grace

    def handle_exit(self, sig: int, frame) -> None:
        """Refuse what is new; a second Ctrl-C ends at once."""
        self._front.stopping = True
        super().handle_exit(sig, frame)

    def end(self) -> None:
        """As a signal would."""
        self.should_exit = True

    async def shutdown(self, sockets=None) -> None:
        """Wait for jobs, at most the grace, while the streams that report them stay open."""
        self._front.stopping = True
        closing = asyncio.create_task(self._close_streams())
        try:
            await super().shutdown(sockets)
        finally:
            closing.cancel()

    async def _close_streams(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._grace - LAST)):
                while self._front.working() and not self.force_exit:
                    await asyncio.sleep(0.05)
        self._front.close_streams()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signals are not raised again at the end: they were heard."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(app: FastAPI | Door, settings: Settings) -> Server:
    """A uvicorn server for an app of `create_app`, or for the door to one that is yet to be made.

    With uvloop and httptools where they are installed.
    """
    config = uvicorn.Config(
        app,
        http=protocol_for(settings),
        loop="auto",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # ours is stricter
        timeout_keep_alive=20,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = Server(config, app, settings.grace_seconds)
    if isinstance(app, Door):
        app.fail = server.end
    return server


def serve(
    app: FastAPI | Door, settings: Settings, sock: socket.socket | None = None,
    started: Callable[[str], None] = lambda url: None,
    close: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Serve until SIGINT or SIGTERM; blocks.

    Ends the process where a job's thread has outlived the grace, for which Python would wait, and
    where the app was still being made, which Python must not end under.

    Args:
        app: of `create_app`, or the door to one that is made while the server answers already.
        sock: of `listen`; made if None.
        started: told the page's address when it is about to answer.
        close: deletes what is left, such as `Folder.close`.

    Raises:
        SettingsError: it cannot listen there.
        Exception: what making the app behind a door has raised.
    """
    sock = sock or listen(settings)
    start_logging()
    for sentence in settings.warnings():
        LOG.warning(sentence)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * settings.connections + 500
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    started(f"http://{host}:{sock.getsockname()[1]}")
    try:
        make_server(app, settings).run(sockets=[sock])
    finally:
        close()
    if isinstance(app, Door) and app.failed is not None:
        raise app.failed
    if isinstance(app, Door) and app.busy:
        _exit()
    if _lingering():
        LOG.warning("jobs were cut off at the end of the grace")
        _exit()


def _exit() -> None:
    logging.shutdown()
    os._exit(0)


def _lingering(patience: float = 0.5) -> bool:
    """Whether threads are left that Python would wait for; idle ones end within the patience."""
    end = time.monotonic() + patience
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                return True
    return False
