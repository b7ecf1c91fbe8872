"""The app that the server begins with: it answers at once, and leads on when the real one is made.

Making the real one takes seconds (gradio, torch, the weights, the page), so it happens in a thread
beside the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from resnet.server.settings import Settings
from resnet.server.starting import starting
from resnet.server.visit import Scope

T = TypeVar("T")


class Door:
    """Shows the starting page until the app is made; /readyz says no until it is warm, too.

    Args:
        make: makes the app of `create_app`; runs in a thread, once the server answers.
        warm: makes its first answer quick; runs in a thread, while the app serves already.

    Attributes:
        fail: how the door ends the server when `make` or `warm` raise.
        failed: what they raised.
        busy: a thread of ours is at work, which Python must not end under.
    """

    def __init__(
        self, settings: Settings, make: Callable[[], Any], warm: Callable[[], None] = lambda: None
    ):
        self._make, self._warm = make, warm
        self._app: Any = None  # the app, once it is made and lives
        self._before = starting(settings)
        self._probe = ("/readyz", f"{settings.prefix}/readyz")
        self._ready = self._stopping = False
        self._ended = asyncio.Event()
        self.fail: Callable[[], None] = lambda: None
        self.failed: Exception | None = None
        self.busy = False

    async def __call__(self, scope: Scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None and (self._ready or scope["path"] not in self._probe):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._before(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    # For the server, as the app's own `Front`

    @property
    def stopping(self) -> bool:
        """The server ends."""
        return self._stopping

    @stopping.setter
    def stopping(self, value: bool) -> None:
        self._stopping = value
        if self._app is not None:
            self._app.state.front.stopping = value

    def working(self) -> bool:
        """Whether a visitor's job waits or runs."""
        return self._app is not None and self._app.state.front.working()

    def close_streams(self) -> None:
        """End what would stay open for ever."""
        if self._app is not None:
            self._app.state.front.close_streams()

    # The app's life

    async def _live(self, receive, send) -> None:
        """Answer the server's lifespan: nothing is waited for at the start."""
        await receive()
        life = asyncio.create_task(self._open())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._ended.set()
        await life
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        """Make the app, let visitors in, warm it, and see it to its end."""
        begun = time.monotonic()
        # Importing makes a million objects that stay; looking for garbage among them would be a
        # fifth of the start.
        gc.disable()
        try:
            app = await self._beside(self._make)
            if app is None:
                return
            async with app.router.lifespan_context(app):
                self._app = app
                self.stopping = self._stopping
                await self._beside(self._warm)
                if not self._ended.is_set():
                    self._open_wide(time.monotonic() - begun)
                await self._ended.wait()
        except Exception as error:
            self.failed = error
            self.fail()
        finally:
            gc.enable()

    def _open_wide(self, seconds: float) -> None:
        from resnet.server.logs import LOG

        gc.freeze()  # what a server is made of stays until it ends: it is never looked at again
        gc.enable()
        self._ready = True
        LOG.info("ready", extra={"ms": round(1000 * seconds)})

    async def _beside(self, work: Callable[[], T]) -> T | None:
        """Run it in a thread; None if the server ends first, which does not wait for it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                tell = _setter(done, done.set_result, work())
            except Exception as error:
                tell = _setter(done, done.set_exception, error)
            self.busy = False
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell)

        self.busy = True
        threading.Thread(target=run, name="start", daemon=True).start()
        ended = asyncio.create_task(self._ended.wait())
        both: list[asyncio.Future[Any]] = [done, ended]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        return done.result() if done.done() else None


def _setter(done: asyncio.Future, set: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: None if done.done() else set(value)
