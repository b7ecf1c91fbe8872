"""The pixels of a view in the order of a heat map."""

from __future__ import annotations

import numpy as np

from resnet import cam


def hottest_first(grid: np.ndarray, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """All pixels of a picture, the hottest first.

    The grid is enlarged bilinearly, as it is drawn.  A rectified map is 0 over large parts:
    there, and wherever values are the same, a random map of the same grid decides.  Row by row
    would take one side first, and pixel by pixel at random would make noise, which changes an
    answer by itself.

    Args:
        grid: [h, w], any units; signed values count with their sign.
        size: (width, height) of the picture in pixels.
        seed: of the random map.

    Returns:
        int64 [height * width], flat pixel indices.
    """
    values = np.asarray(grid, np.float32)
    other = np.random.default_rng(seed).random(values.shape, np.float32)
    hot, ties = (cam.enlarge(each, size).ravel() for each in (values, other))
    return np.lexsort((-ties, -hot))  # the last key counts first


def ranks(order: np.ndarray) -> np.ndarray:
    """The place of every pixel in an order: 0 for the first, int64 of the same length."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places
