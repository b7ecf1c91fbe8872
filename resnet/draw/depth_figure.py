"""Depth study: plain against residual networks at random initialisation, 18 to 152 layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from resnet.draw import chart
from resnet.draw.chart import Scale

SIZE = (1080.0, 322.0)
TOP, BOTTOM = 40.0, 274.0
ROOM, GAP, LEFT = 292.0, 68.0, 58.0
KINDS = (("residual", "l0"), ("plain", "l1"))

Point = tuple[float, float, float]  # depth, value, standard error


def depth_figure(study: Mapping) -> str:
    """Three panels over depth, both kinds of network on one axis in each.

    The signal at the end, the gradient at the beginning (logarithmic), and how alike the
    gradients at neighbouring inputs are, with one standard error.

    Args:
        study: `DepthStudy.to_dict()`.
    """
    rows = study["rows"]
    panels = [
        ("signal at the last layer", "root mean square", _last("signal"), True),
        ("gradient at the first layer", "root mean square, log scale", _first("gradient"), True),
        ("gradients at neighbouring inputs", "correlation", _neighbours, False),
    ]
    parts = []
    depths = sorted({row["depth"] for row in rows})
    for i, (name, unit, read, log) in enumerate(panels):
        left = LEFT + i * (ROOM + GAP)
        curves = {kind: _points(rows, kind, read) for kind, _ in KINDS}
        parts.append(_panel(left, name, unit, curves, depths, log))
    return chart.frame("depth", SIZE, _words(study), parts, _notes(study))


def _last(field: str) -> Callable[[Mapping], tuple[object, object]]:
    return lambda row: (row[field][-1] if row[field] else None, 0.0)


def _first(field: str) -> Callable[[Mapping], tuple[object, object]]:
    return lambda row: (row[field][0] if row[field] else None, 0.0)


def _neighbours(row: Mapping) -> tuple[object, object]:
    if len(row["correlation"]) < 2:
        return None, None
    return row["correlation"][1], row["correlation_error"][1]


def _points(rows: Sequence[Mapping], kind: str, read) -> list[Point]:
    found = []
    for row in rows:
        value, spread = (chart.finite(v) for v in read(row))
        if row["kind"] == kind and value is not None:
            found.append((float(row["depth"]), value, spread or 0.0))
    return sorted(found)


def _panel(
    left: float,
    name: str,
    unit: str,
    curves: Mapping[str, list[Point]],
    depths: Sequence[float],
    log: bool,
) -> str:
    right = left + ROOM
    parts = [
        chart.text(left, TOP - 22, name, "strong"),
        chart.text(left, TOP - 7, unit, "muted"),
        chart.box(left, TOP, ROOM, BOTTOM - TOP, "panel", ' rx="8"'),
    ]
    values = [v for curve in curves.values() for _, v, _ in curve if not log or v > 0]
    if not values or not depths:
        words = "nothing measured yet" if not depths else "no finite value"
        return "".join(parts) + chart.text(left + ROOM / 2, 150, words, "muted middle")
    across = Scale(min(depths) - 6, max(depths) + 6, left + 8, right - 8)
    y = _log_axis(values, parts, left, right) if log else _axis(curves, parts, left, right)
    for depth in depths:
        parts.append(chart.line(across(depth), BOTTOM, across(depth), BOTTOM + 5, "zero"))
        parts.append(chart.text(across(depth), BOTTOM + 19, f"{depth:g}", "tick middle"))
    parts.append(chart.text(left + ROOM / 2, BOTTOM + 38, "weighted layers", "muted middle"))
    for kind, style in KINDS:
        parts.append(_curve(kind, style, curves[kind], across, y, log))
    return "".join(parts)


def _log_axis(values: Sequence[float], parts: list[str], left: float, right: float):
    """A logarithmic axis on whole powers of ten."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    scale = Scale(low, high, BOTTOM - 12, TOP + 14)
    step = max(1, math.ceil((high - low) / 5))
    for power in range(low, high + 1, step):
        line_y = scale(power)
        parts.append(chart.line(left, line_y, right, line_y, "grid"))
        parts.append(
            f'<text class="tick end" x="{left - 8:g}" y="{line_y + 4:.1f}">'
            + (
                f"{10.0**power:g}</text>"
                if -2 <= power <= 3
                else f'10<tspan class="power" dy="-5">{str(power).replace("-", "−")}</tspan></text>'
            )
        )
    return lambda value: scale(math.log10(value)) if value > 0 else BOTTOM


