"""Which heat map is the most faithful here?  What was measured, as plain values and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from resnet.compare.base import listed
from resnet.compare.measures import Curve
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


def _source(row: LeagueRow) -> str:
    return row.same_as or row.method


def _gap(row: LeagueRow) -> float:
    return 0.0 if row.gap is None else row.gap
