"""The outlines of a mask: Mask R-CNN's grids as smooth polygons."""

from __future__ import annotations

import numpy as np


def mask_outlines(mask: np.ndarray, width: float, height: float) -> list[np.ndarray]:
    """Bool [h, w] over a picture of width x height -> closed polygons, each float [k, 2] (x, y)."""
    from contourpy import contour_generator  # matplotlib's own; only Mask R-CNN needs it

    padded = np.pad(np.asarray(mask, float), 2)
    smooth = sum(np.roll(padded, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
    rows, columns = mask.shape
    scale = np.array([width / columns, height / rows])
    found = []
    for line in contour_generator(z=smooth).lines(0.5):
        points = (np.asarray(line) - 1.5) * scale  # pixel centres, and the padding of 2
        points = _fewer(np.clip(points, 0, (width, height)), 0.8)[:-1]
        if len(points) >= 3:
            found.append(points)
    return found


def _fewer(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Douglas & Peucker 1973: leave out points that lie this close to the line without them."""
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:
        start, end = spans.pop()
        if end - start < 2:
            continue
        way = points[end] - points[start]
        off = points[start + 1 : end] - points[start]
        length = float(np.hypot(*way))
        if length > 0:
            away = np.abs(off[:, 0] * way[1] - off[:, 1] * way[0]) / length
        else:  # a closed line's two ends
            away = np.hypot(*off.T)
        if away.max() > tolerance:
            middle = start + 1 + int(away.argmax())
            keep[middle] = True
            spans += [(start, middle), (middle, end)]
    return points[keep]
