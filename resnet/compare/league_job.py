"""The league's work: every method's map of one photo, and four measures of each distinct map."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare.base import (
    BATCH,
    NO_LOCK,
    Cancelled,
    CompareError,
    Lock,
    Progress,
    never,
)
from resnet.compare.faithful import check_steps
from resnet.compare.league import CHANCE, League, LeagueRow
from resnet.compare.measures import (
    PERCENTILES,
    STEPS,
    Curve,
    Kind,
    Stopped,
    Subject,
    curve_of,
    drop,
    ends_of,
    road,
    subject,
)
from resnet.compare.ranking import hottest_first

# What the parts cost, in views through the network; measured on a CPU, so that a bar is even.
FILLED = 2  # a view of ROAD: its pixels are filled in first
SLOW = 24  # a map of a slow method at the last block: its tail is short

Shown = Callable[[League], None]


def league(
    analysis: Analysis,
    index: int | None = None,
    methods: Sequence[str] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled = never,
    *,
    block: str | None = None,
    steps: int = STEPS,
    percentiles: Sequence[int] = PERCENTILES,
    seed: int = 0,
    batch: int = BATCH,
    lock: Lock = NO_LOCK,
    shown: Shown | None = None,
) -> League:
    """Make every method's map of one class and measure how faithful each is on this photo.

    At the last block several methods draw the same map (to a factor); it is measured once.  All
    maps are made first: then it is known how many there are to measure.

    Args:
        index: class; the answer if None.
        methods: keys of `cam.METHODS`; all if None, the slow ones included.
        progress: called with (units done, units in all); a unit costs about one view.
        cancelled: asked between batches, and in the loops of the slow methods.
        block: "1.0" ... "4.2"; the last if None.
        steps: of both curves.
        percentiles: of ROAD; none to leave it out, which saves a quarter of the time.
        seed: of the random map and of ties.
        lock: held during each pass.
        shown: called with the league so far after each map that was measured.

    Raises:
        CompareError: steps or a percentile out of range.
        cam.CamError: no such method or block.
    """
    check_steps(steps)
    if any(not 0 < p < 100 for p in percentiles):
        raise CompareError("ROAD's percentiles lie between 0 and 100.")
    last = tuple(analysis.blocks)[-1]
    block = last if block is None else block
    index = analysis.find(index)
    wanted = tuple(cam.METHODS) if methods is None else tuple(dict.fromkeys(methods))
    skipped = tuple(m for m in wanted if m == "cam" and block != last)
    wanted = tuple(m for m in wanted if m not in skipped)
    started = time.perf_counter()
    rows: list[LeagueRow] = []

    def so_far(chance: LeagueRow | None = None) -> League:
        return League(
            index=index,
            label=analysis.net.labels[index],
            block=block,
            steps=steps,
            percentiles=tuple(percentiles),
            seed=seed,
            rows=tuple(sorted(rows, key=lambda row: (row.gap is None, -(row.gap or 0.0)))),
            chance=chance,
            skipped=skipped,
            seconds=time.perf_counter() - started,
            complete=chance is not None,
        )

    job = _Job(
        subject(analysis, index, lock), steps, tuple(percentiles), seed, batch, progress, cancelled
    )
    try:
        job.begin(wanted)
        drawings = job.draw(analysis, index, wanted, block)
        for drawing in drawings:
            rows += job.measure(drawing)
            if shown:
                shown(so_far())
        return so_far(job.chance(analysis, index, block))
    except Stopped:
        return so_far()


def same(a: cam.HeatMap, b: cam.HeatMap) -> bool:
    """Whether two maps are the same picture: equal to rounding once scaled."""
    if a.grid.shape != b.grid.shape or a.blank or b.blank:
        return False
    return bool(np.allclose(a.scaled, b.scaled, rtol=0, atol=1e-5))


@dataclass(frozen=True)
class _Drawing:
    """One distinct map."""

    heat: cam.HeatMap
    methods: dict[str, float]  # that draw it -> seconds for making it


class _Job:
    """Makes and measures maps, and keeps count for whoever watches."""

    def __init__(
        self,
        what: Subject,
        steps: int,
        percentiles: tuple[int, ...],
        seed: int,
        batch: int,
        progress: Progress | None,
        cancelled: Cancelled,
    ):
        self.what, self.steps, self.percentiles = what, steps, percentiles
        self.seed, self.batch = seed, batch
        self.progress, self.cancelled = progress, cancelled
        self.each = 2 * (steps - 1) + 1 + 2 * FILLED * len(percentiles)  # units a map
        self.done = self.total = 0.0

    def begin(self, methods: Sequence[str]) -> None:
        """No map is known to be another's: what turns out to be so is taken off the total."""
        self.total = (len(methods) + 1) * self.each + SLOW * sum(map(_slow, methods))
        self.tick(0)
        self.ends = ends_of(self.what)

    def draw(
        self, analysis: Analysis, index: int, methods: Sequence[str], block: str
    ) -> list[_Drawing]:
        """Every method's map; those that are the same are one."""
        found: list[_Drawing] = []
        for method in methods:
            began = time.perf_counter()
            heat = analysis.cam(index, method, block, self.watch)
            spent = time.perf_counter() - began
            twin = next((one for one in found if same(heat, one.heat)), None)
            if twin is None:
                found.append(_Drawing(heat, {method: spent}))
            else:
                twin.methods[method] = spent
            if twin is not None or heat.blank:
                self.total -= self.each
            self.tick(0)
        return found

    def tick(self, count: float) -> None:
        self.done += count
        if self.progress:
            self.progress(round(self.done), round(self.total))
        if self.cancelled():
            raise Stopped

    def watch(self, batches: range) -> Iterable[int]:
        """For the loops of the slow methods."""
        for k in batches:
            self.tick(0)
            yield k
            self.done += SLOW / len(batches)

    def curve(self, order: np.ndarray, kind: Kind) -> Curve:
        return curve_of(self.what, order, kind, self.steps, self.batch, self.tick, self.ends[kind])

    def chance(self, analysis: Analysis, index: int, block: str) -> LeagueRow:
        """The row of a random map on the same grid."""
        shape = tuple(analysis.blocks[block].output.shape[2:])
        grid = np.random.default_rng([self.seed, 1]).random(shape, np.float32)
        heat = cam.HeatMap(grid, index, CHANCE, block, signed=False)
        return self.row(heat, "A random map", 0.0)

    def measure(self, drawing: _Drawing) -> list[LeagueRow]:
        """A row for each method that draws this map."""
        (first, spent), *others = drawing.methods.items()
        row = self.row(drawing.heat, cam.METHODS[first].title, spent)
        again = replace(row, same_as=first, seconds=0.0)
        return [row] + [
            replace(again, method=m, title=cam.METHODS[m].title, seconds_map=seconds)
            for m, seconds in others
        ]

    def row(self, heat: cam.HeatMap, title: str, spent: float) -> LeagueRow:
        if heat.blank:
            return LeagueRow(heat.method, title, None, None, None, None, None, "", spent, 0.0)
        began = time.perf_counter()
        order = hottest_first(heat.grid, self.what.size, self.seed)
        deletion, insertion = self.curve(order, "deletion"), self.curve(order, "insertion")
        lost, rose = drop(self.what, heat, self.ends["deletion"][0])
        self.tick(1)
        filled = None
        if self.percentiles:
            tick = lambda count: self.tick(FILLED * count)  # noqa: E731
            filled = road(self.what, order, self.percentiles, self.batch, tick)
        seconds = time.perf_counter() - began
        return LeagueRow(
            heat.method, title, deletion, insertion, lost, rose, filled, "", spent, seconds
        )


def _slow(method: str) -> bool:
    return method in cam.METHODS and cam.METHODS[method].slow
