"""The place to drop a photo: gradio's Image, without gradio opening the file."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio_client.utils import is_http_url_like

from resnet.ui.uploaded import uploaded


class PhotoInput(gr.Image):
    """Upload, paste or webcam; hands the file's path on, unread.

    `gr.Image` decodes before any code of ours runs: a 0.5 MB PNG of 13,000² pixels took 2 GB.
    The engine reads the file with `resnet.images`, which checks first.
    """

    is_template = True  # the browser shows an ordinary gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        """Path of the uploaded file, or None.

        Raises:
            gr.Error: it was not uploaded here.
        """
        return None if payload is None else uploaded(payload)

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        """As gradio's, but for an address on another host: this server asks nobody anything."""
        if is_http_url_like(url_or_file_path):
            raise gr.Error(
                "This server fetches nothing from other hosts. Upload the photo itself.",
                title="No photo",
                print_exception=False,
            )
        return await super().async_move_resource_to_block_cache(url_or_file_path)
