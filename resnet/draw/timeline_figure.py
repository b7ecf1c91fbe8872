"""Answer timeline: the answer if the branches are cut from a block on, for sixteen blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import by_block, chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Scale, Usual
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
    at = by_block.columns(names, LEFT, WIDTH - RIGHT - 132)
    end = WIDTH - RIGHT - 96.0
    xs = [*at.centres, end]
    scale = Scale(0.0, 1.0, BOTTOM - 30, TOP + 40)
    followed = labels(timeline)

    parts = [
        chart.text(LEFT, 17, "branches cut from this block on, to the last one", "muted"),
        by_block.ground(at, TOP, BOTTOM),
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
    half = at.width / 2 - 1.5
    edges = [(x - half, x + half) for x in at.centres] + [(end - 24, end + 96)]
    told = [(_first(row["top"]), bool(row["agrees"])) for row in rows]
    parts += _answers(edges, [*told, (_first(timeline["final"]), True)])
    parts.append(
        by_block.number_row(
            at, HEIGHT - 12, "rank of chosen", [r["rank"] for r in rows], None, _rank
        )
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
    solid: list[str] = []
    dotted: list[str] = []
    dots: list[str] = []
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


Rect = tuple[float, float, float, float]  # left, top, right, bottom


def _names(
    xs: Sequence[float], curves: Sequence[Sequence[Point]], names: Sequence[str], scale: Scale
) -> str:
    """Each line's name at its highest point, where it covers neither a line nor another name."""
    busy = _line_spots(xs, curves, scale)
    taken: list[Rect] = []
    parts, leaders = [], []
    peaks = []
    for i, curve in enumerate(curves):
        known = [(value, k, i) for k, (value, _) in enumerate(curve) if value is not None]
        peaks += [max(known)] if known else []
    for value, k, i in sorted(peaks, reverse=True):  # the highest stay closest to their lines
        name = names[i]
        rows = [lines(name, 13 if k == len(xs) - 1 else 24, 1)[0], chart.chance(value)]
        if k < len(xs) - 1:
            rows = [" ".join(rows)]
        wide = 14 + max(text_width(row, 12.5, bold=True) for row in rows)
        left, y = _free(xs[k], scale(value), wide, 15.0 * len(rows), taken, busy)
        taken.append((left, y, left + wide, y + 15.0 * len(rows)))
        if scale(value) - (y + 15 * len(rows)) > 12:
            x = min(max(xs[k], left), left + wide)
            leader = f"stroke l{i} leader"
            leaders.append(chart.line(x, y + 15 * len(rows), xs[k], scale(value) - 5, leader))
        parts.append(f'<circle class="dot l{i}" cx="{left + 6:.1f}" cy="{y + 7.5:.1f}" r="4"/>')
        for j, row in enumerate(rows):
            parts.append(chart.text(left + 14, y + 12 + 15 * j, row, "halo strong"))
    return "".join(leaders + parts)  # a leader passes behind the names


def _line_spots(
    xs: Sequence[float], curves: Sequence[Sequence[Point]], scale: Scale
) -> list[tuple[float, float]]:
    """Points along all lines, close enough together that no name slips between them."""
    spots = []
    for curve in curves:
        heights = [scale(value if value is not None else top or 0.0) for value, top in curve]
        for k in range(len(xs) - 1):
            for part in (0, 0.17, 0.33, 0.5, 0.67, 0.83, 1):
                x = xs[k] + part * (xs[k + 1] - xs[k])
                spots.append((x, heights[k] + part * (heights[k + 1] - heights[k])))
    return spots


def _free(
    x: float,
    y: float,
    wide: float,
    high: float,
    taken: Sequence[Rect],
    busy: Sequence[tuple[float, float]],
) -> tuple[float, float]:
    """Left and top of the nearest place for a name at (x, y) that covers nothing."""
    for lift in range(0, 220, 5):
        for left, top in (
            (x - wide / 2, y - 8 - high - lift),
            (x + 9, y - high / 2 - lift),
            (x - 9 - wide, y - high / 2 - lift),
            (x - 9 - wide, y - 8 - high - lift),
        ):
            right, bottom = left + wide, top + high
            if left < LEFT + 2 or right > WIDTH - RIGHT - 4 or top < TOP + 20:
                continue
            if any(left < r and right > l and top < b and bottom > t for l, t, r, b in taken):
                continue
            if any(left - 5 < a < right + 5 and top - 4 < b < bottom + 3 for a, b in busy):
                continue
            return left, top
    return max(LEFT, x - 9 - wide), max(TOP + 20, y - 8 - high)


def _answers(edges: Sequence[tuple[float, float]], told: Sequence[tuple[str, bool]]) -> list[str]:
    """The answer in each column; neighbours with the same answer share one label."""
    parts, start = [], 0
    for k, (label, agrees) in enumerate(told):
        if k + 1 < len(told) and told[k + 1] == (label, agrees):
            continue
        left = edges[start][0]
        parts.append(_answer(left, edges[k][1] - left, label, agrees))
        start = k + 1
    return parts


def _first(listed: Sequence[Mapping]) -> str:
    return listed[0]["label"] if listed else "–"


def _answer(left: float, wide: float, label: str, agrees: bool) -> str:
    y, kind = BOTTOM + 8, " agrees" if agrees else ""
    broken = lines(label.replace("-", "- "), max(4, int((wide - 1) / 6.0)), 2)
    said = [row.replace("- ", "-") for row in broken]
    parts = [chart.title(label), chart.box(left, y, wide, 36, f"span{kind}", ' rx="5"')]
    for i, row in enumerate(said):
        base = y + 22.5 + (i - (len(said) - 1) / 2) * 14
        parts.append(
            chart.text(
                left + wide / 2, base, row, "answer on middle" if agrees else "answer middle"
            )
        )
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
        f"Read-out at {last} = the lesion “branch of {last} cut”: difference {gap}."
        if gap is not None
        else "Every read-out is the network's own softmax over all classes."
    )
    grey = chart.usual_line(reference)
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
        f"{row['block']}: {_first(row['top'])}, "
        f"{timeline['label']} {chart.chance(row['probability'])}"
        for row in timeline["rows"]
    )
    return (
        f"Answer if all branches from a block on are cut. {rows}; "
        f"nothing cut: {timeline['label']} {chart.chance(timeline['probability'])}."
    )
