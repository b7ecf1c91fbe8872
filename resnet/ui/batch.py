"""Tab *Batch*: many photos at once, the least certain first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from resnet.batch.export import figures
from resnet.batch.item import MAX_PHOTOS, MAX_TOTAL, BatchError
from resnet.batch.pace import BatchProgress
from resnet.batch.results import BatchResult
from resnet.batch.table import ORDERS
from resnet.engine import Engine
from resnet.formats import MB
from resnet.images import ImageError
from resnet.ui import messages
from resnet.ui.batch_downloads import downloads_row
from resnet.ui.batch_files import Batch, forget, photo_path
from resnet.ui.batch_input import FilesInput
from resnet.ui.batch_run import Stops, run
from resnet.ui.batch_view import (
    EMPTY,
    LIMITS,
    chosen_html,
    failed_html,
    figures_html,
    progress_html,
    summary_html,
    table_html,
)
from resnet.ui.classify import SharedPhoto
from resnet.ui.figures import save_picture
from resnet.ui.html import hidden, shown

_JS = (Path(__file__).parent / "batch.js").read_text("utf-8")
_FIGURES_JS = (Path(__file__).parent / "batch_figures.js").read_text("utf-8")
_INTRO = (
    '<p class="lead">Many photos in one go. The answers the network is <b>least certain</b> of '
    "come first; with true labels, how often it is right and whether its confidence can be "
    "trusted. <b>Click a photo</b> to look at it on another tab.</p>"
)
KEEP = 3600  # seconds that a result is kept for a visitor who does nothing
ROWS = 100  # on one page of the table
FILTERS = [("All", "all"), ("Right", "right"), ("Wrong", "wrong"), ("Failed", "failed")]
TABS = ("classify", "detect", "inside", "compare")  # where a photo can be sent


@dataclass(frozen=True)
class Table:
    """How a visitor looks at the table."""

    order: str = "confidence"  # a key of ORDERS
    rising: bool = True
    page: int = 0
    chosen: int = -1  # row of the batch; -1 for none


def batch_tab(engine: Engine, shared: SharedPhoto, tab: gr.Tab) -> None:
    """Build the tab inside the current `gr.Blocks`.

    Args:
        shared: the page's photo; one of the batch can become it.
        tab: this tab; its neighbours are opened with the photo.
    """
    batch = gr.State(None, time_to_live=KEEP, delete_callback=forget)
    table = gr.State(Table(), time_to_live=KEEP)
    stops = Stops()
    gr.HTML(_INTRO, apply_default_css=False)
    with gr.Row(elem_id="batch-files-row", equal_height=True):
        files = FilesInput(
            file_count="multiple", label="Photos, ZIPs, CSV", height=190, elem_id="batch-files",
            scale=3, min_width=320,
        )  # fmt: skip
        with gr.Column(scale=2, min_width=260):
            gr.HTML(_limits_html(), apply_default_css=False)
            with gr.Row(elem_classes="presets"):
                start = gr.Button("Start", variant="primary", elem_id="batch-start", min_width=110)
                stop = gr.Button("Stop", visible=False, elem_id="batch-stop", min_width=110)
            progress = gr.HTML("", visible=False, apply_default_css=False, elem_id="batch-progress")
    problem = gr.HTML("", visible=False, apply_default_css=False, elem_id="batch-message")
    empty = gr.HTML(EMPTY, apply_default_css=False, elem_id="batch-empty")
    with gr.Column(visible=False, elem_id="batch-result") as found:
        summary = gr.HTML("", apply_default_css=False, elem_id="batch-summary")
        failed = gr.HTML("", visible=False, apply_default_css=False, elem_id="batch-failed")
        downloads_row(batch)
        with gr.Row(elem_classes="controls second", elem_id="batch-tools"):
            only = gr.Radio(
                FILTERS, value="all", label="Show", elem_id="batch-only", min_width=280, scale=2
            )
            text = gr.Textbox(
                "", label="Only rows with this text", placeholder="file, answer, label or reason",
                elem_id="batch-text", min_width=220, scale=3,
            )  # fmt: skip
        rows = gr.HTML("", js_on_load=_JS, elem_id="batch-table", apply_default_css=False)
        with gr.Row(visible=False, elem_id="batch-chosen") as card:
            chosen = gr.HTML("", apply_default_css=False, elem_id="batch-photo")
            sends = [
                gr.Button(f"Open in {name.title()}", size="sm", elem_id=f"batch-to-{name}",
                          min_width=120, scale=0)
                for name in TABS
            ]  # fmt: skip
        drawn = gr.HTML(
            "", js_on_load=_FIGURES_JS, elem_id="batch-figures", apply_default_css=False
        )
        # Clicked by the script, for the figure whose button was pressed.
        picture = gr.Button("Picture (PNG)", visible="hidden", elem_id="batch-figure-png")

    def start_batch(sent: list[str], before: Batch | None, request: gr.Request) -> Iterator[dict]:
        """The whole run, as news for the page."""
        if not sent:
            words = "Choose photos first, or a ZIP of them."
            yield {problem: shown(messages.problem(words))}
            return
        session = str(request.session_hash)
        event = stops.begin(session)
        idle = {
            start: gr.update(visible=True), stop: gr.update(visible=False), progress: hidden(),
        }  # fmt: skip
        try:
            for news in run(engine, sent, event):
                if isinstance(news, BatchResult):
                    forget(before)
                    yield idle | everything(Batch(tuple(sent), news))
                    continue
                yield under_way(news)
        except BatchError as error:
            yield idle | {problem: shown(messages.problem(str(error)))}
        finally:
            stops.end(session, event)

    def under_way(step: BatchProgress) -> dict:
        running: dict[Any, Any] = {progress: shown(progress_html(step))}
        if step.done == 0:
            running |= {
                start: gr.update(visible=False), stop: gr.update(visible=True),
                problem: hidden(), found: gr.update(visible=False), card: gr.update(visible=False),
                empty: hidden(),
            }  # fmt: skip
        return running

    def everything(new: Batch) -> dict:
        """The page after a run."""
        result, look = new.result, Table()
        labelled = result.counts["labelled"] > 0
        choices = FILTERS if labelled else [FILTERS[0], FILTERS[3]]
        return {
            batch: new,
            table: look,
            found: gr.update(visible=True),
            summary: summary_html(result),
            failed: shown(failed_html(result)),
            only: gr.update(choices=choices, value="all", visible=labelled or bool(result.failed)),
            text: "",
            rows: _drawn(new, look, "all", ""),
            drawn: figures_html(figures(result)),
        }

    def on_stop(request: gr.Request):
        if stops.stop(str(request.session_hash)):
            return shown('<p class="figure-progress" role="status">Stopping …</p>')
        return gr.skip()

    def on_filter(kept: Batch | None, look: Table, only: str, text: str):
        look = replace(look, page=0)
        return look, _drawn(kept, look, only, text)

    def on_order(kept: Batch | None, look: Table, only: str, text: str, event: gr.EventData):
        if str(event.key) not in ORDERS:
            raise gr.Error("There is no such column.", print_exception=False)
        look = replace(look, order=str(event.key), rising=bool(event.rising), page=0)
        # Where all rows are on the page, the browser has sorted them already.
        return look, gr.skip() if event.here else _drawn(kept, look, only, text)

    def on_page(kept: Batch | None, look: Table, only: str, text: str, event: gr.EventData):
        look = replace(look, page=max(0, int(event.page)))
        return look, _drawn(kept, look, only, text)

    def on_choose(kept: Batch | None, look: Table, event: gr.EventData) -> dict:
        index = int(event.index)
        if kept is None or not 0 <= index < len(kept.result.rows):
            return {card: gr.update(visible=False)}
        row = kept.result.rows[index]
        return {
            table: replace(look, chosen=index),
            card: gr.update(visible=True),
            chosen: chosen_html(row),
            **{button: gr.update(visible=row.ok) for button in sends},
        }

    def on_send(kept: Batch | None, look: Table) -> str:
        try:
            if kept is None:
                raise ImageError("Run a batch first.")
            return photo_path(kept, look.chosen)
        except ImageError as error:
            raise gr.Error(str(error), title="Not opened", print_exception=False) from error

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    result = [batch, table, found, summary, failed, only, text, rows, drawn]
    start.click(
        start_batch,
        [files, batch],
        [progress, problem, start, stop, empty, card, *result],
        concurrency_id="batch",
        concurrency_limit=4,  # they share the network, a pass at a time
        **quiet,
    )
    stop.click(on_stop, None, progress, **quiet)
    looking: dict[str, Any] = {
        "inputs": [batch, table, only, text],
        "outputs": [table, rows],
        "trigger_mode": "always_last",
        **quiet,
    }
    # Not `text.input`: it stays silent when a text is pasted.
    gr.on([only.input, text.change], on_filter, **looking)
    rows.order(on_order, **looking)
    rows.turn(on_page, **looking)
    rows.choose(on_choose, [batch, table], [table, card, chosen, *sends], **quiet)
    for name, button in zip(TABS, sends, strict=True):
        opened = shared.follow(button.click(on_send, [batch, table], shared.photo, **quiet))
        opened.success(lambda name=name: gr.Tabs(selected=name), None, tab.parent, **quiet)
    save_picture(picture)


def _drawn(kept: Batch | None, look: Table, only: str, text: str) -> str:
    if kept is None:  # it has been forgotten after an hour
        return '<p class="hint">This result is no longer kept. Start again.</p>'
    return table_html(
        kept.result.rows, look.page, ROWS, look.order, look.rising, only, text, look.chosen
    )


def _limits_html() -> str:
    return (
        f'<p class="hint batch-limits">{LIMITS} Up to {MAX_PHOTOS:,} photos and '
        f"{MAX_TOTAL // MB:,} MB unpacked. A file that cannot be used is listed and stops "
        "nothing.</p>"
    )
