"""What the server knows about one request while it is answered, and how it refuses one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet.server.routes import Route

Scope = MutableMapping[str, Any]
KEY = "resnet.visit"  # in the ASGI scope


@dataclass
class Visit:
    """One request.

    Attributes:
        id: of the request, in the log and in the answer's `X-Request-ID`.
        address: the visitor's, believed: from the connection or from a trusted proxy.
        direct: whether it came without a trusted proxy.
        owner: whose files, jobs and sessions it may touch: "user:anna" or "visit:…"; "" before it
            is known, and on routes that belong to nobody.
        user: the name signed in with; None in open mode.
        claimed: the user that a trusted proxy named; None if it named none.
        route: None until found, and on requests that are refused before.
        cookies: `Set-Cookie` values to send with the answer.
        refused: why, as the metrics count it; "" if it was not.
        over: why what it asked for should end now, a sentence; "" while it should not.
    """

    id: str
    address: str = ""
    direct: bool = True
    owner: str = ""
    user: str | None = None
    claimed: str | None = None
    route: Route | None = None
    cookies: list[str] = field(default_factory=list)
    refused: str = ""
    over: str = ""


def visit_of(scope: Mapping[str, Any]) -> Visit:
    """The visit of an ASGI scope, or of a `gr.Request`'s `request.scope` in a callback."""
    return scope[KEY]


class Refusal(Exception):
    """An answer that ends a request: a status and a sentence for the visitor.

    Args:
        status: of HTTP.
        sentence: what is wrong and what to do; ends up on the visitor's screen.
        reason: one word for the metrics.
        retry: seconds after which it may go better; None says nothing about it.
    """

    def __init__(self, status: int, sentence: str, reason: str, retry: float | None = None):
        super().__init__(sentence)
        self.status, self.sentence, self.reason, self.retry = status, sentence, reason, retry


STOPPING = "The server is being restarted. Try again in a minute."
NOT_FOUND = "There is nothing at this address."


def not_found() -> Refusal:
    """The same for what does not exist and for what belongs to somebody else."""
    return Refusal(404, NOT_FOUND, "not found")


def header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """The value of a header that stands once; None if it is absent or stands several times."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


def without_headers(scope: Scope, names: Iterable[bytes]) -> None:
    """Take headers out of a scope."""
    gone = set(names)
    scope["headers"] = [(key, value) for key, value in scope["headers"] if key not in gone]


async def answer(
    send,
    status: int,
    body: bytes,
    kind: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer."""
    head = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*head, *headers]})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Mapping[str, Any], send, refusal: Refusal) -> None:
    """Answer with a refusal, in the form that the route's callers read."""
    visit = visit_of(scope)
    visit.refused = refusal.reason
    shape = visit.route.shape if visit.route else "text"
    headers = [(b"cache-control", b"no-store")]
    if refusal.retry is not None:
        headers.append((b"retry-after", str(max(1, round(refusal.retry))).encode()))
    if refusal.status == 405 and visit.route:
        headers.append((b"allow", ", ".join(visit.route.methods).encode()))
    if refusal.status == 413 or refusal.status == 408:
        headers.append((b"connection", b"close"))  # the rest of the body is not wanted
    if shape == "json":  # the page shows `detail`
        kind, text = "application/json", json.dumps({"detail": refusal.sentence})
    elif shape == "problem":  # RFC 9457
        kind, text = "application/problem+json", json.dumps(problem(refusal, visit.id))
    elif shape == "html":
        kind, text = "text/html; charset=utf-8", _page(refusal.sentence)
    else:
        kind, text = "text/plain; charset=utf-8", refusal.sentence
    body = b"" if scope["method"] == "HEAD" else text.encode()
    await answer(send, refusal.status, body, kind, headers)


def problem(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """RFC 9457 problem details of a refusal."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.sentence,
        "reason": refusal.reason,
        "instance": f"urn:request:{request_id}",
    }


def _page(sentence: str) -> str:
    said = escape(sentence)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>ResNet-50</title>'
        f'<body><p>{said}</p><p><a href="./">To the page</a></p></body></html>'
    )
