"""The page's HTML: rendered by Gradio once, kept packed, with a content policy of its own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from resnet.server.settings import Settings

_SCRIPT = re.compile(r"<script(?P<with>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
_KEPT = 16  # pages: one for each name that the server is opened by


@dataclass(frozen=True)
class Rendered:
    """Attributes: html; packed: with gzip; policy: the Content-Security-Policy."""

    html: bytes
    packed: bytes
    policy: str


class FrontPage:
    """Gradio renders 100 KB of settings for each visitor, the same for all of them: once will do.

    Args:
        gradio_app: what `mount_gradio_app` has mounted.
    """

    def __init__(self, gradio_app, settings: Settings):
        self._app, self._settings = gradio_app, settings
        self._kept: OrderedDict[tuple[str, str], Rendered] = OrderedDict()

    async def answer(self, request: Request) -> Response:
        """Answer GET /."""
        key = (request.scope["scheme"], request.headers.get("host", ""))
        page = self._kept.get(key)
        if page is None:
            html = await self._render(*key)
            page = Rendered(html, gzip.compress(html, 9), policy(html.decode(), self._settings))
            self._kept[key] = page
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        headers = {"content-security-policy": page.policy, "vary": "accept-encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(page.html, media_type="text/html", headers=headers)
        headers["content-encoding"] = "gzip"
        return Response(page.packed, media_type="text/html", headers=headers)

    async def _render(self, scheme: str, host: str) -> bytes:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": scheme, "path": "/", "raw_path": b"/", "root_path": "", "query_string": b"",
            "headers": [(b"host", host.encode("latin-1"))], "client": None, "server": None,
        }  # fmt: skip
        parts: list[bytes] = []
        status = 0

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        if status != 200:
            raise RuntimeError(f"gradio answered {status} for its own page")
        return b"".join(parts)


def policy(html: str, settings: Settings) -> str:
    """The strictest Content-Security-Policy under which Gradio 6.31's page works.

    Scripts: our files, and the page's own inline ones by their hashes.  `unsafe-eval` is needed:
    Gradio compiles `js=`, `js_on_load` and `html_template` in the browser.  `unsafe-inline` is
    for styles alone: Svelte writes style attributes.
    """
    inline = [m["text"] for m in _SCRIPT.finditer(html) if not re.search(r"\ssrc\s*=", m["with"])]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline}
    scripts = " ".join(f"'sha256-{value}'" for value in sorted(hashes))
    frames = " ".join(settings.frame_origins) or "'none'"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'unsafe-eval' {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors {frames}",
        ]
    )
