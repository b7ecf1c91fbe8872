"""Who asks: a user who signed in, a user whom the proxy names, or a visitor with our cookie."""

from __future__ import annotations

from collections.abc import Callable

from resnet.server.cookies import Cookie
from resnet.server.proxy import neighbourhood
from resnet.server.settings import Settings
from resnet.server.sign_ins import SignIns
from resnet.server.users import UsersError, user_name
from resnet.server.visit import Refusal, Scope, Visit, answer, header, visit_of

_BROWSERS = (b"cookie", b"origin", b"sec-fetch-site")  # of these a browser always sends one
Keys = Callable[[str], str | None]


def identified(
    app, settings: Settings, cookie: Cookie, sign_ins: SignIns | None, keys: Keys | None = None
):
    """Set the visit's `owner` and `user`, or refuse the request, or send it to the sign-in page.

    Args:
        cookie: of visits in open mode, of sign-ins with `settings.auth`.
        keys: the user of an API key, None if it is not one; for `Authorization: Bearer KEY`.
    """

    async def asgi(scope: Scope, receive, send) -> None:
        visit = visit_of(scope)
        if visit.route is None or not visit.route.belongs:
            await app(scope, receive, send)
            return
        if not _by_key(scope, visit, keys):
            if settings.auth_header:
                _by_proxy(visit)
            elif sign_ins is not None:
                token = cookie.read(scope)
                visit.user = sign_ins.user(token) if token else None
                if visit.user is None and visit.route.page:
                    to = (b"location", (settings.prefix + "/login").encode())
                    await answer(send, 303, b"", "text/plain", [to])
                    return
                if visit.user is None:
                    raise Refusal(401, "Sign in first: load the page again.", "sign-in")
            else:
                _by_cookie(scope, visit, cookie)
        if visit.user is not None:
            visit.owner = f"user:{visit.user}"
        await app(scope, receive, send)

    return asgi


def _by_key(scope: Scope, visit: Visit, keys: Keys | None) -> bool:
    given = header(scope, b"authorization")
    if keys is None or given is None:
        return False
    kind, _, key = given.partition(" ")
    user = keys(key.strip()) if kind.lower() == "bearer" else None
    if user is None:
        raise Refusal(401, "This API key is not valid.", "key")
    visit.user = user
    return True


def _by_proxy(visit: Visit) -> None:
    if visit.direct:
        raise Refusal(403, "This server is reached through its proxy only.", "proxy")
    try:
        visit.user = user_name(visit.claimed or "")
    except UsersError:
        raise Refusal(401, "The proxy did not say who you are. Sign in there.", "proxy") from None


def _by_cookie(scope: Scope, visit: Visit, cookie: Cookie) -> None:
    token = cookie.read(scope)
    if token is None and visit.route and visit.route.page:
        token, written = cookie.new(scope)
        visit.cookies.append(written)
    if token is not None:
        visit.owner = f"visit:{token}"
    elif not any(key in _BROWSERS for key, _ in scope["headers"]):
        visit.owner = f"address:{neighbourhood(visit.address)}"  # a program without cookies
    else:
        raise Refusal(
            403, "This visit has ended. Load the page again; it needs its cookie.", "no visit"
        )
