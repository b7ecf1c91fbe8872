"""The addresses that answer; everything else is 404, whatever Gradio may offer there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from resnet.server.visit import NOT_FOUND, Refusal, Scope, visit_of

Shape = Literal["html", "json", "text", "problem"]
Body = Literal["none", "json", "form", "upload", "photos"]
API = "/api/v1"
VERBS = ("classify", "explain", "detect", "trace", "lesions", "compare")


@dataclass(frozen=True)
class Route:
    """One address, or all that begin alike.

    Attributes:
        name: in metrics and log, which never see a whole path.
        path: the whole path, or its beginning if `below`.
        methods: that it takes.
        belongs: it acts for somebody, who must be known; False for what everybody may fetch.
        page: a person opens it in the browser, perhaps from a link elsewhere; it may begin a visit.
        body: what it takes, and so how large it may be.
        shape: of an error.
        stream: it stays open.
        probe: a program of the server's own asks it: any host name will do, also while stopping.
    """

    name: str
    path: str
    methods: tuple[str, ...] = ("GET",)
    below: bool = False
    belongs: bool = True
    page: bool = False
    body: Body = "none"
    shape: Shape = "json"
    stream: bool = False
    probe: bool = False

    def fits(self, path: str) -> bool:
        return path.startswith(self.path) if self.below else path == self.path


G = "/gradio_api"
READ = ("GET", "HEAD")

ROUTES = (
    Route("page", "/", READ, page=True, shape="html"),
    Route("config", "/config"),
    Route("theme", "/theme.css", READ, belongs=False, shape="text"),
    Route("theme", f"{G}/theme.css", READ, belongs=False, shape="text"),
    Route("assets", "/assets/", READ, below=True, belongs=False, shape="text"),
    Route("static", "/static/", READ, below=True, belongs=False, shape="text"),
    Route("favicon", "/favicon.ico", READ, belongs=False, shape="text"),
    Route("app id", f"{G}/app_id"),
    Route("upload", f"{G}/upload", ("POST",), body="upload", shape="text"),
    Route("upload progress", f"{G}/upload_progress", stream=True, shape="text"),
    Route("file", f"{G}/file=", READ, below=True, shape="text"),
    Route("join", f"{G}/queue/join", ("POST",), body="json"),
    Route("data", f"{G}/queue/data", stream=True),
    Route("heartbeat", f"{G}/heartbeat/", below=True, stream=True),
    # For programs: the page's public endpoints, as gradio_client and curl ask for them.
    Route("info", f"{G}/info", READ),
    Route("call", f"{G}/call/", ("GET", "POST"), below=True, body="json", stream=True),
    Route("cancel", f"{G}/cancel", ("POST",), body="json"),
    Route("reset", f"{G}/reset", ("POST",), body="json"),
    Route("sign in", "/login", ("GET", "POST"), belongs=False, page=True, body="form",
          shape="html"),
    Route("sign out", "/logout", ("GET", "POST"), belongs=False, page=True, body="form",
          shape="html"),
    Route("health", "/healthz", READ, belongs=False, probe=True),
    Route("ready", "/readyz", READ, belongs=False, probe=True),
    Route("metrics", "/metrics", READ, belongs=False, probe=True, shape="text"),
)  # fmt: skip

API_ROUTES = (
    Route("api docs", f"{API}/docs", READ, page=True, shape="html"),
    Route("api schema", f"{API}/openapi.json", READ, shape="problem"),
    *(
        Route("api", f"{API}/{verb}", ("POST",), body="photos", shape="problem")
        for verb in VERBS
    ),
    Route("api else", f"{API}/", ("GET",), below=True, shape="problem"),
)  # fmt: skip

_ODD = re.compile(r"[\x00-\x1f\x7f\\]|//|(^|/)\.\.?(/|$)")


def find(path: str, routes: tuple[Route, ...] = ROUTES) -> Route | None:
    """The route of a decoded path, "/" first; None if nothing answers there."""
    if _ODD.search(path.partition("/file=")[0]):  # a file's own path is compared as a whole
        return None
    return next((route for route in routes if route.fits(path)), None)


def allowed(app, routes: tuple[Route, ...] = ROUTES, prefix: str = ""):
    """Let only known addresses and methods through; notes the route in the visit.

    Args:
        prefix: path under which a proxy shows the server; taken off if the proxy left it on.
    """

    async def asgi(scope: Scope, receive, send) -> None:
        if prefix and (scope["path"] + "/").startswith(prefix + "/"):
            scope["path"] = scope["path"][len(prefix) :] or "/"
            scope["raw_path"] = scope["raw_path"][len(prefix) :] or b"/"
        visit = visit_of(scope)
        route = visit.route = find(scope["path"], routes)
        if route is None:
            raise Refusal(404, NOT_FOUND, "not found")
        if scope["method"] not in route.methods:
            raise Refusal(405, f"This address takes {' and '.join(route.methods)}.", "method")
        await app(scope, receive, send)

    return asgi
