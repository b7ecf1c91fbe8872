"""How the server is doing, in words and small charts; on the tab *About*."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Protocol

import gradio as gr

from resnet.draw.trend_figure import trend_figure

_TRENDS = (
    ("jobs", "Jobs done a minute", ""),
    ("waiting", "Jobs waiting", ""),
    ("memory, MB", "Memory held", "MB"),
)
_HEADING = "<h3>How the server is doing</h3>"
_CLOSED = f'{_HEADING}<p class="hint">This is shown to those who run the server.</p>'


class Watched(Protocol):
    """What the panel asks; `resnet.server.status.Status` is one."""

    def may_see(self, scope: Mapping[str, Any]) -> bool: ...

    def signed_in(self, scope: Mapping[str, Any]) -> str | None: ...

    def figures(self) -> Mapping[str, Any]: ...


def status_panel(status: Watched, tab: gr.Tab) -> None:
    """Build the panel inside the current `gr.Blocks`; it is filled when the tab is opened."""
    panel = gr.HTML("", apply_default_css=False, elem_id="status")
    again = gr.Button("Look again", size="sm", elem_id="status-again", scale=0, min_width=140)

    def look(request: gr.Request):
        scope = getattr(request.request, "scope", {})
        user = who_html(status.signed_in(scope))
        if not status.may_see(scope):
            return user + _CLOSED, gr.update(visible=False)
        found = status.figures()
        others = max(0, found["running"] - 1) if found else 0  # this look is a job as well
        return user + status_html({**found, "running": others} if found else {}), gr.skip()

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on([tab.select, again.click], look, None, [panel, again], **quiet)


def who_html(name: str | None) -> str:
    """Who has signed in, and the way out; "" for nobody."""
    if name is None:
        return ""
    said = f"You are signed in as <b>{escape(name)}</b>."
    return f'<p class="signed-in">{said} <a href="logout" target="_self">Sign out</a></p>'


def status_html(found: Mapping[str, Any]) -> str:
    """The words and the charts for `Status.figures()`."""
    if not found:
        return f'{_HEADING}<p class="hint">Nothing is known yet.</p>'
    rows = "".join(f"<tr><th>{name}</th><td>{said}</td></tr>" for name, said in _rows(found))
    history = found["history"]
    charts = "".join(
        trend_figure(title, history.get(name, ()), unit) for name, title, unit in _TRENDS
    )
    return (
        f'{_HEADING}<div class="status"><p>{_sentence(found)}</p>'
        f'<div class="status-charts">{charts}</div>'
        f'<table class="status-table">{rows}</table></div>'
    )


def _sentence(found: Mapping[str, Any]) -> str:
    jobs, waiting = found["jobs"], found["waiting"]
    said = f"Up for {_long(found['up, s'])}. {_count(found['visitors'], 'visitor')} with a photo "
    said += f"or an open page; {_count(found['running'], 'job')} running, {waiting} waiting. "
    failed = f", {jobs['failed']:.0f} failed" if jobs["failed"] else ", none failed"
    return said + f"{_count(int(jobs['done']), 'job')} done so far{failed}."


def _rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    times, stages = found["times"], found["stages"]
    free = found["memory free, MB"]
    kept = found["cache"]
    asked = sum(kept.values())
    return [
        ("A job waits", _seconds(times["wait"])),
        ("A job takes", _seconds(times["job"])),
        ("Steps", _listed((name, f"{s['ms']:,.0f} ms") for name, s in stages.items())),
        ("Passes", _listed((f"of {size}:", f"{n:,}") for size, n in found["batches"].items())),
        ("Answers from memory", f"{kept.get('hit', 0):,.0f} of {asked:,.0f}" if asked else "–"),
        (
            "Requests by status",
            _listed((f"{k}:", f"{n:,.0f}") for k, n in found["requests"].items()),
        ),
        ("Refused", _listed((f"{k}:", f"{n:,.0f}") for k, n in found["refused"].items())),
        ("Photos kept", f"{found['photos']:,}, {found['photos, MB']:,.1f} MB"),
        ("Disk left", _megabytes(found["disk free, MB"])),
        ("Memory", f"{_megabytes(found['memory, MB'])} held, {_megabytes(free)} left"),
    ]


def _listed(pairs: Any) -> str:
    return " · ".join(f"{escape(str(name))} {escape(said)}" for name, said in pairs) or "none"


def _counted(found: Mapping[str, float]) -> str:
    return _listed((f"{name}:", f"{number:,.0f}") for name, number in found.items())


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    words = f"{value:.2f} s" if value >= 0.1 else f"{1000 * value:.1f} ms"
    return f"{words}, median of the last 200"


def _megabytes(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value / 1024:,.1f} GB" if value >= 1024 else f"{value:,.0f} MB"


def _long(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 2:
        return f"{seconds:.0f} seconds"
    if minutes < 120:
        return f"{minutes} minutes"
    hours = minutes // 60
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"
