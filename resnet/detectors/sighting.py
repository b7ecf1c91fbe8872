"""One detector's one pass over one photo, kept so that a box can be explained.

Every detector is cut in the same three: a trunk (a `ResNet50` of ours, so that both wires of all
16 blocks are in view), the head, and the decoding of the head's answers.  What explains a box is
written once, against this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from torch import Tensor

from resnet.detections import Detections
from resnet.detectors.catalogue import DetectorInfo
from resnet.images import Photo
from resnet.network import ResNet50

Streams = dict[str, Tensor]  # "1" ... "4": the stream after each stage, [1, C, H/s, W/s]


@dataclass(frozen=True, eq=False)
class Sighting:
    """What a pass leaves behind.

    Attributes:
        detector: that made it.
        photo: as it was read.
        input: float32 [1, 3, H, W], what the trunk was given.
        streams: after stages "1" to "4".
        found: everything above the floor, duplicates removed, best first; `found.index` counts
            from 0, so that a filtered copy's rows lead back here.
        rows: for each of these what the detector needs to find it again (a point, a box).
        alone: of a detector that looks several times, what its first look finds by itself; `input`
            and `streams` are that look's.
    """

    detector: Detector
    photo: Photo
    input: Tensor
    streams: Streams
    found: Detections
    rows: Sequence[Any] | Tensor
    alone: Sighting | None = None

    @property
    def one_look(self) -> Sighting:
        """What the first look finds by itself: all there is, of a detector that looks once."""
        return self.alone or self


class OneLook:
    """The part of a `Detector` that looks at a photo once."""

    looks = 1

    @property
    def one_look(self) -> Self:
        """Itself."""
        return self

    def together(self, raws: Sequence[Any], shapes: Sequence[tuple[int, int]]) -> Any:
        """The only answer."""
        return raws[0]


class Detector(Protocol):
    """A network with its record, ready to run; parameters are frozen."""

    @property
    def info(self) -> DetectorInfo:
        """What the catalogue says of it."""
        ...

    @property
    def trunk(self) -> ResNet50:
        """Stage 4 is the detector's own where it has one; `fc` is not used."""
        ...

    @property
    def looks(self) -> int:
        """How many passes it takes over a photo."""
        ...

    @property
    def one_look(self) -> Detector:
        """The same detector at its first look alone."""
        ...

    def prepare(self, photo: Photo, look: int = 0) -> Tensor:
        """The trunk's input for that look, float32 [1, 3, H, W], for the whole photo."""
        ...

    def together(self, raws: Sequence[Any], shapes: Sequence[tuple[int, int]]) -> Any:
        """The answers to all looks as one; shapes are the inputs' (height, width)."""
        ...

    def answer(self, streams: Streams, x: Tensor) -> Any:
        """The head's raw answers to the trunk's streams; x is the input that they came from."""
        ...

    def decode(self, raw: Any, x: Tensor, size: tuple[int, int], floor: float) -> tuple:
        """(Detections in pixels of a photo of `size`, rows), scores of at least `floor`."""
        ...

    def target(self, streams: Streams, x: Tensor, row: Any) -> Tensor:
        """The class logit of one detection, a scalar, differentiable in the streams."""
        ...
