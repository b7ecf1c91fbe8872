"""A strip of example photos; a click analyses one."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
            buttons.append(button_html(entry, image))
    return "".join(buttons)


def button_html(entry: Mapping[str, str], photo: Image.Image) -> str:
    """One example as a button; pointed at, it says what is on the photo and whose it is."""
    thumbnail = image_uri(shrink(photo.convert("RGB"), 220), quality=80)
    title = f"{entry['alt']} By {entry['author']}; {entry['licence']}."
    return (
        f'<button type="button" data-file="{escape(entry["file"], quote=True)}" '
        f'title="{escape(title, quote=True)}">'
        f'<img src="{thumbnail}" alt=""><span>{escape(entry["title"])}</span></button>'
    )


def example_strip(elem_id: str = "examples", more: str = "") -> gr.HTML:
    """The component; its event `pick` brings the file name: see `picked`.

    Args:
        more: further buttons, which come last.
    """
    inside = f"{strip_html()}{more}"
    html = f'<div class="examples" role="group" aria-label="Example photos">{inside}</div>'
    return gr.HTML(html, js_on_load=_JS, elem_id=elem_id, apply_default_css=False)


def picked(event: gr.EventData) -> str | None:
    """The path of the example that was picked; None for a name that is not one."""
    path = example_path(str(event.file))
    return None if path is None else str(path)
