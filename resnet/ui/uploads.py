"""A private folder for uploaded files, gone when the app ends."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def private_folder() -> Path:
    """Make a folder that only this user can read, and tell gradio to use it.

    Call before gradio is imported.  A folder set by GRADIO_TEMP_DIR is used as it is; one of ours
    is removed when Python ends, also when the app never gets as far as serving a page.
    """
    os.umask(0o077)  # gradio writes results as 0644 otherwise
    if given := os.environ.get("GRADIO_TEMP_DIR"):
        return Path(given)
    folder = Path(tempfile.mkdtemp(prefix="resnet-uploads-"))
    atexit.register(remove, folder)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


def remove(folder: Path) -> None:
    """Delete the folder and every upload in it, if this app made it."""
    if folder.name.startswith("resnet-uploads-"):
        shutil.rmtree(folder, ignore_errors=True)
