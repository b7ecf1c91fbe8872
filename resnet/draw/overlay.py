"""A heat map over a photo."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

# Perceptually uniform and readable by the colour-blind; the last one is for signed maps.
COLOUR_MAPS = ("viridis", "magma", "inferno", "cividis")
# Orange against, blue for, as everywhere on the page; white is zero.
SIGNED_MAP = "orange-blue"
_HALVES = ("PuOr", "RdBu")


@cache
def palette(name: str) -> np.ndarray:
    """A matplotlib colour map, or SIGNED_MAP, as uint8 [256, 3]."""
    from matplotlib import colormaps  # a quarter of a second: only when something is drawn

    if name == SIGNED_MAP:
        orange, blue = (palette(half) for half in _HALVES)
        return np.concatenate([orange[:128], blue[128:]])
    return (colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)


def colourize(values: np.ndarray, name: str = "viridis", signed: bool = False) -> Image.Image:
    """Float [h, w] -> RGB image of the same size.

    Args:
        values: 0..1, or -1..1 if `signed`; values outside are clipped.
        name: a colour map; signed maps always use SIGNED_MAP.
    """
    unit = (values + 1) / 2 if signed else values
    levels = (np.clip(unit, 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(palette(SIGNED_MAP if signed else name)[levels])


def overlay(
    photo: Image.Image,
    values: np.ndarray,
    box: tuple[float, float, float, float],
    name: str = "viridis",
    opacity: float = 0.5,
    signed: bool = False,
) -> Image.Image:
    """The photo with the map over the part that the network saw; the rest is left dimmed.

    Args:
        photo: RGB, width x height.
        values: float [height, width] over the whole photo, as `Analysis.heatmap` gives.
        box: x0, y0, x1, y1 of the crop in the photo's pixels.
        opacity: of the map, 0..1.
    """
    x0, y0, x1, y1 = (round(edge) for edge in box)
    seen = (max(0, x0), max(0, y0), min(photo.width, x1), min(photo.height, y1))
    dimmed = Image.blend(photo, Image.new("RGB", photo.size, (128, 128, 128)), 0.6)
    mixed = Image.blend(photo, colourize(values, name, signed), opacity)
    dimmed.paste(mixed.crop(seen), seen)
    return dimmed
