"""A and B: what is put on either side, as plain values that can be a key or a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resnet.analysis import Analysis, analyze
from resnet.cam import HeatMap
from resnet.compare.base import Box, listed
from resnet.compare.damage import DAMAGES, damaged
from resnet.images import Photo
from resnet.network import ResNet50
from resnet.residual.plain import plain
from resnet.residual.plan import Plan, baseline, gains_of
from resnet.residual.rewired import with_plan


@dataclass(frozen=True)
class Way:
    """One of the ways to fill A and B, described for the people who pick it."""

    title: str
    note: str


WAYS: dict[str, Way] = {
    "photos": Way("Two photos", "Two photos, one set of weights."),
    "weights": Way("Two sets of weights", "One photo, two trainings of the network."),
    "damage": Way("A damaged copy", "One photo, and the same photo damaged."),
    "cuts": Way("Before and after the cuts", "One photo, the network as trained and changed."),
    "methods": Way("Two CAM methods", "One photo and answer, two ways to draw the heat map."),
    "detectors": Way("Two detectors", "One photo, the boxes of two detectors."),
}


@dataclass(frozen=True)
class Side:
    """One side of a comparison; hashable, so it can name what was kept."""

    photo: str  # path of the file
    weights: str = "he2015"
    plan: Plan | None = None  # of a changed network; as trained if None
    damage: str = ""  # a key of DAMAGES; "" for none
    strength: float = 0.0  # 0..1
    seed: int = 0
    box: Box | None = None  # pixels of the photo
    method: str = "gradcam"  # a key of cam.METHODS
    detector: str = ""

    @property
    def title(self) -> str:
        """What is special about this side, in words; "as it is" if nothing."""
        parts = []
        if self.damage and self.strength:
            damage = DAMAGES[self.damage]
            parts.append(f"{damage.title}, {damage.parameter(self.strength)}")
        if self.plan is not None and self.plan != baseline([step.block for step in self.plan]):
            parts.append(changes(self.plan))
        return "; ".join(parts) or "as it is"

    def to_dict(self) -> dict:
        return plain(self) | {"title": self.title}


def changes(plan: Plan) -> str:
    """What a plan changes, in a few words: "shortcut of 2.1 cut", "changed network"."""
    gains = gains_of(plan)
    if not gains:  # blocks swapped or repeated
        return "changed network"
    if len(gains) > 2:
        return f"{len(gains)} wires {'cut' if not any(gains.values()) else 'changed'}"
    return listed(
        [
            f"{wire} of {block} {'cut' if gain == 0 else f'at gain {gain:g}'}"
            for (block, wire), gain in gains.items()
        ]
    )


def look_at(
    side: Side,
    net: ResNet50,
    photo: Photo,
    heat: Callable[[], HeatMap] | None = None,
) -> Analysis:
    """The analysis that a side asks for: damage, forward pass, changed wires.

    Args:
        net: with the side's weights.
        photo: the side's photo, undamaged.
        heat: gives the heat map of the undamaged photo, for the damages that follow one.

    Raises:
        resnet.compare.CompareError: as `damaged`.
        resnet.residual.PlanError: the plan does not fit the network.
    """
    if side.damage and side.strength:
        needs = side.damage in DAMAGES and DAMAGES[side.damage].needs == "heat"
        drawn = heat() if needs and heat is not None else None
        photo = damaged(photo, net.spec, side.damage, side.strength, side.seed, side.box, drawn)
    found = analyze(net, photo)
    return found if side.plan is None else with_plan(found, side.plan)
