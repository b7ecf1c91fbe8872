"""What can be asked about a photo, one function a verb: for programs, over the page or the API.

Each takes the engine, the path of a photo's file and plain options, and gives a small frozen
dataclass; `to_dict` makes JSON of it.  What is wrong with a photo or an option is one of `ERRORS`,
a sentence for whoever asked.  Passes are made once a photo and kept by the engine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Any, TypeVar

from resnet import cam, detectors
from resnet.analysis import Analysis, analyze
from resnet.answers import (
    Block,
    Box,
    Class,
    Classified,
    Compared,
    Cut,
    Detected,
    Explained,
    Lesions,
    Row,
    Stream,
    Traced,
)
from resnet.classify import ClassLike, Prediction, UnknownClass
from resnet.cli.trace import numbers as trace_numbers
from resnet.compare import CompareError, compare_answers, nets, where_they_part
from resnet.detections import Detections
from resnet.detectors import DetectorError
from resnet.detectors.sighting import Sighting
from resnet.draw.box_picture import draw_boxes
from resnet.draw.encode import data_uri, encode
from resnet.draw.overlay import COLOUR_MAPS
from resnet.engine import Engine
from resnet.heat_picture import heat_picture
from resnet.images import ImageError
from resnet.report.content import traced
from resnet.report.rows import block_rows
from resnet.residual.lesions import LesionBoard
from resnet.residual.plain import plain
from resnet.weights import WeightsError

Path = str | os.PathLike
Made = TypeVar("Made")


class OptionError(ValueError):
    """An option out of its range; the message says which and what it may be."""


ERRORS = (ImageError, UnknownClass, cam.CamError, DetectorError, CompareError, WeightsError,
          OptionError)  # fmt: skip


# The verbs


def classify(engine: Engine, photo: Path, top: int = 5) -> Classified:
    """The most probable classes.

    Args:
        top: how many, 1 or more.

    Raises:
        ERRORS
    """
    started = time.perf_counter()
    _whole(top, "top", "how many classes to name", len(engine.net.labels))
    return _classified(engine.open(photo), top, time.perf_counter() - started)


def explain(
    engine: Engine,
    photo: Path,
    wanted: ClassLike | None = None,
    method: str = "gradcam",
    block: str | None = None,
    picture: bool = False,
    colours: str = COLOUR_MAPS[0],
) -> Explained:
    """A heat map of what speaks for a class.

    Args:
        wanted: name, unambiguous part of a name, or index; the network's own answer if None
            or empty.
        method: a key of `cam.METHODS`.
        block: "1.0" … "4.2"; the last if None.
        picture: also as `explain_picture` draws it.
        colours: of the picture, one of COLOUR_MAPS; signed maps have their own.

    Raises:
        ERRORS
    """
    started = time.perf_counter()
    analysis, found = _heat(engine, photo, wanted, method, block)
    drawn = explain_picture(engine, photo, wanted, method, block, colours) if picture else b""
    return Explained(
        **_facts(analysis, started),
        crop=analysis.view.box,
        target=_class(analysis, found.index),
        method=found.method,
        block=found.block,
        signed=found.signed,
        blank=found.blank,
        grid=found.grid.tolist(),
        picture=data_uri(drawn, "image/png") if picture else None,
    )


def explain_picture(
    engine: Engine,
    photo: Path,
    wanted: ClassLike | None = None,
    method: str = "gradcam",
    block: str | None = None,
    colours: str = COLOUR_MAPS[0],
) -> bytes:
    """The photo with the heat map over it, PNG, at the size that was analysed.

    Args:
        the same as of `explain`.

    Raises:
        ERRORS
    """
    if colours not in COLOUR_MAPS:
        raise OptionError(f"There are no colours “{colours}”. Use {', '.join(COLOUR_MAPS)}.")
    analysis, found = _heat(engine, photo, wanted, method, block)
    return encode(heat_picture(analysis, found, colours), "PNG")


def detect(
    engine: Engine,
    photo: Path,
    detector: str = "auto",
    score: float = 0.5,
    classes: Collection[str] | None = None,
    picture: bool = False,
) -> Detected:
    """Which things are in the photo, and where.

    Args:
        detector: a name of the catalogue; auto is the best one whose weights are here.
        score: the lowest, 0..1; the engine keeps nothing below `resnet.detect.FLOOR`.
        classes: names to report; all if None or empty.
        picture: also as `detect_picture` draws it.

    Raises:
        ERRORS
    """
    started = time.perf_counter()
    sighting, found = _boxes(engine, photo, detector, score, classes)
    drawn = detect_picture(engine, photo, detector, score, classes) if picture else b""
    trunk = sighting.detector.trunk
    return Detected(
        weights=engine.net.spec.name,
        device=str(trunk.device),
        precision=trunk.precision,
        seconds=time.perf_counter() - started,
        photo_sha256=sighting.photo.digest,
        size=sighting.photo.size,
        notes=sighting.photo.notes,
        detector=found.detector,
        score=score,
        boxes=tuple(
            Box(name, float(value), tuple(map(float, box)))  # type: ignore[arg-type]
            for name, value, box in zip(found.label_names, found.scores, found.boxes, strict=True)
        ),
        picture=data_uri(drawn, "image/png") if picture else None,
    )


def detect_picture(
    engine: Engine,
    photo: Path,
    detector: str = "auto",
    score: float = 0.5,
    classes: Collection[str] | None = None,
) -> bytes:
    """The photo with the boxes, PNG.

    Raises:
        ERRORS
    """
    sighting, found = _boxes(engine, photo, detector, score, classes)
    picture = sighting.photo.image
    boxes = found.boxes_on(picture.size)
    drawn = draw_boxes(picture, boxes, found.label_names, found.scores.tolist(), masks=found.masks)
    return encode(drawn, "PNG")


def trace(engine: Engine, photo: Path, wanted: ClassLike | None = None) -> Traced:
    """What each block's shortcut and branch carry, and what this network says with each cut.

    Args:
        wanted: as in `explain`.

    Raises:
        ERRORS
    """
    started = time.perf_counter()
    analysis = engine.open(photo)
    index = _index(analysis, wanted)
    made = engine.figure(
        photo, ("traced", index), lambda base: _alone(engine, lambda: traced(base, index))
    )
    names = [field.name for field in fields(Block)]
    return Traced(
        **_facts(analysis, started),
        target=_class(analysis, index),
        blocks=tuple(Block(**{n: row[n] for n in names}) for row in block_rows(made)),
        numbers=plain(trace_numbers(made)),
    )


def lesions(engine: Engine, photo: Path, wanted: ClassLike | None = None) -> Lesions:
    """The answer with each wire cut, one at a time.

    Args:
        wanted: the class whose probability is followed, as in `explain`.

    Raises:
        ERRORS
    """
    started = time.perf_counter()
    analysis = engine.open(photo)
    index = _index(analysis, wanted)
    board: LesionBoard = engine.figure(
        photo, ("lesion board", index), lambda base: _alone(engine, lambda: base.lesions(index))
    )
    return Lesions(
        **_facts(analysis, started),
        target=_class(analysis, index),
        answer=_named(board.answer),
        cuts=tuple(
            Cut(row.block, row.wire, row.probability, row.change, row.rank, _named(row.answer),
                row.flips)
            for row in board.rows
        ),
    )  # fmt: skip


def compare(
    engine: Engine,
    a: Path,
    b: Path,
    weights_a: str = "",
    weights_b: str = "",
    top: int = 5,
) -> Compared:
    """What is said of two photos, or of one by two sets of weights, and where the two part.

    Args:
        weights_a, weights_b: a named set that is on this machine; the engine's own if "".
        top: how many classes of each, 1 or more.

    Raises:
        ERRORS
    """
    _whole(top, "top", "how many classes to compare", len(engine.net.labels))
    one, other = _side(engine, a, weights_a), _side(engine, b, weights_b)
    return _alone(engine, lambda: compared(one, other, top))


def compared(a: Analysis, b: Analysis, top: int = 5) -> Compared:
    """The comparison of two analyses, of any networks.

    Raises:
        CompareError: the two have no block in common.
    """
    answers, parting = compare_answers(a, b, top), where_they_part(a, b)
    return Compared(
        a=_classified(a, top, a.seconds),
        b=_classified(b, top, b.seconds),
        same_answer=answers.same_answer,
        overlap=answers.overlap,
        divergence=answers.divergence,
        logit_cosine=answers.logit_cosine,
        answers=tuple(
            Row(row.label, row.p_a, row.p_b, row.difference, row.rank_a, row.rank_b,
                row.rank_change)
            for row in answers.rows
        ),
        answers_sentence=answers.sentence,
        parts_at=parting.block,
        measure=parting.measure,
        streams=tuple(Stream(r.block, r.cosine, r.cka, r.chance) for r in parting.rows),
        streams_sentence=parting.sentence,
    )  # fmt: skip


# What they share


def _facts(analysis: Analysis, started: float) -> dict[str, Any]:
    net, photo = analysis.net, analysis.photo
    return {
        "weights": net.spec.name,
        "device": str(net.device),
        "precision": net.precision,
        "seconds": time.perf_counter() - started,
        "photo_sha256": photo.digest,
        "size": photo.size,
        "notes": photo.notes,
    }


def _classified(analysis: Analysis, top: int, seconds: float) -> Classified:
    facts = _facts(analysis, 0.0) | {"seconds": seconds}
    named = tuple(map(_named, analysis.top(top)))
    return Classified(**facts, crop=analysis.view.box, top=named)


def _named(prediction: Prediction) -> Class:
    return Class(prediction.index, prediction.label, prediction.probability)


def _class(analysis: Analysis, index: int) -> Class:
    return Class(index, analysis.net.labels[index], float(analysis.probabilities[index]))


def _index(analysis: Analysis, wanted: ClassLike | None) -> int:
    return analysis.find(None if wanted == "" else wanted)


def _whole(value: object, name: str, what: str, most: int) -> None:
    """Raise OptionError unless it is a whole number from 1 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise OptionError(f"“{name}”, {what}, is a whole number from 1 to {most:,}.")


