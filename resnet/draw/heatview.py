"""A photo with a heat map over the part that the network saw, HTML."""

from __future__ import annotations

from html import escape

import numpy as np
from PIL import Image

from resnet.draw.encode import image_uri, shrink
from resnet.draw.overlay import SIGNED_MAP, colourize, palette

DISPLAY_SIDE = 1200  # pixels; a sharp picture on a laptop without megabytes on the wire


def heatview_html(
    photo: Image.Image,
    box: tuple[float, float, float, float],
    patch: np.ndarray | None,
    caption: str,
    colour_map: str = "viridis",
    signed: bool = False,
    largest: float | None = None,
    note: str = "",
) -> str:
    """The stage: photo, heat map as a layer of its own (its opacity is the browser's), legend.

    Args:
        photo: RGB; shrunk for display.
        box: x0, y0, x1, y1 of the crop as shares 0..1 of width and height.
        patch: float [h, w] over the crop, 0..1 or -1..1 if signed; None for no map.
        caption: what the picture shows, also its alternative text.
        largest: the map's largest magnitude in its own units, for the legend.
        note: a sentence in place of the map, for instance that it is blank.
    """
    x0, y0, x1, y1 = (100 * edge for edge in box)
    place = f"left:{x0:.3f}%;top:{y0:.3f}%;width:{x1 - x0:.3f}%;height:{y1 - y0:.3f}%"
    shown = shrink(photo, DISPLAY_SIDE)
    layer, legend = "", ""
    if patch is not None:
        uri = image_uri(colourize(patch, colour_map, signed), "PNG")
        layer = f'<img class="heat" src="{uri}" alt="">'
        legend = _legend(SIGNED_MAP if signed else colour_map, signed, largest)
    words = f'<p class="heat-note" role="status">{escape(note)}</p>' if note else ""
    return (
        f'<figure class="heatview"><div class="stage" '
        f'style="aspect-ratio:{shown.width}/{shown.height};'
        f'max-width:calc(var(--stage-height) * {shown.width / shown.height:.4f})">'
        f'<img class="photo" src="{image_uri(shown)}" alt="{escape(caption, quote=True)}">'
        f'<div class="seen" style="{place}">{layer}</div></div>'
        f"{words}<figcaption>{escape(caption)}</figcaption>{legend}</figure>"
    )


def _legend(colour_map: str, signed: bool, largest: float | None) -> str:
    colours = palette(colour_map)[::17].tolist()
    stops = ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours)
    low, high = ("against the class", "for the class") if signed else ("low", "high")
    if largest is not None:
        low, high = (f"{low} −{largest:.3g}", f"{high} +{largest:.3g}") if signed else (low, high)
        high = high if signed else f"{high} ({largest:.3g})"
    return (
        '<div class="heat-controls"><label class="opacity">Heat map'
        '<input type="range" min="0" max="100" value="55" aria-label="Opacity of the heat map">'
        f'</label><span class="legend"><span>{low}</span>'
        f'<span class="ramp" style="background:linear-gradient(90deg,{stops})"></span>'
        f"<span>{high}</span></span></div>"
    )
