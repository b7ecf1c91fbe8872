"""Pointing game: how much of each heat map lies inside the box, a row a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import chart
from resnet.draw.chart import WIDTH, Scale

HEAD, ROW = 46.0, 32.0
NAME, BARS, END = 222.0, 240.0, 760.0
COLUMNS = (836.0, 930.0, 1056.0)  # right edges: share, times the area, peak


def pointing_figure(found: Mapping) -> str:
    """Bars of the share inside; a line where a map that highlights nothing in particular ends.

    Args:
        found: `Pointing.to_dict()`.
    """
    rows = sorted(found["rows"], key=lambda row: (row["share"] is None, -(row["share"] or 0.0)))
    bottom = HEAD + ROW * len(rows)
    scale = Scale(0.0, 1.0, BARS, END)
    area = found["area"]
    chance = f"the box's share of what the network saw, {chart.share(area)}"
    samples = [("side-a", "share of the map inside the box"), ("stroke pointer", chance)]
    parts = [chart.legend(6, 13, samples)]
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = scale(value)
        parts.append(chart.line(x, HEAD, x, bottom, "zero" if value == 0 else "grid"))
        parts.append(chart.text(x, HEAD - 8, chart.share(value), "tick middle"))
    for x, name in zip(COLUMNS, ("inside", "× chance", "highest point"), strict=True):
        parts.append(chart.text(x, HEAD - 8, name, "muted end"))
    for k, row in enumerate(rows):
        parts.append(_row(row, HEAD + ROW * k, scale))
    parts.append(chart.line(scale(area), HEAD, scale(area), bottom, "pointer"))
    notes = [
        found["sentence"],
        "A map that is the same everywhere has 1 × chance. Where the map lies says where it "
        "highlights, not that it is right to.",
    ]
    return chart.frame("pointing", (WIDTH, bottom + 8), _words(rows), parts, notes)


def _row(row: Mapping, y: float, scale: Scale) -> str:
    middle = y + ROW / 2
    parts = [
        chart.line(6, y, WIDTH - 12, y, "grid"),
        chart.text(NAME, middle + 4.5, row["name"], "end"),
    ]
    inside = chart.finite(row["share"])
    if inside is None:
        parts.append(chart.text(BARS + 6, middle + 4.5, "highlights nothing", "muted"))
    else:
        parts.append(
            chart.box(BARS, middle - 8, max(1.5, scale(inside) - BARS), 16, "side-a", ' rx="2"')
        )
        times = chart.finite(row["times"]) or 0.0
        cells = (chart.chance(inside), f"{times:.1f} ×", "inside" if row["hit"] else "outside")
        for x, cell in zip(COLUMNS, cells, strict=True):
            parts.append(chart.text(x, middle + 4.5, cell, "end"))
    hit = chart.box(0, y, WIDTH, ROW, "hit")
    return f'<g class="column">{chart.title(row["name"])}{hit}{"".join(parts)}</g>'


def _words(rows: Sequence[Mapping]) -> str:
    said = "; ".join(f"{row['name']} {chart.chance(row['share'])}" for row in rows)
    return f"Share of each heat map inside the box. {said}."
