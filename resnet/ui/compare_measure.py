"""The lower part of *Compare*: what is measured on A, one thing at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from resnet.compare import DAMAGES
from resnet.engine import Engine
from resnet.ui import measure_view as view
from resnet.ui import measure_work as work
from resnet.ui import messages
from resnet.ui.background import watched
from resnet.ui.batch_run import Stops
from resnet.ui.classify import SharedPhoto
from resnet.ui.compare_box import box_html, box_input, drawn_box
from resnet.ui.compare_files import PROBLEMS, files_row
from resnet.ui.compare_source import Asked, Slots
from resnet.ui.html import hidden, shown
from resnet.ui.measure_work import KINDS, STEPS, Subject

_BOX = {
    "sweep": "Drag a box on the photo: what is in it gets covered, from its middle on.",
    "pointing": "Drag a box around the thing on the photo, or type its edges.",
}


def measure_part(
    engine: Engine, shared: SharedPhoto, slots: gr.State, controls: Sequence[Any]
) -> dict[str, Any]:
    """Build the part inside the current `gr.Blocks`.

    Args:
        controls: what `Asked` holds, in its order.

    Returns:
        What an event's `success` takes, to have the part follow A.
    """
    stops = Stops()
    running: dict[str, tuple] = {}  # session -> what is measured there
    gr.HTML("<h2>Measure A</h2>", apply_default_css=False, elem_classes="heading")
    which = gr.Radio(
        [(title, name) for name, title in KINDS.items()], value="sweep", show_label=False,
        container=False, elem_id="compare-which",
    )  # fmt: skip
    words = gr.HTML(view.hint("sweep"), apply_default_css=False)
    boxed = box_input("measure-box")
    with gr.Row(elem_classes="presets", elem_id="measure-row"):
        damage = gr.Dropdown(
            [(entry.title, name) for name, entry in DAMAGES.items()], value="noise",
            show_label=False, container=False, filterable=False, elem_id="sweep-damage",
            min_width=200, scale=0,
        )  # fmt: skip
        start = gr.Button("Measure", variant="primary", size="sm", elem_id="compare-start", scale=0)
        stop = gr.Button("Stop", size="sm", elem_id="compare-stop", scale=0, visible=False)
    figure = gr.HTML("", visible=False, elem_id="compare-measured", apply_default_css=False)
    with gr.Row(elem_classes="controls second", visible=False) as step_row:
        step = gr.Slider(
            1, STEPS, 1, step=1, label="Step", elem_id="measure-step", buttons=[], min_width=260
        )
    picture = gr.HTML("", visible=False, elem_id="measure-picture", apply_default_css=False)
    inputs = [which, damage, step, *controls]

    def of_one(kind: str, harm: str, of: Subject, asked: Asked) -> tuple:
        return (of.side.photo, *work.name_of(kind, harm, of, asked))

    def refresh(kind: str, harm: str, at: float, request: gr.Request, *values) -> dict[Any, Any]:
        """The part for A as it is now: what is known of it, what is under way, what to press."""
        asked = Asked(*values)
        session = str(request.session_hash)
        needs_box = kind == "pointing" or (kind == "sweep" and DAMAGES[harm].needs == "box")
        found: dict[Any, Any] = {
            words: view.hint(kind),
            damage: gr.update(visible=kind == "sweep"),
            start: gr.update(value="Measure" if kind != "pointing" else "Add the slow methods",
                             visible=bool(asked.path)),
            stop: gr.update(visible=False), boxed: hidden(), figure: hidden(), picture: hidden(),
            step_row: gr.update(visible=False), files: gr.update(visible=False),
        }  # fmt: skip
        now = running.get(session)
        if not asked.path:
            leave(session, now)
            return found
        try:
            of = work.subject(engine, asked)
            if now == of_one(kind, harm, of, asked):
                return {words: view.hint(kind), damage: gr.update(visible=kind == "sweep")}
            leave(session, now)
            if needs_box:
                found[boxed] = shown(box_html(of.analysis, asked.slots.box, _BOX[kind]))
            result = work.known(engine, kind, harm, of, asked)
            if result is not None:
                found |= everything(kind, result, int(at) - 1, of, asked)
        except PROBLEMS as error:
            found[figure] = shown(messages.problem(str(error)))
        return found

    def leave(session: str, now: tuple | None) -> None:
        """Nobody looks at what is measured: it ends, and writes no more over the page."""
        if now is not None:
            running.pop(session, None)
            stops.stop(session)

    def everything(kind: str, result: Any, at: int, of: Subject, asked: Asked) -> dict[Any, Any]:
        """A finished measurement on the page."""
        if not getattr(result, "complete", True) and not view.has_any(result):
            return {figure: shown(messages.notes([result.sentence]))}
        # What was stopped early is shown, not kept: there is nothing to take away.
        found: dict[Any, Any] = {files: gr.update(visible=bool(getattr(result, "complete", True)))}
        count = view.steps(kind, result)
        at = min(max(at, 0), max(count - 1, 0))
        found[figure] = shown(view.drawn(kind, result, at))
        if count:
            found[step_row] = gr.update(visible=True)
            name = "Step of the sweep" if kind == "sweep" else "Point of the curves"
            found[step] = gr.update(maximum=count, value=at + 1, label=name)
            found[picture] = shown(view.pictures(engine, kind, result, at, of, asked))
        return found

    def measure(
        kind: str, harm: str, at: float, request: gr.Request, *values
    ) -> Iterator[dict[Any, Any]]:
        """The whole measurement, as news for the page."""
        asked = Asked(*values)
        session = str(request.session_hash)
        event = stops.begin(session)
        mine: tuple = ()
        try:
            of = work.subject(engine, asked)
            mine = running[session] = of_one(kind, harm, of, asked)
            yield {
                start: gr.update(visible=False), stop: gr.update(visible=True),
                figure: shown(view.bar(0, 1)), picture: hidden(),
                step_row: gr.update(visible=False), files: gr.update(visible=False),
            }  # fmt: skip
            so_far: list[Any] = []  # the work's own thread puts it there
            doing = work.work_of(engine, kind, harm, of, asked, so_far.append)
            result: Any = None
            for news in watched(lambda p, c: doing(p, lambda: c() or event.is_set())):
                if running.get(session) != mine:
                    return
                if isinstance(news, tuple):
                    rows = view.so_far(so_far[-1] if so_far else None)
                    yield {figure: shown(view.bar(*news) + rows)}
                else:
                    result = news
            if getattr(result, "complete", True) and kind != "pointing":
                name = work.name_of(kind, harm, of, asked)
                engine.figure(of.side.photo, name, lambda _: result)
            yield everything(kind, result, int(at) - 1, of, asked) | _idle(start, stop)
        except PROBLEMS as error:
            yield {figure: shown(messages.problem(str(error)))} | _idle(start, stop)
        finally:
            stops.end(session, event)
            if running.get(session) == mine:
                del running[session]

    def on_stop(request: gr.Request):
        if stops.stop(str(request.session_hash)):
            return shown('<p class="figure-progress" role="status">Stopping …</p>')
        return gr.skip()

    def on_box(path: str, state: Slots, event: gr.EventData) -> Slots:
        try:
            return replace(state, box=drawn_box(event, engine.open(path).photo.size))
        except PROBLEMS as error:
            raise gr.Error(str(error), title="No box", print_exception=False) from error

    def numbers(kind: str, harm: str, at: float, *values) -> tuple[dict, list[dict]]:
        return work.numbers(engine, kind, harm, Asked(*values))

    files = files_row("measured", inputs, numbers, visible=False, stem=lambda kind, *_: kind)
    outputs = [words, damage, start, stop, boxed, figure, picture, step_row, step, files]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    following: dict[str, Any] = {
        "fn": refresh,
        "inputs": inputs,
        "outputs": outputs,
        "concurrency_id": "model",
        "concurrency_limit": 2,
        "trigger_mode": "always_last",
        **quiet,
    }
    gr.on([which.input, damage.input, step.input], **following)
    boxed.draw(on_box, [shared.source, slots], slots, **quiet).success(**following)
    start.click(
        measure, inputs, [start, stop, figure, picture, step_row, step, files],
        concurrency_id="long", concurrency_limit=2, **quiet,
    )  # fmt: skip
    stop.click(on_stop, None, figure, **quiet)
    return following


def _idle(start: gr.Button, stop: gr.Button) -> dict:
    return {start: gr.update(visible=True), stop: gr.update(visible=False)}
