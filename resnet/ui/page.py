"""The page: header and tabs."""

from __future__ import annotations

from html import escape

import gradio as gr

from resnet import device
from resnet.engine import Engine
from resnet.ui.about import about_tab
from resnet.ui.api import endpoints
from resnet.ui.batch import batch_tab
from resnet.ui.classify import classify_tab
from resnet.ui.compare import compare_tab
from resnet.ui.detect import detect_tab
from resnet.ui.gallery import follow_photos, gallery_strip
from resnet.ui.inside import inside_tab
from resnet.ui.link import BUTTON, CLICK, follow_links
from resnet.ui.live import live_part
from resnet.ui.status import Watched

TITLE = "What a ResNet-50 sees"
TOGETHER = 8  # photos in work at once: the engine makes batches of those that wait


def header_html(engine: Engine) -> str:
    """What is running: weights, device, precision, and why the pass runs as it does."""
    net = engine.net
    why = f"Arithmetic of passes and cuts; other figures are float32. Chosen: {engine.why}."
    chips = [
        (f"{net.spec.name} · {net.spec.variant}", f"Weights: {net.spec.source}"),
        (device.describe(net.device), "Where the network runs"),
        (f"{net.precision}, {engine.backend.name}", why),
    ]
    drawn = "".join(
        f'<span class="chip" title="{escape(why, quote=True)}">{escape(what)}</span>'
        for what, why in chips
    )
    return (
        f'<header class="page-header"><h1>{TITLE}</h1>'
        "<p>Drop a photo: what is in it, where, and why.</p>"
        f'<div class="chips" aria-label="What is running">{drawn}{BUTTON}</div></header>'
    )


def build(engine: Engine, detector: str = "auto", status: Watched | None = None) -> gr.Blocks:
    """The whole page for one engine; launch it or mount it with `resnet.ui.launch_options`.

    Args:
        detector: the one that the tab *Detect* starts with.
        status: how the server is doing, for the tab *About*.
    """
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True
    ) as page:
        endpoints(engine)  # first: who comes first has the name, and these names are promised
        header = gr.HTML(
            header_html(engine), js_on_load=CLICK, apply_default_css=False, elem_id="header"
        )
        seen = gallery_strip()
        with gr.Tabs() as tabs:
            with gr.Tab("Classify", id="classify"):
                shared = classify_tab(engine)
                live_part(engine)
            with gr.Tab("Detect", id="detect") as detect:
                detecting = detect_tab(engine, shared, detect, detector)
            with gr.Tab("Inside", id="inside") as inside:
                bench = inside_tab(engine, shared, inside)
            with gr.Tab("Compare", id="compare") as compare:
                comparing = compare_tab(engine, shared, compare, bench)
            with gr.Tab("Batch", id="batch") as batch:
                batch_tab(engine, shared, batch)
            with gr.Tab("About", id="about") as about:
                about_tab(engine.net, about, status)
        # The back end is chosen while the page is served already: the header follows by itself.
        page.load(
            lambda: header_html(engine.settled(60)), None, header,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        follow_photos(engine, shared, seen, comparing)
        follow_links(engine, shared, header, page, tabs, bench, detecting, comparing)
    for event in page.fns.values():
        if event.concurrency_id == "model":
            event.concurrency_limit = TOGETHER
    return page.queue(status_update_rate=2, default_concurrency_limit=4)
