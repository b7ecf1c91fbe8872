"""Tab *Compare*: two answers side by side, so that the difference is seen, not searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from resnet import cam
from resnet.compare import (
    DAMAGES,
    WAYS,
    CompareError,
    Side,
)
from resnet.draw.pairs_compare import pairs_figure
from resnet.draw.parting_figure import parting_figure
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import compare_numbers as work
from resnet.ui import compare_source as source
from resnet.ui import detect_source, messages
from resnet.ui.bench import Bench
from resnet.ui.classify import SharedPhoto
from resnet.ui.compare_box import box_html, box_input, drawn_box
from resnet.ui.compare_fetch import choices, fetch_offer, offer_of
from resnet.ui.compare_files import PROBLEMS, files_row, panel, refused
from resnet.ui.compare_measure import measure_part
from resnet.ui.compare_source import ANSWER_OF_A, FROM_INSIDE, OWN_ANSWERS, Asked, Slots
from resnet.ui.compare_view import (
    EMPTY,
    Seen,
    card_html,
    differs,
    pictures_html,
    signals_html,
)
from resnet.ui.detect_view import plural
from resnet.ui.examples import example_path, example_strip, picked
from resnet.ui.html import hidden, shown
from resnet.ui.inside_panel import HOWS
from resnet.ui.photo_button import PhotoButton
from resnet.ui.switchboard import PRESETS

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
_INTRO = (
    '<p class="lead">Two answers side by side: fill A and B with <b>one click</b>, drag the line '
    "between them, and see where the predictions, the heat maps and the signal through the "
    "blocks part.</p>"
)
_BOX_WORDS = "Drag a box on the photo: what is in it gets covered. Or type its edges."
STREAMS = ("photos", "weights", "damage", "cuts")  # ways whose answers and streams may differ


def compare_tab(engine: Engine, shared: SharedPhoto, tab: gr.Tab, bench: gr.State) -> None:
    """Build the tab inside the current `gr.Blocks`.

    Args:
        shared: the page's photo, which stands in A.
        tab: this tab; it is drawn when it is opened.
        bench: what the visitor has set on *Inside*: its cuts can stand in B.
    """
    net = engine.net
    own = net.spec.name
    slots = gr.State(Slots())
    gr.HTML(_INTRO, apply_default_css=False)
    way = gr.Radio(
        [(entry.title, name) for name, entry in WAYS.items()], value="damage", show_label=False,
        container=False, elem_id="compare-way",
    )  # fmt: skip
    with gr.Row(elem_id="compare-slots"):
        with gr.Column(min_width=320):
            card_a = gr.HTML(card_html("A", None, ""), apply_default_css=False, elem_id="slot-a")
            with gr.Row(elem_classes="slot-photos"):
                strip_a = example_strip("slot-a-examples")
                own_a = PhotoButton(
                    "Your photo", file_types=["image"], size="sm", elem_id="slot-a-upload",
                    scale=0, min_width=100,
                )  # fmt: skip
            with gr.Row(elem_classes="controls"):
                weights_a = gr.Dropdown(
                    choices(net), value=own, label="Weights of A", filterable=False,
                    elem_id="weights-a", min_width=150,
                )  # fmt: skip
                method_a = _methods("Heat map", "method-a")
                detector_a = _detectors("Detector of A", "detector-a")
        with gr.Column(min_width=320):
            card_b = gr.HTML(card_html("B", None, ""), apply_default_css=False, elem_id="slot-b")
            note = gr.HTML(
                _note("damage"), apply_default_css=False, elem_id="compare-note", min_height=44
            )
            with gr.Row(elem_classes="slot-photos", visible=False) as photos_b:
                strip_b = example_strip("slot-b-examples")
                own_b = PhotoButton(
                    "Your photo", file_types=["image"], size="sm", elem_id="slot-b-upload",
                    scale=0, min_width=100,
                )  # fmt: skip
                swap = gr.Button("Swap", size="sm", elem_id="compare-swap", scale=0, min_width=70)
            with gr.Row(elem_classes="controls"):
                weights_b = gr.Dropdown(
                    choices(net), value=own, label="Weights of B", filterable=False,
                    elem_id="weights-b", min_width=150,
                )  # fmt: skip
                method_b = _methods("Heat map of B", "method-b", "eigencam", visible=False)
                detector_b = _detectors("Detector of B", "detector-b")
                damage = gr.Dropdown(
                    [(entry.title, name) for name, entry in DAMAGES.items()], value="blur",
                    label="Damage", filterable=False, elem_id="damage", min_width=150,
                )  # fmt: skip
                cuts = gr.Dropdown(
                    [("As set on Inside", FROM_INSIDE), *((p.title, p.title) for p in PRESETS)],
                    value=PRESETS[1].title, label="Cuts", filterable=False, visible=False,
                    elem_id="compare-cuts", min_width=150,
                )  # fmt: skip
                wanted = gr.Dropdown(
                    [("A's answer", ANSWER_OF_A), ("each side's own answer", OWN_ANSWERS),
                     *((label, index) for index, label in enumerate(net.labels))],
                    value=ANSWER_OF_A, label="Class", elem_id="compare-class",
                    min_width=150,
                )  # fmt: skip
                score = gr.Slider(
                    0.05, 0.95, 0.5, step=0.01, label="Boxes that score at least", visible=False,
                    elem_id="compare-score", min_width=200, buttons=[],
                )  # fmt: skip
    fetch, fetched = fetch_offer(net, [weights_a, weights_b])
    with gr.Row(elem_classes="controls second", elem_id="damage-row") as damage_row:
        strength = gr.Slider(
            0, 1, 0.4, step=0.01, label="Strength of the damage, 0 … 1", elem_id="strength",
            buttons=[], min_width=260, scale=4,
        )  # fmt: skip
        seed = gr.Number(
            0, label="Seed", precision=0, minimum=0, elem_id="compare-seed", min_width=80, scale=1
        )
        boxes_too = gr.Checkbox(
            False, label="Boxes of things too", elem_id="compare-boxes-too", min_width=170, scale=1
        )
    boxed = box_input("compare-box")
    problem = gr.HTML("", visible=False, apply_default_css=False, elem_id="compare-message")
    view = gr.HTML(
        EMPTY, js_on_load=_JS, elem_id="compare-view", apply_default_css=False, min_height=260
    )
    inputs = [
        shared.source, slots, way, weights_a, weights_b, method_a, method_b, wanted, damage,
        strength, seed, cuts, detector_a, detector_b, score, boxes_too, bench,
    ]  # fmt: skip

    def kept(make: Callable) -> Callable:
        """As a download calls it: with the controls' values."""
        return lambda *values: make(engine, Asked(*values))

    view_files = files_row(
        "view", inputs, kept(work.picture_numbers), kept(work.picture_file), visible=False
    )
    with gr.Column(visible=False, elem_classes="compare-part") as pairs_part:
        gr.HTML("<h2>What both say</h2>", apply_default_css=False, elem_classes="heading")
        pairs = gr.HTML("", elem_id="compare-pairs", apply_default_css=False)
        files_row("pairs", inputs, kept(work.answers_numbers))
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
    with gr.Column(visible=False, elem_classes="compare-part") as boxes_part:
        gr.HTML("<h2>What is found where</h2>", apply_default_css=False, elem_classes="heading")
        boxes = gr.HTML("", elem_id="compare-boxes", apply_default_css=False)
        files_row("boxes", inputs, kept(work.boxes_numbers))
    parts = [view_files, pairs_part, parting_part, boxes_part]
    measuring = measure_part(engine, shared, slots, inputs)

    def show(*values) -> dict[Any, Any]:
        """The whole tab for the controls as they are."""
        asked = Asked(*values)
        state = asked.slots
        offer = offer_of(net, asked.weights_a, asked.weights_b)
        if not asked.path:
            nothing: dict[Any, Any] = dict.fromkeys(parts, gr.update(visible=False))
            return nothing | {
                slots: Slots(), view: shown(EMPTY), problem: hidden(), boxed: hidden(),
                card_a: card_html("A", None, ""), card_b: card_html("B", None, ""), fetch: offer,
            }  # fmt: skip
        if state.path != asked.path:  # another photo in A: a box was drawn on the one before
            earlier = state.path if state.path and asked.way != "photos" else state.other
            other = earlier if earlier != asked.path else ""
            state = replace(state, path=asked.path, box=None, other=other)
            asked = asked._replace(slots=state)
        found: dict[Any, Any] = {slots: state, fetch: offer, boxed: _box(asked)}
        try:
            if asked.way == "detectors":
                return found | show_boxes(asked)
            a, b = work.both(engine, asked)
        except PROBLEMS as error:
            return found | refuse(asked, error)
        titles = differs(a.side, b.side)
        stream = asked.way in STREAMS
        answers = work.answers(a, b)
        words = [answers["sentence"].split(";")[0] + "."] if stream else []
        if asked.way == "damage":
            words.append(_damage_words(b))
        found |= {
            problem: hidden(),
            card_a: card_html("A", a, titles[0]),
            card_b: card_html("B", b, titles[1]),
            view: shown(pictures_html(a, b, words)),
            view_files: gr.update(visible=True),
            pairs_part: gr.update(visible=stream),
            parting_part: gr.update(visible=stream),
            boxes_part: gr.update(visible=False),
        }
        if asked.way == "damage" and asked.boxes:
            try:
                found |= {
                    boxes_part: gr.update(visible=True),
                    boxes: work.boxes_html(engine, asked, b),
                }
            except PROBLEMS as error:
                found |= {boxes_part: gr.update(visible=True), boxes: messages.problem(str(error))}
        if stream:
            drawn = parting_figure(work.parting(engine, a, b), state.block, buttons=True)
            found[pairs] = panel("pairs", pairs_figure(answers, titles))
            found[parting] = panel("parting", drawn)
        return found

    def refuse(asked: Asked, error: Exception) -> dict[Any, Any]:
        """What cannot be shown, in words; A's card stays, what was drawn before goes."""
        found: dict[Any, Any] = dict.fromkeys(parts, gr.update(visible=False))
        # Something still to be chosen or drawn is no fault.
        todo = isinstance(error, CompareError)
        words = messages.notes([str(error)]) if todo else messages.problem(str(error))
        found |= {problem: shown(words), view: hidden()}
        found[card_b] = card_html("B", None, "", "Not filled yet: see below.")
        try:
            a, _ = source.sides(engine, asked._replace(way="weights"))
            seen = Seen(a, source.look(engine, a), None)
            found[card_a] = card_html("A", seen, Path(a.photo).stem)
        except PROBLEMS:
            found[card_a] = card_html("A", None, "", "Not filled yet: see below.")
        return found

    def show_boxes(asked: Asked) -> dict[Any, Any]:
        a, b, _ = work.boxes(engine, asked)
        photo = engine.open(asked.path)
        names = [detect_source.title_of(name) for name in (asked.detector_a, asked.detector_b)]
        counts = [plural(len(each), "box") for each in (a, b)]
        cards = [
            card_html(letter, Seen(side, photo, None), name, count)
            for letter, side, name, count in zip(
                "AB", source.sides(engine, asked), names, counts, strict=True
            )
        ]
        return {
            problem: hidden(), card_a: cards[0], card_b: cards[1], view: hidden(),
            view_files: gr.update(visible=False), pairs_part: gr.update(visible=False),
            parting_part: gr.update(visible=False), boxes_part: gr.update(visible=True),
            boxes: work.boxes_html(engine, asked, Seen(Side(asked.path), photo, None)),
        }  # fmt: skip

    def _box(asked: Asked) -> dict:
        if asked.way != "damage" or DAMAGES[asked.damage].needs != "box":
            return hidden()
        try:
            analysis = engine.open(asked.path)
        except ImageError:
            return hidden()
        return shown(box_html(analysis, asked.slots.box, _BOX_WORDS))

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

    def on_way(name: str, state: Slots, now: Bench, a: str, b: str):
        """One click fills B: the controls that belong to this way, set so that there is B."""
        other = next((n for _, n in choices(net) if n != a), b)
        return {
            weights_b: gr.update(
                value=other if name == "weights" else a, visible=name != "detectors"
            ),
            method_a: gr.update(visible=name != "detectors"),
            method_b: gr.update(visible=name == "methods"),
            weights_a: gr.update(visible=name != "detectors"),
            detector_a: gr.update(visible=name == "detectors"),
            detector_b: gr.update(visible=name == "detectors"),
            damage: gr.update(visible=name == "damage"),
            damage_row: gr.update(visible=name == "damage"),
            cuts: gr.update(
                visible=name == "cuts",
                value=PRESETS[1].title if now.setting.trained else FROM_INSIDE,
            ),
            photos_b: gr.update(visible=name == "photos"),
            note: gr.update(value=_note(name), visible=name != "photos"),
            wanted: gr.update(
                visible=name != "detectors",
                value=OWN_ANSWERS if name == "photos" else ANSWER_OF_A,
            ),
            score: gr.update(visible=name == "detectors"),
        }

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
        "fn": show,
        "inputs": inputs,
        "outputs": [slots, card_a, card_b, problem, view, boxed, fetch, pairs, parting, boxes,
                    *parts],
        "show_progress": "minimal",
        "show_progress_on": view,
        **model,
    }  # fmt: skip
    signalling: dict[str, Any] = {
        "fn": show_signals,
        "inputs": [how, channel, raw, *inputs],
        "outputs": [signals, channel],
        "show_progress": "hidden",
        **model,
    }

    def after(event: Dependency) -> Dependency:
        return event.success(**signalling).success(**measuring)

    def follow(event: Dependency) -> Dependency:
        return after(event.success(**drawing))

    filled = [
        weights_b, method_a, method_b, weights_a, detector_a, detector_b, damage, damage_row,
        cuts, photos_b, note, wanted, score,
    ]  # fmt: skip
    arranging: dict[str, Any] = {
        "fn": on_way, "inputs": [way, slots, bench, weights_a, weights_b], "outputs": filled,
        **quiet,
    }  # fmt: skip
    after(tab.select(**drawing))
    follow(way.input(**arranging))
    follow(shared.follow(strip_a.pick(picked, None, shared.photo, **quiet)))
    follow(shared.follow(own_a.upload(on_own, own_a, shared.photo, **quiet)))
    follow(strip_b.pick(on_strip_b, slots, slots, **quiet))
    follow(own_b.upload(on_own_b, [slots, own_b], slots, **quiet))
    follow(shared.follow(swap.click(on_swap, [shared.source, slots], [shared.photo, slots],
                                    **quiet)))  # fmt: skip
    changed = gr.on(
        [c.input for c in (weights_a, weights_b, method_a, method_b, wanted, damage, strength,
                           seed, cuts, detector_a, detector_b, score, boxes_too)],
        **drawing,
    )  # fmt: skip
    after(changed)
    follow(boxed.draw(on_box, [shared.source, slots], slots, **quiet))
    follow(fetched)
    parting.choose(on_block, inputs, [slots, parting], **quiet).success(**signalling)
    gr.on([how.input, channel.input, raw.input], **signalling)


def _methods(label: str, elem_id: str, value: str = "gradcam", visible: bool = True) -> gr.Dropdown:
    return gr.Dropdown(
        [(entry.title, name) for name, entry in cam.METHODS.items()], value=value, label=label,
        filterable=False, elem_id=elem_id, min_width=170, visible=visible,
    )  # fmt: skip


def _detectors(label: str, elem_id: str) -> gr.Dropdown:
    first = detect_source.default()
    value = first if elem_id.endswith("a") else detect_source.HEAT
    return gr.Dropdown(
        detect_source.choices(), value=value, label=label, filterable=False, visible=False,
        elem_id=elem_id, min_width=220,
    )  # fmt: skip


def _note(way: str) -> str:
    return f'<p class="hint slot-note">{WAYS[way].note}</p>'


def _damage_words(b: Seen) -> str:
    entry = DAMAGES[b.side.damage]
    words = f"{entry.title}: {entry.parameter(b.side.strength)}. {entry.note}"
    return f"{words} Seed {b.side.seed}." if b.side.damage == "noise" else words
