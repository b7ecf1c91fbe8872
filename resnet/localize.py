"""Where a class is, without a detector: boxes around the bright parts of its heat map.

After Zhou et al. 2016 (Learning Deep Features for Discriminative Localization, 1512.04150,
section 3.2): keep what reaches a share of the map's maximum, and put a box around it.  There one
box goes around the largest part; here every part gets one, so that several objects can be found.
Nobody showed the network a box: these lie around what the class score drew on, which is often
only the most telling part of a thing, or two things at once.  How often such a box fits is
measured by `resnet.train.localization`; `measured` gives the figure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from resnet import cam, weights
from resnet.analysis import Analysis
from resnet.classify import ClassLike
from resnet.detections import Detections
from resnet.images import Photo
from resnet.network import ResNet50
from resnet.view import View, to_tensor

FILE = weights.ASSETS / "reference" / "localization.json"
DETECTOR = "heat map"  # what `Detections.detector` says of these boxes
METHOD, THRESHOLD = "layercam", 0.3  # best on the file's first half, with `analyze_whole`
FINE = 224  # pixels of the enlarged map's shorter side: 32 a cell of a 7 x 7 grid
CELL = 32  # pixels of the input a cell of the last stage: the grid then covers the photo exactly
LONGEST = 768  # pixels of the longer side when the whole photo is looked at
SPECK = 0.01  # of the map: a region smaller than half a cell of a 7 x 7 grid is no object


@dataclass(frozen=True)
class Region:
    """A connected part of a map, in the map's own pixels."""

    box: tuple[int, int, int, int]  # x0, y0, x1, y1: the edges of its outermost pixels
    area: int  # pixels
    peak: float  # its highest value as a share of the map's maximum, 0..1


def localize(
    analysis: Analysis,
    wanted: ClassLike | Sequence[ClassLike] | None = None,
    threshold: float = THRESHOLD,
    method: str = METHOD,
    block: str | None = None,
) -> Detections:
    """Boxes around the bright parts of the heat maps of one class or several.

    Args:
        analysis: of the usual crop, or of the whole photo from `analyze_whole`.
        wanted: class name or index, or a list of them; the network's answer if None.
        threshold: share of each map's maximum that a box's inside reaches, 0..1.
        method: a key of `cam.METHODS`.
        block: "1.0" ... "4.2"; the last if None.

    Raises:
        classify.UnknownClass, cam.CamError: with a sentence for the user.
        ValueError: the threshold is out of range.
    """
    several = [wanted] if wanted is None or isinstance(wanted, int | str) else wanted
    indices = dict.fromkeys(analysis.find(each) for each in several)  # each class once
    started = time.perf_counter()
    maps = [analysis.cam(index, method, block) for index in indices]
    return boxes(analysis, maps, threshold, time.perf_counter() - started)


def boxes(
    analysis: Analysis,
    maps: Sequence[cam.HeatMap],
    threshold: float = THRESHOLD,
    seconds: float = 0.0,
) -> Detections:
    """Boxes from heat maps that exist already: another threshold needs no other pass.

    A box's score is the peak of its region as a share of the map's maximum, times the class's
    probability.  It orders the boxes; it is no probability that a box fits.

    Args:
        maps: of this analysis, one a class.
        threshold: share of each map's maximum that a box's inside reaches, 0..1.
        seconds: that the maps took; the trunk's come from the analysis.

    Raises:
        ValueError: the threshold is out of range.
    """
    started = time.perf_counter()
    found = []
    for heat in maps:
        fine = enlarge(heat.grid)
        probability = min(1.0, float(analysis.probabilities[heat.index]))
        for region in regions(fine, threshold):
            box = on_photo(region.box, fine.shape, analysis.view)
            if box[0] < box[2] and box[1] < box[3]:  # a crop may hang over the photo
                found.append((region.peak * probability, region.area, heat.index, box))
    found.sort(key=lambda each: each[:2], reverse=True)  # of equals, the larger first
    seconds += time.perf_counter() - started
    return Detections(
        boxes=np.array([box for *_, box in found], np.float32).reshape(-1, 4),
        scores=np.array([score for score, *_ in found], np.float32),
        labels=np.array([index for _, _, index, _ in found], np.int64),
        names=analysis.net.labels,
        size=analysis.view.size,
        detector=DETECTOR,
        seconds=analysis.seconds + seconds,
        trunk_seconds=analysis.seconds,
    )


def analyze_whole(net: ResNet50, photo: Photo) -> Analysis:
    """One pass over the whole photo, corners included, where `analyze` sees the centre square.

    The network has no layer that asks for a square: its last stage's grid grows with the photo,
    7 x 10 cells for a photo of 3:2.
    """
    started = time.perf_counter()
    seen = look_whole(photo, net)
    trace = net.trace(to_tensor(seen.image, net.spec))
    return Analysis(net, photo, seen, trace, time.perf_counter() - started)


