"""Whether a request was meant for this server, and comes from its own page."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from resnet.server.settings import Settings
from resnet.server.visit import Refusal, Scope, header, visit_of

SAFE = ("GET", "HEAD", "OPTIONS")


def known_host(app, settings: Settings):
    """Refuse host names that are not ours: a stranger's name may point at our address.

    Addresses are taken as they are: they cannot be pointed elsewhere.  Our own names are those
    in the settings, that of `root_path`, localhost, and what the machine calls itself.
    """
    names = {name.lower() for name in settings.hosts} | {"localhost"}
    if settings.root_path.startswith("http"):
        names.add(urlsplit(settings.root_path).hostname or "")
    if not settings.hosts:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def asgi(scope: Scope, receive, send) -> None:
        route = visit_of(scope).route
        if route is not None and route.probe:
            await app(scope, receive, send)
            return
        host = header(scope, b"host")
        name = _host_name(host) if host else ""
        if name not in names and not _is_address(name):
            raise Refusal(
                421,
                "This server does not answer to that host name. "
                "Whoever runs it can allow the name with --hosts.",
                "host",
            )
        await app(scope, receive, send)

    return asgi


def own_page(app, settings: Settings):
    """Refuse what another site's page sends in the visitor's name.

    Cookies are `SameSite=Lax`, but other ports of the same host are the same site.  Browsers say
    where a request comes from; programs say nothing, and have no cookie to lose.
    """
    listed = set(settings.cors_origins)

    async def asgi(scope: Scope, receive, send) -> None:
        visit = visit_of(scope)
        reading = scope["method"] in SAFE
        origins = [value for key, value in scope["headers"] if key == b"origin"]
        origin = origins[0].decode("latin-1") if origins else None
        # A browser names its origin with every POST; without one this is a link or a program.
        if origin is not None and origin not in listed:
            foreign = len(origins) > 1 or urlsplit_host(origin) != header(scope, b"host")
            if foreign and not (reading and visit.route and visit.route.page):
                raise _foreign()
        site = header(scope, b"sec-fetch-site")
        from_elsewhere = site not in (None, "same-origin", "none") and origin not in listed
        if from_elsewhere and not (reading and visit.route and visit.route.page):
            raise _foreign()
        await app(scope, receive, send)

    return asgi


def urlsplit_host(origin: str) -> str:
    """`host[:port]` of an origin as browsers write it; "" for "null"."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc if parts.scheme in ("http", "https") else ""


def _foreign() -> Refusal:
    return Refusal(403, "This request was sent by another site's page, and is refused.", "origin")


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
