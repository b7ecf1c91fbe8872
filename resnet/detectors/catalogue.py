"""The detectors there are, and what is known about each before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


class DetectorError(ValueError):
    """A detector that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class DetectorInfo:
    """What the picker says about a detector.

    Attributes:
        name: `offline`, `offline-quick`, `fasterrcnn-v2`, …
        title: for people.
        classes: how many kinds of thing it names.
        ap: average precision of the boxes in percent, COCO's mean over IoU .50:.95.
        ap50: the same at IoU .50; None where it is not published, as for torchvision's.
        ap_from: where these figures come from.
        trained_on: photos it learned from.
        megabytes: of the weights' file.
        url: where the weights are fetched from; "" if they ship with the project.
        sha256: of the file, or its first 8 digits as torchvision publishes them.
        full: the photo must be decoded at its full size.
        masks: it outlines things as well.
    """

    name: str
    title: str
    classes: int
    ap: float
    ap50: float | None
    ap_from: str
    trained_on: str
    megabytes: float
    url: str
    sha256: str
    full: bool
    masks: bool = False


@cache
def catalogue() -> dict[str, DetectorInfo]:
    """By name; those that ship first, then torchvision's from the most to the least precise."""
    from resnet.detectors import library, shipped  # they bring torchvision with them

    return {info.name: info for info in (*shipped.infos(), *library.infos())}