def _axis(curves: Mapping[str, list[Point]], parts: list[str], left: float, right: float):
    reach = [v + side * e for curve in curves.values() for _, v, e in curve for side in (-1, 1)]
    scale, marks = chart.scale_for([*reach, 1.0], BOTTOM - 12, TOP + 14)
    parts.append(chart.y_axis(scale, marks, chart.number, left, right))
    return scale


def _curve(kind: str, style: str, points: Sequence[Point], across: Scale, y, log: bool) -> str:
    drawn = [p for p in points if not log or p[1] > 0]
    d = "".join(
        f"{'L' if i else 'M'}{across(x):.2f} {y(v):.2f}" for i, (x, v, _) in enumerate(drawn)
    )
    dash = " alt" if kind == "plain" else ""
    parts = [f'<path class="stroke {style}{dash}" d="{d}"/>']
    for depth, value, spread in drawn:
        x = across(depth)
        if spread and not log:
            y0, y1 = y(value - spread), y(value + spread)
            bars = f"M{x:.2f} {y0:.2f}V{y1:.2f}M{x - 4:.2f} {y0:.2f}h8M{x - 4:.2f} {y1:.2f}h8"
            parts.append(f'<path class="error-bar" d="{bars}"/>')
        more = f" ± {chart.say(spread)}" if spread else ""
        hint = chart.title(f"{kind}, {depth:g} layers: {_number(value)}{more}")
        if kind == "plain":  # another shape, for those who do not see the hue
            mark = chart.box(x - 3.6, y(value) - 3.6, 7.2, 7.2, f"dot {style}").replace(
                "/>", f">{hint}</rect>"
            )
        else:
            mark = (
                f'<circle class="dot {style}" cx="{x:.2f}" cy="{y(value):.2f}" r="4.4">'
                f"{hint}</circle>"
            )
        parts.append(mark)
    if drawn:
        parts.append(_label(kind, drawn, across, y))
    return "".join(parts)


def _label(kind: str, points: Sequence[Point], across: Scale, y) -> str:
    """The line's name at its last point but one, on the side where a rising or falling line is
    not."""
    depth, value, _ = points[max(0, len(points) - 2)]
    rises = y(points[-1][1]) < y(points[0][1])
    x, at = across(depth), y(value) - 9
    return chart.text(x - 7 if rises else x + 7, at, kind, f"halo strong{' end' if rises else ''}")


def _number(value: float) -> str:
    return chart.say(value) if abs(value) < 1e5 else f"{value:.2g}"


def _notes(study: Mapping) -> list[str]:
    zero = [
        abs(first - 1)
        for row in study["rows"]
        if (first := chart.finite(row["correlation"][0] if row["correlation"] else None))
        is not None
    ]
    measured = len({row["depth"] for row in study["rows"]})
    stopped = "" if study["complete"] else f"Cancelled: {len(study['rows'])} of the networks shown."
    return [
        "A gradient's correlation with itself is 1: "
        f"largest error {chart.error(max(zero, default=None))}.",
        f"{study['seeds']} random networks of each kind and depth, {measured} depths, "
        f"{study['width']} units, {study['points']:,} inputs on a line; nothing is trained.",
        stopped,
        "After Balduzzi et al. 2017, 1702.08591.",
    ]


def _words(study: Mapping) -> str:
    rows = "; ".join(
        f"{row['kind']} {row['depth']}: gradient {_first('gradient')(row)[0] or 0:.2g}, "
        f"neighbours' correlation {chart.say(_neighbours(row)[0])}"
        for row in study["rows"]
    )
    return f"Plain and residual networks of different depth, untrained. {rows}."
