"""A visitor's batch: the files that were sent, what came of them, and files made from it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from resnet.batch.collect import collect
from resnet.batch.results import BatchResult
from resnet.formats import sniff
from resnet.images import ImageError

GONE = "This photo is no longer on the server. Send it again."

# The file lies at an address of the server: a ZIP is too large for the page's own answer.
_SAVE = """
(file) => {
  if (!file || !file.url) return;
  const link = document.createElement('a');
  link.href = file.url; link.download = file.orig_name;
  document.body.appendChild(link); link.click(); link.remove();
}
"""


@dataclass(frozen=True)
class Batch:
    """What a visitor's session keeps of a batch: rows of about 5 kB, no photo.

    Attributes:
        sent: paths of the uploaded files.
        result: of the run.
        token: names the batch's folder, which is made when a file is.
    """

    sent: tuple[str, ...]
    result: BatchResult
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def folder(self) -> Path:
        """For files made from this batch; inside gradio's private folder."""
        return Path(get_upload_folder()) / "batch" / self.token


def forget(batch: Batch | None) -> None:
    """Delete the files made from a batch: its session has ended, or it has been replaced."""
    if batch is not None:
        shutil.rmtree(batch.folder, ignore_errors=True)


def photo_path(batch: Batch, index: int) -> str:
    """The file of one photo of the batch; a member of a ZIP is unpacked, that one alone.

    Args:
        index: of the row.

    Raises:
        ImageError: the row has no photo, or what was sent has been deleted meanwhile.
    """
    rows = batch.result.rows
    if not 0 <= index < len(rows) or not rows[index].ok:
        raise ImageError("Choose a photo in the table first.")
    try:
        with collect(batch.sent) as photos:
            item = photos.items[index]
            if item.name != rows[index].name:
                raise ImageError(GONE)
            found = item.open()
    except (ValueError, IndexError):  # BatchError and ImageError are ValueErrors
        raise ImageError(GONE) from None
    if isinstance(found, bytes):
        return str(_written(batch, f"photo-{index}.{sniff(found).lower()}", found))
    if not os.path.isfile(found):
        raise ImageError(GONE)
    return found


def _written(batch: Batch, name: str, data: bytes) -> Path:
    path = new_file(batch, name)
    path.write_bytes(data)
    return path


def new_file(batch: Batch, name: str) -> Path:
    """A path in the batch's folder, which is made, for its owner alone.

    Args:
        name: ours, never a visitor's.
    """
    batch.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return batch.folder / name


def deliver(button: gr.Button, make: Callable[..., str], inputs: Sequence) -> None:
    """A click on the button calls `make(*inputs)` and saves the file whose path it returns.

    For files too large for `resnet.ui.download.offer`.
    """
    parcel = gr.File(visible=False)
    button.click(make, list(inputs), parcel, show_progress="hidden", api_visibility="private").then(
        None, parcel, None, js=_SAVE
    )
