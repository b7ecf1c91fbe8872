"""Tab *Classify*: drop a photo, see what the network says, where, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from resnet import cam
from resnet.draw.encode import encode
from resnet.draw.overlay import COLOUR_MAPS
from resnet.engine import Engine
from resnet.heat_picture import heat_picture
from resnet.images import ImageError
from resnet.ui import messages
from resnet.ui.classify_view import (
    facts_html,
    no_map_html,
    numbers_of,
    rows_html,
    view_html,
)
from resnet.ui.download import as_file, offer
from resnet.ui.examples import example_strip, picked
from resnet.ui.html import hidden, shown
from resnet.ui.photo_input import PhotoInput
from resnet.ui.report_buttons import offer_report, report_buttons

UNSHOWN = ("TIFF", "HEIC", "PNM")  # formats that browsers do not draw

_PICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-index]');
  if (button) trigger('pick', {index: Number(button.dataset.index)});
});
"""
# The opacity is the browser's own affair: no trip to the server while the slider moves.
_OPACITY = """
const show = (value) => element.style.setProperty('--heat-opacity', value / 100);
element.addEventListener('input', (event) => {
  if (event.target.type === 'range') { element.dataset.opacity = event.target.value;
    show(event.target.value); }
});
watch('value', () => {
  const slider = element.querySelector('input[type=range]');
  if (slider && element.dataset.opacity) slider.value = element.dataset.opacity;
});
"""
_EMPTY_VIEW = (
    '<div class="empty"><p class="empty-title">Where does the network look?</p>'
    "<p>Drop a photo, paste one, or pick an example. The heat map appears here.</p></div>"
)
_EMPTY_ANSWERS = '<p class="hint">The five most probable of {} classes appear here.</p>'


@dataclass(frozen=True)
class SharedPhoto:
    """The photo that all tabs look at.

    Attributes:
        source: state with the path of its file, "" for none.
        photo: the input; may show a preview in place of a file that browsers do not draw.
        follow: given the event that put a path into `photo`, has the page analyse it, and explain
            the class whose index is in the second argument's state, if it holds one.
        options: class, method, block, colours and raw grid.
        note: what the method is; see `note_html`.
    """

    source: gr.State
    photo: PhotoInput
    follow: Callable[..., Dependency]
    options: tuple[gr.components.Component, ...]
    note: gr.HTML


