"""Which heat map is the most faithful here?  All methods on one photo, by four measures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
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
    listed,
    never,
)
from resnet.compare.faithful import check_steps
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
from resnet.residual.plain import plain

CHANCE = "random"  # the method of the row that the others must beat
LEVEL = 0.01  # a lead smaller than this is called none


@dataclass(frozen=True)
class LeagueRow:
    """One method; None where nothing can be measured because its map is blank."""

    method: str  # a key of cam.METHODS, or CHANCE
    title: str
    deletion: Curve | None  # .auc: lower is better
    insertion: Curve | None  # .auc: higher is better
    drop: float | None  # relative loss of probability under the map, 0..1; lower is better
    increase: bool | None  # the probability rose under the map
    road: float | None  # -1..1, higher is better; None also if it was not asked for
    same_as: str  # method above that drew the same map: its figures are repeated; "" if none
    seconds_map: float  # making the map
    seconds: float  # measuring it; 0 if repeated

    @property
    def blank(self) -> bool:
        return self.deletion is None

    @property
    def gap(self) -> float | None:
        """Insertion AUC - deletion AUC, -1..1: what the league goes by."""
        if self.deletion is None or self.insertion is None:
            return None
        return self.insertion.auc - self.deletion.auc


@dataclass(frozen=True)
class League:
    """All methods on one photo, most faithful first; blank maps last."""

    index: int  # of the class explained
    label: str
    block: str
    steps: int
    percentiles: tuple[int, ...]  # of ROAD; empty: not measured
    seed: int
    rows: tuple[LeagueRow, ...]
    chance: LeagueRow | None  # a random map on the same grid; None: stopped before
    skipped: tuple[str, ...]  # methods that do not exist at this block
    seconds: float
    complete: bool  # False if it was cancelled; the rows measured until then are kept

    @property
    def sentence(self) -> str:
        """The most faithful map here, whether it beats a random one, and what ROAD says."""
        ranked = [row for row in self.rows if row.gap is not None]
        if not ranked:
            return "No map could be measured." if self.complete else "Stopped before any result."
        best = ranked[0]
        text = (
            f"Most faithful here, by insertion minus deletion AUC: {self._with_twins(best)} "
            f"({_gap(best):.2f})"
        )
        rivals = [row for row in ranked[1:] if (row.same_as or row.method) != _source(best)]
        if rivals:
            lead = _gap(best) - _gap(rivals[0])
            ahead = "level with" if lead < LEVEL else f"{lead:.2f} ahead of"
            text += f", {ahead} {rivals[0].title}"
        if self.chance is not None and self.chance.gap is not None:
            against = "better than" if _gap(best) - self.chance.gap >= LEVEL else "no better than"
            text += f"; {against} a random map ({self.chance.gap:.2f})"
        text += "."
        measured = [row for row in ranked if row.road is not None]
        if measured:
            first = max(measured, key=lambda row: row.road or 0.0)
            agrees = (first.road or 0.0) - (best.road or 0.0) < LEVEL
            text += " ROAD agrees." if agrees else f" ROAD puts {first.title} first."
        return text if self.complete else f"{text} It was stopped before all were measured."

    def _with_twins(self, row: LeagueRow) -> str:
        twins = [r.title for r in self.rows if r is not row and _source(r) == _source(row)]
        if not twins:
            return row.title
        return f"{listed([row.title, *twins])}, which draw the same map"

    def to_dict(self) -> dict:
        found = plain(self) | {"sentence": self.sentence}
        for row, values in zip(self.rows, found["rows"], strict=True):
            values["gap"] = plain(row.gap)
        return found


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
) -> League:
    """Make every method's map of one class and measure how faithful each is on this photo.

    At the last block several methods draw the same map (to a factor); it is measured once.

    Args:
        index: class; the answer if None.
        methods: keys of `cam.METHODS`; all if None, the slow ones included.
        progress: called with (units done, units in all); a unit is about one view.
        cancelled: asked between batches, and in the loops of the slow methods.
        block: "1.0" ... "4.2"; the last if None.
        steps: of both curves.
        percentiles: of ROAD; none to leave it out, which saves seconds a map.
        seed: of the random map and of ties.
        lock: held during each pass.

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
    what = subject(analysis, index, lock)
    job = _Job(what, steps, tuple(percentiles), seed, batch, progress, cancelled, len(wanted) + 1)
    rows: list[LeagueRow] = []
    chance, complete = None, False
    try:
        job.begin()
        shape = tuple(analysis.blocks[block].output.shape[2:]) if block in analysis.blocks else ()
        maps: dict[str, cam.HeatMap] = {}
        for method in wanted:
            began = time.perf_counter()
            heat = analysis.cam(index, method, block, job.watch)
            spent = time.perf_counter() - began
            twin = next((m for m, other in maps.items() if same(heat, other)), "")
            title = cam.METHODS[method].title
            if twin:
                row = next(row for row in rows if row.method == twin)
                job.skip()
                rows.append(
                    replace(row, method=method, title=title, same_as=twin, seconds_map=spent,
                            seconds=0.0)
                )  # fmt: skip
            else:
                maps[method] = heat
                rows.append(job.measure(heat, title, spent))
        grid = np.random.default_rng([seed, 1]).random(shape, np.float32)
        random = cam.HeatMap(grid, index, CHANCE, block, signed=False)
        chance, complete = job.measure(random, "A random map", 0.0), True
    except Stopped:
        pass
    rows.sort(key=lambda row: (row.gap is None, -(row.gap or 0.0)))
    return League(
        index=index,
        label=analysis.net.labels[index],
        block=block,
        steps=steps,
        percentiles=tuple(percentiles),
        seed=seed,
        rows=tuple(rows),
        chance=chance,
        skipped=skipped,
        seconds=time.perf_counter() - started,
        complete=complete,
    )


