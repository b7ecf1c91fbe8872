"""What the tab *Compare* shows for the controls as they are: cards, pictures, parts below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from resnet.compare import DAMAGES, CompareError
from resnet.draw.pairs_compare import pairs_figure
from resnet.draw.parting_figure import parting_figure
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import compare_boxes, detect_source, messages
from resnet.ui import compare_numbers as work
from resnet.ui import compare_source as source
from resnet.ui.compare_box import box_html
from resnet.ui.compare_controls import Controls
from resnet.ui.compare_fetch import offer_of
from resnet.ui.compare_files import PROBLEMS, files_row, panel
from resnet.ui.compare_source import STREAMS, Asked, Slots
from resnet.ui.compare_view import EMPTY, Seen, card_html, differs, pictures_html
from resnet.ui.detect_view import plural
from resnet.ui.html import hidden, shown
from resnet.ui.inside_panel import HOWS

_JS = (Path(__file__).parent / "compare.js").read_text("utf-8")
_BLOCK = """
const choose = (event) => {
  const block = event.target.closest('[data-block]');
  if (!block) return;
  event.preventDefault();
  trigger('choose', {block: block.dataset.block});
};
element.addEventListener('click', choose);
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') choose(event);
});
"""
_BOX_WORDS = "Drag a box on the photo: what is in it gets covered. Or type its edges."


@dataclass(frozen=True)
class Parts:
    """The components below the controls."""

    problem: gr.HTML
    view: gr.HTML
    view_files: gr.Row
    pairs_part: gr.Column
    pairs: gr.HTML
    parting_part: gr.Column
    parting: gr.HTML
    how: gr.Radio
    channel: gr.Number
    raw: gr.Checkbox
    signals: gr.HTML
    boxes_part: gr.Column
    boxes: gr.HTML

    @property
    def foldable(self) -> list[Any]:
        """What is hidden while there is nothing to show in it."""
        return [self.view_files, self.pairs_part, self.parting_part, self.boxes_part]


def build_parts(engine: Engine, inputs: list[Any]) -> Parts:
    """Build them inside the current `gr.Blocks`.

    Args:
        inputs: what `Asked` holds, in its order.
    """

    def kept(make: Callable) -> Callable:
        """As a download calls it: with the controls' values."""
        return lambda *values: make(engine, Asked(*values))

    problem = gr.HTML("", visible=False, apply_default_css=False, elem_id="compare-message")
    view = gr.HTML(
        EMPTY, js_on_load=_JS, elem_id="compare-view", apply_default_css=False, min_height=260
    )
    view_files = files_row(
        "view", inputs, kept(work.picture_numbers), kept(work.picture_file), visible=False
    )
    with gr.Column(visible=False, elem_classes="compare-part") as pairs_part:
        gr.HTML("<h2>What both say</h2>", apply_default_css=False, elem_classes="heading")
        pairs = gr.HTML("", elem_id="compare-pairs", apply_default_css=False)
        files_row("pairs", inputs, kept(work.answers_numbers))
    with gr.Column(visible=False, elem_classes="compare-part") as boxes_part:
        gr.HTML("<h2>What is found where</h2>", apply_default_css=False, elem_classes="heading")
        boxes = gr.HTML("", elem_id="compare-boxes", apply_default_css=False)
        files_row("boxes", inputs, kept(compare_boxes.numbers))
    with gr.Column(visible=False, elem_classes="compare-part") as parting_part:
        gr.HTML("<h2>Where the two part</h2>", apply_default_css=False, elem_classes="heading")
        parting = gr.HTML("", js_on_load=_BLOCK, elem_id="compare-parting", apply_default_css=False)
        files_row("parting", inputs, kept(work.parting_numbers))
        with gr.Row(elem_classes="controls second"):
            how = gr.Radio(
                HOWS, value="mean", label="A point shows", elem_id="compare-how", scale=4,
                min_width=300,
            )  # fmt: skip
            channel = gr.Number(
                0, label="Channel", precision=0, minimum=0, visible=False, min_width=90, scale=1
            )
            raw = gr.Checkbox(False, label="Raw grid", min_width=110, scale=1)
        signals = gr.HTML("", elem_id="compare-signals", apply_default_css=False)
    return Parts(
        problem=problem, view=view, view_files=view_files, pairs_part=pairs_part, pairs=pairs,
        parting_part=parting_part, parting=parting, how=how, channel=channel, raw=raw,
        signals=signals, boxes_part=boxes_part, boxes=boxes,
    )  # fmt: skip


