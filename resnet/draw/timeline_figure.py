"""Answer timeline: the answer if the branches are cut from a block on, for sixteen blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Columns, Scale, Usual
from resnet.draw.lesion_figure import same_cut
from resnet.draw.wiring_marks import lines, text_width

TOP, BOTTOM, HEIGHT = 30.0, 356.0, 440.0
FOLLOWED = 5
WHOLE = "none"  # the last column: nothing is cut

Point = tuple[float | None, float | None]  # probability; if unknown, what it lies below


def timeline_figure(
    timeline: Mapping, reference: Usual | None = None, board: Mapping | None = None
) -> str:
    """Probabilities of five labels through the read-outs, and the answer at each of them.

    The five are the chosen class and the four labels that get furthest anywhere.  A read-out only
    lists its first few labels; where one of the five is not among them its line is a dotted
    ceiling: less than the last one listed.  Read out with `k` = all classes, nothing is unknown.

    Args:
        timeline: `Timeline.to_dict()`.
        reference: quartiles of the chosen class, shown if that is the network's answer.
        board: `LesionBoard.to_dict()` of the same photo and class, for the invariant.
    """
    rows = timeline["rows"]
    names = [row["block"] for row in rows]
    at = chart.columns(names, LEFT, WIDTH - RIGHT - 132)
    end = WIDTH - RIGHT - 96.0
    xs = [*at.centres, end]
    scale = Scale(0.0, 1.0, BOTTOM - 30, TOP + 30)
    followed = labels(timeline)

    parts = [
        chart.text(LEFT, 17, "branches cut from this block on, to the last one", "muted"),
        chart.ground(at, TOP, BOTTOM),
        chart.box(end - 24, TOP, 120, BOTTOM - TOP, "stage", ' rx="8"'),
        chart.text(end - 14, TOP + 15, "nothing cut", "muted"),
        chart.text(end, BOTTOM - 8, "whole", "name middle"),
        chart.y_axis(scale, [0, 0.25, 0.5, 0.75, 1], chart.share, LEFT, WIDTH - RIGHT),
        chart.axis_name(6, TOP + 15, ["probability"]),
    ]
    own = bool(timeline["final"]) and timeline["index"] == timeline["final"][0]["index"]
    usual = chart.usual_of(reference if own else None, "readouts.probability")
    for name, x in at.items():
        wide = at.width * 0.5
        parts.append(chart.quartile_band(x - wide / 2, wide, scale, usual.get(name)))
    curves = [_points(timeline, index) for index, _ in followed]
    for i in reversed(range(len(followed))):  # the chosen class lies on top
        parts.append(_curve(xs, curves[i], scale, i))
    parts.append(_names(xs, curves, [label for _, label in followed], scale))
    for k, (name, x) in enumerate([*at.items(), (WHOLE, end)]):
        where = "Whole network" if name == WHOLE else f"Branches cut from {name} on"
        said = "\n".join(
            f"{label}: {_value(curve[k])}"
            for (_, label), curve in zip(followed, curves, strict=True)
        )
        wide = at.width if name != WHOLE else 44
        hit = chart.box(x - wide / 2, TOP, wide, BOTTOM - TOP, "hit")
        parts.append(
            f'<g class="column" data-block="{chart.escape(name)}">'
            f"{chart.title(f'{where}{chr(10)}{said}')}{hit}</g>"
        )
    parts.append(chart.text(6, BOTTOM + 29, "answer there", "muted"))
    parts += _answers(at, rows)
    parts.append(_answer(end - 24, 120, timeline["final"][0]["label"] if own or rows else "", own))
    parts.append(
        chart.number_row(at, HEIGHT - 12, "rank of chosen", [r["rank"] for r in rows], None, _rank)
    )
    return chart.frame(
        "timeline",
        (WIDTH, HEIGHT),
        _words(timeline),
        parts,
        _notes(timeline, reference, own, board),
    )


def labels(timeline: Mapping) -> list[tuple[int, str]]:
    """The chosen class, then the labels with the highest probability anywhere: (index, label)."""
    best: dict[int, tuple[float, str]] = {}
    for found in [*(p for row in timeline["rows"] for p in row["top"]), *timeline["final"]]:
        probability = chart.finite(found["probability"])
        if probability is not None and probability > best.get(found["index"], (-1.0, ""))[0]:
            best[found["index"]] = probability, found["label"]
    best.pop(timeline["index"], None)
    others = sorted(best, key=lambda index: -best[index][0])[: FOLLOWED - 1]
    return [(timeline["index"], timeline["label"]), *((i, best[i][1]) for i in others)]


def _points(timeline: Mapping, index: int) -> list[Point]:
    """One label's probability at every read-out and in the whole network."""
    chosen = index == timeline["index"]
    found: list[Point] = []
    for listed, own in [
        *((row["top"], row["probability"]) for row in timeline["rows"]),
        (timeline["final"], timeline["probability"]),
    ]:
        value = own if chosen else None
        for prediction in listed:
            if prediction["index"] == index:
                value = prediction["probability"]
        ceiling = min(chart.known(p["probability"] for p in listed), default=None)
        found.append((chart.finite(value), ceiling))
    return found


def _value(point: Point) -> str:
    value, ceiling = point
    if value is None and ceiling is not None:
        return f"below {chart.chance(ceiling)}"
    return chart.chance(value)


