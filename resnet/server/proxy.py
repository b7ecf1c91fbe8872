"""What a reverse proxy says about a request, believed only if it is a trusted one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from resnet.server.settings import Network, Settings
from resnet.server.visit import Scope, header, visit_of, without_headers

# Gradio believes these from anybody; after this middleware nobody downstream sees them.
_CLAIMS = (
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
    b"x-forwarded-port", b"x-forwarded-prefix", b"x-forwarded-server", b"x-real-ip",
    b"x-gradio-server", b"x-original-url", b"x-rewrite-url", b"x-request-id",
)  # fmt: skip
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def proxied(app, settings: Settings):
    """Set address, scheme and host from a trusted proxy's headers, and drop the headers.

    With `settings.auth_header` the visit's `claimed` is the user that the proxy names.
    """
    trusted = settings.proxies
    user_header = settings.auth_header.lower().encode()

    async def asgi(scope: Scope, receive, send) -> None:
        visit = visit_of(scope)
        visit.address = (scope.get("client") or ("", 0))[0]
        if within(visit.address, trusted):
            visit.direct = False
            _believe(scope, trusted)
            if user_header:
                visit.claimed = header(scope, user_header)
        drop = (*_CLAIMS, user_header) if user_header else _CLAIMS
        without_headers(scope, drop)
        await app(scope, receive, send)

    return asgi


def _believe(scope: Scope, trusted: Sequence[Network]) -> None:
    visit = visit_of(scope)
    hops = [
        part.strip()
        for key, value in scope["headers"]
        if key == b"x-forwarded-for"
        for part in value.decode("latin-1").split(",")
    ]
    for hop in reversed(hops):  # the nearest first: what lies behind a stranger is hearsay
        address = _address(hop)
        if address is None:
            break
        visit.address = address
        if not within(address, trusted):
            break
    scope["client"] = (visit.address, 0)
    if (scheme := header(scope, b"x-forwarded-proto")) in ("http", "https"):
        scope["scheme"] = scheme
    if (host := header(scope, b"x-forwarded-host")) and _HOST.fullmatch(host):
        without_headers(scope, (b"host",))
        scope["headers"].append((b"host", host.encode()))
    if (request := header(scope, b"x-request-id")) and _REQUEST_ID.fullmatch(request):
        visit.id = request


def within(address: str, nets: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; False for what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in net for net in nets)


def _address(text: str) -> str | None:
    text = text.strip('"')
    if match := re.fullmatch(r"\[(.+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+", text):
        text = match[1] or match[2]  # some proxies write the port as well
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def neighbourhood(address: str) -> str:
    """What one visitor has: an IPv4 address, or the /64 of an IPv6 one; for counting."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
