"""A and B as pictures: under one divider that is dragged, or side by side; one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from resnet.draw.contact_sheet import contact_sheet
from resnet.draw.encode import image_uri
from resnet.draw.overlay import SIGNED_MAP, colourize, palette

SIDE = 640  # pixels of a picture on the page; sharp on a laptop without megabytes on the wire
PATCH = 320  # of the heat map's layer: it is smooth
MAP = "viridis"
OPACITY = 0.55


@dataclass(frozen=True)
class Look:
    """What is drawn of one side."""

    image: Image.Image  # RGB, square: what the network saw
    patch: np.ndarray | None  # float [h, w] over it: 0..1, or -1..1 if signed; None: no map
    title: str  # what the side is, in words
    answer: str  # what it says
    note: str = ""  # why there is no map


def ab_html(a: Look, b: Look, signed: bool, scale: str, words: Sequence[str]) -> str:
    """Both pictures; `compare.js` makes the divider and the switches live.

    Args:
        signed: both maps are drawn in diverging colours.
        scale: what the ends of the scale are, in words.
        words: sentences below, the first stands out.
    """
    first, *others = [word for word in words if word] or [""]
    said = f'<p class="found" role="status">{escape(first)}</p>'
    said += "".join(f"<p>{escape(word)}</p>" for word in others)
    notes = "".join(
        f'<p class="heat-note" role="status">{name}: {escape(look.note)}</p>'
        for name, look in (("A", a), ("B", b))
        if look.note
    )
    return (
        '<figure class="ab" data-mode="slider"><div class="ab-tools">'
        '<div class="ab-modes" role="group" aria-label="How A and B are shown">'
        '<button type="button" data-mode="slider" aria-pressed="true">Slider</button>'
        '<button type="button" data-mode="beside" aria-pressed="false">Side by side</button></div>'
        f'<label class="opacity">Heat maps<input type="range" min="0" max="100" '
        f'value="{100 * OPACITY:.0f}" aria-label="Opacity of both heat maps"></label>'
        f"{_legend(signed, scale)}</div>"
        f'<div class="ab-body"><div class="ab-stage">{_side("b", b, signed)}{_side("a", a, signed)}'
        '<div class="ab-handle" role="slider" tabindex="0" aria-label="Divider between A and B" '
        'aria-valuemin="0" aria-valuemax="100" aria-valuenow="50" '
        'aria-valuetext="A on the left half, B on the right"><span></span></div></div>'
        f'<figcaption>{said}{notes}<p class="ab-keys">Drag the line, or use the arrow keys: '
        "A is left of it, B right.</p></figcaption></div></figure>"
    )


def ab_picture(a: Look, b: Look, signed: bool, scale: str) -> Image.Image:
    """The same as a picture to keep: photos above, heat maps below, RGB."""
    plain = [_sized(look.image) for look in (a, b)]
    hot = [heated(look, signed) for look in (a, b)]
    said = [f"{name}: {look.title}: {look.answer}" for name, look in (("A", a), ("B", b))]
    below = [look.note or f"Heat map, {scale}" for look in (a, b)]
    return contact_sheet([*plain, *hot], 2, 2 * SIDE, [*said, *below])


def _side(kind: str, look: Look, signed: bool) -> str:
    words = f"{kind.upper()}: {look.title}; it says {look.answer}"
    heat = ""
    if look.patch is not None:
        uri = image_uri(_coloured(look.patch, PATCH, signed), "PNG")
        heat = f'<img class="heat" src="{uri}" alt="" draggable="false">'
    photo = image_uri(_sized(look.image), quality=85)
    return (
        f'<div class="ab-side {kind}"><div class="ab-frame">'
        f'<img src="{photo}" alt="{escape(words, quote=True)}" draggable="false">{heat}'
        f'<span class="ab-tag">{kind.upper()}</span></div>'
        f'<p class="ab-title"><b>{kind.upper()}</b> {escape(look.title)} '
        f"<span>{escape(look.answer)}</span></p></div>"
    )


def _sized(image: Image.Image) -> Image.Image:
    return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _coloured(patch: np.ndarray, side: int, signed: bool) -> Image.Image:
    """Smooth, square: interpolated as values, not as colours."""
    grid = Image.fromarray(np.ascontiguousarray(patch, np.float32))
    return colourize(np.asarray(grid.resize((side, side), Image.Resampling.BILINEAR)), MAP, signed)


def _legend(signed: bool, scale: str) -> str:
    colours = palette(SIGNED_MAP if signed else MAP)[::17].tolist()
    stops = ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours)
    low, high = ("against", "for") if signed else ("low", "high")
    return (
        f'<span class="legend"><span>{low}</span><span class="ramp" '
        f'style="background:linear-gradient(90deg,{stops})"></span><span>{high}</span>'
        f"<span>{escape(scale)}</span></span>"
    )


def row_html(pictures: Sequence[tuple[Image.Image, str]]) -> str:
    """Square pictures beside each other, each with its words."""
    drawn = "".join(
        f'<figure><img src="{image_uri(image, quality=85)}" alt="{escape(words, quote=True)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
        for image, words in pictures
    )
    return f'<div class="ab-row">{drawn}</div>'


def heated(look: Look, signed: bool) -> Image.Image:
    """A side's picture under its heat map, RGB; dimmed where there is none."""
    photo = _sized(look.image)
    if look.patch is None:
        return Image.blend(photo, Image.new("RGB", photo.size, (128, 128, 128)), 0.6)
    return Image.blend(photo, _coloured(look.patch, SIDE, signed), OPACITY)