def look_whole(photo: Photo, net: ResNet50) -> View:
    """The whole photo with a shorter side as long as the crop's, in multiples of CELL pixels.

    Larger was tried on 60 photos: at 320 pixels fewer boxes fit, as the map lights up parts of
    things rather than things.  A long panorama becomes smaller, so that its longer side is
    LONGEST at most.
    """
    width, height = photo.image.size
    scale = min(net.spec.crop / min(width, height), LONGEST / max(width, height))
    size = [max(1, round(side * scale / CELL)) * CELL for side in (width, height)]
    how = Image.Resampling[net.spec.interpolation.upper()]
    image = photo.image.resize((size[0], size[1]), how)
    return View(image, (0.0, 0.0, float(photo.size[0]), float(photo.size[1])), photo.size)


def enlarge(grid: np.ndarray) -> np.ndarray:
    """The positive part of a map [h, w], bilinear, with a shorter side of FINE pixels, float32."""
    height, width = grid.shape
    scale = FINE / min(height, width)
    return cam.enlarge(np.maximum(grid, 0), (round(width * scale), round(height * scale)))


def regions(values: np.ndarray, threshold: float) -> list[Region]:
    """The connected parts of a map at or above a share of its maximum, highest peak first.

    Pixels that touch at a corner are connected.  Zero and less is never part of a region, so that
    a map of nothing has none.  Regions under SPECK of the map are dropped, but never the one with
    the maximum: a map that shows something has a box at any threshold.

    Args:
        values: [h, w].
        threshold: share of the maximum, 0..1.

    Raises:
        ValueError: the threshold is out of range, or the map is not finite.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"A threshold is a share of the maximum, 0 to 1; this is {threshold:g}.")
    top = float(values.max(initial=0))
    if not np.isfinite(values).all():
        raise ValueError("The map holds values that are not finite.")
    found = []
    for runs in components((values >= threshold * top) & (values > 0)):
        area = sum(stop - start for _, start, stop in runs)
        peak = max(float(values[y, start:stop].max()) for y, start, stop in runs) / top
        if area >= SPECK * values.size or peak == 1:
            rows, starts, stops = zip(*runs, strict=True)
            box = (min(starts), min(rows), max(stops), max(rows) + 1)
            found.append(Region(box, area, peak))
    return sorted(found, key=lambda region: (region.peak, region.area), reverse=True)


def components(mask: np.ndarray) -> list[list[tuple[int, int, int]]]:
    """Connected parts of a mask, corners included: each a list of runs (row, start, stop).

    A run is a stretch of neighbouring pixels of one row.  Runs that touch a run of the row above
    are joined by union-find: a few hundred steps where a flood fill takes one a pixel.

    Args:
        mask: bool [h, w].
    """
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    rows, columns = (each.tolist() for each in np.nonzero(edges))  # start, stop, start, stop …
    runs = list(zip(rows[::2], columns[::2], columns[1::2], strict=True))
    parent = list(range(len(runs)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = run = parent[parent[run]]
        return run

    first = 0  # of the runs that may touch this one: they begin in the row above
    for number, (row, start, stop) in enumerate(runs):
        while runs[first][0] < row - 1 or (runs[first][0] < row and runs[first][2] < start):
            first += 1
        other = first
        while runs[other][0] < row and runs[other][1] <= stop:
            parent[root(other)] = root(number)
            other += 1
    parts: dict[int, list[tuple[int, int, int]]] = {}
    for number, run in enumerate(runs):
        parts.setdefault(root(number), []).append(run)
    return list(parts.values())


def on_photo(
    box: Sequence[float], shape: tuple[int, ...], seen: View
) -> tuple[float, float, float, float]:
    """A box on a map over the view -> the photo's own pixels, cut off at the photo's edges.

    Args:
        box: x0, y0, x1, y1 in pixels of the map.
        shape: (height, width) of the map.
    """
    left, top, right, bottom = seen.box
    fx, fy = (right - left) / shape[1], (bottom - top) / shape[0]
    width, height = seen.size
    x0, x1 = (min(max(left + x * fx, 0.0), width) for x in (box[0], box[2]))
    y0, y1 = (min(max(top + y * fy, 0.0), height) for y in (box[1], box[3]))
    return x0, y0, x1, y1


@cache
def record() -> dict[str, Any]:
    """What `resnet.train.localization` measured; the file explains itself."""
    return json.loads(FILE.read_text("utf-8"))


def measured(method: str, threshold: float, whole: bool = False) -> float | None:
    """The share of photos whose first box fits a true box (IoU >= 0.5), 0..1.

    Over the half of the photos on which nothing was chosen, for the network's own answer at the
    last block; straight lines between the thresholds measured.

    Args:
        method: a key of `cam.METHODS`.
        threshold: share of the maximum, 0..1.
        whole: of `analyze_whole`'s boxes instead of the crop's.

    Returns:
        None where nothing was measured: a slow method, or a threshold outside the record's.
    """
    known = record()
    rates = known["rates"]["whole" if whole else "crop"].get(method)
    thresholds = known["thresholds"]
    if rates is None or not thresholds[0] <= threshold <= thresholds[-1]:
        return None
    return float(np.interp(threshold, thresholds, rates["any"]["test"]))
