"""What goes wrong before a verb runs, as RFC 9457 problem details."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from resnet.server.visit import Refusal, problem, visit_of

KIND = "application/problem+json"


def install(app: FastAPI) -> None:
    """Have the app answer its own refusals so; ours are answered by `logs.observed`."""

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _answer(request, Refusal(422, sentence(error), "option"))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = "This form is damaged." if error.status_code == 400 else str(error.detail)
        return _answer(request, Refusal(error.status_code, words, "request"))

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)


def sentence(error: RequestValidationError) -> str:
    """The first thing that is wrong with a form; what was sent is not repeated."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if first["type"] == "missing":
        return f"“{name}” is missing from the form."
    return f"“{name}”: {first['msg']}."


def _answer(request: Request, refusal: Refusal) -> Response:
    visit = visit_of(request.scope)
    visit.refused = refusal.reason
    found = problem(refusal, visit.id) | {"title": HTTPStatus(refusal.status).phrase}
    return JSONResponse(found, refusal.status, media_type=KIND)
