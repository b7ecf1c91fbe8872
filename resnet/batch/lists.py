"""A CSV of file names with optional true labels, and which photo each of its lines means."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from resnet.batch.item import BatchError, shown_name
from resnet.formats import MB

SUFFIXES = (".csv", ".tsv")
MAX_LIST = 2 * MB
FILE_HEADS = ("file", "filename", "file name", "name", "path", "photo", "image")
LABEL_HEADS = ("label", "class", "truth", "true label", "true_label")


@dataclass(frozen=True)
class Line:
    """One line of a list: a file's name, and its true label as it stands there."""

    file: str
    said: str | None


def is_list(name: str) -> bool:
    """By its name; a photo is never called so."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower() in SUFFIXES


def read_list(data: bytes, name: str, most: int) -> tuple[Line, ...]:
    """A list's lines.

    Comma, semicolon or tab; with or without a head.  Columns are known by their heads (`file`,
    `label`), else the first is the file and the second the label.

    Args:
        data: the file; UTF-8, UTF-16 with its mark, or Windows' Latin letters.
        name: for messages.
        most: lines.

    Raises:
        BatchError: too long, or no table.
    """
    if len(data) > MAX_LIST:
        raise BatchError(f"“{name}” is larger than {MAX_LIST // MB} MB; a list of names is not.")
    text = _decode(data)
    if "\0" in text:
        raise BatchError(f"“{name}” is not a text file. Save the list as CSV.")
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        mark = max(",;\t", key=lambda m: len(next(csv.reader([first], delimiter=m), [])))
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
        filled = ([cell.strip() for cell in row] for row in rows if any(map(str.strip, row)))
        cells = list(islice(filled, most + 2))  # a head, and one too many
    except csv.Error:
        raise BatchError(f"“{name}” is not a table that can be read. Save it as CSV.") from None
    heads = [cell.casefold() for cell in cells[0]] if cells else []
    file_at, label_at = _find(heads, FILE_HEADS), _find(heads, LABEL_HEADS)
    if file_at is None:
        file_at, label_at = 0, 1
    else:
        cells = cells[1:]
    if len(cells) > most:
        raise BatchError(f"“{name}” lists more than {most:,} files, the most for one batch.")
    return tuple(
        Line(row[file_at], _cell(row, label_at)) for row in cells if _cell(row, file_at) is not None
    )


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what older Excel writes


def _find(heads: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((at for at, head in enumerate(heads) if head in wanted), None)


def _cell(row: Sequence[str], at: int | None) -> str | None:
    return row[at] if at is not None and at < len(row) and row[at] else None


def match(lines: Sequence[Line], names: Sequence[str]) -> tuple[dict[int, str], list[Line], str]:
    """Which photo each line means.

    By the whole name; else by the name without its folders; else by its letters and digits alone,
    since uploading may drop the others.  At each step a name that fits several photos is none.

    Args:
        names: of the photos, in order.

    Returns:
        position of a photo -> its label; the lines that fit no photo; a sentence about the lines
        that fit several, "" without any.
    """
    steps = [(key, _index(names, key)) for key in KEYS]
    said: dict[int, str] = {}
    missing, several = [], []
    for line in lines:
        wanted = shown_name(line.file)
        for key, index in steps:
            if fits := index.get(key(wanted)):
                break
        else:
            missing.append(line)
            continue
        if len(fits) > 1:
            several.append(wanted)
        elif line.said is not None:
            said[fits[0]] = line.said
    note = ""
    if several:
        more = f" and {len(several) - 1} more" if len(several) > 1 else ""
        note = f"The list's “{several[0]}”{more} fits several photos, so it labels none of them."
    return said, missing, note


def _index(names: Sequence[str], key: Callable[[str], str]) -> dict[str, list[int]]:
    index = defaultdict(list)
    for at, name in enumerate(names):
        index[key(name)].append(at)
    return index


def _base(name: str) -> str:
    return PurePosixPath(name).name


def _letters(name: str) -> str:
    path = PurePosixPath(_base(name).casefold())
    stem = "".join(c for c in path.stem if c.isalnum())
    return f"{stem or path.stem}{path.suffix}"


KEYS: tuple[Callable[[str], str], ...] = (str, _base, _letters)
