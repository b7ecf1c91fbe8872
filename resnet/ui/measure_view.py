"""What the lower part of *Compare* shows of a measurement; no controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from resnet.compare import DAMAGES, Faithfulness, League, Side, Sweep, on_one_scale, picture_at
from resnet.draw import ab_view
from resnet.draw.answers import percent
from resnet.draw.curves_figure import curves_figure
from resnet.draw.league_table import league_table
from resnet.draw.pointing_figure import pointing_figure
from resnet.draw.sweep_figure import sweep_figure
from resnet.engine import Engine
from resnet.ui import compare_source as source
from resnet.ui.compare_files import panel
from resnet.ui.compare_source import Asked
from resnet.ui.detect_view import plural
from resnet.ui.measure_work import Subject

_WORDS = {
    "sweep": "One damage from nothing to full in 12 steps: how long does the answer of A hold?",
    "curves": "A's heat map decides which pixels are taken away first (deletion), or shown first "
    "(insertion). A faithful map makes the probability fall early, and rise early.",
    "league": "Every method's map of this photo, measured in four ways: which is the most "
    "faithful here? About 440 passes through the network: a minute on a quiet machine, more on a "
    "busy one.",
    "pointing": "Draw a box around the thing. How much of each method's map lies inside?",
}


def hint(kind: str) -> str:
    """What a measurement is, HTML."""
    return f'<p class="figure-text">{_WORDS[kind]}</p>'


def bar(done: int, total: int) -> str:
    """How far it is, HTML."""
    shown = f'<progress value="{done}" max="{total}"></progress> {100 * done // max(total, 1)} %'
    return f'<p class="figure-progress" role="status">{shown}</p>'


def drawn(kind: str, found: Any, at: int) -> str:
    """A finished measurement as a figure.

    Args:
        at: the chosen step of a sweep or of the curves, from 0.
    """
    numbers = found.to_dict()
    if kind == "sweep":
        return panel(kind, sweep_figure(numbers, at))
    if kind == "curves":
        return panel(kind, curves_figure(numbers, share_at(found, at)))
    if kind == "league":
        return panel(kind, league_table(numbers))
    return panel(kind, pointing_figure(numbers))


def so_far(found: League | None) -> str:
    """The rows of a league that is still under way; "" before the first."""
    if found is None or not found.rows:
        return ""
    many = plural(len(found.rows), "method")
    said = f"So far: {many}, the most faithful first. A random map is measured last."
    return panel("league", league_table(found.to_dict() | {"sentence": said}))


def steps(kind: str, result: Any) -> int:
    """How many steps the slider has; 0 for none."""
    if kind == "sweep":
        return len(result.rows)
    if kind == "curves" and result.complete:
        return len(result.deletion.shares)
    return 0


def has_any(result: Any) -> bool:
    """Whether a measurement that was stopped has anything to show."""
    if isinstance(result, Faithfulness):
        return result.deletion is not None
    return bool(result.rows)


def share_at(found: Faithfulness, at: int) -> float:
    """Of the pixels, at one point of the curves."""
    if found.deletion is None:
        return 0.0
    return found.deletion.shares[min(at, len(found.deletion.shares) - 1)]


def pictures(engine: Engine, kind: str, found: Any, at: int, of: Subject, asked: Asked) -> str:
    """What the network saw at one step."""
    if kind == "sweep":
        return _step_html(engine, of.side, found, at, asked)
    if kind == "curves":
        heat = source.heat_map(engine, of.side, of.index)
        share = share_at(found, at)
        away = picture_at(of.analysis, heat, "deletion", share)
        there = picture_at(of.analysis, heat, "insertion", share)
        said = percent(share)
        return ab_view.row_html(
            [(away, f"Deletion: {said} taken away"), (there, f"Insertion: {said} shown")]
        )
    return ""


def _step_html(engine: Engine, side: Side, found: Sweep, at: int, asked: Asked) -> str:
    """The photo as it is, and the photo and the heat map at one step; one colour scale."""
    row = found.rows[at]
    box = asked.slots.box if DAMAGES[found.damage].needs == "box" else None
    there = replace(side, damage=found.damage, strength=row.strength, seed=found.seed, box=box)
    looks = []
    for one in (side, there):
        seen = source.look(engine, one)
        looks.append((seen, source.heat_map(engine, one, found.index)))
    pair = on_one_scale(looks[0][1], looks[1][1])
    first, now = (
        ab_view.Look(seen.view.image, patch, "", "")
        for (seen, _), patch in zip(looks, (pair.a, pair.b), strict=True)
    )
    said = f"“{row.answer.label}” {percent(row.answer.probability)}"
    return ab_view.row_html(
        [
            (ab_view.heated(first, pair.signed), f"As it is: “{found.label}” "
             f"{percent(found.rows[0].probability)}"),
            (now.image, f"{row.parameter}: {said}"),
            (ab_view.heated(now, pair.signed), f"Heat map for “{found.label}” there, one scale"),
        ]
    )  # fmt: skip