def _curve(xs: Sequence[float], points: Sequence[Point], scale: Scale, i: int) -> str:
    """A line through what is known; a dotted ceiling through what is not."""
    solid, dotted, dots = [], [], []
    for k in range(len(xs)):
        value, ceiling = points[k]
        if value is not None:
            dots.append(
                f'<circle class="dot l{i}" cx="{xs[k]:.2f}" cy="{scale(value):.2f}"'
                f' r="{4.2 if i == 0 else 3.4}"/>'
            )
        if k == 0:
            continue
        before, known = points[k - 1][0], value is not None
        y0 = scale(before if before is not None else points[k - 1][1] or 0.0)
        y1 = scale(value if value is not None else ceiling or 0.0)
        target = solid if known and before is not None else dotted
        target.append(f"M{xs[k - 1]:.2f} {y0:.2f}L{xs[k]:.2f} {y1:.2f}")
    return (
        f'<path class="stroke l{i} below" d="{"".join(dotted)}"/>'
        f'<path class="stroke l{i}" d="{"".join(solid)}"/>{"".join(dots)}'
    )


def _names(
    xs: Sequence[float], curves: Sequence[Sequence[Point]], names: Sequence[str], scale: Scale
) -> str:
    """Each line's name beside its highest point, moved up where names or lines would collide."""
    taken: list[tuple[float, float, float, float]] = []
    parts = []
    order = range(len(names))
    for i in order:
        peaks = [(value, k) for k, (value, _) in enumerate(curves[i]) if value is not None]
        if not peaks:
            continue
        value, k = max(peaks)
        label = lines(names[i], 26, 1)[0]
        full = f"{label} {chart.chance(value)}"
        wide = text_width(full, 12.5, bold=True)
        last = k == len(xs) - 1
        x = xs[k] + 9 if last and wide < 92 else xs[k] - 10
        left = x if x > xs[k] else x - wide
        if left < LEFT:  # no room at the left of its peak
            x, left = xs[k] - 4, xs[k] - 4
        anchor = "" if left == x else " end"
        y = scale(value) - 8
        while any(
            left < r and left + wide > l and y - 13 < b and y + 4 > t for l, t, r, b in taken
        ) or any(
            v is not None and left - 4 < xs[j] < left + wide + 4 and y - 14 < scale(v) < y + 5
            for curve in curves
            for j, (v, _) in enumerate(curve)
        ):
            y -= 4
            if y < TOP + 30:
                break
        taken.append((left, y - 13, left + wide, y + 4))
        if scale(value) - y > 14:
            anchor_x = min(max(xs[k], left), left + wide)
            parts.append(chart.line(anchor_x, y + 4, xs[k], scale(value) - 5, "leader"))
        parts.append(
            f'<text class="halo{anchor} strong" x="{x:.1f}" y="{y:.1f}">{chart.escape(label)}'
            f'<tspan class="muted"> {chart.escape(chart.chance(value))}</tspan></text>'
        )
    return "".join(parts)


def _answers(at: Columns, rows: Sequence[Mapping]) -> list[str]:
    """The answer at each read-out; neighbours with the same answer share one label."""
    parts, start = [], 0
    for k in range(len(rows)):
        here = rows[k]["top"][0]["label"] if rows[k]["top"] else "–"
        after = rows[k + 1]["top"][0]["label"] if k + 1 < len(rows) and rows[k + 1]["top"] else None
        if here == after:
            continue
        left = at.centres[start] - at.width / 2 + 1.5
        right = at.centres[k] + at.width / 2 - 1.5
        parts.append(_answer(left, right - left, here, bool(rows[k]["agrees"])))
        start = k + 1
    return parts


def _answer(left: float, wide: float, label: str, agrees: bool) -> str:
    y, kind = BOTTOM + 8, " agrees" if agrees else ""
    said = lines(label, max(4, int((wide - 4) / 6.1)), 2)
    parts = [chart.title(label), chart.box(left, y, wide, 36, f"span{kind}", ' rx="5"')]
    for i, row in enumerate(said):
        base = y + 22.5 + (i - (len(said) - 1) / 2) * 14
        parts.append(chart.text(left + wide / 2, base, row, "on middle" if agrees else "middle"))
    return f"<g>{''.join(parts)}</g>"


def _rank(value: object) -> str:
    found = chart.finite(value)
    return "–" if found is None else f"{found:.0f}"


def _notes(
    timeline: Mapping, reference: Usual | None, own: bool, board: Mapping | None
) -> list[str]:
    gap = same_cut(board, timeline)
    last = timeline["rows"][-1]["block"] if timeline["rows"] else "–"
    first = (
        f"Read-out at {last} = the lesion “branch of {last} cut”: apart by {gap}."
        if gap is not None
        else "Every read-out is the network's own softmax over all classes."
    )
    grey = chart.usual_line(reference, f"Grey: {timeline['label']}'s place in")
    if reference:
        grey = (
            f"Grey: the answer's probability for the middle half of {reference.photos} photos."
            if own
            else "The reference was measured for each photo's own answer; this class is another."
        )
    dotted = any(
        value is None and ceiling is not None
        for index, _ in labels(timeline)
        for value, ceiling in _points(timeline, index)
    )
    listed = len(timeline["rows"][0]["top"]) if timeline["rows"] else 0
    return [
        first,
        f"Lines: {timeline['label']} and the four labels that get furthest anywhere.",
        f"Dotted: not among the first {listed} there, so below this line." if dotted else "",
        grey,
    ]


def _words(timeline: Mapping) -> str:
    rows = "; ".join(
        f"{row['block']}: {row['top'][0]['label'] if row['top'] else 'unknown'}, "
        f"{timeline['label']} {chart.chance(row['probability'])}"
        for row in timeline["rows"]
    )
    return (
        f"Answer if all branches from a block on are cut. {rows}; "
        f"nothing cut: {timeline['label']} {chart.chance(timeline['probability'])}."
    )
