"""The one check that a file was uploaded here, for every input that takes files.

Gradio makes it only of a file that is sent with its `meta`, which whoever posts by hand leaves out.
"""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import FileData, ImageData
from gradio.utils import get_upload_folder, is_in_or_equal


def uploaded(file: FileData | ImageData) -> str:
    """The file's path.

    Raises:
        gr.Error: it was not uploaded here.
    """
    if not file.path or not is_in_or_equal(file.path, get_upload_folder()):
        raise gr.Error(
            "This file was not uploaded here. Choose it again.",
            title="No file",
            print_exception=False,
        )
    return file.path
