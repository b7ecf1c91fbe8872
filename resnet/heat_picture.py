"""The photo with a heat map over it, as one picture: for downloads, files and programs."""

from __future__ import annotations

import numpy as np
from PIL import Image

from resnet.analysis import Analysis, place
from resnet.cam import HeatMap
from resnet.draw.overlay import COLOUR_MAPS, overlay


def heat_picture(
    analysis: Analysis,
    found: HeatMap,
    colours: str = COLOUR_MAPS[0],
    *,
    smooth: bool = True,
    opacity: float = 0.55,
    picture: Image.Image | None = None,
    values: np.ndarray | None = None,
) -> Image.Image:
    """What the network saw under its colours, the rest of the photo dimmed.

    Args:
        found: a heat map of this analysis.
        colours: one of COLOUR_MAPS; signed maps have their own.
        smooth: interpolate between the grid's cells; False shows their bare squares.
        opacity: of the colours, 0..1.
        picture: the photo at another size; as it was decoded if None.
        values: the map's grid in 0..1, or -1..1 if signed, on another scale; its own if None.

    Returns:
        RGB, of the picture's size.
    """
    picture = analysis.photo.image if picture is None else picture
    values = found.scaled if values is None else values
    fx, fy = (a / b for a, b in zip(picture.size, analysis.photo.size, strict=True))
    x0, y0, x1, y1 = analysis.view.box
    placed = place(values, analysis.view, picture.size, smooth)
    box = (x0 * fx, y0 * fy, x1 * fx, y1 * fy)
    return overlay(picture, placed, box, colours, opacity, found.signed)
