"""A strip of example photos; a click analyses one."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path

import gradio as gr
from PIL import Image

from resnet.draw.encode import image_uri, shrink
from resnet.weights import ASSETS

FOLDER = ASSETS / "examples"

_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-file]');
  if (button) trigger('pick', {file: button.dataset.file});
});
"""


@cache
def examples() -> dict[str, dict]:
    """What `assets/examples/examples.json` says of each photo, by file name."""
    listed = json.loads((FOLDER / "examples.json").read_text("utf-8"))
    return {entry["file"]: entry for entry in listed}


def example_path(name: str) -> Path | None:
    """The path of an example by its file name; None for any other name."""
    return FOLDER / name if name in examples() else None


@cache
def strip_html() -> str:
    """Thumbnails as buttons with the pictures inside."""
    buttons = []
    for name, entry in examples().items():
        with Image.open(FOLDER / name) as image:
            thumbnail = image_uri(shrink(image.convert("RGB"), 220), quality=80)
        buttons.append(
            f'<button type="button" data-file="{escape(name, quote=True)}" '
            f'title="{escape(entry["alt"], quote=True)}">'
            f'<img src="{thumbnail}" alt=""><span>{escape(entry["title"])}</span></button>'
        )
    inside = "".join(buttons)
    return f'<div class="examples" role="group" aria-label="Example photos">{inside}</div>'


def example_strip(elem_id: str = "examples") -> gr.HTML:
    """The component; its event `pick` brings the file name: see `picked`."""
    return gr.HTML(strip_html(), js_on_load=_JS, elem_id=elem_id, apply_default_css=False)


def picked(event: gr.EventData) -> str | None:
    """The path of the example that was picked; None for a name that is not one."""
    path = example_path(str(event.file))
    return None if path is None else str(path)
