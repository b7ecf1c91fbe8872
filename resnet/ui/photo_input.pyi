"""The place to drop a photo: gradio's Image, without gradio opening the file."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import is_http_url_like

from gradio.events import Dependency

class PhotoInput(gr.Image):
    """Upload, paste or webcam; hands the file's path on, unread.

    `gr.Image` decodes before any code of ours runs: a 0.5 MB PNG of 13,000² pixels took 2 GB.
    The engine reads the file with `resnet.images`, which checks first.
    """

    is_template = True  # the browser shows an ordinary gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        """Path of the uploaded file, or None.

        Gradio checks that a file was uploaded only if it is sent with its `meta`; we always do.

        Raises:
            gr.Error: it was not.
        """
        if payload is None:
            return None
        if not payload.path or not is_in_or_equal(payload.path, get_upload_folder()):
            raise gr.Error(
                "This photo was not uploaded here. Choose it again.",
                title="No photo",
                print_exception=False,
            )
        return payload.path

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        """As gradio's, but for an address on another host: this server asks nobody anything."""
        if is_http_url_like(url_or_file_path):
            raise gr.Error(
                "This server fetches nothing from other hosts. Upload the photo itself.",
                title="No photo",
                print_exception=False,
            )
        return await super().async_move_resource_to_block_cache(url_or_file_path)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component