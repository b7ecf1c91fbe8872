"""Path lengths: how many of the 2^n paths have a length, and how much gradient they bring."""

from __future__ import annotations

from collections.abc import Mapping

from resnet.draw import chart
from resnet.draw.chart import Scale

SIZE = (1080.0, 372.0)
LEFT, RIGHT, TOP, BOTTOM = 60.0, 12.0, 30.0, 316.0


def paths_figure(paths: Mapping) -> str:
    """Two histograms over path length on one scale: by count, and by count x gradient.

    Args:
        paths: `PathLengths.to_dict()`.
    """
    rows = paths["rows"]
    tops = [row["share_count"] for row in rows] + [row["share_gradient"] for row in rows]
    for row in rows:
        both = chart.known([row["share_gradient"], row["share_error"]])
        tops += [both[0] + both[1], both[0] - both[1]] if len(both) == 2 else []
    scale, marks = chart.scale_for(tops, BOTTOM, TOP + 44)
    right = SIZE[0] - RIGHT
    step = (right - LEFT) / max(1, len(rows))
    samples = [
        ("", "share of the whole:"),
        ("count", "paths of this length (counted)"),
        ("mark shortcut pos", "count × gradient along such a path (measured)"),
        ("stroke error-bar", "± one standard error"),
    ]
    parts = [
        chart.legend(LEFT, 13, samples),
        chart.box(LEFT, TOP, right - LEFT, BOTTOM - TOP + 28, "panel", ' rx="8"'),
        chart.y_axis(scale, marks, chart.share, LEFT, right),
    ]
    if rows and len(rows) == rows[-1]["length"] - rows[0]["length"] + 1:
        first = rows[0]["length"]
        for field, said, level in (
            ("mean_count", "mean over paths", 0),
            ("mean_gradient", "mean weighted by gradient", 1),
        ):
            if (mean := chart.finite(paths.get(field))) is not None:
                x, y = LEFT + step * (mean - first + 0.5), TOP + 16 + 17 * level
                right_side = field == "mean_count"
                parts.append(chart.line(x, y - 10, x, BOTTOM, "whole" if level else "grid strong"))
                anchor = "" if right_side else " end"
                at = x + 7 if right_side else x - 7
                parts.append(chart.text(at, y, f"{said} {mean:.1f}", f"halo strong{anchor}"))
    for k, row in enumerate(rows):
        parts.append(_column(row, LEFT + step * k, step, scale))
    middle = (LEFT + right) / 2
    parts.append(chart.text(middle, BOTTOM + 46, "branches on the path", "muted middle"))
    return chart.frame("paths", SIZE, _words(paths), parts, _notes(paths))


def _column(row: Mapping, left: float, step: float, scale: Scale) -> str:
    x, wide = left + step / 2, step * 0.38
    value, spread = chart.finite(row["share_gradient"]), chart.finite(row["share_error"])
    count = scale(chart.finite(row["share_count"]) or 0.0)
    inner = [
        chart.box(x - wide, count, wide - 1, abs(scale(0) - count), "count"),
        chart.bar(x + 1, wide - 1, scale, value, "shortcut"),
    ]
    if value is not None and spread:
        c, y0, y1 = x + wide / 2, scale(value - spread), scale(value + spread)
        d = f"M{c:.2f} {y0:.2f}V{y1:.2f}M{c - 4:.2f} {y0:.2f}h8M{c - 4:.2f} {y1:.2f}h8"
        inner.append(f'<path class="error-bar" d="{d}"/>')
    hint = (
        f"Through {row['length']} branches: {row['count']:,} paths, "
        f"{_percent(row['share_count'])} of all\n"
        f"gradient along one: {chart.say(row['gradient'])} ± {chart.say(row['error'])} "
        f"(mean of {row['samples']})\n"
        f"count × gradient: {_percent(row['share_gradient'])} ± {_percent(row['share_error'])}"
    )
    return (
        f'<g class="column" data-length="{row["length"]}">{chart.title(hint)}'
        + chart.box(left, TOP, step, BOTTOM - TOP + 28, "hit")
        + "".join(inner)
        + chart.text(x, BOTTOM + 18, str(row["length"]), "name middle")
        + "</g>"
    )


def _percent(value: object) -> str:
    found = chart.finite(value)
    return "–" if found is None else f"{100 * found:.2g} %"


def _power(value: int) -> str:
    return str(value).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _notes(paths: Mapping) -> list[str]:
    rows = paths["rows"]
    if not rows:
        return ["No path was measured: the measurement was cancelled."]
    total = sum(row["count"] for row in rows)
    sums = [sum(chart.known(r[k] for r in rows)) for k in ("share_count", "share_gradient")]
    samples, n = max(row["samples"] for row in rows), len(rows) - 1
    return [
        f"Counts add to {total:,} = 2{_power(n)}: error {total - 2**n}. "
        f"Both histograms add to 1: largest error {chart.error(max(abs(s - 1) for s in sums))}.",
        f"Up to {samples} paths a length, drawn with seed {paths['seed']}; "
        "error bars show one standard error of the mean.",
        "Procedure: Veit et al. 2016, 1605.06431, section 4.3.",
    ]


def _words(paths: Mapping) -> str:
    rows = ", ".join(
        f"{row['length']}: {_percent(row['share_count'])} of paths and "
        f"{_percent(row['share_gradient'])} of gradient"
        for row in paths["rows"]
    )
    return (
        f"Path lengths. {rows}. Mean length over paths {chart.say(paths['mean_count'])}, "
        f"weighted by gradient {chart.say(paths['mean_gradient'])}."
    )
