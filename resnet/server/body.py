"""Bodies: how large each may be, and how slow."""

from __future__ import annotations

import asyncio
import time

from resnet.images import MB
from resnet.server.settings import Settings
from resnet.server.visit import Refusal, Scope, header, visit_of

FORM = 8192
PATIENCE = 20.0  # seconds for the first byte, and added to what the size allows


def limited_body(app, settings: Settings):
    """Refuse bodies that are too large or too slow, while they arrive.

    Whatever the application makes of the broken body, the visitor gets our sentence.
    """
    sizes = {
        "none": 0,
        "form": FORM,
        "json": int(settings.max_json_kb * 1024),
        "photos": int((2 * settings.max_file_mb + 0.1) * MB),  # a comparison takes two
        "upload": int(settings.max_request_mb * MB),
    }
    slowest = settings.body_kb_per_second * 1024

    async def asgi(scope: Scope, receive, send) -> None:
        route = visit_of(scope).route
        limit = sizes[route.body if route else "none"]
        told = _told(scope)
        if told is not None and told > limit:
            raise too_large(limit)
        got, begun, over, started = 0, time.monotonic(), None, False

        async def receiving():
            nonlocal got, over
            if over is not None:
                raise over
            if got < 0:  # the whole body is here; what comes now is the visitor leaving
                return await receive()
            left = begun + PATIENCE + got / slowest - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.01))
            except TimeoutError:
                over = Refusal(408, "The request arrived too slowly and was given up.", "slow")
                raise over from None
            if message["type"] == "http.request":
                got += len(message.get("body", b""))
                if got > limit:
                    over = too_large(limit)
                    raise over
                if not message.get("more_body", False):
                    got = -1
            return message

        async def sending(message) -> None:
            nonlocal started
            if over is not None and not started:
                return  # the application's own words about a body that we cut off
            started = True
            await send(message)

        try:
            await app(scope, receiving, sending)
        except Exception:
            if over is None or started:
                raise
        if over is not None and not started:
            raise over

    return asgi


def too_large(limit: int) -> Refusal:
    if not limit:
        return Refusal(413, "This address takes no content.", "size")
    size = f"{limit / MB:.3g} MB" if limit >= MB else f"{limit / 1024:.3g} KB"
    return Refusal(413, f"This is too large; one request may hold {size}.", "size")


def _told(scope: Scope) -> int | None:
    """Content-Length; None if absent.  uvicorn has refused what is no number."""
    text = header(scope, b"content-length")
    return int(text) if text and text.isdecimal() and len(text) < 16 else None


async def read_all(receive) -> bytes:
    """A whole body, which `limited_body` has bounded."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The request broke off.", "broke off")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def replayed(body: bytes, receive):
    """A `receive` that gives this body, and then what the visitor does."""
    sent = False

    async def receiving():
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
