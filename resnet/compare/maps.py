"""Two heat maps on one colour scale, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resnet import cam
from resnet.residual.plain import plain

SIDE = 56  # cells a side of the grid that maps of different blocks are compared on
HOT = 0.2  # share of the view that counts as a map's hottest part


@dataclass(frozen=True, eq=False)
class MapPair:
    """What is drawn of two heat maps, and two measures of their likeness."""

    a: np.ndarray | None  # float32 [h, w], 0..1 or -1..1 if signed; None: blank or missing
    b: np.ndarray | None
    signed: bool  # either map has a sign: one diverging scale serves both
    low: float | None  # what the ends of the common scale stand for; None: each has its own
    high: float | None

    @property
    def common(self) -> bool:
        """One scale in the maps' own units."""
        return self.high is not None


@dataclass(frozen=True)
class Likeness:
    """How alike two maps of one view are."""

    correlation: float | None  # Pearson, -1..1; None if a map is flat
    overlap: float  # of the hottest fifths: what both hold as a share of one, 0..1

    @property
    def sentence(self) -> str:
        """Both in words."""
        shared = f"of the hottest fifth of either map, {100 * self.overlap:.0f} % is the same place"
        if self.correlation is None:
            return f"{shared[0].upper()}{shared[1:]}."
        number = f"{self.correlation:.2f}".replace("-", "−")
        return f"The two maps correlate at {number}; {shared}."

    def to_dict(self) -> dict:
        return plain(self) | {"sentence": self.sentence}


def on_one_scale(a: cam.HeatMap | None, b: cam.HeatMap | None, same_units: bool = True) -> MapPair:
    """Scale two maps for drawing with the same colours.

    Args:
        a, b: of any blocks; None where a side has no map.
        same_units: their raw values mean the same, so one scale spans both.  Otherwise (two
            methods, two sets of weights) each is scaled to its own largest value.
    """
    known = [heat for heat in (a, b) if heat is not None and not heat.blank]
    signed = any(heat.signed for heat in known)
    if not same_units or len(known) < 2:
        drawn = [None if heat is None or heat.blank else heat.scaled for heat in (a, b)]
        return MapPair(drawn[0], drawn[1], signed, None, None)
    if signed:
        high = max(float(np.abs(heat.grid).max()) for heat in known)
        low = -high
    else:
        low = min(float(heat.grid.min()) for heat in known)
        high = max(float(heat.grid.max()) for heat in known)

    def scaled(heat: cam.HeatMap | None) -> np.ndarray | None:
        if heat is None or heat.blank:
            return None
        values = heat.grid / high if signed else (heat.grid - low) / (high - low)
        return values.astype(np.float32)

    return MapPair(scaled(a), scaled(b), signed, low, high)


def likeness(a: cam.HeatMap, b: cam.HeatMap) -> Likeness | None:
    """Of two maps over the same view; None if either is blank.

    Both are enlarged bilinearly to one grid.  Of equally hot cells the first in reading order
    count as hotter, in both maps alike.
    """
    if a.blank or b.blank:
        return None
    x, y = (cam.enlarge(heat.grid, (SIDE, SIDE)).astype(np.float64).ravel() for heat in (a, b))
    count = round(HOT * x.size)
    hot = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (x, y)]
    size = float(x.std() * y.std())
    correlation = None
    if size > 0:
        correlation = float(((x - x.mean()) * (y - y.mean())).mean() / size)
        correlation = max(-1.0, min(1.0, correlation))
    return Likeness(correlation, len(hot[0] & hot[1]) / count)
