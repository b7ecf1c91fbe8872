"""Headers of every answer: what the browser may do with it, and who may keep it."""

from __future__ import annotations

from resnet.server.settings import Settings
from resnet.server.visit import KEY, Scope

# What a plain answer needs: nothing.  The page's own policy is made in `front_page`.
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PHOTO = "default-src 'none'; sandbox; frame-ancestors 'none'"
_OURS = {
    b"content-security-policy", b"x-content-type-options", b"referrer-policy", b"x-frame-options",
    b"permissions-policy", b"cross-origin-opener-policy", b"cross-origin-resource-policy",
    b"server", b"x-powered-by", b"x-request-id", b"cache-control", b"x-accel-buffering",
}  # fmt: skip
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    # Not `no-referrer`: with that a form is sent as from nowhere, and `own_page` refuses it.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), clipboard-read=(self), clipboard-write=(self), "
     b"microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()"),
)  # fmt: skip
YEAR = b"public, max-age=31536000, immutable"
PRIVATE = b"private, no-store"


def secured(app, settings: Settings):
    """Put the headers on every answer, also on refusals; a route's own CSP is kept."""
    frames = b"" if settings.frame_origins else b"DENY"

    async def asgi(scope: Scope, receive, send) -> None:
        async def sending(message) -> None:
            if message["type"] == "http.response.start":
                message = dict(message, headers=_with_ours(scope, message, frames))
            await send(message)

        await app(scope, receive, sending)

    return asgi


def _with_ours(scope: Scope, message, frames: bytes) -> list[tuple[bytes, bytes]]:
    visit = scope.get(KEY)
    route = visit.route.name if visit and visit.route else ""
    given = {key.lower(): value for key, value in message["headers"]}
    headers = [pair for pair in message["headers"] if pair[0].lower() not in _OURS]
    headers += _ALWAYS
    policy = PHOTO.encode() if route == "file" else NOTHING.encode()
    headers.append((b"content-security-policy", given.get(b"content-security-policy", policy)))
    if frames or route not in ("page", "sign in"):
        headers.append((b"x-frame-options", frames or b"DENY"))
    headers.append((b"cache-control", _keeping(route, message["status"], given)))
    if visit:
        headers.append((b"x-request-id", visit.id.encode()))
        headers += [(b"set-cookie", cookie.encode()) for cookie in visit.cookies]
        if visit.route and visit.route.stream:
            headers.append((b"x-accel-buffering", b"no"))  # nginx: pass each event on at once
    return headers


def _keeping(route: str, status: int, given: dict[bytes, bytes]) -> bytes:
    """Names under /assets/ contain their content's hash; nothing else may be kept by a proxy."""
    if route == "assets" and status in (200, 206, 304):
        return YEAR
    if route in ("static", "theme", "favicon") and status in (200, 206, 304):
        return b"public, max-age=3600"
    return PRIVATE
