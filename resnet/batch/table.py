"""The rows as a CSV, and in the order and the choice that somebody wants to see."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from resnet.batch.results import BatchResult
from resnet.batch.row import BatchRow

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def safe(cell: str) -> str:
    """A text that no spreadsheet takes for a formula: `=1+1` becomes `'=1+1`.

    As OWASP's page on CSV injection says; spaces before the sign do not hide it.  Control
    characters become spaces: a lone carriage return would begin a line of its own.
    """
    cell = "".join(letter if letter.isprintable() else " " for letter in cell)
    return f"'{cell}" if cell.lstrip().startswith(FORMULA) else cell


def to_csv(result: BatchResult) -> str:
    """UTF-8 text with commas; probabilities 0..1, empty where there is none.

    Columns: file, status, reason, width, height, seconds, label_1, index_1, probability_1 … _5,
    entropy_bits, margin, true_label, true_index, true_rank, true_probability, correct,
    true_label_note, sha256.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    tops = [f"{what}_{k}" for k in range(1, 6) for what in ("label", "index", "probability")]
    writer.writerow(
        ["file", "status", "reason", "width", "height", "seconds", *tops, "entropy_bits", "margin",
         "true_label", "true_index", "true_rank", "true_probability", "correct", "true_label_note",
         "sha256"]
    )  # fmt: skip
    for row in result.rows:
        writer.writerow([safe(cell) if isinstance(cell, str) else cell for cell in _cells(row)])
    return buffer.getvalue()


def _cells(row: BatchRow) -> list[Any]:
    tops: list[Any] = []
    for found in row.top5:
        tops += [found.label, found.index, _number(found.probability)]
    tops += [""] * (15 - len(tops))
    truth = row.truth
    said: list[Any] = [""] * 6
    if truth is not None:
        correct = {None: "", True: "yes", False: "no"}[row.correct]
        label = truth.said if truth.index is None else truth.label
        said = [label, truth.index, truth.rank, _number(truth.probability), correct, truth.note]
    return [
        row.name,
        "ok" if row.ok else "failed",
        row.reason,
        row.width or "",
        row.height or "",
        f"{row.seconds:.4f}",
        *tops,
        _number(row.entropy),
        _number(row.margin),
        *("" if cell is None else cell for cell in said),
        row.digest,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


# -- order and choice ------------------------------------------------------------------------

ORDERS: dict[str, Callable[[BatchRow], Any]] = {
    "file": lambda row: row.name.casefold(),
    "answer": lambda row: row.top5[0].label.casefold() if row.top5 else None,
    "confidence": lambda row: row.confidence,
    "margin": lambda row: row.margin,
    "entropy": lambda row: row.entropy,
    "truth": lambda row: (row.truth.label or row.truth.said).casefold() if row.truth else None,
    "rank": lambda row: row.truth.rank if row.truth else None,
    "seconds": lambda row: row.seconds,
}
CHOICES: dict[str, Callable[[BatchRow], bool]] = {
    "all": lambda row: True,
    "right": lambda row: row.correct is True,
    "wrong": lambda row: row.correct is False,
    "failed": lambda row: not row.ok,
}


def choose(
    rows: Sequence[BatchRow],
    order: str = "",
    rising: bool = True,
    only: str = "all",
    text: str = "",
) -> list[tuple[int, BatchRow]]:
    """Rows to show, each with its position in `rows`.

    Args:
        order: a key of ORDERS; "" keeps the photos' order.  Rows without the value come last.
        rising: smallest first.
        only: a key of CHOICES.
        text: keeps rows with it in the file's name, an answer, the true label or the reason;
            case does not count.

    Raises:
        KeyError: no such order or choice.
    """
    wanted, keep = text.strip().casefold(), CHOICES[only]
    found = [
        (at, row)
        for at, row in enumerate(rows)
        if keep(row) and (not wanted or wanted in _text(row))
    ]
    if not order:
        return found if rising else found[::-1]
    key = ORDERS[order]
    known = [pair for pair in found if key(pair[1]) is not None]
    unknown = [pair for pair in found if key(pair[1]) is None]
    return sorted(known, key=lambda pair: key(pair[1]), reverse=not rising) + unknown


def _text(row: BatchRow) -> str:
    truth = (row.truth.said, row.truth.label) if row.truth else ()
    return "\n".join((row.name, row.reason, *truth, *(p.label for p in row.top5))).casefold()
