"""Following the camera: the newest frame is answered, the others are dropped, the rate is shown.

The page's script takes a frame when the last one was answered, so nothing is queued; the server
answers none while somebody's photo waits for the network.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from resnet import cam
from resnet.analysis import Analysis
from resnet.detections import Detections
from resnet.detectors import DetectorError, shipped
from resnet.draw.answers import percent
from resnet.draw.box_colours import colour_of, ink_on
from resnet.draw.encode import data_uri, encode
from resnet.draw.overlay import colourize
from resnet.engine import CALLER, Engine
from resnet.images import ImageError

MOST = 400_000  # bytes of one frame
SIDE = 56  # cells of the map that is sent; the browser makes it large
PATIENCE = 2.0  # seconds a frame waits for its turn
SCORE = 0.4  # of boxes shown
_JS = (Path(__file__).parent / "live.js").read_text("utf-8")

_STAGE = """
<div class="live">
  <div class="live-bar">
    <button type="button" class="live-go" aria-pressed="false">Start the camera</button>
    <label>Show <select class="live-mode" aria-label="What to show">
      <option value="classify">class and heat map</option>
      <option value="detect">boxes (offline detector, one look)</option></select></label>
    <span class="live-rate" role="status"></span>
  </div>
  <div class="live-stage" hidden><video muted playsinline aria-label="Your camera"></video>
    <div class="live-over"></div></div>
</div>
"""


def live_part(engine: Engine) -> None:
    """Build the camera's part inside the current tab, folded."""
    with gr.Accordion("Follow the camera", open=False, elem_id="live"):
        stage = gr.HTML(_STAGE, js_on_load=_JS, elem_id="live-stage", apply_default_css=False)
        answer = gr.HTML("", elem_id="live-answer", apply_default_css=False)

    def on_frame(event: gr.EventData) -> str:
        return frame(engine, event)

    stage.frame(
        on_frame, None, answer,
        concurrency_id="live", concurrency_limit=2, show_progress="hidden",
        api_visibility="private", trigger_mode="multiple",
    )  # fmt: skip


def frame(engine: Engine, event: gr.EventData) -> str:
    """One frame's answer, for the script to lay over the picture."""
    number = int(event.number)
    try:
        data = base64.b64decode(str(event.image), validate=True)
    except (binascii.Error, ValueError):
        return answer_html(number, "", "This frame did not arrive whole.")
    if len(data) > MOST:
        return answer_html(number, "", "The camera's pictures are too large.")
    if engine.lane.waiting:  # a photo that somebody chose comes first
        return answer_html(number, "", "Others come first just now.")
    before = CALLER.set(replace(CALLER.get(), patience=PATIENCE))
    try:
        if str(event.mode) == "detect":
            found = engine.spot(data, shipped.QUICK).found.above(SCORE)
            with engine.timed("draw"):
                return answer_html(number, boxes_html(found), _named(found))
        analysis = engine.look(data, brief=True)
        with engine.timed("draw"):
            return answer_html(number, map_html(analysis), _said(analysis))
    except (ImageError, DetectorError) as error:
        return answer_html(number, "", escape(str(error)))
    finally:
        CALLER.reset(before)


def answer_html(number: int, over: str, said: str) -> str:
    """What is laid over the frame, and what is said below it; already escaped."""
    said = f'<p class="live-said">{said}</p>'
    return f'<div data-number="{number}"><template>{over}</template>{said}</div>'


def map_html(analysis: Analysis) -> str:
    """The heat map of the answer over the crop; transparent where nothing is."""
    found = analysis.cam()
    values = cam.enlarge(found.scaled, (SIDE, SIDE))
    picture = colourize(values)
    picture.putalpha(Image.fromarray((200 * values.clip(0, 1)).astype("uint8")))
    address = data_uri(encode(picture, "PNG"), "image/png")
    return f'<img alt="" src="{address}" style="{_place(analysis.view.box, analysis.photo.size)}">'


def boxes_html(found: Detections) -> str:
    """Boxes with their names."""
    drawn = []
    for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
        name = found.names[int(label)]
        colour = colour_of(name)
        drawn.append(
            f'<div class="live-box" style="{_place(tuple(box), found.size)};border-color:{colour}">'
            f'<b style="background:{colour};color:{ink_on(colour)}">{escape(name)} '
            f"{percent(float(score))}</b></div>"
        )
    return "".join(drawn)


def _place(box: tuple[Any, ...], size: tuple[int, int]) -> str:
    """A box in pixels as a style in shares of the picture."""
    width, height = size
    x0, x1, y0, y1 = box[0] / width, box[2] / width, box[1] / height, box[3] / height
    parts = {"left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0}
    return ";".join(f"{name}:{100 * value:.2f}%" for name, value in parts.items())


def _said(analysis: Analysis) -> str:
    best = analysis.top(3)
    return " · ".join(f"{escape(p.label)} {percent(p.probability)}" for p in best)


def _named(found: Detections) -> str:
    if not len(found.scores):
        return "No box above 40 %."
    return f"{len(found.scores)} box{'' if len(found.scores) == 1 else 'es'} above 40 %."
