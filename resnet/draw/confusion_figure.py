"""What was taken for what: the matrix of counts, and the most frequent mistakes as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import chart
from resnet.draw.confidence_figure import photos
from resnet.draw.wiring_marks import lines

CELL, NAMES, HEADS = 27.0, 176.0, 128.0  # a cell; room for names at the left and on top
LIST = 430.0  # width of the list of mistakes
LETTERS = 24  # of a class name
STRONGEST = 0.45  # opacity of the fullest cell: numbers must stay readable on it


def confusion_figure(confusion: Mapping) -> str:
    """Counts of true class (rows) against answer (columns), and the list of mistakes.

    Args:
        confusion: `Confusion.to_dict()`.
    """
    labels, counts = confusion["labels"], confusion["counts"]
    side = len(labels)
    right = NAMES + side * CELL
    start = right + 40
    bottom = HEADS + max(side * CELL, 30 * len(confusion["mistakes"]) + 8, 60)
    parts = [
        chart.text(6, HEADS - 8, "true label ↓  answer →", "muted"),
        chart.box(NAMES - 3, HEADS - 3, side * CELL + 6, side * CELL + 6, "panel", ' rx="6"'),
    ]
    for i, label in enumerate(labels):
        at = HEADS + CELL * i + CELL / 2 + 4
        parts.append(chart.text(NAMES - 9, at, short(label), "end"))
        x = NAMES + CELL * i + CELL / 2 + 4
        turn = f' transform="rotate(-50 {x:.1f} {HEADS - 9:.1f})"'
        parts.append(chart.text(x, HEADS - 9, short(label, 20), "", turn))
    parts += _cells(labels, counts, bool(confusion["folded"]))
    parts += _list(confusion["mistakes"], start)
    width = start + LIST
    return chart.frame(
        "confusion", (width, bottom + 12), _words(confusion), parts, _notes(confusion)
    )


def short(label: str, letters: int = LETTERS) -> str:
    """A class name in one line."""
    return lines(label, letters, 1)[0]


def _cells(labels: Sequence[str], counts: Sequence[Sequence[int]], folded: bool) -> list[str]:
    side = len(labels)
    mixed = (side - 1, side - 1) if folded else None  # right and wrong answers together
    most = max(
        (counts[i][j] for i in range(side) for j in range(side) if (i, j) != mixed), default=0
    )
    parts = []
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            if not count:
                continue
            x, y = NAMES + CELL * j, HEADS + CELL * i
            kind = "count" if (i, j) == mixed else "plain" if i == j else "branch neg"
            depth = 0.12 + (STRONGEST - 0.12) * count / most if kind != "count" else STRONGEST
            fill = f' rx="4" fill-opacity="{depth:.2f}"'
            if (i, j) == mixed:
                said = "classes without a row, right and wrong answers together"
            elif i == j:
                said = f"{labels[i]}, answered right"
            else:
                said = f"{labels[i]}, taken for {labels[j]}"
            parts.append(
                f'<g class="column">{chart.title(f"{said}: {photos(count)}")}'
                + chart.box(x + 1.5, y + 1.5, CELL - 3, CELL - 3, kind, fill)
                + chart.text(x + CELL / 2, y + CELL / 2 + 4.3, f"{count:,}", "middle")
                + "</g>"
            )
    return parts


def _list(mistakes: Sequence[Mapping], start: float) -> list[str]:
    """Bars, the longest first; each row says what was taken for what."""
    if not mistakes:
        return [chart.text(start, HEADS + 16, "No mistake.", "strong")]
    parts = [chart.text(start, HEADS - 8, "taken for another class, most frequent first", "muted")]
    most = mistakes[0]["photos"]
    for i, one in enumerate(mistakes):
        y = HEADS + 30 * i
        wide = (LIST - 60) * one["photos"] / most
        hint = f"{one['truth']} taken for {one['answer']}: {photos(one['photos'])}"
        said = f"{short(one['truth'])} → {short(one['answer'])}"
        parts.append(
            f'<g class="column">{chart.title(hint)}'
            + chart.text(start, y + 12, said)
            + chart.box(start, y + 17, wide, 6, "mark branch neg")
            + chart.text(start + wide + 7, y + 24, f"{one['photos']:,}", "tick")
            + "</g>"
        )
    return parts


def _notes(confusion: Mapping) -> list[str]:
    counts, folded = confusion["counts"], confusion["folded"]
    total = sum(map(sum, counts))
    wrong = confusion["photos"] - confusion["right"]
    first = f"The cells add to {photos(total)}: {confusion['right']:,} right + {wrong:,} wrong."
    if not folded:
        diagonal = sum(row[i] for i, row in enumerate(counts))
        first = f"The cells add to {photos(total)}; the diagonal, {diagonal:,}, is what is right."
    listed = sum(one["photos"] for one in confusion["mistakes"])
    second = (
        f"{len(confusion['mistakes'])} of {confusion['kinds']:,} different mistakes are listed, "
        f"{listed:,} of {wrong:,} wrong photos."
        if wrong
        else ""
    )
    third = f"“others” stands for {folded:,} classes with fewer mistakes or none." if folded else ""
    return [first, second, third]


def _words(confusion: Mapping) -> str:
    rows = ", ".join(
        f"{one['truth']} taken for {one['answer']} {one['photos']} times"
        for one in confusion["mistakes"]
    )
    return (
        f"Confusion matrix of {photos(confusion['photos'])}, {confusion['right']} right. "
        f"{rows or 'No mistake'}."
    )
