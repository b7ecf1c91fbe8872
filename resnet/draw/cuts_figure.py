"""Cuts and boxes: how many of a photo's boxes stay under each of the 16 x 2 single cuts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from resnet.draw import by_block, chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Scale

TOP, BOTTOM = 30.0, 262.0
WIRES = ("branch", "shortcut")  # as in the diagram: the arch first
MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def cuts_figure(board: Mapping, chosen: int | None = None, buttons: bool = False) -> str:
    """Share of the boxes that stay, a bar a cut, all on the scale 0 to 100 %.

    What only changed its name stands on top of the bar in a third colour.  Of a chosen box every
    bar says what becomes of it: a cross where it vanishes, "≠" where it gets another name, a dot
    where it stays; its score under every cut is printed below.

    Args:
        board: `CutBoard.to_dict()`.
        chosen: place of a box in `board["boxes"]`; None for none.
        buttons: each bar is a button with `data-block`, `data-wire` and `data-key="3.2:branch"`.
    """
    rows = {(row["block"], row["wire"]): row for row in board["rows"]}
    chosen = chosen if chosen is not None and 0 <= chosen < len(board["boxes"]) else None
    if not rows:
        parts = [chart.text(LEFT, 30, board["sentence"], "muted")]
        return chart.frame("cuts", (WIDTH, 50), board["sentence"], parts, [])
    at = by_block.columns(list(dict.fromkeys(block for block, _ in rows)))
    scale = Scale(0.0, 1.0, BOTTOM - 28, TOP + 40)
    parts = [chart.legend(LEFT, 13, _samples(board, chosen)), by_block.ground(at, TOP, BOTTOM)]
    parts.append(chart.y_axis(scale, MARKS, chart.share, LEFT, WIDTH - RIGHT))
    parts.append(chart.axis_name(6, TOP + 15, ["boxes that", "stay"]))
    wide = (at.width - 6) / 2
    for name, x in at.items():
        for i, wire in enumerate(WIRES):
            if row := rows.get((name, wire)):
                left = x + wide * (i - 1)
                parts.append(_bar(board, row, left, wide, scale, chosen, buttons))
    y = BOTTOM
    for words, values, form in _numbers(rows, at.names, chosen, board["floor"]):
        y += 22
        parts.append(by_block.number_row(at, y, words, values, None, form))
    notes = _notes(board)
    return chart.frame("cuts", (WIDTH, y + 12), _words(board, chosen), parts, notes, buttons)


def _bar(
    board: Mapping,
    row: Mapping,
    left: float,
    wide: float,
    scale: Scale,
    chosen: int | None,
    buttons: bool,
) -> str:
    block, wire, count = row["block"], row["wire"], len(row["fates"])
    stay, renamed = row["stay"] / count, row["renamed"] / count
    said = (
        f"{wire.capitalize()} of {block} cut: {row['stay']} of {count} boxes stay, "
        f"{row['renamed']} with another name, {row['vanish']} gone, {row['new']} new"
    )
    if chosen is not None:
        said += f"; {_fate_words(board, row['fates'][chosen], chosen)}"
    drawn = chart.box(left, TOP + 22, wide, BOTTOM - TOP - 44, "hit", ' rx="3"')
    drawn += chart.bar(left + 4, wide - 8, scale, stay, wire, slits=False)
    if renamed:
        top, foot = scale(stay + renamed), scale(stay)
        drawn += chart.box(left + 4, top, wide - 8, foot - top, "mark third pos")
    if chosen is not None:
        drawn += _fate(row["fates"][chosen], left + wide / 2, scale(stay + renamed) - 9)
    hint, kind, more = said, "column", ""
    if buttons:
        hint, kind = f"{said}\nclick to cut", "cut-button"
        key = chart.escape(f"{block}:{wire}")
        more = (
            f' role="button" tabindex="0" data-block="{chart.escape(block)}"'
            f' data-wire="{chart.escape(wire)}" data-key="{key}"'
            f' aria-label="{chart.escape(said)}. Press Enter to make this cut."'
        )
    return f'<g class="{kind}"{more}>{chart.title(hint)}{drawn}</g>'


def _fate(fate: Mapping, x: float, y: float) -> str:
    """The chosen box's mark above a bar."""
    if fate["what"] == "vanishes":
        return chart.cross(x, y)
    if fate["what"] == "renamed":
        return chart.text(x, y + 5, "≠", "strong middle")
    return f'<circle class="dot l4" cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>'


def _fate_words(board: Mapping, fate: Mapping, chosen: int) -> str:
    box = board["boxes"][chosen]
    now = {
        "stays": "stays",
        "renamed": f"becomes {fate['label']}",
        "vanishes": "vanishes",
    }[fate["what"]]
    after = _score(fate["score"], board["floor"])
    return f"the chosen {box['label']} {now}, {chart.chance(box['score'])} → {after}"


def _score(value: object, floor: float) -> str:
    found = chart.finite(value)
    return f"below {100 * floor:g} %" if found is None else chart.chance(found)


def _samples(board: Mapping, chosen: int | None) -> list[tuple[str, str]]:
    found = [
        ("", f"of {len(board['boxes'])} boxes:"),
        ("mark branch pos", "branch cut"),
        ("mark shortcut pos", "shortcut cut"),
        ("mark third pos", "stays, renamed"),
    ]
    if chosen is not None:
        label = board["boxes"][chosen]["label"]
        found += [
            ("cross", f"the chosen {label} vanishes"),
            ("", "≠ renamed"),
            ("", "● stays"),
        ]
    return found


def _numbers(
    rows: Mapping, names: Sequence[str], chosen: int | None, floor: float
) -> list[tuple[str, list[object], Callable[[object], str]]]:
    """The rows under the drawing: name, a value a block, how to write it."""
    found: list[tuple[str, list[object], Callable[[object], str]]] = []
    for words, field in (("gone", "vanish"), ("new", "new")):
        for wire in WIRES:
            values = [rows.get((name, wire), {}).get(field) for name in names]
            found.append((f"{words}, {wire} cut", values, _count))
    if chosen is not None:
        for wire in WIRES:
            cuts = [rows.get((name, wire)) for name in names]
            values = [cut and cut["fates"][chosen]["score"] for cut in cuts]
            found.append((f"score, {wire} cut", values, lambda v: _short(v, floor)))
    return found


def _short(value: object, floor: float) -> str:
    """A score in a narrow column; none is one below what the pass keeps."""
    return f"<{100 * floor:g} %" if chart.finite(value) is None else chart.share(value)


def _count(value: object) -> str:
    found = chart.finite(value)
    return "–" if found is None else f"{found:.0f}"


def _notes(board: Mapping) -> list[str]:
    count = len(board["boxes"])
    errors = [abs(r["stay"] + r["renamed"] + r["vanish"] - count) for r in board["rows"]]
    return [
        f"{board['sentence']}",
        f"Staying, renamed and gone add to {count}: largest error {max(errors, default=0)}.",
        f"A box stays if one of its name overlaps it (IoU of {board['same_iou']:g} or more) with "
        f"a score of {chart.share(board['threshold'])} or more. "
        "Every bar is this network with the wire removed and nothing trained anew.",
    ]


def _words(board: Mapping, chosen: int | None) -> str:
    said = (
        f"Boxes under cuts: {len(board['boxes'])} boxes, each of {len(board['rows'])} wires cut "
        f"once. {board['sentence']}"
    )
    if chosen is None:
        return said
    gone = sum(row["fates"][chosen]["what"] == "vanishes" for row in board["rows"])
    label = board["boxes"][chosen]["label"]
    return f"{said} The chosen {label} vanishes under {gone} of them."
