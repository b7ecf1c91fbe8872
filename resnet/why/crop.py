"""The box by itself: what the classifier sees in it, among its 1,000 classes."""

from __future__ import annotations

import math
from dataclasses import replace

from resnet.analysis import Analysis
from resnet.detectors.sighting import Sighting
from resnet.images import Photo, read_photo
from resnet.network import ResNet50
from resnet.why.frame import Box
from resnet.why.logit import require


def crop_box(sighting: Sighting, i: int, margin: float = 0.1) -> Box:
    """What `crop_of` cuts out, in pixels of the upright photo.

    The shorter side grows to a square where the photo allows: the classifier looks at the centre
    square only, and would see but the middle of a standing person.

    Args:
        i: the detection's place in `sighting.found`.
        margin: added at each side, as a share of the box's longer side; 0.07 and more makes up
            for what the classifier itself cuts off (224 of 256 pixels).

    Raises:
        IndexError: there is no such detection.
    """
    require(sighting, i)
    x0, y0, x1, y1 = (float(edge) for edge in sighting.found.boxes[i])
    width, height = sighting.photo.size
    side = max(x1 - x0, y1 - y0) * (1 + 2 * margin)
    left, right = _stretch(x0, x1, side, width)
    top, bottom = _stretch(y0, y1, side, height)
    return left, top, right, bottom


def crop_of(sighting: Sighting, i: int, margin: float = 0.1) -> Photo:
    """The box with its margin as a photo of its own, from the decoded image.

    Args, raises: as `crop_box`.
    """
    image, size = sighting.photo.image, sighting.photo.size
    x0, y0, x1, y1 = crop_box(sighting, i, margin)
    # The decoded image may be a smaller draft of the file's.
    fx, fy = image.width / size[0], image.height / size[1]
    left, top = (
        min(math.floor(x0 * fx), image.width - 1),
        min(math.floor(y0 * fy), image.height - 1),
    )
    right, bottom = max(left + 1, math.ceil(x1 * fx)), max(top + 1, math.ceil(y1 * fy))
    part = image.crop((left, top, min(right, image.width), min(bottom, image.height)))
    own = (max(1, round(part.width / fx)), max(1, round(part.height / fy)))
    return replace(read_photo(part), size=own, format=sighting.photo.format)


def analyze_crop(net: ResNet50, sighting: Sighting, i: int, margin: float = 0.1) -> Analysis:
    """The classifier's analysis of the box: top 5, heat maps, evidence, switchboard.

    Args:
        net: the classifier.
        i, margin: as `crop_box`.

    Raises:
        as `crop_box`.
    """
    return net.analyze(crop_of(sighting, i, margin))


def _stretch(low: float, high: float, wanted: float, limit: int) -> tuple[float, float]:
    """An edge's two ends, `wanted` pixels apart about the same middle, moved into 0 ... limit."""
    wanted = min(max(wanted, 1.0), float(limit))
    start = min(max((low + high - wanted) / 2, 0.0), limit - wanted)
    return start, start + wanted
