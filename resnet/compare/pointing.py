"""Pointing game: does the heat map lie where the visitor says the thing is?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare.base import Box, CompareError, check_box, listed, percent
from resnet.residual.plain import plain


@dataclass(frozen=True)
class Pointed:
    """One heat map against the box."""

    name: str
    share: float | None  # of the map's positive mass inside the box, 0..1; None: nothing positive
    times: float | None  # share / area: 1 is what a flat map would have
    peak: tuple[float, float] | None  # x, y of the map's highest cell, pixels of the photo
    hit: bool | None  # the peak is inside, within the tolerance


@dataclass(frozen=True)
class Pointing:
    """All maps against one box, in the order they were given."""

    box: Box  # pixels of the photo, cut off at its edges
    area: float  # the box's share of what the network saw, 0..1: the baseline for `share`
    outside: float  # the share of the box that the network did not see, 0..1
    tolerance: float  # pixels of the photo
    rows: tuple[Pointed, ...]

    @property
    def sentence(self) -> str:
        """The map with the most of its mass inside, and how many peaks hit."""
        known = [row for row in self.rows if row.share is not None]
        if not known:
            return "None of the maps highlights anything, so none can be measured."
        highest = max(row.share or 0.0 for row in known)
        best = [row.name for row in known if row.share == highest]
        hits = sum(bool(row.hit) for row in known)
        verb = "puts" if len(best) == 1 else "put"
        text = (
            f"{listed(best)} {verb} the most into the box: {percent(highest)} of the map's "
            f"positive mass, in {percent(self.area)} of what the network saw. "
            f"{hits} of {len(known)} {'map has its' if len(known) == 1 else 'maps have their'} "
            "highest point inside."
        )
        if self.outside > 0:
            text += f" {percent(self.outside)} of the box lies outside what the network saw."
        return text

    def to_dict(self) -> dict:
        return plain(self) | {"sentence": self.sentence}


def pointing(
    analysis: Analysis,
    box: Sequence[float],
    heat_maps: Mapping[str, cam.HeatMap] | Sequence[cam.HeatMap],
    tolerance: float = 0.0,
) -> Pointing:
    """How much of each map lies inside a box, and whether its peak does.

    The peak inside the box is a hit in the pointing game (Zhang et al. 2018, Top-down Neural
    Attention by Excitation Backprop, 1608.00507, section 4.2; there with a tolerance of 15
    pixels).  The share of the mass is the energy-based variant (Wang et al. 2020, Score-CAM,
    section 4.3).  Maps are enlarged bilinearly to the view's pixels; a pixel that the box's edge
    crosses counts by the part inside.

    Args:
        box: two corners x, y, x, y in pixels of the upright photo (`analysis.photo.size`).
        heat_maps: of this analysis; by name, or named by their method's title.
        tolerance: pixels of the photo by which a peak may miss.

    Raises:
        CompareError: the box holds nothing of what the network saw, or there is no map.
    """
    if not isinstance(heat_maps, Mapping):
        titles = [cam.METHODS[m.method].title if m.method in cam.METHODS else m.method
                  for m in heat_maps]  # fmt: skip
        heat_maps = dict(zip(titles, heat_maps, strict=True))
    if not heat_maps:
        raise CompareError("Choose at least one heat map.")
    corners = check_box(box, analysis.view.size)
    size = analysis.view.image.size
    left, top, right, bottom = analysis.view.box
    fx, fy = size[0] / (right - left), size[1] / (bottom - top)  # view pixels a photo pixel
    columns = _covered(size[0], (corners[0] - left) * fx, (corners[2] - left) * fx)
    rows = _covered(size[1], (corners[1] - top) * fy, (corners[3] - top) * fy)
    area = float(columns.sum() * rows.sum()) / (size[0] * size[1])
    if area <= 0:
        raise CompareError("The box lies outside what the network saw. Draw it on the crop.")
    whole = (corners[2] - corners[0]) * fx * (corners[3] - corners[1]) * fy
    outside = max(0.0, 1 - float(columns.sum() * rows.sum()) / whole)
    found = []
    for name, heat in heat_maps.items():
        mass = np.maximum(cam.enlarge(heat.grid, size), 0).astype(np.float64)
        total = float(mass.sum())
        if heat.blank or total <= 0:
            found.append(Pointed(name, None, None, None, None))
            continue
        share = min(1.0, float(rows @ mass @ columns) / total)
        peak = _peak(heat.grid, analysis.view.box)
        hit = (corners[0] - tolerance <= peak[0] <= corners[2] + tolerance) and (
            corners[1] - tolerance <= peak[1] <= corners[3] + tolerance
        )
        found.append(Pointed(name, share, share / area, peak, hit))
    return Pointing(corners, area, outside if outside > 1e-9 else 0.0, tolerance, tuple(found))


def _covered(side: int, low: float, high: float) -> np.ndarray:
    """By how much each pixel 0..side lies between two edges, 0..1, float64 [side]."""
    starts = np.arange(side)
    return (np.minimum(starts + 1, high) - np.maximum(starts, low)).clip(0, 1)


def _peak(grid: np.ndarray, seen: Box) -> tuple[float, float]:
    """The middle of the highest cell, pixels of the photo: bilinear values never exceed it."""
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    left, top, right, bottom = seen
    x = left + (float(column) + 0.5) / grid.shape[1] * (right - left)
    y = top + (float(row) + 0.5) / grid.shape[0] * (bottom - top)
    return x, y
