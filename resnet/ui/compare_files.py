"""Downloads of the tab *Compare*: a figure as a picture, its rows as CSV, its numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from resnet.cam import CamError
from resnet.compare import CompareError
from resnet.detectors import DetectorError
from resnet.images import ImageError
from resnet.report.figures import manifest, table
from resnet.residual.plain import plain
from resnet.residual.plan import PlanError
from resnet.ui.compare_view import Seen
from resnet.ui.download import as_file, offer
from resnet.ui.figures import save_picture
from resnet.weights import WeightsError

# What can be wrong with a side: each is a sentence for the visitor.
PROBLEMS = (ImageError, CompareError, WeightsError, DetectorError, CamError, PlanError)

Numbers = Callable[..., tuple[dict, list[dict]]]  # everything, and the rows of its table


def refused(error: Exception) -> gr.Error:
    """A problem as a message over the page."""
    return gr.Error(str(error), title="No download", print_exception=False)


def files_row(
    name: str,
    inputs: Sequence[Any],
    numbers: Numbers,
    picture: Callable[..., bytes] | None = None,
    visible: bool = True,
    stem: Callable[..., str] | None = None,
) -> gr.Row:
    """Three buttons for one figure; build them inside the current `gr.Blocks`.

    Args:
        name: of the figure: its component is `#compare-NAME`, the files are called NAME.
        numbers: called with the inputs' values.
        picture: makes the PNG here; the browser makes it from the drawing if None.
        stem: what the files are called, from the inputs' values; the figure's name if None.
    """
    with gr.Row(elem_classes="presets compare-files", visible=visible) as row:
        png, rows, all_of_it = (
            gr.Button(words, size="sm", elem_id=f"compare-{name}-{kind}", min_width=110, scale=0)
            for words, kind in (("Picture (PNG)", "png"), ("Table (CSV)", "csv"),
                                ("Numbers (JSON)", "json"))
        )  # fmt: skip

    def checked(make: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
        def made(*values):
            try:
                return make(*values)
            except PROBLEMS as error:
                raise refused(error) from error

        return made

    def called(values) -> str:
        return name if stem is None else stem(*values)

    def as_png(*values):
        assert picture is not None
        return as_file(f"{name}.png", picture(*values), "image/png")

    def as_csv(*values):
        return as_file(f"{called(values)}.csv", table(numbers(*values)[1]), "text/csv")

    def as_json(*values):
        text = json.dumps(numbers(*values)[0], indent=1, allow_nan=False)
        return as_file(f"{called(values)}.json", text.encode(), "application/json")

    if picture is None:
        save_picture(png, f"#compare-{name} .compare-figure")
    else:
        offer(png, checked(as_png), inputs)
    offer(rows, checked(as_csv), inputs)
    offer(all_of_it, checked(as_json), inputs)
    return row


def about(*seen: Seen) -> dict[str, Any]:
    """What the numbers belong to, a side an entry; no path of this server."""
    found = {}
    for letter, one in zip("AB", seen, strict=False):
        index = one.heat.index if one.heat else one.analysis.top(1)[0].index
        side = one.side.to_dict()
        del side["photo"]
        found[letter] = manifest(one.analysis, index) | {"side": plain(side)}
    return found


def panel(name: str, drawn: str) -> str:
    """A figure with the frame that its picture is saved from."""
    return f'<section class="compare-figure" data-name="{name}">{drawn}</section>'
