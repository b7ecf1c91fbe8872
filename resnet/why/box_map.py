"""Heat map of one box: where the streams that the head reads speak for its class.

HiResCAM (Draelos and Carin 2020, arXiv 2011.08891) with the box's class logit y as its target and
every stream A_s that the head reads as its layer: with G_s = dy/dA_s, taken through the head,

    M_s(p) = sum over channels c of G_s[c, p] * A_s[c, p]          in logits, signed
    M = sum over stages of M_s, each spread over one common grid without loss

so that sum M = sum over stages <G_s, A_s>: the slope of y if all streams are turned up together.
It is y itself only for a head that is linear.  Biases are missing from it, and a head with group
norms (FCOS, RetinaNet v2, the offline detector) hardly heeds how loud its streams are, so there
the sum is near 0 whatever y is: such a map says where, not how much.  `rest` is what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resnet.detectors.sighting import Sighting
from resnet.residual.plain import plain
from resnet.why.frame import FINE, Box, Frame, frame_of, onto_photo, spread
from resnet.why.logit import slope


@dataclass(frozen=True, eq=False)
class BoxMap:
    """One detection's map, signed, in logits."""

    box: Box
    label: str
    score: float  # 0..1
    logit: float  # y, of the label
    stages: dict[str, np.ndarray]  # "2": float32 [h, w], the stage's cells; those the head reads
    totals: dict[str, float]  # <G_s, A_s>, summed in float64
    frame: Frame

    @property
    def total(self) -> float:
        """The sum of the map: sum over stages of <G_s, A_s>."""
        return sum(self.totals.values())

    @property
    def rest(self) -> float:
        """y - total: what the map does not account for, by biases and norms of the head."""
        return self.logit - self.total

    @property
    def error(self) -> float:
        """|sum of the grid - total| in logits: the invariant."""
        return abs(float(self.grid().sum()) - self.total)

    def grid(self, stage: str | None = None) -> np.ndarray:
        """One stage's map, or all stages together, signed, float64 on FINE input pixels a cell.

        Raises:
            KeyError: the head does not read that stage.
        """
        chosen = self.stages if stage is None else {stage: self.stages[stage]}
        return sum(
            (spread(cells, name, self.frame) for name, cells in chosen.items()),
            np.zeros(tuple(-(-side // FINE) for side in self.frame.input[::-1])),
        )

    def largest(self, stage: str | None = None, signed: bool = False) -> float:
        """What 1 stands for in `on_photo`: logits a cell of the common grid; 0 for a blank map."""
        seen = self._seen(stage)
        return max(0.0, float((np.abs(seen) if signed else seen).max(initial=0.0)))

    def on_photo(
        self, size: tuple[int, int] | None = None, signed: bool = False, stage: str | None = None
    ) -> np.ndarray:
        """The map on the photo's own pixels, all of it; padding of the input is left away.

        Args:
            size: (width, height) wanted; the photo's own if None.
            signed: keep what speaks against the class.
            stage: of one stage alone.

        Returns:
            float32 [height, width], 0..1 (what speaks against is 0), or -1..1 if signed; all 0 if
            nothing stands out.
        """
        grid, unit = self.grid(stage), self.largest(stage, signed)
        grid = grid if signed else np.maximum(grid, 0)
        scaled = grid / unit if unit > 1e-12 else np.zeros_like(grid)
        return onto_photo(scaled, self.frame, size).clip(-1, 1)

    @property
    def inside(self) -> float:
        """Share of what speaks for the class that lies in the box, 0..1; NaN if nothing does."""
        seen = np.maximum(self._seen(None), 0)
        x0, y0, x1, y1 = self.frame.to_input(self.box)
        rows, columns = (
            _overlap(low, high, count)
            for low, high, count in ((y0, y1, len(seen)), (x0, x1, seen.shape[1]))
        )
        return float(rows @ seen @ columns / seen.sum()) if seen.any() else float("nan")

    @property
    def area(self) -> float:
        """Share of the photo that the box covers: what `inside` would be for an even map."""
        width, height = self.frame.photo
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1]) / (width * height)

    def _seen(self, stage: str | None) -> np.ndarray:
        """The grid without the padding."""
        columns, rows = (-(-side // FINE) for side in self.frame.filled)
        return self.grid(stage)[:rows, :columns]

    def to_dict(self, maps: bool = False) -> dict:
        """Plain values; with `maps` also the stages' signed cells as nested lists."""
        found = {
            "box": self.box,
            "label": self.label,
            "score": self.score,
            "logit": self.logit,
            "total": self.total,
            "rest": self.rest,
            "invariant_error": self.error,
            "totals": self.totals,
            "inside": self.inside,
            "area": self.area,
            "largest": self.largest(),
            "largest_signed": self.largest(signed=True),
            "input": self.frame.input,
            "filled": self.frame.filled,
        }
        return plain(found | ({"stages": self.stages} if maps else {}))


def box_map(sighting: Sighting, i: int) -> BoxMap:
    """The map of one detection; one pass through the head and back, none through the trunk.

    Args:
        i: the detection's place in `sighting.found`; `Detections.index` of a filtered copy.

    Raises:
        IndexError: there is no such detection.
    """
    y = slope(sighting, i)
    products = {s: (g.double() * y.streams[s]).sum((0, 1)) for s, g in y.gradient.items()}
    found = sighting.found
    x0, y0, x1, y1 = (float(edge) for edge in found.boxes[i])
    return BoxMap(
        (x0, y0, x1, y1),
        found.label_names[i],
        float(found.scores[i]),
        y.logit,
        {stage: cells.cpu().float().numpy() for stage, cells in products.items()},
        {stage: float(cells.sum()) for stage, cells in products.items()},
        frame_of(sighting),
    )


def _overlap(low: float, high: float, count: int) -> np.ndarray:
    """How much of each of `count` cells of the common grid lies in low ... high, 0..1."""
    edges = np.arange(count + 1) * FINE
    return np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) / FINE
