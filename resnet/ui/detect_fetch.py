"""One click for the better detector: fetch torchvision's weights, with progress."""

from __future__ import annotations

import gradio as gr
from gradio.events import Dependency

from resnet.detectors import AUTO, DetectorError, library, ships
from resnet.detectors.catalogue import catalogue
from resnet.ui import messages
from resnet.ui.fetching import fetching
from resnet.ui.html import hidden, shown


def is_here(name: str) -> bool:
    """Whether a detector can be used without fetching it; also what is none, or the heat map."""
    return name not in catalogue() or ships(name) or library.is_here(name)


def wanted(*names: str) -> str | None:
    """Which weights to offer beside the chosen detectors; None if nothing better can be had."""
    missing = next((name for name in names if not is_here(name)), None)
    return missing or (None if library.is_here(AUTO) else AUTO)


def words_of(name: str) -> str:
    """The button's words."""
    info = catalogue()[name]
    better = "Get the better detector: " if name == AUTO else "Get "
    return f"{better}{info.title}, AP {info.ap:.1f} ({info.megabytes:.0f} MB)"


def button_of(*names: str) -> dict:
    """The button's update for the chosen detectors."""
    offered = wanted(*names)
    if offered is None:
        return gr.update(visible=False)
    return gr.update(value=words_of(offered), visible=True)


def fetch_offer(name: gr.Dropdown, second: gr.Dropdown) -> Dependency:
    """Build the button inside the current `gr.Blocks`.

    Args:
        name: the chosen detector; a fetched one is chosen, unless it is there as the second.
        second: the one beside it, "" for none.

    Returns:
        The event that succeeds once the weights are here.
    """
    offered = wanted(str(name.value))
    with gr.Row(elem_classes="presets", elem_id="fetch-row"):
        button = gr.Button(
            words_of(offered) if offered else "", visible=offered is not None, size="sm",
            elem_id="fetch", scale=0, min_width=340,
        )  # fmt: skip
        status = gr.HTML("", visible=False, apply_default_css=False, elem_id="fetch-note")

    def fetch(chosen: str, beside: str):
        target = wanted(chosen, beside)
        if target is None:
            yield gr.skip(), hidden(), gr.update(visible=False)
            return
        try:
            for news in fetching(
                lambda tick: library.fetch(target, tick), catalogue()[target].title
            ):
                yield gr.skip(), shown(news), gr.skip()
        except DetectorError as error:
            yield gr.skip(), shown(messages.problem(str(error))), gr.skip()
            return
        first = chosen if target == beside else target
        yield first, hidden(), button_of(first, beside)

    def choose(chosen: str, beside: str):
        return button_of(chosen, beside), hidden()

    gr.on(
        [name.change, second.change], choose, [name, second], [button, status],
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    return button.click(
        fetch, [name, second], [name, status, button], show_progress="hidden",
        concurrency_id="fetch", concurrency_limit=1, api_visibility="private",
    )  # fmt: skip
