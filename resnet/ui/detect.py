"""Tab *Detect*: which things are in the photo, where, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from resnet import why
from resnet.detections import Detections
from resnet.detectors import DetectorError, ships
from resnet.detectors.catalogue import catalogue
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import detect_source as source
from resnet.ui import messages, mosaic
from resnet.ui.carried import Carried, names, number, one_of, say_names
from resnet.ui.classify import SharedPhoto
from resnet.ui.detect_fetch import fetch_offer, is_here
from resnet.ui.detect_files import downloads_row
from resnet.ui.detect_source import HEAT
from resnet.ui.detect_view import EMPTY, listed_things, picker_html, sentence, times_html, view_html
from resnet.ui.detect_why import under_cut, why_part
from resnet.ui.examples import example_strip
from resnet.ui.html import hidden, shown
from resnet.ui.look import Look
from resnet.ui.photo_button import PhotoButton

_JS = (Path(__file__).parent / "detect.js").read_text("utf-8")
_INTRO = (
    '<p class="lead">Boxes around things, by a detector on the <b>same ResNet-50 trunk</b>. '
    "<b>Click a box</b> to see why it is there: its heat map, its evidence through shortcuts and "
    "branches, and which cuts make it vanish.</p>"
)


@dataclass(frozen=True)
class DetectPart:
    """What the link needs of the tab.

    Attributes:
        look: state; a tab that looks at another photo drops the chosen things.
        only: the chosen things.
        carried: everything that a link holds, `only` too.
    """

    look: gr.State
    only: gr.Dropdown
    carried: tuple[Carried, ...]


def detect_tab(
    engine: Engine, shared: SharedPhoto, tab: gr.Tab, detector: str = "auto"
) -> DetectPart:
    """Build the tab inside the current `gr.Blocks`.

    Args:
        shared: the page's photo, which the tab *Classify* owns.
        tab: this tab; its boxes are worked out when it is opened.
        detector: the one that the page starts with.
    """
    look = gr.State(Look())
    first = source.default(detector)
    labels = engine.net.labels
    seconds: dict[str, float] = {}  # detector -> what its last photo took here
    gr.HTML(_INTRO, apply_default_css=False)
    with gr.Row(elem_classes="presets detect-photos"):
        strip = example_strip("detect-examples", mosaic.button())
        own = PhotoButton(
            "Your own photo", file_types=["image"], size="sm", elem_id="detect-upload", scale=0,
            min_width=140,
        )  # fmt: skip
    problem = gr.HTML("", visible=False, apply_default_css=False, elem_id="detect-message")
    with gr.Row(elem_classes="controls"):
        name = gr.Dropdown(
            source.choices(), value=first, label="Detector", filterable=False,
            elem_id="detector", min_width=260, scale=3,
        )  # fmt: skip
        second = gr.Dropdown(
            [("none", ""), *source.choices()], value="", label="Side by side with",
            filterable=False, elem_id="detector-two", min_width=220, scale=2,
        )  # fmt: skip
    note = gr.HTML(picker_of(first, seconds), apply_default_css=False, elem_id="detector-note")
    fetched = fetch_offer(name, second)
    with gr.Row(elem_classes="controls second", visible=False, elem_id="heat-row") as heat_row:
        heat_class = gr.Dropdown(
            [(label, index) for index, label in enumerate(labels)], value=None,
            label="Class of the heat map", elem_id="heat-class", min_width=220, scale=2,
        )  # fmt: skip
        heat_share = gr.Slider(
            0.05, 0.95, 0.3, step=0.05, label="A box holds what reaches this share of the maximum",
            elem_id="heat-share", min_width=260, scale=3, buttons=[],
        )  # fmt: skip
    with gr.Row(elem_classes="controls second", elem_id="detect-tools"):
        score = gr.Slider(
            0.05, 0.95, 0.5, step=0.01, label="Show boxes that score at least",
            elem_id="detect-score", min_width=260, scale=3, buttons=[],
        )  # fmt: skip
        only = gr.Dropdown(
            [], value=[], multiselect=True, label="Only these things (all if empty)",
            elem_id="detect-only", min_width=240, scale=3,
        )  # fmt: skip
    view = gr.HTML(
        EMPTY, js_on_load=_JS, elem_id="detect-view", apply_default_css=False, min_height=260
    )
    times = gr.HTML("", visible=False, apply_default_css=False, elem_id="detect-times")

    def shown_of(found: Detections, score: float, wanted: list[str]) -> Detections:
        known = [n for n in wanted if n in found.names]
        return found.above(score, known if wanted else None)

    def show(path, state: Look, name, second, score, wanted, index, share) -> dict:
        """Everything but the box's reasons, for the controls as they are."""
        if not path:
            return {
                look: Look(detector=name), view: EMPTY, times: hidden(), problem: hidden(),
                heat_row: gr.update(visible=HEAT in (name, second)),
                note: picker_of(name, seconds),
            }  # fmt: skip
        try:
            base = engine.open(path)
            if state.path != path or index is None:
                index = base.top(1)[0].index
            if (state.path, state.detector) != (path, name):
                state = Look(path, name)  # another photo or detector has other boxes
                wanted = []
            parts, titles = [], []
            beside = second if is_here(second) else ""
            for each in dict.fromkeys(filter(None, (name, beside))):
                parts.append(source.everything(engine, path, each, int(index), share))
                seconds[each] = parts[-1].seconds
                titles.append(source.title_of(each))
            if state.cut is not None and name != HEAT:
                # Of a detector that looks several times, cuts are compared at its first look.
                parts = [
                    why.first_look(engine.sight(path, name)),
                    under_cut(engine, path, name, state.cut),
                ]
                titles = ["As trained", state.cut.title]
            photo = source.photo_of(engine, path, name)
            size, looks = source.input_size(engine, path, name)
            looks = looks if state.cut is None else 1
        except (ImageError, DetectorError) as error:
            words = str(error) if is_here(name) else _not_here(name)
            return {
                problem: shown(messages.problem(words)),
                note: picker_of(name, seconds),
                heat_row: gr.update(visible=HEAT in (name, second)),
            }  # fmt: skip
        # The score of a heat map's box is no probability: the other slider is its threshold.
        kept = [
            shown_of(found, 0.0 if found.detector == source.localize.DETECTOR else score, wanted)
            for found in parts
        ]
        everything = parts[0]
        words = sentence(kept[0], everything, score)
        if len(kept) == 2:
            words = " ".join(f"{t}: {listed_things(k)}." for t, k in zip(titles, kept, strict=True))
        if wanted and not len(kept[0]):
            words = f"No {' or '.join(wanted)} at this threshold."
        counts = source.presence(everything)
        offered = [(f"{n} ({c})" if c else n, n) for n, c in counts.items()]
        return {
            look: state,
            view: view_html(photo, kept, titles, state.selected, words),
            times: shown(times_html(everything, size, looks)),
            note: picker_of(name, seconds, share),
            only: gr.update(choices=offered, value=wanted),
            problem: hidden() if beside == second else shown(messages.notes([_not_here(second)])),
            heat_row: gr.update(visible=HEAT in (name, second)),
            heat_class: int(index),
        }

    def on_choose(state: Look, event: gr.EventData):
        index = int(event.index)
        same = index == state.selected
        return replace(state, selected=-1 if same else index)

    def on_own(path: str | None) -> str | None:
        try:
            engine.open(path or "")
        except ImageError as error:  # raised, so that nothing follows and takes the words away
            raise gr.Error(str(error), title="Not opened", print_exception=False) from error
        return path

    inputs = [shared.source, look, name, second, score, only, heat_class, heat_share]
    outputs = [look, view, times, note, only, problem, heat_row, heat_class]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    model: dict[str, Any] = {
        "concurrency_id": "model",
        "concurrency_limit": 2,
        "api_visibility": "private",
    }
    drawing: dict[str, Any] = {
        "fn": show,
        "inputs": inputs,
        "outputs": outputs,
        "trigger_mode": "always_last",
        **model,
    }
    # Four looks take seconds on a CPU: a sign and a clock where the boxes will be, nowhere else.
    busy: dict[str, Any] = {"show_progress": "full", "show_progress_on": view}
    explain, cuts = why_part(engine, look, name, score)
    explain(tab.select(**drawing, **busy))
    chosen = strip.pick(mosaic.picked_here, None, shared.photo, **quiet)
    explain(shared.follow(chosen).success(**drawing, **busy))
    checked = own.upload(on_own, own, shared.photo, **model)
    explain(shared.follow(checked).success(**drawing, **busy))
    explain(gr.on([name.input, second.input], **drawing, **busy))
    # Threshold and filter work on what the one pass found: nothing runs but the drawing.
    gr.on(
        [score.input, only.input, heat_class.input, heat_share.input],
        **drawing,
        show_progress="hidden",
    )
    explain(view.choose(on_choose, look, look, **quiet).success(**drawing, show_progress="hidden"))
    for cut in cuts:
        explain(cut.success(**drawing, **busy))
    fetched.success(**drawing, **busy)
    downloads_row(engine, inputs)
    detectors = [value for _, value in source.choices()]
    return DetectPart(
        look,
        only,
        (
            Carried("detector", name, one_of(detectors), always=True),
            Carried("detector-two", second, one_of(detectors)),
            Carried("score", score, number(0.05, 0.95)),
            Carried("share", heat_share, number(0.05, 0.95)),
            Carried("things", only, names, say_names),
        ),
    )


def _not_here(name: str) -> str:
    return f"{source.title_of(name)} is not on this server yet: the button below gets it."


def picker_of(name: str, seconds: Mapping[str, float], share: float = 0.3) -> str:
    """What stands under the picker.

    Args:
        seconds: detector -> what a photo took here, of those that have run.
        share: of HEAT, the threshold.
    """
    if name == HEAT:
        return source.measured_html(share)
    from resnet.detectors import library

    known = catalogue()
    here = [each for each in known if ships(each) or library.is_here(each)]
    return picker_html(known[name], known.values(), here, seconds)
