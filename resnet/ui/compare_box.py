"""A photo to draw one box on, in pixels of the photo."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

import gradio as gr

from resnet.analysis import Analysis
from resnet.compare import CompareError
from resnet.compare.base import Box, check_box
from resnet.draw.encode import image_uri, shrink

SIDE = 640  # pixels of the picture's longer side
EDGES = ("left", "top", "right", "bottom")
_JS = (Path(__file__).parent / "compare_box.js").read_text("utf-8")


def box_html(analysis: Analysis, box: Box | None, words: str) -> str:
    """The photo, the box if there is one, and its edges as numbers.

    Args:
        analysis: of the photo; what the network saw of it is outlined.
        words: what the box is for.
    """
    photo = analysis.photo
    width, height = photo.size
    x0, y0, x1, y1 = analysis.view.box
    left, top = 100 * max(x0, 0) / width, 100 * max(y0, 0) / height
    right, bottom = 100 * min(x1, width) / width, 100 * min(y1, height) / height
    place = f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"
    shown = shrink(photo.image, SIDE)
    given = ["" if box is None else f"{edge:.0f}" for edge in (box or (0, 0, 0, 0))]
    numbers = "".join(
        f'<label>{name}<input type="number" min="0" max="{most}" step="1" value="{value}"></label>'
        for name, value, most in zip(EDGES, given, (width, height) * 2, strict=True)
    )
    return (
        f'<div class="boxdraw" data-width="{width}" data-height="{height}">'
        f'<div class="boxdraw-stage" tabindex="0" role="application" '
        f'aria-label="Photo to draw a box on: drag, or move the box with the arrow keys and '
        f'resize it with shift" style="--shape:{shown.width / shown.height:.4f}">'
        f'<img src="{image_uri(shown)}" alt="The photo of A" draggable="false">'
        f'<div class="boxdraw-seen" style="{place}"></div>'
        '<div class="boxdraw-box" hidden></div></div>'
        f'<div class="boxdraw-side"><p class="hint">{escape(words)}</p>'
        f'<div class="boxdraw-numbers" role="group" aria-label="The box in pixels">{numbers}</div>'
        f'<p class="hint">Pixels of the photo, {width:,} × {height:,}. '
        "Dashed: what the network saw.</p></div></div>"
    )


def box_input(elem_id: str) -> gr.HTML:
    """The component; its event `draw` brings the box: see `drawn_box`."""
    return gr.HTML("", js_on_load=_JS, elem_id=elem_id, apply_default_css=False)


def drawn_box(event: gr.EventData, size: tuple[int, int]) -> Box:
    """The box that the visitor has drawn.

    Args:
        size: (width, height) of the photo.

    Raises:
        CompareError: it is no box, or holds nothing of the photo.
    """
    try:
        edges = [float(edge) for edge in event.box]
    except (TypeError, ValueError) as error:
        raise CompareError("A box is four numbers, in pixels.") from error
    if not all(map(math.isfinite, edges)):
        raise CompareError("A box is four numbers, in pixels.")
    return check_box(edges, size)
