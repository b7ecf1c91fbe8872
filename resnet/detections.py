"""What a detector found in one photo: the one currency between detectors, page and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes with names and scores, best first.

    Attributes:
        boxes: float32 [n, 4], x0, y0, x1, y1 in pixels of the upright photo, inside it.
        scores: float32 [n] in 0..1, not rising.
        labels: int64 [n], index into `names`.
        names: the detector's classes.
        size: (width, height) of the upright photo, pixels.
        detector: which one, as in the catalogue.
        seconds: preparing the photo, trunk and head together.
        trunk_seconds: of these, the trunk.
        masks: bool [n, height, width] on a grid of the photo's shape (it may be smaller), or None.
        index: int64 [n], each row's place among all that the detector's pass found; 0 … n - 1
            unless given.

    Raises:
        ValueError: shapes that do not fit each other, or values out of range.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    size: tuple[int, int]
    detector: str
    seconds: float = 0.0
    trunk_seconds: float = 0.0
    masks: np.ndarray | None = None
    index: np.ndarray = None  # type: ignore[assignment]  # always an array once it is made

    def __post_init__(self):
        count = len(self.scores)
        for name, kind in (("boxes", np.float32), ("scores", np.float32), ("labels", np.int64)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind))
        if self.index is None:
            object.__setattr__(self, "index", np.arange(count, dtype=np.int64))
        if self.boxes.shape != (count, 4) or self.labels.shape != (count,):
            raise ValueError(f"boxes {self.boxes.shape}, labels {self.labels.shape}, n = {count}")
        if len(self.index) != count or (self.masks is not None and len(self.masks) != count):
            raise ValueError("masks and index need one entry a box")
        if not count:
            return
        x0, y0, x1, y1 = self.boxes.T
        inside = x0.min() >= 0 and y0.min() >= 0
        inside = inside and x1.max() <= self.size[0] and y1.max() <= self.size[1]
        if not inside or not np.isfinite(self.boxes).all() or (x1 < x0).any() or (y1 < y0).any():
            raise ValueError("a box is not x0 <= x1, y0 <= y1 inside the photo")
        if not (self.scores.min() >= 0 and self.scores.max() <= 1):
            raise ValueError("a score is outside 0..1")
        if (np.diff(self.scores) > 0).any():
            raise ValueError("the best detection must come first")
        if not (self.labels.min() >= 0 and self.labels.max() < len(self.names)):
            raise ValueError("a label has no name")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The class name of every box."""
        return tuple(self.names[label] for label in self.labels)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each class, the most frequent first."""
        return dict(Counter(self.label_names).most_common())

    def boxes_on(self, size: tuple[int, int]) -> np.ndarray:
        """The boxes in pixels of the photo at another size (width, height), [n, 4]."""
        return self.boxes * np.tile(np.array(size) / self.size, 2)

    def pick(self, rows: np.ndarray) -> Detections:
        """Some of the rows (indices in rising order, or a mask of bool [n])."""
        return replace(
            self,
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            labels=self.labels[rows],
            masks=None if self.masks is None else self.masks[rows],
            index=self.index[rows],
        )

    def above(self, score: float, classes: Collection[str] | None = None) -> Detections:
        """Those with at least this score, of these classes (all if None); no pass is needed.

        Raises:
            ValueError: the detector has no such class.
        """
        keep = self.scores >= score
        if classes is not None:
            if unknown := sorted(set(classes) - set(self.names)):
                raise ValueError(f"{self.detector} does not know “{unknown[0]}”.")
            wanted = [i for i, name in enumerate(self.names) if name in classes]
            keep = keep & np.isin(self.labels, wanted)
        return self.pick(keep)
