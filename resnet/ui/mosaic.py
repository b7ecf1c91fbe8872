"""Four of the example photos in one, for *Detect*: an example with several things in it."""

from __future__ import annotations

import io
import os
import secrets
from functools import cache
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image, ImageOps

from resnet.ui.examples import FOLDER, button_html, examples, picked

NAME = "four-in-one.jpg"
PARTS = ("citrus.jpg", "espresso.jpg", "otter.jpg", "astronaut.jpg")  # row by row
TILE = (600, 450)  # pixels


@cache
def entry() -> dict[str, str]:
    """As `examples` has it for the other photos."""
    parts = [examples()[name] for name in PARTS]
    titles = [part["title"].lower() for part in parts]
    return {
        "file": NAME,
        "title": "Four in one",
        "alt": f"Four photos in one: {', '.join(titles[:-1])} and {titles[-1]}.",
        "author": ", ".join(part["author"] for part in parts),
        "licence": " and ".join(dict.fromkeys(part["licence"] for part in parts)),
    }


@cache
def picture() -> bytes:
    """The four photos, each cut to TILE, two by two, as a JPEG."""
    width, height = TILE
    whole = Image.new("RGB", (2 * width, 2 * height))
    for place, name in enumerate(PARTS):
        with Image.open(FOLDER / name) as photo:
            part = ImageOps.fit(photo.convert("RGB"), TILE, Image.Resampling.LANCZOS)
        whole.paste(part, (place % 2 * width, place // 2 * height))
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=92)
    return file.getvalue()


def path() -> Path:
    """A file of the picture among the page's own; made anew once it was swept away."""
    folder = Path(get_upload_folder()) / "four-in-one"
    file = folder / NAME
    if not file.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f".{secrets.token_hex(8)}"
        new.write_bytes(picture())
        os.replace(new, file)  # whole or not at all: two visitors may ask at once
    return file


def button() -> str:
    """As the other examples have one."""
    with Image.open(io.BytesIO(picture())) as whole:
        return button_html(entry(), whole)


def picked_here(event: gr.EventData) -> str | None:
    """As `examples.picked`, this picture too."""
    return str(path()) if str(event.file) == NAME else picked(event)
