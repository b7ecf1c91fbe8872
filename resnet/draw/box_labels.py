"""Where the label tags of detection boxes go, so that none covers another or leaves the picture.

Greedy, the best score first (compare point-feature labelling, Christensen, Marks & Shieber 1995):
every tag takes the cheapest free place, first around its own box, then nearby with a leader line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import ImageFont

# Labels are laid out once for each of these widths of the picture on the page (CSS pixels, with
# the size of the letters); boxes.css shows the one that fits, so that a phone can read them.
SHOWN = {320: 11.0, 420: 11.0, 540: 11.0, 700: 11.5, 920: 12.0}
PADDING = 5.0  # beside the letters of a tag, pixels
TALL = 1.5  # height of a tag in heights of its letters
PAGE_FONT = 0.94  # width of usual page fonts to that of DejaVu Sans, rather wide than narrow

GAP = 1.5  # pixels between two tags
MOST = 0.25  # share of the picture that tags may hide
# Costs, in the unit "one preference down the list of places".
COVERS = 7.0  # of hiding a whole other box
HIDES_SELF = 9.0  # of hiding the whole thing that it names
LEADER = 4.5  # of standing off the box, and PER_HEIGHT for every tag height of distance
PER_HEIGHT = 1.1
CROSSES = 8.0  # of a leader under another tag, or a tag over another's leader
TOO_MUCH = 10.0  # dearer places are no place
REACH = 4.5  # longest leader, in tag heights


@dataclass(frozen=True)
class Tag:
    """A tag's rectangle in display pixels; its leader line (tag x, y, box x, y) if it has one."""

    x: float
    y: float
    width: float
    height: float
    leader: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Placed:
    """The tags in the order of the boxes, None where there was no room; and how many of these."""

    tags: tuple[Tag | None, ...]
    dropped: int


def percent(score: float) -> str:
    """0..1 -> "87 %"; never rounds to a certainty or an impossibility that is not there."""
    if 0 < score < 0.005:
        return "<1 %"
    return f"{100 if score >= 1 else min(99, round(100 * score))} %"


def place_tags(
    boxes: np.ndarray,
    widths: Sequence[float],
    height: float,
    size: tuple[float, float],
    scores: Sequence[float] | None = None,
    first: int | None = None,
    most: float = MOST,
) -> Placed:
    """Find a place for every tag.

    Args:
        boxes: float [n, 4], x0, y0, x1, y1 in display pixels, inside the picture.
        widths: of the tags, pixels, padding included.
        height: of every tag, pixels.
        size: (width, height) of the picture in display pixels.
        scores: [n]; the best score chooses first, so that the lowest go without. Order if None.
        first: a row that chooses before all others (the selected one).
        most: share of the picture, 0..1, that all tags together may hide.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    order = list(range(len(boxes)))
    if scores is not None:
        order.sort(key=lambda row: -float(scores[row]))
    if first is not None:
        order.remove(first)
        order.insert(0, first)
    table = _Table(boxes, height, size)
    room = most * size[0] * size[1]
    tags: list[Tag | None] = [None] * len(boxes)
    for row in order:
        if widths[row] * height > room:
            continue
        tag = table.seat(row, float(widths[row]))
        if tag is not None:
            tags[row] = tag
            room -= tag.width * tag.height
    return Placed(tuple(tags), sum(tag is None for tag in tags))


def fallback(box: np.ndarray, width: float, height: float, size: tuple[float, float]) -> Tag:
    """Above the box or in its top left corner, whatever lies there: for a tag shown on its own."""
    y = box[1] - height if box[1] >= height else box[1]
    x = max(0.0, min(box[0], size[0] - width))
    return Tag(float(x), float(max(0.0, min(y, size[1] - height))), width, height)


def plans_for(
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float],
    size: tuple[int, int],
    first: int | None = None,
) -> dict[int, Placed]:
    """Places of the tags for every width in SHOWN, in CSS pixels at that width.

    Args:
        boxes: float [n, 4] in pixels of a photo of `size` (width, height).
    """
    found = {}
    for shown, letters in SHOWN.items():
        ratio = shown / size[0]
        said = zip(names, scores, strict=True)
        widths = [tag_width(name, score, letters * PAGE_FONT) for name, score in said]
        scaled = np.asarray(boxes, float).reshape(-1, 4) * ratio
        room = (shown, size[1] * ratio)
        found[shown] = place_tags(scaled, widths, letters * TALL, room, scores, first)
    return found


def tag_width(name: str, score: float, letters: float) -> float:
    """Pixels that a tag takes with DejaVu Sans at this size of letters, padding included."""
    text = font("-Bold", 100).getlength(name) + font("", 100).getlength(f" {percent(score)}")
    return text * letters / 100 + 2 * PADDING


@cache
def font(kind: str, pixels: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib ships it; kind is "" or "-Bold"."""
    spec = find_spec("matplotlib")  # found, not imported: that takes a quarter of a second
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{kind}.ttf"), pixels)


