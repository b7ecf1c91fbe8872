"""The sign-in and sign-out pages: plain forms, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from resnet.server.body import read_all
from resnet.server.cookies import Cookie
from resnet.server.logs import LOG
from resnet.server.metrics import Metrics
from resnet.server.proxy import neighbourhood
from resnet.server.settings import Settings
from resnet.server.sign_ins import SignIns
from resnet.server.throttle import Guesses
from resnet.server.users import Users, UsersError, user_name
from resnet.server.visit import visit_of

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1d232c;background:#f4f5f7;display:grid;"
    "place-items:center;min-height:100vh;margin:0}main{background:#fff;padding:2rem;width:20rem;"
    "border:1px solid #d8dce2;border-radius:8px}h1{font-size:1.2rem;margin:0 0 1rem}"
    "label{display:block;margin:.8rem 0 .2rem}input{font:inherit;width:100%;box-sizing:border-box;"
    "padding:.5rem;border:1px solid #8a94a3;border-radius:4px;background:inherit;color:inherit}"
    "button{font:inherit;margin-top:1.2rem;width:100%;padding:.6rem;border:0;border-radius:4px;"
    "background:#1f5fbf;color:#fff;cursor:pointer}p[role=alert]{color:#b3261e;margin:0}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14171c}"
    "main{background:#1c2027;border-color:#3a414c}p[role=alert]{color:#ff9a8f}}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f"<style>{_STYLE.replace('{', '{{').replace('}', '}}')}</style></head>"
    "<body><main><h1>{title}</h1>{said}{form}</main></body></html>"
)
_SIGN_IN = (
    '<form method="post"><label for="name">Name</label>'
    '<input id="name" name="name" autocomplete="username" autocapitalize="none" required autofocus>'
    '<label for="password">Password</label><input id="password" name="password" type="password" '
    'autocomplete="current-password" required><button>Sign in</button></form>'
)
_SIGN_OUT = '<form method="post"><button>Sign out</button></form>'
_AT_ONCE = 8  # password checks that may wait for one another


class Login:
    """The two pages; tries are throttled and take as long for unknown names as for known ones."""

    def __init__(
        self, settings: Settings, users: Users, cookie: Cookie, sign_ins: SignIns, metrics: Metrics
    ):
        self.users, self.cookie, self.sign_ins, self.metrics = users, cookie, sign_ins, metrics
        self._guesses = Guesses()
        self._waiting = 0
        self._home = settings.prefix + "/"
        self._frames = " ".join(settings.frame_origins) or "'none'"

    async def sign_in(self, request: Request) -> Response:
        """GET shows the form; POST checks it."""
        if request.method == "GET":
            return self._page("Sign in", _SIGN_IN)
        form = parse_qs((await read_all(request.receive)).decode("utf-8", "replace"))
        name, password = form.get("name", [""])[0], form.get("password", [""])[0]
        address = neighbourhood(visit_of(request.scope).address)
        try:
            counted = user_name(name)
        except UsersError:
            counted = "-"  # no such name can exist
        wait = 5.0 if self._waiting >= _AT_ONCE else self._guesses.begin(address, counted)
        if wait:
            return self._refused("throttled", 429, wait)
        self._waiting += 1
        try:
            user = await anyio.to_thread.run_sync(self.users.check, name, password)
        finally:
            self._waiting -= 1
        if user is None:
            return self._refused("wrong", 401)
        self._guesses.right(address, counted)
        old = self.cookie.read(request.scope)
        if old:
            self.sign_ins.end(old)
        token, written = self.cookie.new(request.scope)  # never one that was there before
        self.sign_ins.begin(token, user)
        self.metrics.sign_ins.labels("right").inc()
        LOG.info("signed in", extra={"who": user, "request": visit_of(request.scope).id})
        answer = RedirectResponse(self._home, 303)
        answer.headers.append("set-cookie", written)
        return answer

    async def sign_out(self, request: Request) -> Response:
        """GET asks, so that a link from elsewhere signs nobody out; POST does it."""
        token = self.cookie.read(request.scope)
        if request.method == "GET" and token and self.sign_ins.user(token):
            return self._page("Sign out?", _SIGN_OUT)
        if token:
            self.sign_ins.end(token)
        answer = RedirectResponse(self._home + "login", 303)
        answer.headers.append("set-cookie", self.cookie.end(request.scope))
        answer.headers["clear-site-data"] = '"cache", "storage"'
        return answer

    def _refused(self, outcome: str, status: int, wait: float = 0) -> Response:
        self.metrics.sign_ins.labels(outcome).inc()
        LOG.warning("sign-in refused", extra={"reason": outcome})
        said = "This name and password do not belong together."
        if wait:
            said = f"There were too many tries. Wait {max(1, round(wait))} seconds, please."
        answer = self._page("Sign in", _SIGN_IN, said, status)
        if wait:
            answer.headers["retry-after"] = str(max(1, round(wait)))
        return answer

    def _page(self, title: str, form: str, said: str = "", status: int = 200) -> HTMLResponse:
        said = f'<p role="alert">{escape(said)}</p>' if said else ""
        policy = (
            f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
            f"base-uri 'none'; frame-ancestors {self._frames}"
        )
        html = _PAGE.format(title=title, said=said, form=form)
        return HTMLResponse(html, status, {"content-security-policy": policy})
