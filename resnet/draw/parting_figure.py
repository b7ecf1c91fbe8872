"""Where two streams part: cosine and linear CKA after every block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import by_block, chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Scale

TOP, BOTTOM = 30.0, 258.0
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)
LINES = (("cosine", "cosine", 0), ("cka", "linear CKA", 1))


def parting_figure(parting: Mapping, chosen: str | None = None, buttons: bool = False) -> str:
    """How alike the two streams are after each block, 1 for the same.

    The chance level of CKA stands behind it as a grey band from 0; the block where the measure
    falls most is marked.

    Args:
        parting: `Parting.to_dict()`.
        chosen: the block that is selected.
        buttons: each block is a button with `data-block`.
    """
    rows = parting["rows"]
    at = by_block.columns([row["block"] for row in rows])
    scale = Scale(0.0, 1.0, BOTTOM - 28, TOP + 34)
    shown = [entry for entry in LINES if chart.known(row[entry[0]] for row in rows)]
    samples = [(f"stroke l{i}", name) for _, name, i in shown]
    samples += [("usual", "CKA of shuffled positions (chance)"), ("cross", "falls most")]
    parts = [chart.legend(LEFT, 13, samples), by_block.ground(at, TOP, BOTTOM)]
    parts.append(chart.y_axis(scale, MARKS, lambda value: f"{value:.2f}", LEFT, WIDTH - RIGHT))
    parts.append(chart.axis_name(6, TOP + 15, ["alike,", "1 = same"]))
    for (name, x), row in zip(at.items(), rows, strict=True):
        if name == chosen:
            wide = at.width - 4
            parts.append(
                chart.box(x - wide / 2, TOP + 20, wide, BOTTOM - TOP - 22, "chosen", ' rx="5"')
            )
        if (level := chart.finite(row["chance"])) is not None:
            parts.append(
                chart.box(x - at.width / 3, scale(level), at.width / 1.5,
                          scale(0) - scale(level), "usual")
            )  # fmt: skip
    for key, _, i in shown:
        parts.append(_line(at.centres, [chart.finite(row[key]) for row in rows], scale, i))
    if parting["block"] in at.names:
        k = at.names.index(parting["block"])
        if (value := chart.finite(rows[k][parting["measure"]])) is not None:
            parts.append(chart.cross(at.centres[k], scale(value)))
    for (name, x), row in zip(at.items(), rows, strict=True):
        parts.append(_hit(name, x, at.width, row, buttons, name == chosen))
    y = BOTTOM
    for key, name, _ in shown:
        y += 22
        parts.append(by_block.number_row(at, y, name, [row[key] for row in rows]))
    notes = [parting["sentence"]]
    if buttons:
        notes.append("Click a block to see both signals there as pictures.")
    return chart.frame("parting", (WIDTH, y + 12), _words(rows), parts, notes, buttons)


def _line(xs: Sequence[float], values: Sequence[float | None], scale: Scale, i: int) -> str:
    way, pen = [], "M"
    dots = []
    for x, value in zip(xs, values, strict=True):
        if value is None:
            pen = "M"
            continue
        way.append(f"{pen}{x:.1f} {scale(value):.1f}")
        pen = "L"
        dots.append(f'<circle class="dot l{i}" cx="{x:.1f}" cy="{scale(value):.1f}" r="3.6"/>')
    return f'<path class="stroke l{i}" d="{"".join(way)}"/>{"".join(dots)}'


def _hit(name: str, x: float, wide: float, row: Mapping, buttons: bool, chosen: bool) -> str:
    said = f"Block {name}: cosine {chart.say(row['cosine'])}, linear CKA {chart.say(row['cka'])}"
    said += f", by chance {chart.say(row['chance'])}"
    said += "; identical" if row["identical"] else ""
    area = chart.box(x - wide / 2, TOP, wide, BOTTOM - TOP, "hit", ' rx="5"')
    if not buttons:
        return f'<g class="column">{chart.title(said)}{area}</g>'
    more = (
        f' role="button" tabindex="0" data-block="{chart.escape(name)}"'
        f' aria-pressed="{str(chosen).lower()}" aria-label="{chart.escape(said)}"'
    )
    return f'<g class="cut-button"{more}>{chart.title(said)}{area}</g>'


def _words(rows: Sequence[Mapping]) -> str:
    said = "; ".join(
        f"{row['block']}: cosine {chart.say(row['cosine'])}, CKA {chart.say(row['cka'])}"
        for row in rows
    )
    return f"How alike the two streams are after every block. {said}."
