"""The place to drop many files: gradio's File, without the empty files it leaves behind."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from resnet.ui.uploaded import uploaded


class FilesInput(gr.File):
    """Any files, several at once; hands their paths on, unread.

    `gr.File` makes an empty temporary file, and leaves it, for every path that it hands on.
    """

    is_template = True  # the browser shows an ordinary gr.File

    def preprocess(self, payload: ListFiles | FileData | None) -> list[str]:
        """Paths of the uploaded files.

        Raises:
            gr.Error: one was not uploaded here.
        """
        if payload is None:
            return []
        return [
            uploaded(file) for file in ([payload] if isinstance(payload, FileData) else payload)
        ]
