"""Where everything in the wiring diagram stands: one geometry, drawn across or down the page.

Positions are given as (along, across): `along` follows the shortcut wire from the photo to the
answer, `across` points to the branch side.  Only `Layout.at` knows which of them is x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
from typing import Literal

Kind = Literal["wide", "tall"]


@dataclass(frozen=True)
class Box:
    """A rectangle in SVG pixels."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box, slack: float = 0.5) -> bool:
        """Whether the two share more than `slack` pixels in both directions."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return across > slack and down > slack

    def holds(self, other: Box, slack: float = 0.5) -> bool:
        """Whether `other` lies inside, up to `slack` pixels."""
        return (
            other.x >= self.x - slack
            and other.y >= self.y - slack
            and other.x + other.width <= self.x + self.width + slack
            and other.y + other.height <= self.y + self.height + slack
        )


@dataclass(frozen=True)
class Measures:
    """The few distances, in SVG pixels, that make one kind of layout."""

    lead: float  # along: photo and stem, before the first stage
    tail: float  # along: pool and fc, after the last stage
    before: float  # along: from a block's edge to where its branch leaves
    span: float  # along: from there to the plus
    after: float  # along: from the plus to the block's edge
    projected: float  # along: what x.0 gets on top, for the mark of its projection
    header: float  # along: a stage's title, where it stands before the blocks
    pad: float  # along: from a stage's edge to its first and from its last block
    gap: float  # along: between two stages
    arch: float  # across: height of the branch above the shortcut
    thickest: tuple[float, float]  # widest shortcut and widest branch


MEASURES: dict[Kind, Measures] = {
    "wide": Measures(104, 80, 13, 35, 9, 16, 0, 4, 8, 118, (34, 20)),
    "tall": Measures(110, 82, 10, 27, 6, 16, 26, 2, 8, 106, (29, 14)),
}
ROAD = 34.0  # width of the bed that the shortcut lies in
NODE = 9.5  # radius of a plus
VALVE = 17.0  # where a shortcut is cut, before the plus
GAP = 14.0  # what the scissors take out of a wire


@dataclass(frozen=True)
class Place:
    """Where one block stands along the shortcut."""

    name: str
    enter: float  # the plus of the block before, or the stem
    start: float  # edge of the block's own ground
    split: float  # the branch leaves
    plus: float  # the branch comes back
    end: float

    @property
    def stage(self) -> str:
        return self.name.split(".")[0]

    @property
    def middle(self) -> float:
        return (self.split + self.plus) / 2


@dataclass(frozen=True)
class Layout:
    """All positions of one diagram."""

    kind: Kind
    size: tuple[float, float]  # of the whole picture
    road: float  # the shortcut's y (wide) or x (tall)
    measures: Measures
    places: tuple[Place, ...]
    stages: dict[str, Box]
    photo: Box
    card: Box
    legend: Box

    def at(self, along: float, across: float = 0.0) -> tuple[float, float]:
        """(along, across) -> (x, y)."""
        if self.kind == "wide":
            return along, self.road - across
        return self.road + across, along

    def line(self, start: float, end: float, across: float = 0.0) -> str:
        """Path of a straight piece along the shortcut."""
        (x0, y0), (x1, y1) = self.at(start, across), self.at(end, across)
        return f"M{x0:g} {y0:g}L{x1:g} {y1:g}"

    def band(self, start: float, end: float, width: float) -> str:
        """Path around a straight piece: something to click on has to have an area."""
        (x0, y0), (x1, y1) = self.at(start, width / 2), self.at(end, -width / 2)
        return f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}Z"

    def arch(self, place: Place, outside: float = 0.0) -> str:
        """Path of a branch: up, a half circle, and down into the plus.

        Args:
            outside: distance from the centre line, for an outline; negative is inside the arch.
        """
        half = (place.plus - place.split) / 2
        radius = max(0.5, half + outside)
        straight = self.measures.arch - half
        points = [
            self.at(place.split - outside),
            self.at(place.split - outside, straight),
            self.at(place.plus + outside, straight),
            self.at(place.plus + outside),
        ]
        (a, b), (c, d), (e, f), (g, h) = points
        return f"M{a:g} {b:g}L{c:g} {d:g}A{radius:g} {radius:g} 0 0 1 {e:g} {f:g}L{g:g} {h:g}"

    def arch_length(self, place: Place) -> float:
        """Length of the centre line of a branch, in pixels."""
        half = (place.plus - place.split) / 2
        return 2 * (self.measures.arch - half) + pi * half

    def ground(self, place: Place) -> Box:
        """The block's own patch: where a click selects it."""
        stage = self.stages[place.stage]
        length = place.end - place.start
        if self.kind == "wide":
            return Box(place.start, stage.y + 27, length, stage.height - 31)
        return Box(stage.x + 4, place.start, stage.width - 8, length)

    def name_at(self, place: Place) -> tuple[float, float]:
        """Middle of the block's name."""
        if self.kind == "wide":
            return place.middle, self.stages[place.stage].y + 41
        return 226.0, place.middle

    def gain_at(self, place: Place, wire: str) -> tuple[float, float]:
        """Middle of the label that shows a wire's gain."""
        if wire == "branch":  # a sign on the crown of the arch
            return self.at(place.middle, self.measures.arch)
        beside = ROAD / 2 + (14 if self.kind == "wide" else 25)
        return self.at(place.middle, -beside)


def layout(names: Sequence[str], kind: Kind) -> Layout:
    """Place blocks `names` ("1.0" ... "4.2", in order; the part before the dot is the stage)."""
    m = MEASURES[kind]
    places: list[Place] = []
    edges: dict[str, tuple[float, float]] = {}
    along = enter = m.lead
    enter -= 14
    for name in names:
        stage, _, index = name.partition(".")
        if stage not in edges:
            along = edges[places[-1].stage][1] + m.gap if edges else along
            edges[stage] = (along, along)
            along += m.header + m.pad
        start = along
        split = start + m.before
        plus = split + m.span + (m.projected if index == "0" else 0.0)
        along = plus + m.after
        places.append(Place(name, enter, start, split, plus, along))
        edges[stage] = (edges[stage][0], along + m.pad)
        enter = plus
    end = edges[places[-1].stage][1] if places else along
    if kind == "wide":
        road = 214.0
        stages = {s: Box(a, 6, b - a, 254) for s, (a, b) in edges.items()}
        photo = Box(8, road - 30, 60, 60)
        card = Box(end + m.tail, road - 72, 150, 120)
        legend = Box(m.lead, 272, end + m.tail + 150 - m.lead, 30)
        size = (card.x + card.width + 8, 308.0)
    else:
        road = 72.0
        stages = {s: Box(4, a, 352, b - a) for s, (a, b) in edges.items()}
        photo = Box(road - 30, 6, 60, 60)
        card = Box(4, end + m.tail, 352, 92)
        legend = Box(4, card.y + card.height + 12, 352, 108)
        size = (360.0, legend.y + legend.height + 6)
    return Layout(kind, size, road, m, tuple(places), stages, photo, card, legend)
