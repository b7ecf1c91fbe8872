"""Detection: which things are in a photo, and where.  `net.detect("street.jpg")`."""

from __future__ import annotations

from collections.abc import Collection

from resnet import detectors
from resnet.detections import Detections
from resnet.detectors.run import run
from resnet.detectors.sighting import Sighting
from resnet.images import Photo, read_photo
from resnet.network import ResNet50
from resnet.view import PhotoLike

FLOOR = 0.05  # what scores less is not kept, whatever the threshold


def detect(
    net: ResNet50,
    photo: PhotoLike | Photo,
    detector: str = "auto",
    score: float = 0.5,
    classes: Collection[str] | None = None,
) -> Detections:
    """Find things in one photo.

    Args:
        net: the classifier; the offline detector works on its trunk.
        photo: path, bytes, PIL image, uint8 RGB [H, W, 3], or what `read_photo` gave.
        detector: a name of the catalogue; `auto`: the best one that is here already.
        score: lowest score to report, 0..1; below FLOOR nothing more comes.
        classes: names to report; all if None.

    Raises:
        resnet.images.ImageError: the photo cannot be used.
        detectors.DetectorError: no such detector, or its weights cannot be had.
        ValueError: the detector does not know a class, or the score is outside 0..1.
    """
    if not 0 <= score <= 1:  # and not a number is neither
        raise ValueError(f"The score must be a number from 0 to 1, not {score}.")
    return sight(net, photo, detector).found.above(score, classes)


def sight(net: ResNet50, photo: PhotoLike | Photo, detector: str = "auto") -> Sighting:
    """All of a detector's looks at a photo, with everything that explaining a box needs.

    Raises:
        as `detect`.
    """
    chosen = detectors.load(detector, net)
    read = photo if isinstance(photo, Photo) else read_photo(photo, full=chosen.info.full)
    return run(chosen, read, FLOOR)
