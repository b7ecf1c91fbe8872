"""Lesion board: 16 x 2 single cuts of this photo, and what each does to the chosen class."""

from __future__ import annotations

from collections.abc import Mapping

from resnet.draw import by_block, chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Quartiles, Scale, Usual

TOP, BOTTOM, HEIGHT = 30.0, 356.0, 412.0
WIRES = ("branch", "shortcut")  # as in the diagram: the arch first


def lesion_figure(
    board: Mapping, reference: Usual | None = None, timeline: Mapping | None = None
) -> str:
    """Change of the chosen class's probability for every single cut; each bar is a button.

    Each button carries `data-block`, `data-wire` and `data-key="3.2:branch"`, as the wires of the
    diagram do.

    Args:
        board: `LesionBoard.to_dict()`.
        reference: quartiles, shown if the chosen class is the network's answer: they were
            measured for the answer of each photo.
        timeline: `Timeline.to_dict()` of the same photo and class; its last read-out is one of
            these cuts, and the difference is printed.
    """
    chosen = board["index"] == board["answer"]["index"]
    shown = reference if chosen else None
    usual = {wire: chart.usual_of(shown, f"lesions.{wire}.change") for wire in WIRES}
    rows = {(row["block"], row["wire"]): row for row in board["rows"]}
    at = by_block.columns(list(dict.fromkeys(row["block"] for row in board["rows"])))
    values = [row["change"] for row in board["rows"]]
    values += [q for wire in WIRES for name in at.names for q in usual[wire].get(name, ())]
    scale, marks = chart.scale_for(values, BOTTOM - 50, TOP + 40)

    samples = [
        ("", "change of the probability with one wire cut:"),
        ("mark branch neg solid", "branch cut"),
        ("mark shortcut neg solid", "shortcut cut"),
        ("mark branch pos", "blue: a gain"),
        ("cross", "another answer"),
        *([("usual", "middle half of photos")] if shown else []),
    ]
    parts = [chart.legend(LEFT, 13, samples), by_block.ground(at, TOP, BOTTOM)]
    parts.append(chart.y_axis(scale, marks, points, LEFT, WIDTH - RIGHT))
    parts.append(chart.axis_name(6, TOP + 15, ["percentage", "points"]))
    wide = (at.width - 6) / 2
    for name, x in at.items():
        for i, wire in enumerate(WIRES):
            if row := rows.get((name, wire)):
                left = x + wide * (i - 1)
                parts.append(_button(board, row, left, wide, scale, usual[wire].get(name)))
    for i, wire in enumerate(WIRES):
        after = [rows.get((name, wire), {}).get("probability") for name in at.names]
        words = f"p, {wire} cut"
        row = by_block.number_row(at, BOTTOM + 24 + 22 * i, words, after, None, _short)
        parts.append(row)
    return chart.frame(
        "lesions", (WIDTH, HEIGHT), _words(board), parts, _notes(board, reference, timeline), True
    )


def points(value: object) -> str:
    """0.052 -> "+5.2": percentage points."""
    found = chart.finite(value)
    if found is None:
        return "–"
    size = abs(100 * found)
    digits = 0 if size >= 10 or size == 0 else 1 if size >= 1 else 2
    return f"{100 * found:+.{digits}f}".replace("-", "−") if found else "0"


def _short(value: object) -> str:
    """A probability in a narrow column."""
    found = chart.finite(value)
    if found is None:
        return "–"
    return "<0.1 %" if 0 < found < 0.0005 else chart.chance(found)


def _button(
    board: Mapping, row: Mapping, left: float, wide: float, scale: Scale, usual: Quartiles | None
) -> str:
    block, wire, change = row["block"], row["wire"], chart.finite(row["change"])
    now = f"the answer becomes {row['answer']['label']}" if row["flips"] else "the answer stays"
    said = (
        f"{wire.capitalize()} of {block} cut: {board['label']} "
        f"{chart.chance(board['probability'])} → {chart.chance(row['probability'])} "
        f"({points(change)} points), rank {row['rank']}; {now}"
        f" with {chart.chance(row['answer']['probability'])}"
    )
    hint = said
    if usual:
        hint += f"\nmiddle half of photos: {points(usual[0])} to {points(usual[2])} points"
    tip = scale(change or 0.0)
    below = tip + 11 if (change or 0) <= 0 else tip - 11
    label = f"{said}. Press Enter to make this cut."
    return (
        f'<g class="cut-button" role="button" tabindex="0" data-block="{chart.escape(block)}"'
        f' data-wire="{chart.escape(wire)}" data-key="{chart.escape(f"{block}:{wire}")}"'
        f' aria-label="{chart.escape(label)}">{chart.title(f"{hint}{chr(10)}click to cut")}'
        + chart.box(left, TOP + 22, wide, BOTTOM - TOP - 44, "hit", ' rx="3"')
        + chart.quartile_band(left + 2, wide - 4, scale, usual)
        + chart.bar(left + 6, wide - 12, scale, change, wire, slits=False)
        + (chart.cross(left + wide / 2, below) if row["flips"] else "")
        + "</g>"
    )


def _notes(board: Mapping, reference: Usual | None, timeline: Mapping | None) -> list[str]:
    pairs = [(r["probability"], r["change"]) for r in board["rows"]]
    before = chart.finite(board["probability"])
    errors = [abs(p - before - c) for p, c in pairs if None not in (p, c, before)]
    first = f"After − before = change: largest error {chart.error(max(errors, default=None))}."
    if (gap := same_cut(board, timeline)) is not None:
        first += f" The last read-out of the timeline is one of these cuts: difference {gap}."
    if board.get("precision", "fp32") != "fp32":
        first += f" What follows a cut ran in {board['precision']}."
    if board["index"] != board["answer"]["index"]:
        why = "The reference was measured for each photo's own answer; this class is another one."
        return [first, why if reference else chart.usual_line(reference)]
    return [first, chart.usual_line(reference)]


def same_cut(board: Mapping | None, timeline: Mapping | None) -> str | None:
    """The cut of the last branch, measured twice: by the lesion board and by the timeline."""
    if not board or not timeline or board["index"] != timeline["index"] or not timeline["rows"]:
        return None
    last = timeline["rows"][-1]
    for row in board["rows"]:
        if (row["block"], row["wire"]) == (last["block"], "branch"):
            both = chart.known([row["probability"], last["probability"]])
            return chart.error(both[0] - both[1]) if len(both) == 2 else None
    return None


def _words(board: Mapping) -> str:
    flips = {wire: 0 for wire in WIRES}
    for row in board["rows"]:
        flips[row["wire"]] += bool(row["flips"])
    return (
        f"Lesion board for {board['label']}, {chart.chance(board['probability'])} uncut. Each of "
        f"{len(board['rows'])} buttons is one wire cut; {flips['shortcut']} shortcut cuts and "
        f"{flips['branch']} branch cuts change the answer."
    )
