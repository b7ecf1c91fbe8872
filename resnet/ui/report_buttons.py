"""The report of the page's photo: made on a click, with its steps told, and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from resnet import detectors
from resnet.analysis import Analysis
from resnet.cam import CamError
from resnet.detectors import DetectorError
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.report import Choices, Report, gather, to_html, to_zip
from resnet.report.content import STEPS
from resnet.ui.background import watched
from resnet.ui.download import SAVE, as_file
from resnet.ui.html import hidden, shown

Maker = Callable[[Report], dict[str, str]]


def report_buttons() -> tuple[gr.Button, gr.Button]:
    """Build both buttons inside the current row, for `offer_report`."""
    page = gr.Button("Report (HTML)", size="sm", elem_id="download-report", min_width=120)
    bundle = gr.Button("Bundle (ZIP)", size="sm", elem_id="download-bundle", min_width=120)
    return page, bundle


def offer_report(
    engine: Engine, buttons: tuple[gr.Button, gr.Button], inputs: list[Any], status: gr.HTML
) -> None:
    """A click works the report out, says in `status` where it is, and saves it.

    Args:
        inputs: the photo's path, the class, the method, the block and the colours.
    """
    parcel = gr.JSON(visible=False)
    for button, make in zip(buttons, (_page, _bundle), strict=True):
        made = button.click(
            _steps(engine, make),
            inputs,
            [status, parcel],
            show_progress="hidden",
            concurrency_id="long",
            concurrency_limit=2,
            api_visibility="private",
        )
        made.success(None, parcel, None, js=SAVE)


def _page(report: Report) -> dict[str, str]:
    return as_file("report.html", to_html(report).encode(), "text/html")


def _bundle(report: Report) -> dict[str, str]:
    return as_file("report.zip", to_zip(report), "application/zip")


def _steps(engine: Engine, make: Maker) -> Callable[..., Iterator[tuple[Any, Any]]]:
    def steps(path: str, index: int | None, method: str, block: str, colours: str):
        if not path or index is None:
            raise gr.Error("Drop a photo first.", title="Nothing yet", print_exception=False)
        choices = Choices(index, method, block, colours, detectors.choose())

        def work(progress, cancelled):
            report = report_of(engine, path, choices, lambda words: progress(_at(words), _OF))
            return make(report)

        yield _waiting(0), None
        try:
            for news in watched(work):
                if isinstance(news, tuple):
                    yield _waiting(news[0]), gr.skip()
                else:
                    yield hidden(), news
        except (ImageError, CamError) as error:
            yield hidden(), None
            raise gr.Error(str(error), title="No report", print_exception=False) from error

    return steps


_OF = len(STEPS)


def _at(words: str) -> int:
    return STEPS.index(words)


def _waiting(step: int) -> dict[str, Any]:
    words = f"Making the report: {STEPS[step][0].lower()}{STEPS[step][1:]} …"
    return shown(
        f'<p class="figure-progress" role="status"><progress value="{step}" max="{_OF}" '
        f'aria-label="steps of the report done"></progress> {words}</p>'
    )


def report_of(
    engine: Engine, path: str, choices: Choices, progress: Callable[[str], None]
) -> Report:
    """The report, worked out once and kept beside the photo's analysis.

    Raises:
        resnet.images.ImageError, resnet.cam.CamError: with a sentence for the visitor.
    """
    try:
        engine.sight(path, choices.detector)
        boxes = ""
    except DetectorError as error:  # said in the report; asked again when it may have been cured
        boxes = str(error)

    def make(analysis: Analysis) -> Report:
        return gather(
            analysis,
            choices,
            lambda name: engine.sight(path, name),
            lambda share, words: progress(words),
        )

    return engine.figure(path, ("report", choices, boxes), make)
