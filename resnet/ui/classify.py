"""Tab *Classify*: drop a photo, see what the network says, where, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

import gradio as gr

from resnet import cam
from resnet.analysis import Analysis
from resnet.draw.answers import answers_html, percent
from resnet.draw.encode import encode, image_uri
from resnet.draw.heatview import heatview_html
from resnet.draw.overlay import COLOUR_MAPS, overlay
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import messages
from resnet.ui.download import as_file, offer
from resnet.ui.examples import example_strip, picked
from resnet.ui.html import hidden, shown
from resnet.ui.photo_input import PhotoInput

PATCH = 448  # pixels of the heat map's layer; twice what the network saw
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


def classify_tab(engine: Engine) -> PhotoInput:
    """Build the tab inside the current `gr.Blocks`; returns its photo, which other tabs share."""
    labels = engine.net.labels
    last = engine.net.block_names[-1]
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
                png = gr.Button("Download picture (PNG)", size="sm", elem_id="download-png")
                numbers = gr.Button("Download numbers (JSON)", size="sm", elem_id="download-json")

    def draw(
        analysis: Analysis, index: int, method: str, block: str, colours: str, raw: bool, watch=None
    ) -> str:
        label = labels[index]
        try:
            found = analysis.cam(index, method, block, progress=watch)
        except cam.CamError as error:
            return stage(analysis, None, f"{label}", note=str(error))
        probability = percent(float(analysis.probabilities[index]))
        name = cam.METHODS[method].title
        caption = f"{name} for “{label}” ({probability}) at block {block}: the map highlights "
        caption += "where the signal is that speaks for this class."
        if not cam.METHODS[method].uses_class:
            caption = f"{name} at block {block}: the strongest pattern, the same for every class."
        if found.blank:
            note = "The map is blank: nothing at this block speaks for this class by this method."
            return stage(analysis, None, caption, note=note)
        patch = cam.enlarge(found.scaled, (PATCH, PATCH), smooth=not raw)
        largest = float(abs(found.grid).max())
        return stage(analysis, patch, caption, colours, found.signed, largest)

    def rows(analysis: Analysis, index: int) -> str:
        listed = [(p.index, p.label, p.probability) for p in analysis.top(5)]
        if index not in [row[0] for row in listed]:
            listed.append((index, labels[index], float(analysis.probabilities[index])))
        return answers_html(listed, index)

    def on_photo(path, method, block, colours, raw) -> Iterator[dict]:
        if path is None:
            yield {
                message: hidden(), facts: hidden(), view: _EMPTY_VIEW, chosen: None,
                answers: _EMPTY_ANSWERS.format(f"{len(labels):,}"),
            }  # fmt: skip
            return
        try:
            analysis = engine.open(path)
        except ImageError as error:
            # What was there stays: only the input is emptied.
            yield {message: shown(messages.problem(str(error))), photo: None}
            return
        index = analysis.top(1)[0].index
        first = {
            message: shown(messages.notes(analysis.photo.notes)),
            answers: rows(analysis, index),
            facts: shown(facts_html(analysis)),
            chosen: index,
        }
        if analysis.photo.format in UNSHOWN:
            first[photo] = analysis.photo.image
        yield first
        yield {view: draw(analysis, index, method, block, colours, raw)}

    def on_change(path, index, method, block, colours, raw, progress=gr.Progress()):  # noqa: B008
        if path is None or index is None:
            return {}
        try:
            analysis = engine.open(path)
        except ImageError as error:
            return {message: shown(messages.problem(str(error)))}

        def watch(batches):
            return progress.tqdm(batches, desc=cam.METHODS[method].title)

        drawn = draw(analysis, index, method, block, colours, raw, watch)
        return {view: drawn, answers: rows(analysis, index)}

    def on_method(method: str, block: str):
        at_last = {"value": last} if method == "cam" else {}
        return note_html(method), gr.update(**at_last)

    def picture(path, index, method, block, colours, raw):
        if path is None or index is None:
            raise nothing_yet()
        analysis = engine.open(path)
        found = analysis.cam(index, method, block)
        small, full = analysis.photo.image.size, analysis.photo.size
        values = analysis.heatmap(index, method, block, smooth=not raw, size=small)
        fx, fy = small[0] / full[0], small[1] / full[1]
        box = tuple(e * f for e, f in zip(analysis.view.box, (fx, fy, fx, fy), strict=True))
        drawn = overlay(analysis.photo.image, values, box, colours, 0.55, found.signed)
        name = f"{method}-{labels[index]}-{block}.png".replace(" ", "-").replace("/", "-")
        return as_file(name, encode(drawn, "PNG"), "image/png")

    def data(path, index, method, block):
        if path is None or index is None:
            raise nothing_yet()
        found = numbers_of(engine.open(path), index, method, block)
        return as_file("answer.json", json.dumps(found, indent=1).encode(), "application/json")

    heat = [chosen, method, block, colours, raw]
    model = {"concurrency_id": "model", "concurrency_limit": 2, "api_visibility": "private"}
    photo.input(
        on_photo,
        [photo, method, block, colours, raw],
        [photo, message, answers, facts, view, chosen],
        show_progress="minimal",
        show_progress_on=view,
        **model,
    )
    strip.pick(picked, None, photo, show_progress="hidden", api_visibility="private").success(
        on_photo,
        [photo, method, block, colours, raw],
        [photo, message, answers, facts, view, chosen],
        show_progress="minimal",
        show_progress_on=view,
        **model,
    )
    redraw = {
        "fn": on_change,
        "inputs": [photo, *heat],
        "outputs": [view, answers, message],
        "show_progress": "full",
        "show_progress_on": view,
        "trigger_mode": "always_last",
        **model,
    }
    answers.pick(_index, None, chosen, show_progress="hidden", api_visibility="private").success(
        **redraw
    )
    method.input(
        on_method, [method, block], [method_note, block], show_progress="hidden",
        api_visibility="private",
    ).success(**redraw)  # fmt: skip
    for control in (chosen, block, colours, raw):
        control.input(**redraw)
    offer(png, picture, [photo, *heat])
    offer(numbers, data, [photo, chosen, method, block])
    return photo


def _index(event: gr.EventData) -> int:
    return int(event.index)


def nothing_yet() -> gr.Error:
    """What a visitor is told who downloads before there is a photo."""
    return gr.Error("Drop a photo first.", title="Nothing to download", print_exception=False)


def note_html(method: str) -> str:
    """One line on how the method works."""
    return f'<p class="hint">{escape(cam.METHODS[method].note)}</p>'


def stage(
    analysis: Analysis, patch, caption: str, colours: str = COLOUR_MAPS[0],
    signed: bool = False, largest: float | None = None, note: str = "",
) -> str:  # fmt: skip
    """The photo with a patch over the crop; the box as shares of the photo."""
    width, height = analysis.photo.size
    x0, y0, x1, y1 = analysis.view.box
    box = (x0 / width, y0 / height, x1 / width, y1 / height)
    return heatview_html(analysis.photo.image, box, patch, caption, colours, signed, largest, note)


def facts_html(analysis: Analysis) -> str:
    """The crop that the network saw, and what it took."""
    spec = analysis.net.spec
    width, height = analysis.photo.size
    return (
        '<div class="facts">'
        f'<img src="{image_uri(analysis.view.image, quality=90)}" width="112" height="112" '
        'alt="The square crop that the network saw">'
        "<dl><dt>What it saw</dt>"
        f"<dd>{spec.crop} × {spec.crop} pixels: shorter side to {spec.resize}, centre cut out "
        f"of {width:,} × {height:,} ({escape(analysis.photo.format)})</dd>"
        f"<dt>Time</dt><dd>{1000 * analysis.seconds:.0f} ms for the crop and one forward pass, "
        f"{escape(analysis.net.precision)}</dd></dl></div>"
    )


def numbers_of(analysis: Analysis, index: int, method: str, block: str) -> dict:
    """Everything shown on the tab, as plain numbers."""
    found = analysis.cam(index, method, block)
    spec = analysis.net.spec
    return {
        "weights": spec.name,
        "weights_sha256": spec.sha256,
        "precision": analysis.net.precision,
        "photo_sha256": analysis.photo.digest,
        "size": analysis.photo.size,
        "crop": analysis.view.box,
        "seconds": analysis.seconds,
        "top": [
            {"index": p.index, "label": p.label, "probability": p.probability}
            for p in analysis.top(5)
        ],
        "heatmap": {
            "class": analysis.net.labels[index],
            "index": index,
            "probability": float(analysis.probabilities[index]),
            "target": "logit",
            "method": method,
            "block": block,
            "signed": found.signed,
            "blank": found.blank,
            "grid": found.grid.round(6).tolist(),
        },
    }
