"""A button that takes one photo: gradio's, without the empty file it leaves behind."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from resnet.ui.uploaded import uploaded


class PhotoButton(gr.UploadButton):
    """Upload one photo; hands its path on, unread."""

    is_template = True  # the browser shows an ordinary gr.UploadButton

    def preprocess(self, payload: ListFiles | FileData | None) -> str | None:
        """Path of the uploaded file, or None.

        Raises:
            gr.Error: it was not uploaded here.
        """
        if payload is None:
            return None
        (file,) = [payload] if isinstance(payload, FileData) else list(payload)[:1]
        return uploaded(file)