class _Table:
    """The picture while it fills with tags."""

    def __init__(self, boxes: np.ndarray, height: float, size: tuple[float, float]):
        self.boxes, self.height, self.size = boxes, height, size
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        self.areas = sides.prod(1)
        self.taken = np.empty((0, 4))  # rectangles of tags
        self.threads = np.empty((0, 2))  # points along leaders

    def seat(self, row: int, width: float) -> Tag | None:
        """The cheapest free place for a row's tag, now taken; None if there is none."""
        around, cost = self._around(self.boxes[row], width)
        place, price = self._cheapest(row, around, cost)
        if price > LEADER:
            off, cost = self._off(self.boxes[row], width, min(price, TOO_MUCH))
            further, dearer = self._cheapest(row, off, cost, leaders=True)
            if dearer < price:
                place, price = further, dearer
        if place is None or price > TOO_MUCH:
            return None
        self.taken = np.vstack((self.taken, place))
        line = leader(place, self.boxes[row])
        if line is not None:
            self.threads = np.vstack((self.threads, _along(line)))
        x0, y0, x1, y1 = (float(edge) for edge in place)
        return Tag(x0, y0, x1 - x0, y1 - y0, line)

    def _around(self, box: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
        x0, y0, x1, y1 = box
        up, right, inside = y0 - self.height, x1 - width, y1 - self.height
        middle = (x0 + x1 - width) / 2
        places = [
            (x0, up, 0.0),
            (right, up, 0.9),
            (x0, y0, 1.2),
            (right, y0, 1.8),
            (middle, up, 1.5),
            (x0, y1, 2.2),
            (right, y1, 2.4),
            (middle, y1, 2.6),
            (x0, inside, 2.6),
            (right, inside, 2.8),
            (x1, y0, 3.0),
            (x0 - width, y0, 3.2),
            (x1, inside, 3.4),
            (x0 - width, inside, 3.6),
        ]
        x, y, cost = np.array(places).T
        return np.stack((x, y, x + width, y + self.height), 1), cost

    def _off(self, box: np.ndarray, width: float, below: float) -> tuple[np.ndarray, np.ndarray]:
        """Places at some distance that cost less than `below`."""
        reach = min(REACH, (below - LEADER) / PER_HEIGHT) * self.height
        xs = np.arange(box[0] - reach - width, box[2] + reach, 0.8 * self.height)
        ys = np.arange(box[1] - reach - self.height, box[3] + reach, 0.4 * self.height)
        x, y = (axis.ravel() for axis in np.meshgrid(xs, ys))
        places = np.stack((x, y, x + width, y + self.height), 1)
        away = np.hypot(*_apart(places, box))
        near = (away > 0) & (away <= reach)
        return places[near], LEADER + PER_HEIGHT * away[near] / self.height

    def _cheapest(
        self, row: int, places: np.ndarray, cost: np.ndarray, leaders: bool = False
    ) -> tuple[np.ndarray | None, float]:
        w, h = self.size
        free = (places[:, :2] >= 0).all(1) & (places[:, 2] <= w) & (places[:, 3] <= h)
        free &= ~(_overlap(places, _grown(self.taken, GAP)) > 0).any(1)
        places, cost = places[free], cost[free]
        if not len(places):
            return None, np.inf
        hidden = _overlap(places, self.boxes) / self.areas
        weight = np.full(len(self.boxes), COVERS)
        weight[row] = HIDES_SELF
        cost = cost + np.minimum(hidden, 1) @ weight
        cost = cost + CROSSES * _holds(places, self.threads).any(1)
        if leaders:  # dear to find out: only for the few that may win
            best = np.argsort(cost, kind="stable")[:12]
            places, cost = places[best], cost[best]
            lines = [leader(place, self.boxes[row]) for place in places]
            under = [line is not None and _holds(self.taken, _along(line)).any() for line in lines]
            cost = cost + CROSSES * np.array(under)
        best_one = int(np.argmin(cost))
        return places[best_one], float(cost[best_one])


def leader(place: np.ndarray, box: np.ndarray) -> tuple[float, float, float, float] | None:
    """The shortest line from a tag's rectangle to a box; None where they touch."""
    if not any(_apart(place[None], box)):
        return None
    ends = []
    for axis in (0, 1):
        low, high = max(place[axis], box[axis]), min(place[axis + 2], box[axis + 2])
        if low <= high:  # side by side along this axis: go straight, in the middle
            ends.append(((low + high) / 2,) * 2)
        else:
            ends.append(
                (place[axis + 2], box[axis]) if place[axis + 2] < box[axis] else (low, high)
            )
    (x, to_x), (y, to_y) = ends
    return float(x), float(y), float(to_x), float(to_y)


def _apart(places: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal and vertical distance of rectangles [n, 4] to one box, 0 where they meet."""
    over = np.maximum(places[:, :2] - box[2:], box[:2] - places[:, 2:])
    return tuple(np.maximum(over, 0).T)


def _grown(rects: np.ndarray, by: float) -> np.ndarray:
    return rects + np.array([-by, -by, by, by])


def _overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Shared area of rectangles [n, 4] and [m, 4], [n, m]."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    return np.maximum(high - low, 0).prod(2)


def _along(line: tuple[float, float, float, float]) -> np.ndarray:
    """Points [12, 2] along a leader."""
    share = np.linspace(0.04, 1, 12)[:, None]
    return np.array(line[:2]) * (1 - share) + np.array(line[2:]) * share


def _holds(rects: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether rectangles [n, 4] hold points [m, 2], bool [n, m]."""
    inside = (points[None] >= rects[:, None, :2]) & (points[None] <= rects[:, None, 2:])
    return np.all(inside, axis=2)