def same(a: cam.HeatMap, b: cam.HeatMap) -> bool:
    """Whether two maps are the same picture: equal to rounding once scaled."""
    if a.grid.shape != b.grid.shape or a.blank or b.blank:
        return False
    return bool(np.allclose(a.scaled, b.scaled, rtol=0, atol=1e-5))


class _Job:
    """Measures one map after another, and keeps count for whoever watches."""

    def __init__(
        self,
        what: Subject,
        steps: int,
        percentiles: tuple[int, ...],
        seed: int,
        batch: int,
        progress: Progress | None,
        cancelled: Cancelled,
        maps: int,
    ):
        self.what, self.steps, self.percentiles = what, steps, percentiles
        self.seed, self.batch = seed, batch
        self.progress, self.cancelled = progress, cancelled
        self.each = 2 * (steps - 1) + 2 * len(percentiles)  # views a map
        self.total, self.done = maps * self.each, 0

    def begin(self) -> None:
        self.tick(0)
        self.ends = ends_of(self.what)

    def tick(self, count: int) -> None:
        self.done += count
        if self.progress:
            self.progress(self.done, self.total)
        if self.cancelled():
            raise Stopped

    def watch(self, batches: range) -> Iterable[int]:
        """For the loops of the slow methods."""
        for k in batches:
            self.tick(0)
            yield k

    def skip(self) -> None:
        self.tick(self.each)

    def curve(self, order: np.ndarray, kind: Kind) -> Curve:
        return curve_of(self.what, order, kind, self.steps, self.batch, self.tick, self.ends[kind])

    def measure(self, heat: cam.HeatMap, title: str, spent: float) -> LeagueRow:
        if heat.blank:
            self.skip()
            return LeagueRow(heat.method, title, None, None, None, None, None, "", spent, 0.0)
        began = time.perf_counter()
        order = hottest_first(heat.grid, self.what.size, self.seed)
        deletion, insertion = self.curve(order, "deletion"), self.curve(order, "insertion")
        lost, rose = drop(self.what, heat, self.ends["deletion"][0])
        filled = None
        if self.percentiles:
            filled = road(self.what, order, self.percentiles, self.batch, self.tick)
        seconds = time.perf_counter() - began
        return LeagueRow(
            heat.method, title, deletion, insertion, lost, rose, filled, "", spent, seconds
        )


def _source(row: LeagueRow) -> str:
    return row.same_as or row.method


def _gap(row: LeagueRow) -> float:
    return 0.0 if row.gap is None else row.gap
