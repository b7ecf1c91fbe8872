"""Tab *About*: what this is, whose weights these are, how to read the pictures."""

from __future__ import annotations

from textwrap import wrap

import gradio as gr

from resnet.cam import METHODS
from resnet.network import ResNet50
from resnet.ui.status import Watched, status_panel

_TEXT = """
### What you are looking at
ResNet-50 (He, Zhang, Ren, Sun: *Deep Residual Learning for Image Recognition*, arXiv 1512.03385)
has 48 convolutions inside 16 residual blocks, one before them, one max pool, one average pool and
a final layer. It sorts a photo into {classes:,} classes and was trained with labels only: nobody
told it *where* anything is. Heat maps read that back from the signal inside.

### How to read a heat map
A map **highlights** where the signal is that speaks for a class by one method's rule. It does not
prove what the network relies on. At the last block the map has {cells} cells; enlarged it looks
sharper than it is, so look at the raw grid too. Every map explains the class's *logit*; a map of
the probability would look different.

| Method | What it does |
|---|---|
{methods}

### How to read the boxes
The detector that ships with this page was trained on few photos, with the trunk of the network left
as it was. Its scores are calibrated: of the boxes that score 50 % or more, about seven in ten were
right on photos it had not seen. A box that is missing means only that this detector did not report
one. The tab Detect says for every detector what it was measured at, and on what.

### What is running
| | |
|---|---|
| Weights | {name} ({variant}), {licence} |
| Source | {source} |
| Preprocessing | shorter side to {resize}, centre {crop} × {crop}, {interpolation} |
| sha256 | <code>{sha}</code> |

### Your photos
A photo is analysed in the server's memory, is yours alone, and is removed some time after you
stop using the page: half an hour, unless whoever runs it chose otherwise.
This page asks no other host for anything.
"""


def about_tab(net: ResNet50, tab: gr.Tab, status: Watched | None = None) -> None:
    """Build the tab inside the current `gr.Blocks`.

    Args:
        tab: that it is in.
        status: how the server is doing, if there is one.
    """
    spec = net.spec
    cells = spec.crop // 32
    gr.Markdown(
        _TEXT.format(
            classes=spec.classes,
            cells=f"{cells} × {cells}",
            methods="\n".join(f"| {m.title} | {m.note} |" for m in METHODS.values()),
            name=spec.name,
            variant=spec.variant,
            licence=spec.licence,
            source=spec.source,
            resize=spec.resize,
            crop=spec.crop,
            interpolation=spec.interpolation,
            sha="<wbr>".join(wrap(spec.sha256, 8)),  # may break on a phone, copies in one piece
        ),
        elem_id="about",
    )
    if status is not None:
        status_panel(status, tab)
