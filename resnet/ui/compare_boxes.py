"""Things found in A and in B: matched where it is one photo, counted where it is two."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from resnet import detect, localize, why
from resnet.analysis import Analysis
from resnet.compare import CompareError, Side, match
from resnet.detections import Detections
from resnet.detectors import choose, load, shipped
from resnet.detectors.run import run
from resnet.draw.match_boxes import match_boxes, match_rows
from resnet.engine import Engine
from resnet.residual.rewired import with_plan
from resnet.ui import compare_source as source
from resnet.ui import detect_source, messages
from resnet.ui.compare_files import panel
from resnet.ui.compare_source import Asked
from resnet.ui.detect_view import counts_html, listed_things

SHARE = 0.3  # of a heat map's maximum inside its boxes
_OWN_TRUNK = (
    "Two sets of weights change no box of this detector: the one that ships works on the features "
    "of he2015 alone, and the ones to be fetched bring networks of their own. The detector “Heat "
    "map of one class” does follow the weights."
)


def everything(engine: Engine, side: Side, one_look: bool = False) -> Detections:
    """All that the side's detector finds, the weak boxes too.

    Args:
        one_look: of a detector that looks several times, at its first look alone: as with cuts.

    Raises:
        resnet.detectors.DetectorError: no such detector, or its weights are not here.
        resnet.images.ImageError: as `compare_source.look`.
        resnet.residual.PlanError: the cuts do not fit the detector's trunk.
    """
    if side.detector == detect_source.HEAT:
        return _of_heat(engine, side)
    name, plan = choose(side.detector), side.plan
    if side.damage and side.strength:
        photo = source.look(engine, replace(side, plan=None)).photo

        def look(_: Analysis) -> Detections:
            detector = load(name, engine.net)
            with engine.model:
                return run(detector, photo, detect.FLOOR).found

        return engine.figure(side.photo, ("boxes", name, source.key(side)), look)
    if plan is None:
        seen = engine.sight(side.photo, name)
        return (seen.one_look if one_look else seen).found
    return engine.figure(
        side.photo, ("boxes under", plan), lambda seen: why.under_plan(seen, plan), detector=name
    )


def _of_heat(engine: Engine, side: Side) -> Detections:
    """Boxes around the heat map of the photo's own answer, by the side's network."""
    answer = engine.open(side.photo).top(1)[0]
    if source.as_it_is(engine, side):
        return detect_source.everything(engine, side.photo, detect_source.HEAT, answer.index, SHARE)
    seen = source.look(engine, side)

    def make(_: Analysis) -> Detections:
        with engine.model:
            whole = localize.analyze_whole(seen.net, seen.photo)
            if side.plan is not None:
                whole = with_plan(whole, side.plan)
        labels = whole.net.labels
        known = answer.label in labels
        index = labels.index(answer.label) if known else whole.top(1)[0].index
        return localize.boxes(whole, [whole.cam(index, localize.METHOD)], SHARE)

    return engine.figure(side.photo, ("heat boxes", source.key(side)), make)


def both(engine: Engine, asked: Asked) -> tuple[Detections, Detections]:
    """Both sides' boxes above the threshold.

    Raises:
        one of `compare_files.PROBLEMS`.
    """
    if not asked.path:
        raise CompareError("Choose a photo for A first.")
    if _unmoved(asked):
        raise CompareError(_OWN_TRUNK)
    sides = source.sides(engine, asked)
    cut = any(side.plan is not None for side in sides)
    found = [everything(engine, side, cut) for side in sides]
    # A box from a heat map has no probability as its score.
    a, b = (
        each if each.detector == localize.DETECTOR else each.above(asked.score) for each in found
    )
    return a, b


def boxes_html(engine: Engine, asked: Asked) -> str:
    """Both lists of boxes on the photo; of a damaged copy, on the copy; of two photos, counted.

    Raises:
        as `both`; where the weights change nothing, that is said instead.
    """
    if _unmoved(asked):
        return f'<div class="boxes-none">{messages.notes([_OWN_TRUNK])}</div>'
    one, other = both(engine, asked)
    if asked.way == "photos":
        return _counted(one, other)
    found = match(one, other).to_dict()
    a, b = source.sides(engine, asked)
    photo = source.look(engine, b if asked.way == "damage" else a).photo
    drawn = match_boxes(photo.image, one.size, (one.boxes, other.boxes), found)
    table = f"<div>{match_rows(found)}{_names_note(asked)}{_look_note((a, b))}</div>"
    return f'<div class="match-body">{panel("boxes", drawn)}{table}</div>'


def _unmoved(asked: Asked) -> bool:
    """Whether A and B differ in weights that this detector does not use."""
    return asked.way == "weights" and asked.detector_a != detect_source.HEAT


def _counted(a: Detections, b: Detections) -> str:
    words = (
        f"A shows {listed_things(a)}, B shows {listed_things(b)}. Boxes on two photos cannot be "
        "matched, so they are counted."
    )
    table = counts_html((a, b), ("A", "B")) if len(a) or len(b) else ""
    return (
        f'<div class="boxes-counted"><p class="found" role="status">{escape(words)}</p>'
        f"{table}</div>"
    )


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


def _look_note(sides: tuple[Side, Side]) -> str:
    """Why there are fewer boxes than in the tab Detect."""
    if all(side.plan is None for side in sides):
        return ""
    name = sides[0].detector
    if name == detect_source.HEAT or choose(name) != shipped.NAME:
        return ""
    return (
        '<p class="hint">Cuts are compared at this detector’s first look alone, on both sides: the '
        "tab Detect puts several looks together and may show more boxes.</p>"
    )


def numbers(engine: Engine, asked: Asked) -> tuple[dict, list[dict]]:
    """For the downloads: both lists of boxes and how they pair, or how many of each thing."""
    one, other = both(engine, asked)
    a, b = source.sides(engine, asked)
    told = {"detectors": {"A": a.detector, "B": b.detector}, "score": asked.score}
    if asked.way == "photos":
        names = dict.fromkeys((*one.counts, *other.counts))
        rows = [
            {"thing": name, "count_a": one.counts.get(name, 0),
             "count_b": other.counts.get(name, 0)} for name in names
        ]  # fmt: skip
        return told | {"counts": rows}, rows
    found = match(one, other).to_dict()
    rows = [
        {"thing": row["label"], "found_by": "both", "score_a": row["score_a"],
         "score_b": row["score_b"], "iou": row["iou"]} for row in found["both"]
    ]  # fmt: skip
    for side in ("a", "b"):
        rows += [
            {"thing": row["label"], "found_by": side.upper(), f"score_{side}": row["score"]}
            for row in found[f"only_{side}"]
        ]
    return told | {"matches": found}, rows
