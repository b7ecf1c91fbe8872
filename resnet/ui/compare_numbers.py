"""What the tab *Compare* works out of A and B, and what its downloads hold."""

from __future__ import annotations

import io

from resnet.compare import CompareError, compare_answers, match, where_they_part
from resnet.detections import Detections
from resnet.draw.ab_view import ab_picture
from resnet.draw.match_boxes import match_boxes, match_rows
from resnet.engine import Engine
from resnet.ui import compare_source as source
from resnet.ui import detect_source
from resnet.ui.compare_files import about, panel
from resnet.ui.compare_source import Asked
from resnet.ui.compare_view import Seen, looks, maps_of, scale_words

Told = tuple[dict, list[dict]]  # all numbers, and the rows of the table


def both(engine: Engine, asked: Asked) -> tuple[Seen, Seen]:
    """Both sides with their heat maps.

    Raises:
        one of `compare_files.PROBLEMS`.
    """
    if not asked.path:
        raise CompareError("Choose a photo for A first.")
    a, b = source.sides(engine, asked)
    one, other = source.look(engine, a), source.look(engine, b)
    i, j = source.explained(engine, one, other, asked.wanted)
    return (
        Seen(a, one, source.heat_map(engine, a, i)),
        Seen(b, other, None if j is None else source.heat_map(engine, b, j)),
    )


def answers(a: Seen, b: Seen) -> dict:
    """Both top lists in one."""
    return compare_answers(a.analysis, b.analysis).to_dict()


def parting(engine: Engine, a: Seen, b: Seen) -> dict:
    """Where the two streams part; worked out once."""
    name = ("parting", source.key(a.side), b.side.photo, source.key(b.side))
    return engine.figure(
        a.side.photo, name, lambda _: where_they_part(a.analysis, b.analysis).to_dict()
    )


def boxes(engine: Engine, asked: Asked) -> tuple[Detections, Detections, dict]:
    """Both sides' boxes above the threshold, and how they pair.

    Raises:
        one of `compare_files.PROBLEMS`.
    """
    if not asked.path:
        raise CompareError("Choose a photo for A first.")
    found = [source.boxes(engine, side) for side in source.sides(engine, asked)]
    # A box from a heat map has no probability as its score.
    a, b = (
        each if each.detector == detect_source.localize.DETECTOR else each.above(asked.score)
        for each in found
    )
    return a, b, match(a, b).to_dict()


def boxes_html(engine: Engine, asked: Asked, b: Seen) -> str:
    """Both lists of boxes on the photo; of a damaged copy, on the copy."""
    one, other, found = boxes(engine, asked)
    drawn = match_boxes(b.analysis.photo.image, one.size, (one.boxes, other.boxes), found)
    table = f"<div>{match_rows(found)}{_names_note(asked)}</div>"
    return f'<div class="match-body">{panel("boxes", drawn)}{table}</div>'


def _names_note(asked: Asked) -> str:
    """Why a heat map's box hardly ever pairs with a detector's."""
    if asked.way != "detectors":
        return ""
    if (asked.detector_a == detect_source.HEAT) == (asked.detector_b == detect_source.HEAT):
        return ""
    return (
        '<p class="hint">A heat map’s box has the name of one of ImageNet’s 1,000 classes, a '
        "detector’s box that of one of COCO’s 80 things. They pair where the names agree.</p>"
    )


# Downloads.


def picture_numbers(engine: Engine, asked: Asked) -> Told:
    """Both heat maps, their scale, their likeness."""
    a, b = both(engine, asked)
    pair, alike = maps_of(a, b)
    rows = [
        {
            "side": letter, "class": s.analysis.net.labels[s.heat.index],
            "method": s.heat.method, "block": s.heat.block, "signed": s.heat.signed,
            "blank": s.heat.blank, "grid": s.heat.grid.round(6).tolist(),
        }
        for letter, s in (("A", a), ("B", b)) if s.heat is not None
    ]  # fmt: skip
    found = about(a, b) | {
        "scale": {"low": pair.low, "high": pair.high},
        "likeness": alike.to_dict() if alike else None,
        "heat_maps": rows,
    }
    return found, rows


def picture_file(engine: Engine, asked: Asked) -> bytes:
    """Both photos, both heat maps, as a PNG."""
    a, b = both(engine, asked)
    pair, _ = maps_of(a, b)
    file = io.BytesIO()
    ab_picture(*looks(a, b, pair), pair.signed, scale_words(pair)).save(file, "PNG")
    return file.getvalue()


def answers_numbers(engine: Engine, asked: Asked) -> Told:
    """Both top lists."""
    a, b = both(engine, asked)
    found = answers(a, b)
    return about(a, b) | {"answers": found}, found["rows"]


def parting_numbers(engine: Engine, asked: Asked) -> Told:
    """Likeness of the streams, block by block."""
    a, b = both(engine, asked)
    found = parting(engine, a, b)
    return about(a, b) | {"parting": found}, found["rows"]


def boxes_numbers(engine: Engine, asked: Asked) -> Told:
    """Both lists of boxes and how they pair."""
    _, _, found = boxes(engine, asked)
    rows = [
        {"thing": row["label"], "found_by": "both", "score_a": row["score_a"],
         "score_b": row["score_b"], "iou": row["iou"]} for row in found["both"]
    ]  # fmt: skip
    for side in ("a", "b"):
        rows += [
            {"thing": row["label"], "found_by": side.upper(), f"score_{side}": row["score"]}
            for row in found[f"only_{side}"]
        ]
    a, b = source.sides(engine, asked)
    detectors = {"A": a.detector, "B": b.detector}
    return {"detectors": detectors, "score": asked.score, "matches": found}, rows