def _alone(engine: Engine, make: Callable[[], Made]) -> Made:
    """While nobody else uses the model."""
    with engine.model:
        return make()


def _heat(
    engine: Engine, photo: Path, wanted: ClassLike | None, method: str, block: str | None
) -> tuple[Analysis, cam.HeatMap]:
    analysis = engine.open(photo)
    index, block = _index(analysis, wanted), block or engine.net.block_names[-1]

    def make(base: Analysis) -> cam.HeatMap:
        return _alone(engine, lambda: base.cam(index, method, block))

    # The page's own name for it: what was drawn there is not worked out again.
    return analysis, engine.figure(photo, ("heat map", index, method, block), make)


def _boxes(
    engine: Engine, photo: Path, detector: str, score: float, classes: Collection[str] | None
) -> tuple[Sighting, Detections]:
    number = isinstance(score, int | float) and not isinstance(score, bool)
    if not number or not 0 <= score <= 1:
        raise OptionError("“score”, the lowest of a box, is a number from 0 to 1.")
    name = detectors.choose(detector)
    sighting = engine.sight(photo, name)
    try:
        return sighting, sighting.found.above(score, classes or None)
    except ValueError as error:  # a class it does not know
        raise OptionError(str(error)) from error


def _side(engine: Engine, photo: Path, name: str) -> Analysis:
    """One side of a comparison."""
    if name in ("", engine.net.spec.name):
        return engine.open(photo)
    net = nets.network(engine.net, name)
    return engine.variant(photo, ("weights", name), lambda base: analyze(net, base.photo))
