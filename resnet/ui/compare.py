"""Tab *Compare*: two answers side by side, so that the difference is seen, not searched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.events import Dependency

from resnet.compare import CompareError
from resnet.draw.parting_figure import parting_figure
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import compare_numbers as work
from resnet.ui import compare_source as source
from resnet.ui import messages
from resnet.ui.bench import Bench
from resnet.ui.classify import SharedPhoto
from resnet.ui.compare_box import drawn_box
from resnet.ui.compare_controls import Controls, arrange, arrange_boxes, build_controls
from resnet.ui.compare_files import PROBLEMS, panel, refused
from resnet.ui.compare_measure import measure_part
from resnet.ui.compare_show import build_parts, show
from resnet.ui.compare_source import STREAMS, Asked, Slots
from resnet.ui.compare_view import signals_html
from resnet.ui.examples import example_path, picked

_INTRO = (
    '<p class="lead">Two answers side by side: fill A and B with <b>one click</b>, drag the line '
    "between them, and see where the predictions, the heat maps and the signal through the "
    "blocks part.</p>"
)


@dataclass(frozen=True)
class ComparePart:
    """What other parts of the page need of the tab.

    Attributes:
        arranging: what an event's `success` takes, to show the controls of the way that is set.
    """

    controls: Controls
    arranging: dict[str, Any]


def compare_tab(engine: Engine, shared: SharedPhoto, tab: gr.Tab, bench: gr.State) -> ComparePart:
    """Build the tab inside the current `gr.Blocks`.

    Args:
        shared: the page's photo, which stands in A.
        tab: this tab; it is drawn when it is opened.
        bench: what the visitor has set on *Inside*: its cuts can stand in B.
    """
    net = engine.net
    gr.HTML(_INTRO, apply_default_css=False)
    controls = build_controls(net)
    slots = controls.slots
    inputs = [shared.source, *controls.asked, bench]
    parts = build_parts(engine, inputs)
    measuring = measure_part(engine, shared, slots, inputs)

    def draw(*values) -> dict[Any, Any]:
        return show(engine, controls, parts, Asked(*values))

    def show_signals(how: str, channel: float, raw: bool, *values):
        asked = Asked(*values)
        number = gr.update(visible=how == "channel")
        if not asked.path or asked.way not in STREAMS:
            return gr.skip(), number
        try:
            a, b = work.both(engine, asked)
            html = signals_html(a, b, asked.slots.block, how, int(channel or 0), raw)  # type: ignore[arg-type]
        except PROBLEMS as error:
            html = messages.problem(str(error))
        return html, number

    # What the visitor does.

    def on_way(way: str, boxes: bool, now: Bench, a: str, b: str) -> dict[Any, Any]:
        """One click fills B."""
        return arrange(controls, net, way, boxes, now, a, b)

    def on_boxes_too(way: str, boxes: bool) -> dict[Any, Any]:
        return arrange_boxes(controls, way, boxes)

    def on_strip_b(state: Slots, event: gr.EventData) -> Slots:
        path = example_path(str(event.file))
        return state if path is None else replace(state, other=str(path))

    # A refusal is raised, so that no drawing follows and takes the words away.
    def on_own(path: str | None) -> str | None:
        try:
            engine.open(path or "")
        except ImageError as error:
            raise refused(error) from error
        return path

    def on_own_b(state: Slots, path: str | None) -> Slots:
        try:
            engine.open(path or "")
        except ImageError as error:
            raise refused(error) from error
        return replace(state, other=str(path))

    def on_swap(path: str, state: Slots):
        """B's photo becomes the page's; A's goes to B."""
        if not path:
            raise refused(CompareError("Choose a photo for A first."))
        other = state.other or source.another(path)
        return other, replace(state, path=other, other=path, box=None)

    def on_box(path: str, state: Slots, event: gr.EventData) -> Slots:
        try:
            return replace(state, box=drawn_box(event, engine.open(path).photo.size))
        except PROBLEMS as error:
            raise gr.Error(str(error), title="No box", print_exception=False) from error

    def on_block(event: gr.EventData, *values):
        asked, name = Asked(*values), str(event.block)
        if name not in net.block_names or not asked.path:
            raise gr.Error("There is no such block.", print_exception=False)
        a, b = work.both(engine, asked)
        drawn = parting_figure(work.parting(engine, a, b), name, buttons=True)
        return replace(asked.slots, block=name), panel("parting", drawn)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    model: dict[str, Any] = {
        "concurrency_id": "model",
        "concurrency_limit": 2,
        "api_visibility": "private",
        "trigger_mode": "always_last",
    }
    drawing: dict[str, Any] = {
        "fn": draw,
        "inputs": inputs,
        "outputs": [
            slots, controls.card_a, controls.card_b, controls.boxed, controls.fetch,
            parts.problem, parts.view, parts.pairs, parts.parting, parts.boxes, *parts.foldable,
        ],
        "show_progress": "minimal",
        "show_progress_on": parts.view,
        **model,
    }  # fmt: skip
    signalling: dict[str, Any] = {
        "fn": show_signals,
        "inputs": [parts.how, parts.channel, parts.raw, *inputs],
        "outputs": [parts.signals, parts.channel],
        "show_progress": "hidden",
        **model,
    }

    def after(event: Dependency) -> Dependency:
        return event.success(**signalling).success(**measuring)

    def follow(event: Dependency) -> Dependency:
        return after(event.success(**drawing))

    arranging: dict[str, Any] = {
        "fn": on_way,
        "inputs": [controls.way, controls.boxes_too, bench, controls.weights_a, controls.weights_b],
        "outputs": controls.arranged,
        **quiet,
    }
    photo = shared.photo
    after(tab.select(**drawing))
    follow(controls.way.input(**arranging))
    follow(shared.follow(controls.strip_a.pick(picked, None, photo, **quiet)))
    follow(shared.follow(controls.own_a.upload(on_own, controls.own_a, photo, **quiet)))
    follow(controls.strip_b.pick(on_strip_b, slots, slots, **quiet))
    follow(controls.own_b.upload(on_own_b, [slots, controls.own_b], slots, **quiet))
    swapped = controls.swap.click(on_swap, [shared.source, slots], [photo, slots], **quiet)
    follow(shared.follow(swapped))
    # One listener for all: a late answer to an early change cannot overtake the last one.
    choices = [c for c in controls.asked if c not in (slots, controls.way)]
    after(gr.on([choice.input for choice in choices], **drawing))
    controls.boxes_too.input(
        on_boxes_too, [controls.way, controls.boxes_too],
        [controls.boxes_too, controls.detector_a, controls.score], **quiet,
    )  # fmt: skip
    follow(controls.boxed.draw(on_box, [shared.source, slots], slots, **quiet))
    follow(controls.fetched)
    parts.parting.choose(on_block, inputs, [slots, parts.parting], **quiet).success(**signalling)
    gr.on([parts.how.input, parts.channel.input, parts.raw.input], **signalling)
    return ComparePart(controls, arranging)
