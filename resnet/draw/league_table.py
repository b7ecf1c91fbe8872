"""Which heat map is the most faithful on this photo: a row a method, most faithful first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import chart
from resnet.draw.chart import WIDTH, Scale

HEAD, ROW = 54.0, 34.0
NAME, BARS, END = 222.0, 240.0, 528.0
COLUMNS = (  # right edge, heading, which is better
    (626.0, "deletion", "↓"),
    (700.0, "insertion", "↑"),
    (774.0, "gap", "↑"),
    (848.0, "drop", "↓"),
    (922.0, "rises", ""),
    (992.0, "ROAD", "↑"),
    (1066.0, "seconds", ""),
)


def league_table(league: Mapping) -> str:
    """Deletion and insertion AUC as the ends of a bar: the longer to the right, the better.

    Args:
        league: `League.to_dict()`.
    """
    rows = [*league["rows"], *([league["chance"]] if league["chance"] else [])]
    bottom = HEAD + ROW * len(rows)
    scale = Scale(0.0, 1.0, BARS, END)
    parts = [
        chart.legend(
            6, 13, [("mark side-b", "deletion AUC"), ("mark side-a", "insertion AUC"),
                    ("", "the bar between them is the gap")],
        )
    ]  # fmt: skip
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = scale(value)
        parts.append(chart.line(x, HEAD, x, bottom, "zero" if value == 0 else "grid"))
        parts.append(chart.text(x, HEAD - 8, f"{value:.2f}", "tick middle"))
    for x, name, better in COLUMNS:
        parts.append(chart.text(x, HEAD - 8, f"{name} {better}".strip(), "muted end"))
    for k, row in enumerate(rows):
        parts.append(_row(row, HEAD + ROW * k, scale, best=k == 0))
    return chart.frame(
        "league", (WIDTH, bottom + 8), _words(rows), parts, [league["sentence"], _about(league)]
    )


def _row(row: Mapping, y: float, scale: Scale, best: bool) -> str:
    middle = y + ROW / 2
    random = row["method"] == "random"
    parts = [chart.line(6, y, WIDTH - 12, y, "zero" if random else "grid")]
    kind = "muted end" if random else "name end" if best else "end"
    parts.append(chart.text(NAME, middle + 4.5, row["title"], kind))
    deletion, insertion = _area(row["deletion"]), _area(row["insertion"])
    if deletion is None or insertion is None:
        parts.append(chart.text(BARS + 8, middle + 4.5, "blank map: nothing to measure", "muted"))
    else:
        x0, x1 = scale(deletion), scale(insertion)
        kind = "gap-bar" if x1 >= x0 else "gap-bar against"
        parts.append(chart.line(x0, middle, x1, middle, kind))
        parts.append(f'<circle class="side-b" cx="{x0:.1f}" cy="{middle:.1f}" r="5.5"/>')
        parts.append(f'<circle class="side-a" cx="{x1:.1f}" cy="{middle:.1f}" r="5.5"/>')
    gap = None if deletion is None or insertion is None else insertion - deletion
    rises = "–" if row["increase"] is None else "yes" if row["increase"] else "no"
    seconds = "as above" if row["same_as"] else f"{row['seconds_map'] + row['seconds']:.1f}"
    cells = [_two(deletion), _two(insertion), _two(gap), chart.share(row["drop"]), rises,
             _two(row["road"]), seconds]  # fmt: skip
    for (x, _, _), cell in zip(COLUMNS, cells, strict=True):
        parts.append(chart.text(x, middle + 4.5, cell, "end"))
    hint = f"{row['title']}: same map as {row['same_as']}" if row["same_as"] else row["title"]
    hit = chart.box(0, y, WIDTH, ROW, "hit")
    return f'<g class="column">{chart.title(hint)}{hit}{"".join(parts)}</g>'


def _area(curve: Mapping | None) -> float | None:
    return None if curve is None else chart.finite(curve["auc"])


def _two(value: object) -> str:
    found = chart.finite(value)
    return "–" if found is None else f"{found:.2f}".replace("-", "−")


def _about(league: Mapping) -> str:
    road = ", ".join(f"{p} %" for p in league["percentiles"])
    text = (
        f"For “{league['label']}” at block {league['block']}, in {league['steps']} steps. Drop: "
        "loss of probability when the photo is dimmed by the map; rises: it grew instead."
    )
    text += f" ROAD at {road}." if road else ""
    return f"{text} They measure this photo with this network and these fillings, no more."


def _words(rows: Sequence[Mapping]) -> str:
    said = "; ".join(
        f"{row['title']}: deletion {_two(_area(row['deletion']))}, "
        f"insertion {_two(_area(row['insertion']))}, ROAD {_two(row['road'])}"
        for row in rows
    )
    return f"Faithfulness of each method on this photo, best first. {said}."
