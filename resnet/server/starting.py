"""What visitors and probes are told while the app is still being made."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets

from resnet.server import headers, routes
from resnet.server.settings import Settings
from resnet.server.visit import KEY, Refusal, Scope, Visit, answer, refuse

AGAIN = 1  # seconds until the page asks again by itself
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1d232c;background:#fff;display:grid;"
    "place-items:center;min-height:100vh;margin:0}main{padding:1rem 2rem;max-width:24rem}"
    "h1{font-size:22px;letter-spacing:-.01em;margin:0 0 .3rem}p{margin:0;color:#55637a}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#0b0f19}p{color:#a3b1c6}}"
)
# `refresh` alone stays where it is when the address has a part after #.
_SCRIPT = f"setTimeout(() => location.reload(), {1000 * AGAIN})"
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Starting …</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f'<noscript><meta http-equiv="refresh" content="{AGAIN}"></noscript>'
    f"<style>{_STYLE}</style><script>{_SCRIPT}</script></head>"
    "<body><main><h1>Starting …</h1><p>The network is being loaded. This page opens by itself in "
    "a few seconds.</p></main></body></html>"
).encode()
_HTML = "text/html; charset=utf-8"
_LATER = "The server is starting. Try again in a moment."


def starting(settings: Settings):
    """An app that has one page, which opens the real one by itself, and answers the probes.

    `/` and `/login` are answered 200 with that page, `/healthz` with alive; all else, `/readyz`
    too, with 503 and when to come again.
    """
    frames = " ".join(settings.frame_origins) or "'none'"
    policy = (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {frames}"
    ).encode()

    async def asgi(scope: Scope, receive, send) -> None:
        path = scope["path"]
        if settings.prefix and (path + "/").startswith(settings.prefix + "/"):
            path = path[len(settings.prefix) :] or "/"
        route = routes.find(path, routes.ROUTES + routes.API_ROUTES)
        scope[KEY] = Visit(secrets.token_hex(8), route=route)
        name = route.name if route and scope["method"] in routes.READ else ""
        body, status, kind, more = b"", 200, "application/json", []
        if name in ("page", "sign in"):
            body, kind, more = _PAGE, _HTML, [(b"content-security-policy", policy)]
        elif name == "health":
            body = _json({"status": "alive"})
        elif name == "ready":
            body, status = _json({"status": "not ready", "checks": {"server": "starting"}}), 503
            more = [(b"retry-after", str(AGAIN).encode())]
        else:
            return await refuse(scope, send, Refusal(503, _LATER, "starting", AGAIN))
        await answer(send, status, b"" if scope["method"] == "HEAD" else body, kind, more)

    return headers.secured(asgi, settings)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
