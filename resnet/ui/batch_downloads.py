"""Downloads of the tab *Batch*: table, numbers, contact sheet, everything."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from typing import TypeVar

import gradio as gr

from resnet.batch.export import COLUMNS, SHEET_ROWS, contact_sheets
from resnet.draw.encode import encode
from resnet.ui.batch_files import Batch, deliver, new_file
from resnet.ui.download import as_file, offer

Made = TypeVar("Made")


def downloads_row(batch: gr.State) -> None:
    """Build the buttons inside the current `gr.Blocks`."""
    with gr.Row(elem_classes="downloads"):
        rows = gr.Button("Table (CSV)", size="sm", elem_id="batch-csv", min_width=110)
        numbers = gr.Button("Numbers (JSON)", size="sm", elem_id="batch-json", min_width=110)
        sheet = gr.Button("Contact sheet (PNG)", size="sm", elem_id="batch-sheet", min_width=110)
        everything = gr.Button("Everything (ZIP)", size="sm", elem_id="batch-zip", min_width=110)
    offer(rows, _checked(as_csv), [batch])
    offer(numbers, _checked(as_json), [batch])
    deliver(sheet, _checked(sheet_file), [batch])
    deliver(everything, _checked(zip_file), [batch])


def _checked(make: Callable[[Batch], Made]) -> Callable[[Batch | None], Made]:
    def made(batch: Batch | None) -> Made:
        if batch is None:
            raise gr.Error("Run a batch first.", title="Nothing yet", print_exception=False)
        return make(batch)

    return made


def as_csv(batch: Batch) -> dict[str, str]:
    """The table, for `offer`."""
    return as_file("results.csv", batch.result.to_csv().encode(), "text/csv")


def as_json(batch: Batch) -> dict[str, str]:
    """The numbers, for `offer`."""
    text = json.dumps(batch.result.to_dict(), indent=1, allow_nan=False)
    return as_file("results.json", text.encode(), "application/json")


def sheet_file(batch: Batch) -> str:
    """Path of the contact sheet; of a ZIP of them, if a hundred photos are not all.

    Raises:
        gr.Error: no photo could be used.
    """
    usable = len(batch.result.done)
    if not usable:
        raise gr.Error("No photo could be used.", title="No sheet", print_exception=False)
    sheets = (encode(sheet, "PNG") for sheet in contact_sheets(batch.result))
    if usable <= COLUMNS * SHEET_ROWS:
        path = new_file(batch, "contact-sheet.png")
        path.write_bytes(next(sheets))
        return str(path)
    path = new_file(batch, "contact-sheets.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for number, data in enumerate(sheets, start=1):
            archive.writestr(f"contact-sheet-{number:02d}.png", data)
    return str(path)


def zip_file(batch: Batch) -> str:
    """Path of the ZIP with everything; written part by part, whole under its good name."""
    path = new_file(batch, "batch.zip")
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        batch.result.to_zip(file)
    os.replace(part, path)
    return str(path)
