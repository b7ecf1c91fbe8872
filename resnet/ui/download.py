"""Files for the visitor, made when asked for and handed over inside the page's own answer.

Nothing is written to the server's disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gradio as gr

from resnet.draw.encode import data_uri

SAVE = """
(file) => {
  if (!file || !file.name) return;
  const link = document.createElement('a');
  link.href = file.href; link.download = file.name;
  document.body.appendChild(link); link.click(); link.remove();
}
"""


def as_file(name: str, data: bytes, mime: str) -> dict[str, str]:
    """A file for `offer`: its name and content."""
    return {"name": name, "href": data_uri(data, mime)}


def offer(button: gr.Button, make: Callable[..., dict[str, str] | None], inputs: Sequence) -> None:
    """A click on the button calls `make(*inputs)` and saves the file it returns."""
    parcel = gr.JSON(visible=False)
    button.click(make, list(inputs), parcel, show_progress="hidden", api_visibility="private").then(
        None, parcel, None, js=SAVE
    )
