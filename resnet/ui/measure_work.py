"""What can be measured on A: the subject, the work, and what is known already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare import (
    DAMAGES,
    CompareError,
    Pointing,
    Side,
    curves,
    league,
    nets,
    pointing,
    sweep,
)
from resnet.engine import Engine
from resnet.ui import compare_source as source
from resnet.ui.compare_files import about
from resnet.ui.compare_source import Asked
from resnet.ui.compare_view import Seen

STEPS = 12  # strengths of a sweep
KINDS = {
    "sweep": "Strength sweep",
    "curves": "Deletion and insertion",
    "league": "League of all methods",
    "pointing": "Pointing game",
}
Shown = Callable[[Any], None]  # told what is there so far, where the work has rows


@dataclass(frozen=True)
class Subject:
    """What is measured: A, its analysis, the class."""

    side: Side
    analysis: Analysis
    index: int

    @property
    def label(self) -> str:
        return self.analysis.net.labels[self.index]


def subject(engine: Engine, asked: Asked) -> Subject:
    """A as the controls have it, undamaged.

    Raises:
        one of PROBLEMS.
    """
    if not asked.path:
        raise CompareError("Choose a photo for A first.")
    side, _ = source.sides(engine, asked._replace(way="weights"))
    analysis = source.look(engine, side)
    index, _ = source.explained(engine, analysis, analysis, asked.wanted)
    return Subject(side, analysis, index)


def name_of(kind: str, harm: str, of: Subject, asked: Asked) -> tuple:
    """Of a result and everything it depends on.

    Args:
        kind: a key of KINDS.
        harm: of a sweep, a key of DAMAGES.
    """
    base = (kind, source.key(of.side))
    if kind == "sweep":
        needs = DAMAGES[harm].needs
        box = asked.slots.box if needs == "box" else None
        method = of.side.method if needs == "heat" else ""
        return (*base, harm, int(asked.seed or 0), box, method)
    method = of.side.method if kind == "curves" else ""
    return (*base, of.index, method)


def work_of(
    engine: Engine, kind: str, harm: str, of: Subject, asked: Asked, shown: Shown
) -> Callable:
    """The measurement, as `watched` runs it: given progress and a question whether to end.

    Raises:
        CompareError: something is missing; the sentence says what to do.
    """
    side, analysis = of.side, of.analysis
    if kind == "pointing":
        if asked.slots.box is None:
            raise CompareError("Draw a box on the photo first.")

        def every_map(progress, cancelled):
            methods = len(cam.METHODS)
            return point(engine, of, asked, True, lambda done: progress(done, methods))

        return every_map
    if kind == "sweep":
        entry = DAMAGES[harm]
        if entry.needs == "box" and asked.slots.box is None:
            raise CompareError("Draw the box that is to be covered on the photo first.")
        answer = analysis.top(1)[0].index
        heat = source.heat_map(engine, side, answer) if entry.needs == "heat" else None
        net = nets.network(engine.net, side.weights)
        return lambda progress, cancelled: sweep(
            net, analysis.photo, harm, STEPS, int(asked.seed or 0), asked.slots.box, heat,
            progress, cancelled, lock=engine.model,
        )  # fmt: skip
    if kind == "curves":
        heat = source.heat_map(engine, side, of.index)
        if heat.blank:
            raise CompareError("The heat map is blank, so there is no order to measure.")
        return lambda progress, cancelled: curves(
            analysis, heat, progress=progress, cancelled=cancelled, lock=engine.model
        )
    return lambda progress, cancelled: league(
        analysis, of.index, progress=progress, cancelled=cancelled, lock=engine.model, shown=shown
    )


def point(
    engine: Engine,
    of: Subject,
    asked: Asked,
    slow: bool = False,
    watch: Callable[[int], None] | None = None,
) -> Pointing:
    """Every method against the drawn box; the slow ones if asked for, or if their map is known.

    Args:
        watch: told how many maps there are.
    """
    last = tuple(of.analysis.blocks)[-1]
    maps = {}
    for method, entry in cam.METHODS.items():
        one = replace(of.side, method=method)
        if entry.slow and not slow and not _is_known(engine, one, of, last):
            continue
        maps[entry.title] = source.heat_map(engine, one, of.index)
        if watch:
            watch(len(maps))
    assert asked.slots.box is not None
    return pointing(of.analysis, asked.slots.box, maps)


def known(engine: Engine, kind: str, harm: str, of: Subject, asked: Asked) -> Any:
    """A result that is there already, or at once; None if it must be measured."""
    if kind == "pointing":
        return point(engine, of, asked) if asked.slots.box is not None else None
    return engine.known(of.side.photo, name_of(kind, harm, of, asked))


def numbers(engine: Engine, kind: str, harm: str, asked: Asked) -> tuple[dict, list[dict]]:
    """What the downloads of a measurement hold: everything, and the rows of its table.

    Raises:
        one of PROBLEMS.
    """
    of = subject(engine, asked)
    found = known(engine, kind, harm, of, asked)
    if found is None:
        raise CompareError("Measure it first, to its end.")
    plain = found.to_dict()
    return about(Seen(of.side, of.analysis, None)) | {kind: plain}, _rows(kind, plain)


def _rows(kind: str, numbers: dict) -> list[dict]:
    """What the table of a measurement lists."""
    if kind != "curves":
        return numbers["rows"]
    deletion, insertion = numbers["deletion"], numbers["insertion"]
    columns = zip(
        deletion["shares"], deletion["probabilities"], insertion["probabilities"], strict=True
    )
    return [{"share": x, "deletion": d, "insertion": i} for x, d, i in columns]


def _is_known(engine: Engine, one: Side, of: Subject, last: str) -> bool:
    """Whether a method's map is there already: the slow ones are not made unasked."""
    return engine.known(one.photo, source.heat_name(engine, one, of.index, last)) is not None
