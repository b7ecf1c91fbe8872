"""Two answers in one table: the union of both top lists as paired bars, with rank changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import chart
from resnet.draw.chart import WIDTH, Scale
from resnet.draw.wiring_marks import lines

HEAD, ROW, BAR = 44.0, 42.0, 12.0
NAME, BARS, END = 232.0, 246.0, 640.0  # right edge of the labels, left and right of the bars
COLUMNS = (724.0, 808.0, 910.0, 976.0, 1000.0)  # right edges: A, B, difference, rank; change


def pairs_figure(comparison: Mapping, titles: Sequence[str] = ("A", "B")) -> str:
    """A row a class: both probabilities on one scale, their difference, both ranks.

    A class that a side does not know has a cross in place of its bar.

    Args:
        comparison: `AnswerComparison.to_dict()`.
        titles: what A and B are, in words.
    """
    rows = comparison["rows"]
    bottom = HEAD + ROW * len(rows)
    scale = Scale(0.0, 1.0, BARS, END)
    parts = [chart.legend(6, 14, [("side-a", f"A: {titles[0]}"), ("side-b", f"B: {titles[1]}")])]
    for x, name in zip(COLUMNS, ("A", "B", "B − A", "rank"), strict=False):
        parts.append(chart.text(x, 36, name, "muted end"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = scale(share)
        parts.append(chart.line(x, HEAD, x, bottom, "zero" if share == 0 else "grid"))
        parts.append(chart.text(x, 36, chart.share(share), "tick middle"))
    for k, row in enumerate(rows):
        parts.append(_row(row, HEAD + ROW * k, scale))
    notes = [comparison["sentence"], "Rank is the place among all classes; ▲ stands higher in B."]
    return chart.frame("both-answers", (WIDTH, bottom + 8), _words(rows), parts, notes)


def _row(row: Mapping, y: float, scale: Scale) -> str:
    label = row["label"]
    said = lines(label, 32, 2)
    middle = y + ROW / 2
    parts = [chart.line(6, y, WIDTH - 12, y, "grid")]
    for i, part in enumerate(said):
        at = middle + 4.5 + (i - (len(said) - 1) / 2) * 14.5
        parts.append(chart.text(NAME, at, part, "name end"))
    for i, (side, value) in enumerate((("side-a", row["p_a"]), ("side-b", row["p_b"]))):
        top = middle - BAR - 1 + i * (BAR + 2)
        found = chart.finite(value)
        if found is None:
            parts.append(chart.missing(BARS + 8, top + BAR / 2))
        else:
            parts.append(chart.box(BARS, top, max(1.5, scale(found) - BARS), BAR, side, ' rx="2"'))
    cells = [_chance(row["p_a"]), _chance(row["p_b"]), _points(row["difference"])]
    cells.append(f"{_rank(row['rank_a'])} → {_rank(row['rank_b'])}")
    for i, (x, cell) in enumerate(zip(COLUMNS, cells, strict=False)):
        parts.append(chart.text(x, middle + 4.5, cell, "strong end" if i == 2 else "end"))
    parts.append(chart.text(COLUMNS[4], middle + 4.5, _change(row["rank_change"]), "muted"))
    hit = chart.box(0, y, WIDTH, ROW, "hit")
    return f'<g class="column">{chart.title(label)}{hit}{"".join(parts)}</g>'


def _chance(value: object) -> str:
    found = chart.finite(value)
    return "unknown" if found is None else chart.chance(found)


def _points(value: object) -> str:
    """A difference of probabilities, in points of a hundred."""
    found = chart.finite(value)
    if found is None:
        return "–"
    text = f"{100 * found:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def _rank(value: object) -> str:
    found = chart.finite(value)
    return "–" if found is None else f"{found:.0f}"


def _change(value: object) -> str:
    found = chart.finite(value)
    if found is None or found == 0:
        return "" if found is None else "="
    return f"{'▲' if found > 0 else '▼'} {abs(found):.0f}"


def _words(rows: Sequence[Mapping]) -> str:
    said = "; ".join(
        f"{row['label']}: A {_chance(row['p_a'])}, B {_chance(row['p_b'])}, "
        f"rank {_rank(row['rank_a'])} to {_rank(row['rank_b'])}"
        for row in rows
    )
    return f"Both top lists as paired bars. {said}."
