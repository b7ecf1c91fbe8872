"""Columns by block, in the grounds of their stages: what the figures over 16 blocks stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from resnet.draw.chart import (
    LEFT,
    RIGHT,
    WIDTH,
    Quartiles,
    box,
    finite,
    say,
    text,
    three,
    title,
)

STAGE_GAP, PAD = 8.0, 3.0


@dataclass(frozen=True)
class Columns:
    """Where each block stands, left to right, in the grounds of its stage."""

    names: tuple[str, ...]
    centres: tuple[float, ...]
    width: float  # of one column
    stages: tuple[tuple[str, float, float], ...]  # name, left, right

    def items(self) -> Iterable[tuple[str, float]]:
        return zip(self.names, self.centres, strict=True)


def columns(names: Sequence[str], left: float = LEFT, right: float = WIDTH - RIGHT) -> Columns:
    """Sixteen columns (or however many), a gap between stages; names are "stage.index"."""
    stages = [name.split(".")[0] for name in names]
    starts = [i for i, s in enumerate(stages) if i == 0 or stages[i - 1] != s]
    free = right - left - STAGE_GAP * max(0, len(starts) - 1) - 2 * PAD * len(starts)
    width = free / max(1, len(names))
    x, centres, grounds = left, [], []
    for start, end in zip(starts, [*starts[1:], len(names)], strict=False):
        span = width * (end - start) + 2 * PAD
        grounds.append((stages[start], x, x + span))
        centres += [x + PAD + width * (i + 0.5) for i in range(end - start)]
        x += span + STAGE_GAP
    return Columns(tuple(names), tuple(centres), width, tuple(grounds))


def ground(at: Columns, top: float, bottom: float) -> str:
    """The stages' grounds with their titles, and the blocks' names along the bottom."""
    parts = []
    for stage, x0, x1 in at.stages:
        parts.append(box(x0, top, x1 - x0, bottom - top, "stage", ' rx="8"'))
        parts.append(text((x0 + x1) / 2, top + 15, f"stage {stage}", "muted middle"))
    parts += [text(x, bottom - 8, name, "name middle") for name, x in at.items()]
    return "".join(parts)


def number_row(
    at: Columns,
    y: float,
    name: str,
    values: Sequence[object],
    quartiles: Mapping[str, Quartiles] | None = None,
    form: Callable[[object], str] = say,
) -> str:
    """A row of numbers under the columns; ▴ ▾ where a value lies outside the middle half."""
    parts = [text(6, y, name, "row-name")]
    for (block, x), value in zip(at.items(), values, strict=True):
        usual, found = three((quartiles or {}).get(block)), finite(value)
        mark, hint = "", f"{name} of {block}: {form(value)}"
        if usual is not None:
            hint += f"\nmiddle half: {form(usual[0])} to {form(usual[2])}"
            if found is not None:
                mark = "▴" if found > usual[2] else "▾" if found < usual[0] else ""
        tail = f'<tspan class="aside"> {mark}</tspan>' if mark else ""
        parts.append(
            f'<text class="cell middle" x="{x:.1f}" y="{y:.1f}">{escape(form(value))}{tail}'
            f"{title(hint)}</text>"
        )
    return "".join(parts)
