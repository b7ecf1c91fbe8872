"""A batch as files: table, numbers, contact sheets, figures, and a manifest of it all."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import Image

import resnet
from resnet.batch.results import FORMAT, BatchResult
from resnet.batch.row import THUMBNAIL, BatchRow
from resnet.draw.chart import standalone
from resnet.draw.confidence_figure import confidence_figure
from resnet.draw.confusion_figure import confusion_figure
from resnet.draw.contact_sheet import contact_sheet
from resnet.draw.encode import encode
from resnet.draw.reliability_figure import reliability_figure

MANIFEST = "manifest.json"
COLUMNS, SHEET_ROWS, SHEET_WIDTH = 10, 10, 1200  # of one contact sheet
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in a ZIP: the same batch gives the same bytes
STYLES = Path(resnet.__file__).parent / "ui" / "figures.css"  # no Python of the page is needed


def files(result: BatchResult) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file, made one at a time; the manifest last.

    results.csv, results.json, contact-sheet-01.png …, figures/*.svg, manifest.json.
    """
    listed = []
    for name, data in _parts(result):
        listed.append(
            {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        )
        yield name, data
    manifest = {
        "format": FORMAT,
        **result.made,
        "photos": result.counts,
        "stopped": result.stopped,
        "seconds": round(result.seconds, 3),
        "files": listed,
    }
    yield MANIFEST, _json(manifest)


def to_zip(result: BatchResult, file: IO[bytes]) -> None:
    """Every file of `files` in a ZIP, one at a time; `file` need not be seekable."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files(result):
            entry = zipfile.ZipInfo(name, EPOCH)
            packed = name.endswith(".png")
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system
            archive.writestr(entry, data)


def to_folder(result: BatchResult, folder: Path) -> list[str]:
    """Every file of `files` in a folder, which is made.

    Returns:
        their names.

    Raises:
        OSError: the folder cannot be written.
    """
    names = []
    for name, data in files(result):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        names.append(name)
    return names


def _parts(result: BatchResult) -> Iterator[tuple[str, bytes]]:
    yield "results.csv", result.to_csv().encode()
    yield "results.json", _json(result.to_dict())
    for number, sheet in enumerate(contact_sheets(result), start=1):
        yield f"contact-sheet-{number:02d}.png", encode(sheet, "PNG")
    css = f"{STYLES.read_text('utf-8')}\n.chart {{ background: var(--paper); }}"
    for name, markup in figures(result).items():
        yield f"figures/{name}.svg", standalone(markup, css).encode()


def figures(result: BatchResult) -> dict[str, str]:
    """Name -> `<figure>`: confidences; where labels are given also reliability and confusion."""
    found = {}
    if result.done:
        right = [row.correct for row in result.done]
        found["confidences"] = confidence_figure(result.confidences, right)
    if reliability := result.calibration():
        found["reliability"] = reliability_figure(reliability.to_dict())
    if confused := result.confusion():
        found["confusion"] = confusion_figure(confused.to_dict())
    return found


def contact_sheets(result: BatchResult) -> Iterator[Image.Image]:
    """RGB sheets of a hundred photos each, in order, with the answer under each photo."""
    rows = result.done
    for start in range(0, len(rows), COLUMNS * SHEET_ROWS):
        some = rows[start : start + COLUMNS * SHEET_ROWS]
        captions = [_caption(row) for row in some]
        yield contact_sheet([_stamp(row) for row in some], COLUMNS, SHEET_WIDTH, captions)


def _stamp(row: BatchRow) -> Image.Image:
    """The thumbnail in a square, so that a tall photo does not make its neighbours tiny."""
    square = Image.new("RGB", (THUMBNAIL, THUMBNAIL), "#e2e8f0")
    with Image.open(io.BytesIO(row.thumbnail), formats=["JPEG"]) as image:
        left, top = ((THUMBNAIL - side) // 2 for side in image.size)
        square.paste(image, (left, top))
    return square


def _caption(row: BatchRow) -> str:
    label, probability = row.top5[0]
    mark = {True: "", None: "", False: "✗ "}[row.correct]
    return f"{mark}{100 * probability:.0f} % {label}"


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
