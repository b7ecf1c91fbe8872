"""What stands in A and B: from the controls to sides, and from sides to analyses and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare import DAMAGES, CompareError, Side, look_at, nets
from resnet.compare.base import Box
from resnet.engine import Engine
from resnet.residual.plan import Plan
from resnet.residual.rewired import with_plan
from resnet.ui.bench import Bench
from resnet.ui.examples import FOLDER, examples
from resnet.ui.switchboard import PRESETS, plan_of

FROM_INSIDE = "inside"  # stands beside the presets' titles
ANSWER_OF_A, OWN_ANSWERS = -2, -1  # stand beside the class indices
STREAMS = ("photos", "weights", "damage", "cuts")  # ways whose answers, streams, boxes may differ


@dataclass(frozen=True)
class Slots:
    """What a visitor has put into A and B besides the controls."""

    path: str = ""  # A's photo, when the tab was drawn last
    other: str = ""  # B's photo of "two photos"
    box: Box | None = None  # drawn on A's photo, in its pixels
    block: str = "3.2"  # whose signals are shown


class Asked(NamedTuple):
    """The controls, in the order in which the page sends them."""

    path: str
    slots: Slots
    way: str
    weights_a: str
    weights_b: str
    method_a: str
    method_b: str
    wanted: int
    damage: str
    strength: float
    seed: float
    cuts: str
    detector_a: str
    detector_b: str
    score: float
    boxes: bool  # of STREAMS: look for things in both as well
    bench: Bench


def sides(engine: Engine, asked: Asked) -> tuple[Side, Side]:
    """A and B as the controls ask for them.

    Raises:
        CompareError: something is missing; the sentence says what to do.
    """
    seed = int(asked.seed or 0)
    a = Side(asked.path, asked.weights_a, method=asked.method_a, detector=asked.detector_a)
    b = replace(a, weights=asked.weights_b)
    if asked.way == "photos":
        return a, replace(b, photo=asked.slots.other or another(asked.path))
    if asked.way == "methods":
        return a, replace(a, method=asked.method_b)
    if asked.way == "detectors":
        return a, replace(a, detector=asked.detector_b)
    if asked.way == "cuts":
        return a, replace(b, plan=plan_asked(engine, asked.cuts, seed, asked.bench))
    if asked.way == "damage":
        needed = DAMAGES[asked.damage].needs
        box = asked.slots.box if needed == "box" else None
        if needed == "box" and box is None:
            raise CompareError("Draw the box that is to be covered on the photo first.")
        strength = asked.strength if not DAMAGES[asked.damage].switch else 1.0
        return a, replace(b, damage=asked.damage, strength=strength, seed=seed, box=box)
    return a, b


def another(path: str) -> str:
    """An example photo that is not this one."""
    names = [name for name in examples() if name != Path(path).name]
    return str(FOLDER / names[0])


def plan_asked(engine: Engine, cuts: str, seed: int, bench: Bench) -> Plan:
    """The steps of the changed network.

    Raises:
        CompareError: nothing is cut on *Inside*, or there is no such preset.
    """
    if cuts == FROM_INSIDE:
        if bench.setting.trained:
            raise CompareError(
                "Nothing is cut on the tab Inside. Cut a wire there and come back, or choose one "
                "of the presets here."
            )
        return plan_of(engine.net, bench.setting)
    for preset in PRESETS:
        if preset.title == cuts:
            return plan_of(engine.net, preset.make(engine.net, seed))
    raise CompareError("There is no such preset.")


def look(engine: Engine, side: Side) -> Analysis:
    """The side's analysis, made once and kept as the engine keeps its own.

    Raises:
        resnet.images.ImageError, resnet.weights.WeightsError, CompareError, cam.CamError: with a
            sentence for the visitor.
    """
    if as_it_is(engine, side):
        return engine.open(side.photo)
    net = nets.network(engine.net, side.weights)
    own = net is engine.net
    if not side.damage or not side.strength:
        if side.plan is None:
            return engine.variant(
                side.photo, ("weights", side.weights), lambda base: look_at(side, net, base.photo)
            )
        if own:  # under the name that the switchboard uses: what was cut there is known already
            plan = side.plan
            return engine.variant(side.photo, plan, lambda base: with_plan(base, plan))
    heat = None
    if side.damage and DAMAGES[side.damage].needs == "heat":
        whole = replace(side, damage="", strength=0.0, plan=None)
        seen = look(engine, whole)
        heat = heat_map(engine, whole, seen.top(1)[0].index)
    return engine.variant(
        side.photo,
        ("compared", key(side)),
        lambda base: look_at(side, net, base.photo, None if heat is None else lambda: heat),
    )


def key(side: Side) -> tuple:
    """What a side's analysis depends on besides its photo."""
    method = side.method if side.damage and DAMAGES[side.damage].needs == "heat" else ""
    damage = (side.damage, side.strength, side.seed, side.box) if side.strength else ()
    return (side.weights, side.plan, damage, method)


def heat_map(
    engine: Engine, side: Side, index: int, watch: Callable[[range], Iterable[int]] | None = None
) -> cam.HeatMap:
    """The side's heat map of one class at the last block, made once.

    Raises:
        as `look`.
    """
    seen = look(engine, side)
    last = tuple(seen.blocks)[-1]
    return engine.figure(
        side.photo,
        heat_name(engine, side, index, last),
        lambda _: seen.cam(index, side.method, last, progress=watch),
    )


def heat_name(engine: Engine, side: Side, index: int, block: str) -> tuple:
    """Under which the engine keeps a side's heat map; *Classify*'s own name where it is its map."""
    name: tuple[Any, ...] = ("heat map", index, side.method, block)
    return name if as_it_is(engine, side) else (*name, key(side))


def as_it_is(engine: Engine, side: Side) -> bool:
    """The photo as it is, by the page's own network as it was trained."""
    harmed = bool(side.damage) and side.strength > 0
    return side.weights == engine.net.spec.name and side.plan is None and not harmed


def explained(engine: Engine, a: Analysis, b: Analysis, wanted: int) -> tuple[int, int | None]:
    """The classes whose heat maps are drawn: in A's and in B's list; None if B does not know it.

    Args:
        wanted: an index of the page's own classes, ANSWER_OF_A or OWN_ANSWERS.
    """
    if wanted == OWN_ANSWERS:
        return a.top(1)[0].index, b.top(1)[0].index
    if wanted == ANSWER_OF_A:
        index = a.top(1)[0].index
    else:
        label = engine.net.labels[int(wanted)]
        index = a.net.labels.index(label) if label in a.net.labels else a.top(1)[0].index
    label = a.net.labels[index]
    if b.net.labels == a.net.labels:
        return index, index
    return index, b.net.labels.index(label) if label in b.net.labels else None
