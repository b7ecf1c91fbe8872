"""What the tab *Classify* shows for an analysis: pictures, rows and numbers, no controls."""

from __future__ import annotations

from html import escape

import numpy as np

from resnet import cam
from resnet.analysis import Analysis
from resnet.draw.answers import answers_html, percent
from resnet.draw.encode import image_uri
from resnet.draw.heatview import heatview_html
from resnet.draw.overlay import COLOUR_MAPS

PATCH = 448  # pixels of the heat map's layer; twice what the network saw


def rows_html(analysis: Analysis, index: int) -> str:
    """The top answers as bars, and the class that is explained if it is not among them."""
    listed = [(p.index, p.label, p.probability) for p in analysis.top(5)]
    if index not in [row[0] for row in listed]:
        listed.append((index, analysis.net.labels[index], float(analysis.probabilities[index])))
    return answers_html(listed, index)


def view_html(analysis: Analysis, found: cam.HeatMap, colours: str, raw: bool) -> str:
    """The photo with a heat map, or with a sentence where the map is blank."""
    index, method, block = found.index, found.method, found.block
    label = analysis.net.labels[index]
    probability = percent(float(analysis.probabilities[index]))
    title = cam.METHODS[method].title
    caption = (
        f"{title} for “{label}” ({probability}) at block {block}: the map highlights where the "
        "signal is that speaks for this class."
    )
    if not cam.METHODS[method].uses_class:
        caption = f"{title} at block {block}: the strongest pattern, the same for every class."
    if found.blank:
        note = "The map is blank: nothing at this block speaks for this class by this method."
        return _stage(analysis, None, caption, note=note)
    patch = cam.enlarge(found.scaled, (PATCH, PATCH), smooth=not raw)
    largest = float(np.abs(found.grid).max())
    return _stage(analysis, patch, caption, colours, found.signed, largest)


def no_map_html(analysis: Analysis, index: int, why: str) -> str:
    """The photo without a map, and the sentence that says why."""
    return _stage(analysis, None, f"No heat map for “{analysis.net.labels[index]}”.", note=why)


def _stage(
    analysis: Analysis,
    patch: np.ndarray | None,
    caption: str,
    colours: str = COLOUR_MAPS[0],
    signed: bool = False,
    largest: float | None = None,
    note: str = "",
) -> str:
    """The photo with a patch over the crop; the box as shares of the photo."""
    width, height = analysis.photo.size
    x0, y0, x1, y1 = analysis.view.box
    box = (x0 / width, y0 / height, x1 / width, y1 / height)
    return heatview_html(analysis.photo.image, box, patch, caption, colours, signed, largest, note)


def facts_html(analysis: Analysis) -> str:
    """The crop that the network saw, and what it took."""
    spec = analysis.net.spec
    width, height = analysis.photo.size
    return (
        '<div class="facts">'
        f'<img src="{image_uri(analysis.view.image, quality=90)}" width="112" height="112" '
        'alt="The square crop that the network saw">'
        "<dl><dt>What it saw</dt>"
        f"<dd>{spec.crop} × {spec.crop} pixels: shorter side to {spec.resize}, centre cut out "
        f"of {width:,} × {height:,} ({escape(analysis.photo.format)})</dd>"
        f"<dt>Time</dt><dd>{1000 * analysis.seconds:.0f} ms for the crop and one forward pass, "
        f"{escape(analysis.net.precision)}</dd></dl></div>"
    )


def numbers_of(analysis: Analysis, found: cam.HeatMap) -> dict:
    """Everything shown on the tab, as plain numbers."""
    index, method, block = found.index, found.method, found.block
    spec = analysis.net.spec
    return {
        "weights": spec.name,
        "weights_sha256": spec.sha256,
        "precision": analysis.net.precision,
        "photo_sha256": analysis.photo.digest,
        "size": analysis.photo.size,
        "crop": analysis.view.box,
        "seconds": analysis.seconds,
        "top": [
            {"index": p.index, "label": p.label, "probability": p.probability}
            for p in analysis.top(5)
        ],
        "heatmap": {
            "class": analysis.net.labels[index],
            "index": index,
            "probability": float(analysis.probabilities[index]),
            "target": "logit",
            "method": method,
            "block": block,
            "signed": found.signed,
            "blank": found.blank,
            "grid": found.grid.round(6).tolist(),
        },
    }