def show(engine: Engine, controls: Controls, parts: Parts, asked: Asked) -> dict[Any, Any]:
    """The whole tab but the signals and the measurements.

    Returns:
        updates for `controls.slots`, its cards, its fetch button and box, and for `parts`.
    """
    state = asked.slots
    offer = offer_of(engine.net, asked.weights_a, asked.weights_b)
    if not asked.path:
        nothing: dict[Any, Any] = dict.fromkeys(parts.foldable, gr.update(visible=False))
        return nothing | {
            controls.slots: Slots(other=state.other), parts.view: shown(EMPTY),
            parts.problem: hidden(), controls.boxed: hidden(),
            controls.card_a: card_html("A", None, ""), controls.card_b: card_html("B", None, ""),
            controls.fetch: offer,
        }  # fmt: skip
    if state.path != asked.path:  # another photo in A: a box was drawn on the one before
        earlier = state.path if state.path and asked.way != "photos" else state.other
        other = earlier if earlier != asked.path else ""
        state = replace(state, path=asked.path, box=None, other=other)
        asked = asked._replace(slots=state)
    found: dict[Any, Any] = {
        controls.slots: state, controls.fetch: offer, controls.boxed: _box(engine, asked)
    }  # fmt: skip
    try:
        if asked.way == "detectors":
            return found | _two_detectors(engine, controls, parts, asked)
        return found | _two_answers(engine, controls, parts, asked)
    except PROBLEMS as error:
        return found | _refuse(engine, controls, parts, asked, error)


def _two_answers(engine: Engine, controls: Controls, parts: Parts, asked: Asked) -> dict[Any, Any]:
    a, b = work.both(engine, asked)
    titles = differs(a.side, b.side)
    stream = asked.way in STREAMS
    answers = work.answers(a, b)
    words = [answers["sentence"].split(";")[0] + "."] if stream else []
    if asked.way == "damage":
        words.append(_damage_words(b))
    found: dict[Any, Any] = {
        parts.problem: hidden(),
        controls.card_a: card_html("A", a, titles[0]),
        controls.card_b: card_html("B", b, titles[1]),
        parts.view: shown(pictures_html(a, b, words)),
        parts.view_files: gr.update(visible=True),
        parts.pairs_part: gr.update(visible=stream),
        parts.parting_part: gr.update(visible=stream),
        parts.boxes_part: gr.update(visible=False),
    }
    if stream:
        drawn = parting_figure(work.parting(engine, a, b), asked.slots.block, buttons=True)
        found[parts.pairs] = panel("pairs", pairs_figure(answers, titles))
        found[parts.parting] = panel("parting", drawn)
    if asked.boxes and asked.way in STREAMS:
        found[parts.boxes_part] = gr.update(visible=True)
        try:
            found[parts.boxes] = compare_boxes.boxes_html(engine, asked)
        except PROBLEMS as error:
            words_for_it = messages.problem(str(error))
            found[parts.boxes] = f'<div class="boxes-none">{words_for_it}</div>'
    return found


def _two_detectors(
    engine: Engine, controls: Controls, parts: Parts, asked: Asked
) -> dict[Any, Any]:
    counts = [plural(len(each), "box") for each in compare_boxes.both(engine, asked)]
    names = [detect_source.title_of(name) for name in (asked.detector_a, asked.detector_b)]
    photo = engine.open(asked.path)
    cards = [
        card_html(letter, Seen(side, photo, None), name, count)
        for letter, side, name, count in zip(
            "AB", source.sides(engine, asked), names, counts, strict=True
        )
    ]
    return {
        parts.problem: hidden(), controls.card_a: cards[0], controls.card_b: cards[1],
        parts.view: hidden(), parts.view_files: gr.update(visible=False),
        parts.pairs_part: gr.update(visible=False), parts.parting_part: gr.update(visible=False),
        parts.boxes_part: gr.update(visible=True),
        parts.boxes: compare_boxes.boxes_html(engine, asked),
    }  # fmt: skip


def _refuse(
    engine: Engine, controls: Controls, parts: Parts, asked: Asked, error: Exception
) -> dict[Any, Any]:
    """What cannot be shown, in words; A's card stays, what was drawn before goes."""
    found: dict[Any, Any] = dict.fromkeys(parts.foldable, gr.update(visible=False))
    # Something still to be chosen or drawn is no fault.
    todo = isinstance(error, CompareError)
    words = messages.notes([str(error)]) if todo else messages.problem(str(error))
    found |= {parts.problem: shown(words), parts.view: hidden()}
    found[controls.card_b] = card_html("B", None, "", "Not filled yet: see below.")
    try:
        a, _ = source.sides(engine, asked._replace(way="weights"))
        seen = Seen(a, source.look(engine, a), None)
        found[controls.card_a] = card_html("A", seen, Path(a.photo).stem)
    except PROBLEMS:
        found[controls.card_a] = card_html("A", None, "", "Not filled yet: see below.")
    return found


def _box(engine: Engine, asked: Asked) -> dict:
    """The photo to draw a box on, where the damage needs one."""
    if asked.way != "damage" or DAMAGES[asked.damage].needs != "box":
        return hidden()
    try:
        analysis = engine.open(asked.path)
    except ImageError:
        return hidden()
    return shown(box_html(analysis, asked.slots.box, _BOX_WORDS))


def _damage_words(b: Seen) -> str:
    entry = DAMAGES[b.side.damage]
    words = f"{entry.title}: {entry.parameter(b.side.strength)}. {entry.note}"
    return f"{words} Seed {b.side.seed}." if b.side.damage == "noise" else words
