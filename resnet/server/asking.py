"""For whom the present thread works, and whether anybody still waits for it.

The engine asks before each turn at the network: so it can be fair between users, and a job whose
time is over, or whose visitor has left, ends there and frees its place.
"""

from __future__ import annotations

from contextvars import ContextVar

from resnet.server.visit import KEY, Refusal, Visit

LEFT = "The visitor has left."
_API: ContextVar[Visit | None] = ContextVar("visit", default=None)


def begin(visit: Visit) -> None:
    """What this task and its threads do from now on is for this request to the HTTP API."""
    _API.set(visit)


def asking() -> str:
    """The owner that the present thread works for; "" for the server itself.

    Raises:
        Refusal, or gr.Error in a job of the page: it should stop.
    """
    visit = _API.get()
    if visit is not None:
        if visit.over:
            raise Refusal(503, visit.over, "time")
        return visit.owner
    visit = _of_job()
    if visit is None:
        return ""
    if visit.over:
        import gradio as gr

        raise gr.Error(visit.over, title="Stopped", print_exception=False)
    return visit.owner


def _of_job() -> Visit | None:
    from gradio.context import LocalContext  # set by Gradio around each callback

    request = getattr(LocalContext.request.get(None), "request", None)
    return getattr(request, "scope", {}).get(KEY)
