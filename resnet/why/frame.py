"""Where things are: the photo, the detector's input, the cells of a stage's grid.

A detector looks at the whole photo, resized, and may have padded it at the right and below.  Cell
i of a stream with stride s looks at input pixel s * i: every convolution and the max pool of a
ResNet are centred there.  Half a cell off, a map would lie beside its box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resnet.detectors.sighting import Sighting

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the upright photo

FINE = 4  # input pixels a cell of the common grid: stage 1's stride, the finest there is


@dataclass(frozen=True)
class Frame:
    """How the photo lies on the input; every pair is (width, height)."""

    input: tuple[int, int]  # pixels
    filled: tuple[int, int]  # pixels of the input that the photo fills, from the upper left
    photo: tuple[int, int]  # pixels

    def to_input(self, box: Box) -> Box:
        """From pixels of the photo to pixels of the input."""
        fx, fy = (f / p for f, p in zip(self.filled, self.photo, strict=True))
        return box[0] * fx, box[1] * fy, box[2] * fx, box[3] * fy


def frame_of(sighting: Sighting) -> Frame:
    """Of a pass; padding is seen in the input itself, where it is 0 in all channels."""
    from resnet.detectors.library_heads import inside  # with torchvision, slow to import

    height, width = sighting.input.shape[2:]
    bottom, right = inside(sighting.input)
    return Frame((width, height), (right, bottom), sighting.photo.size)


def stride(stage: str) -> int:
    """Input pixels a cell after stages "1" to "4": 4, 8, 16, 32."""
    return 2 ** (int(stage) + 1)


def cells_in(frame: Frame, box: Box, stage: str) -> tuple[slice, slice]:
    """(rows, columns) of a stage's cells whose centres lie in the box; at least the nearest."""
    x0, y0, x1, y1 = frame.to_input(box)
    step = stride(stage)
    spans = []
    for low, high, side in ((y0, y1, frame.input[1]), (x0, x1, frame.input[0])):
        count = -(-side // step)
        centres = _centres(count, step)
        inside = np.flatnonzero((centres >= low) & (centres <= high))
        if not len(inside):
            inside = np.array([np.abs(centres - (low + high) / 2).argmin()])
        spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return spans[0], spans[1]


def spread(cells: np.ndarray, stage: str, frame: Frame) -> np.ndarray:
    """A stage's cells -> the common grid; every cell's amount is handed out, so the sum stays.

    Args:
        cells: float [h, w].

    Returns:
        float64 [ceil(H / FINE), ceil(W / FINE)] for an input of H x W pixels.
    """
    grid = np.asarray(cells, np.float64)
    for axis, side in enumerate(frame.input[::-1]):
        centres = _centres(cells.shape[axis], stride(stage))
        weights = _hats(_middles(-(-side // FINE), FINE), centres)
        grid = np.moveaxis(np.tensordot(weights / weights.sum(0), grid, (1, axis)), 0, axis)
    return grid


def onto_photo(grid: np.ndarray, frame: Frame, size: tuple[int, int] | None = None) -> np.ndarray:
    """The common grid -> float32 [height, width] on the photo, padding left away, bilinear.

    Args:
        size: (width, height) if not the photo's own.
    """
    values = np.asarray(grid, np.float32)
    for axis, (filled, wanted) in enumerate(
        zip(frame.filled[::-1], (size or frame.photo)[::-1], strict=True)
    ):
        cells = _middles(grid.shape[axis], FINE)
        weights = _hats(_middles(wanted, filled / wanted), cells).astype(np.float32)
        values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    return np.ascontiguousarray(values)


def _centres(count: int, step: int) -> np.ndarray:
    """Where the cells of a stream look, in input pixels: the middle of pixel step * i."""
    return np.arange(count) * float(step) + 0.5


def _middles(count: int, step: float) -> np.ndarray:
    """The middles of equal pieces, in input pixels."""
    return (np.arange(count) + 0.5) * step


def _hats(at: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Weights of linear interpolation between evenly spaced cells, [len(at), len(cells)].

    Beyond the first and the last cell their own value goes on.
    """
    if len(cells) == 1:
        return np.ones((len(at), 1))
    inside = at.clip(cells[0], cells[-1])
    distance = np.abs(inside[:, None] - cells) / (cells[1] - cells[0])
    return np.maximum(0.0, 1.0 - distance)
