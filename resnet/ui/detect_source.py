"""Where the tab *Detect* has its boxes from: a detector, or the heat map of one class."""

from __future__ import annotations

from html import escape

import numpy as np
from PIL import Image

from resnet import detectors, localize
from resnet.analysis import Analysis
from resnet.cam import HeatMap
from resnet.detections import Detections
from resnet.detectors.catalogue import catalogue
from resnet.engine import Engine

HEAT = "heatmap"  # stands beside the detectors' names
HEAT_TITLE = "Heat map of one class (no box training)"


def choices() -> list[tuple[str, str]]:
    """(title, name) of everything that can put boxes on a photo."""
    return [(info.title, name) for name, info in catalogue().items()] + [(HEAT_TITLE, HEAT)]


def title_of(name: str) -> str:
    """A source's name for people."""
    return HEAT_TITLE if name == HEAT else catalogue()[name].title


def default(wanted: str = "auto") -> str:
    """The detector that the page starts with."""
    return detectors.choose(wanted)


def whole(engine: Engine, path: str) -> Analysis:
    """The classifier's pass over the whole photo, made once."""

    return engine.variant(
        path, "whole photo", lambda base: localize.analyze_whole(base.net, base.photo)
    )


def heat_map(engine: Engine, path: str, index: int) -> HeatMap:
    """The map of one class over the whole photo, made once."""
    return engine.figure(
        path,
        ("whole photo's map", index),
        lambda _: whole(engine, path).cam(index, localize.METHOD),
    )


def everything(engine: Engine, path: str, name: str, index: int, share: float) -> Detections:
    """All boxes of one source, the weak ones too; a pass is made once a photo and source.

    Args:
        name: a detector's name, or HEAT.
        index, share: of HEAT: the class, and the share of the map's maximum inside a box.

    Raises:
        resnet.images.ImageError, resnet.detectors.DetectorError: with a sentence.
    """
    if name == HEAT:
        analysis = whole(engine, path)
        return localize.boxes(analysis, [heat_map(engine, path, index)], share)
    return engine.sight(path, name).found


def photo_of(engine: Engine, path: str, name: str) -> Image.Image:
    """The decoded photo under the boxes."""
    return (engine.open(path) if name == HEAT else engine.sight(path, name)).photo.image


def input_size(engine: Engine, path: str, name: str) -> tuple[tuple[int, int], int]:
    """(width, height) of what the trunk was given first, pixels, and how often it looked."""
    if name == HEAT:
        return whole(engine, path).view.image.size, 1
    seen = engine.sight(path, name)
    height, width = seen.input.shape[2:]
    return (width, height), seen.detector.looks


def measured_html(share: float) -> str:
    """How often such a box fits, as measured, and what a box that looks at nothing would reach."""
    rate = localize.measured(localize.METHOD, share, whole=True)
    known = localize.record()
    if rate is None:
        return ""
    baseline = known["base lines"]["photo"]["any"]["test"][0]
    words = (
        f"The network was never shown a box. Measured on {known['halves']['test']} photos: at this "
        f"threshold the first box fits a true one (IoU ≥ 0.5) in {100 * rate:.0f} % of them; a box "
        f"around the whole photo would in {100 * baseline:.0f} %. Shown as what it is: where the "
        "class score comes from."
    )
    return f'<p class="hint">{escape(words)}</p>'


def presence(found: Detections) -> dict[str, int]:
    """Names to offer as a filter: everything above a weak score, the surest first."""
    counts = dict.fromkeys(found.label_names, 0)
    for name in np.array(found.label_names)[found.scores >= 0.2].tolist():
        counts[name] += 1
    return counts