def classify_tab(engine: Engine) -> SharedPhoto:
    """Build the tab inside the current `gr.Blocks`; returns the photo, which other tabs share."""
    labels = engine.net.labels
    last = engine.net.block_names[-1]
    source = gr.State("")  # path of the photo's file; `photo` may show a preview of it
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            photo = PhotoInput(
                label="Photo",
                sources=["upload", "clipboard", "webcam"],
                height=250,
                buttons=[],
                elem_id="photo",
                alt_text="Your photo",
                placeholder="Drop a photo here, or click to choose one",
            )
            strip = example_strip()
            message = gr.HTML("", elem_id="message", visible=False, apply_default_css=False)
            gr.HTML("<h2>What it says</h2>", apply_default_css=False, elem_classes="heading")
            answers = gr.HTML(
                _EMPTY_ANSWERS.format(f"{len(labels):,}"),
                js_on_load=_PICK,
                elem_id="answers",
                apply_default_css=False,
            )
            facts = gr.HTML("", elem_id="facts", visible=False, apply_default_css=False)
        with gr.Column(scale=3, min_width=340):
            view = gr.HTML(
                _EMPTY_VIEW,
                js_on_load=_OPACITY,
                elem_id="heatview",
                apply_default_css=False,
                min_height=280,
            )
            with gr.Row(elem_classes="controls"):
                chosen = gr.Dropdown(
                    [(label, index) for index, label in enumerate(labels)],
                    value=None,
                    label=f"Class (type to search {len(labels):,})",
                    elem_id="chosen",
                    min_width=200,
                    scale=3,
                )
                method = gr.Dropdown(
                    [(entry.title, name) for name, entry in cam.METHODS.items()],
                    value="gradcam",
                    label="Method",
                    filterable=False,
                    elem_id="method",
                    min_width=180,
                    scale=3,
                )
                block = gr.Dropdown(
                    list(engine.net.block_names),
                    value=last,
                    label="Block",
                    filterable=False,
                    elem_id="block",
                    min_width=120,
                    scale=1,
                )
            method_note = gr.HTML(
                note_html("gradcam"), elem_id="method-note", apply_default_css=False
            )
            with gr.Row(elem_classes="controls second"):
                colours = gr.Radio(
                    list(COLOUR_MAPS),
                    value=COLOUR_MAPS[0],
                    label="Colours",
                    elem_id="colours",
                    min_width=290,
                    scale=4,
                )
                raw = gr.Checkbox(False, label="Raw grid", elem_id="raw", min_width=120, scale=1)
            with gr.Row(elem_classes="downloads"):
                png = gr.Button("Picture (PNG)", size="sm", elem_id="download-png", min_width=120)
                numbers = gr.Button(
                    "Numbers (JSON)", size="sm", elem_id="download-json", min_width=120
                )
                reports = report_buttons()
            making = gr.HTML("", visible=False, elem_id="report-status", apply_default_css=False)

    def on_photo(path: str | None, asked: int | None = None) -> dict[Any, Any]:
        if path is None:
            return {
                source: "",
                message: hidden(),
                facts: hidden(),
                chosen: None,
                answers: _EMPTY_ANSWERS.format(f"{len(labels):,}"),
            }
        try:
            analysis = engine.open(path)
        except ImageError as error:
            # What was there stays, and works: only the input is emptied.
            return {message: shown(messages.problem(str(error))), photo: None}
        index = analysis.top(1)[0].index if asked is None else asked
        found: dict[Any, Any] = {
            source: path,
            message: shown(messages.notes(analysis.photo.notes)),
            answers: rows_html(analysis, index),
            facts: shown(facts_html(analysis)),
            chosen: index,
        }
        if analysis.photo.format in UNSHOWN:
            found[photo] = analysis.photo.image
        return found

    def heat_map(path, index, method, block, watch=None) -> cam.HeatMap:
        # Kept: new colours, the raw grid and downloads do not work it out again.
        return engine.figure(
            path,
            ("heat map", index, method, block),
            lambda analysis: analysis.cam(index, method, block, progress=watch),
        )

    def redraw(path, index, method, block, colours, raw, progress=gr.Progress()):  # noqa: B008
        if not path or index is None:
            return _EMPTY_VIEW, gr.skip(), gr.skip()

        def watch(batches):
            return progress.tqdm(batches, desc=cam.METHODS[method].title)

        try:
            analysis = engine.open(path)
            found = heat_map(path, index, method, block, watch)
        except ImageError as error:
            return gr.skip(), gr.skip(), shown(messages.problem(str(error)))
        except cam.CamError as error:
            html = no_map_html(analysis, index, str(error))
        else:
            with engine.timed("draw"):
                html = view_html(analysis, found, colours, raw)
        return html, rows_html(analysis, index), gr.skip()

    def on_method(method: str):
        return note_html(method), gr.update(value=last) if method == "cam" else gr.skip()

    def download(make: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
        def checked(path, index, method, block, colours, raw):
            if not path or index is None:
                raise gr.Error("Drop a photo first.", title="Nothing yet", print_exception=False)
            try:
                found = heat_map(path, index, method, block)
                return make(engine.open(path), found, colours, raw)
            except (cam.CamError, ImageError) as error:
                raise gr.Error(str(error), title="No download", print_exception=False) from error

        return checked

    def as_png(analysis, found, colours, raw):
        name = f"{found.method}-{labels[found.index]}-{found.block}.png"
        drawn = heat_picture(analysis, found, colours, smooth=not raw)
        return as_file(re.sub(r"[ /]", "-", name), encode(drawn, "PNG"), "image/png")

    def as_json(analysis, found, colours, raw):
        text = json.dumps(numbers_of(analysis, found), indent=1)
        return as_file("answer.json", text.encode(), "application/json")

    heat = [source, chosen, method, block, colours, raw]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    model: dict[str, Any] = {
        "concurrency_id": "model",
        "concurrency_limit": 2,
        "api_visibility": "private",
    }
    drawing: dict[str, Any] = {
        "fn": redraw,
        "inputs": heat,
        "outputs": [view, answers, message],
        "show_progress": "full",
        "show_progress_on": view,
        "trigger_mode": "always_last",
        **model,
    }
    opening: dict[str, Any] = {
        "fn": on_photo,
        "inputs": photo,
        "outputs": [source, photo, message, answers, facts, chosen],
        "show_progress": "minimal",
        "show_progress_on": view,
        **model,
    }

    def follow(event: Dependency, asked: gr.State | None = None) -> Dependency:
        inputs = photo if asked is None else [photo, asked]
        return event.success(**opening | {"inputs": inputs}).success(**drawing)

    photo.input(**opening).success(**drawing)
    follow(strip.pick(picked, None, photo, **quiet))
    answers.pick(_index, None, chosen, **quiet).success(**drawing)
    method.input(on_method, method, [method_note, block], **quiet).success(**drawing)
    # One listener for all: a late answer to an early change cannot overtake the last one.
    gr.on([chosen.input, block.input, colours.input, raw.input], **drawing)
    offer(png, download(as_png), heat)
    offer(numbers, download(as_json), heat)
    offer_report(engine, reports, [source, chosen, method, block, colours], making)
    return SharedPhoto(source, photo, follow, (chosen, method, block, colours, raw), method_note)


def _index(event: gr.EventData) -> int:
    return int(event.index)


def note_html(method: str) -> str:
    """One line on how the method works."""
    return f'<p class="hint">{escape(cam.METHODS[method].note)}</p>'
