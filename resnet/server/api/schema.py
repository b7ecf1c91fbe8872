"""The OpenAPI document of the API, and the same as a page for people, which asks no other host."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute

from resnet.server.api.problems import KIND
from resnet.server.routes import API
from resnet.server.settings import Settings

_ABOUT = (
    "Send a photo, get an answer. A photo is deleted as soon as it is answered. Errors are "
    "RFC 9457 problem details: `detail` is a sentence for people, `reason` a word for programs."
)
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "reason", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong and what to do"},
        "reason": {"type": "string", "description": "a word for programs"},
        "instance": {"type": "string", "description": "this request, as the server's log has it"},
    },
}
_ERROR = {
    "description": "A problem.",
    "content": {KIND: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def document(routes: Sequence[BaseRoute], settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of the verbs' routes."""
    found = get_openapi(
        title="What a ResNet-50 sees", version="1", description=_ABOUT, routes=routes,
        servers=[{"url": settings.prefix or "/"}],
    )  # fmt: skip
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # ours are problems
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for path in found["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            answers.pop("422", None)
            answers["default"] = _ERROR
    if settings.auth:
        key = {"type": "http", "scheme": "bearer", "description": "python -m resnet user key NAME"}
        found["components"]["securitySchemes"] = {"key": key}
        found["security"] = [{"key": []}]
    return found


def describe(verbs: APIRouter, settings: Settings) -> APIRouter:
    """The routes of the document and of the page."""
    found = APIRouter()
    made: dict[str, Any] = {}

    def whole() -> dict[str, Any]:
        if not made:  # names have their prefix only now
            made.update(document(_prefixed(verbs), settings))
        return made

    async def schema(request: Request) -> Response:
        return JSONResponse(whole())

    async def docs(request: Request) -> Response:
        page = docs_html(whole(), settings)
        return HTMLResponse(page, headers={"content-security-policy": _POLICY})

    found.add_route("/openapi.json", schema, ["GET", "HEAD"])
    found.add_route("/docs", docs, ["GET", "HEAD"])
    return found


def _prefixed(verbs: APIRouter) -> Sequence[BaseRoute]:
    outer = APIRouter()
    outer.include_router(verbs, prefix=API)
    return outer.routes


_STYLE = (
    ":root{color-scheme:light dark;--ink:#1d232c;--soft:#5a6473;--paper:#f4f5f7;--card:#fff;"
    "--line:#d8dce2;--accent:#1f5fbf;--code:#eef1f5}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a3adba;--paper:#14171c;"
    "--card:#1c2027;--line:#3a414c;--accent:#8ab4f8;--code:#262c35}}"
    "*{box-sizing:border-box}body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);"
    "background:var(--paper);margin:0}main{max-width:54rem;margin:0 auto;padding:2rem 1rem 4rem}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:0 0 .3rem}p{margin:.4rem 0 .8rem}"
    "a{color:var(--accent)}section{background:var(--card);border:1px solid var(--line);"
    "border-radius:8px;padding:1rem 1.2rem;margin:1rem 0}"
    "code,pre{font:13px/1.5 ui-monospace,monospace;background:var(--code);border-radius:4px}"
    "code{padding:.1rem .3rem}pre{padding:.7rem .9rem;overflow-x:auto;margin:.6rem 0 0}"
    "pre code{padding:0}.verb{color:var(--soft);font-weight:400}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}"
    "th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-top:1px solid var(--line);"
    "vertical-align:top}th{color:var(--soft);font-weight:500;border:0}.soft{color:var(--soft)}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def docs_html(found: dict[str, Any], settings: Settings) -> str:
    """The document as a page of plain HTML."""
    key = ' -H "Authorization: Bearer $KEY"' if settings.auth else ""
    if settings.auth:
        who = (
            "Programs send an API key, which whoever runs the server makes with "
            "<code>python -m resnet user key NAME</code>; in a browser the sign-in will do."
        )
    else:
        who = "This server asks nobody to sign in."
    parts = [
        _section(found, path, operation, key)
        for path, methods in found["paths"].items()
        for operation in methods.values()
    ]
    about = escape(_ABOUT).replace("`detail`", "<code>detail</code>")
    about = about.replace("`reason`", "<code>reason</code>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>HTTP API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>HTTP API</h1><p>{about}</p><p>{who} "
        'The same for programs: <a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(parts)}</main></body></html>"
    )


def _section(found: dict[str, Any], path: str, operation: dict[str, Any], key: str) -> str:
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    form = found["components"]["schemas"][form["$ref"].rpartition("/")[2]]
    photos = [name for name in form["properties"] if name in form.get("required", ())]
    content = operation["responses"]["200"]["content"]
    kinds = " or ".join(f"<code>{escape(kind)}</code>" for kind in content)
    answer = content["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
    fields = ", ".join(
        f"<code>{escape(name)}</code>"
        for name in found["components"]["schemas"].get(answer, {}).get("properties", {})
    )
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td>"
        f"<td>{escape(entry.get('description', ''))}</td>"
        f"<td>{_default(entry, name in photos)}</td></tr>"
        for name, entry in form["properties"].items()
    )
    files = {"b": "dog.jpg"}
    given = " ".join(f"-F {name}=@{files.get(name, 'cat.jpg')}" for name in photos)
    return (
        f'<section id="{operation["operationId"]}"><h2><span class="verb">POST</span> '
        f"{escape(path)}</h2><p>{escape(operation.get('description', ''))}</p>"
        '<div class="scroll"><table><tr><th>field</th><th>what</th><th>default</th></tr>'
        f'{rows}</table></div><p class="soft">Answers {kinds}: {fields}.</p>'
        f"<pre><code>curl{escape(key)} {given} URL{escape(path)}</code></pre></section>"
    )


def _default(entry: dict[str, Any], required: bool) -> str:
    if required:
        return "needed"
    value = entry.get("default")
    return f"<code>{escape(str(value))}</code>" if value not in ("", None) else ""
