"""One damage from nothing to full: the followed class's probability, and where the answer flips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Scale
from resnet.draw.wiring_marks import lines

TOP, BOTTOM, HEIGHT = 30.0, 250.0, 326.0
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def sweep_figure(sweep: Mapping, chosen: int | None = None) -> str:
    """Probability against strength; the answer at every step below, a cross where it flips.

    Args:
        sweep: `Sweep.to_dict()`.
        chosen: a row whose photo is shown beside; None for none.
    """
    rows = sweep["rows"]
    scale = Scale(0.0, 1.0, BOTTOM - 12, TOP + 14)
    left, right = LEFT + 34, WIDTH - RIGHT - 40
    across = Scale(0.0, 1.0, left, right)
    parts = [
        chart.legend(
            LEFT, 13, [("stroke l0", f"probability of {sweep['label']}"), ("cross", "flips here")]
        ),
        chart.box(LEFT, TOP, WIDTH - RIGHT - LEFT, BOTTOM - TOP, "panel", ' rx="8"'),
        chart.y_axis(scale, MARKS, chart.share, LEFT, WIDTH - RIGHT),
        chart.axis_name(6, TOP + 15, ["probability"]),
    ]
    xs = [across(row["strength"]) for row in rows]
    values = [scale(row["probability"]) for row in rows]
    if chosen is not None and 0 <= chosen < len(rows):
        x = xs[chosen]
        parts.append(chart.line(x, TOP, x, BOTTOM, "pointer"))
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, values, strict=True))
    if way:
        floor = scale(0)
        parts.append(f'<path class="area l0" d="M{xs[0]:.1f} {floor:.1f}L{way}L{xs[-1]:.1f} '
                     f'{floor:.1f}Z"/><path class="stroke l0" d="M{way}"/>')  # fmt: skip
    for k in range(len(rows)):
        big = 6.0 if k == chosen else 4.0
        parts.append(f'<circle class="dot l0" cx="{xs[k]:.1f}" cy="{values[k]:.1f}" r="{big}"/>')
        if k == sweep["flip"]:
            parts.append(chart.cross(xs[k], values[k] - 14))
    step = (right - left) / max(1, len(rows) - 1) if len(rows) > 1 else right - left
    for k, row in enumerate(rows):
        said = (
            f"{row['parameter']}: {sweep['label']} {chart.chance(row['probability'])}, rank "
            f"{row['rank']}; the answer is {row['answer']['label']} "
            f"({chart.chance(row['answer']['probability'])})"
        )
        hit = chart.box(xs[k] - step / 2, TOP, step, BOTTOM - TOP, "hit")
        parts.append(f'<g class="column">{chart.title(said)}{hit}</g>')
    parts += _ticks(rows, xs, step)
    parts += _answers(rows, xs, step)
    parts.append(chart.text(6, BOTTOM + 18, _unit(sweep["title"]), "muted"))
    parts.append(chart.text(6, BOTTOM + 49, "answer there", "muted"))
    notes = [
        sweep["sentence"],
        f"{sweep['title']}: {sweep['unit']}. Mean probability over all strengths "
        f"{chart.chance(sweep['area'])}.",
    ]
    return chart.frame("sweep", (WIDTH, HEIGHT), _words(sweep), parts, notes)


def _unit(title: str) -> str:
    return lines(title, 16, 1)[0]


def _ticks(rows: Sequence[Mapping], xs: Sequence[float], step: float) -> list[str]:
    """Short forms of the parameter: every second one if they do not fit."""
    short = [_short(row["parameter"]) for row in rows]
    longest = max(map(len, short), default=0)
    every = 1 if longest * 6.6 < step else 2
    return [
        chart.text(x, BOTTOM + 18, name, "tick middle")
        for k, (x, name) in enumerate(zip(xs, short, strict=True))
        if k % every == 0
    ]


def _short(parameter: str) -> str:
    """ "σ = 12 of 255" -> "σ = 12"; "8.3 % of the box covered" -> "8.3 %"."""
    text = parameter.split(",")[0].removesuffix(" covered")
    for tail in (" of ", " left", " grey"):
        text = text.split(tail)[0]
    return text


def _answers(rows: Sequence[Mapping], xs: Sequence[float], step: float) -> list[str]:
    """The answer along the strengths; neighbours with the same one share a label."""
    parts, start = [], 0
    first = rows[0]["answer"]["label"] if rows else ""
    for k, row in enumerate(rows):
        label = row["answer"]["label"]
        if k + 1 < len(rows) and rows[k + 1]["answer"]["label"] == label:
            continue
        left, right = xs[start] - step / 2 + 1.5, xs[k] + step / 2 - 1.5
        left, right = max(left, LEFT), min(right, WIDTH - RIGHT)
        own = " agrees" if label == first else ""
        inside = [chart.title(label)]
        inside.append(chart.box(left, BOTTOM + 28, right - left, 36, f"span{own}", ' rx="5"'))
        room = max(4, int((right - left - 4) / 6.2))
        for i, said in enumerate(found := lines(label, room, 2)):
            y = BOTTOM + 50 + (i - (len(found) - 1) / 2) * 14
            kind = "answer on middle" if own else "answer middle"
            inside.append(chart.text((left + right) / 2, y, said, kind))
        parts.append(f"<g>{''.join(inside)}</g>")
        start = k + 1
    return parts


def _words(sweep: Mapping) -> str:
    said = "; ".join(
        f"{row['parameter']}: {chart.chance(row['probability'])}, answer {row['answer']['label']}"
        for row in sweep["rows"]
    )
    return f"Probability of {sweep['label']} against the strength of the damage. {said}."
