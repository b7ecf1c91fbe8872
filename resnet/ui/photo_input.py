"""The place to drop a photo: gradio's Image, without gradio opening the file."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import ImageData


class PhotoInput(gr.Image):
    """Upload, paste or webcam; hands the file's path on, unread.

    `gr.Image` decodes before any code of ours runs: a 0.5 MB PNG of 13,000² pixels took 2 GB.
    The engine reads the file with `resnet.images`, which checks first.
    """

    is_template = True  # the browser shows an ordinary gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        """Path of the uploaded file, or None; gradio has checked that it is an upload."""
        return payload.path if payload is not None else None
