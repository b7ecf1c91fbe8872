"""One click for a set of weights that is not here: fetch it, with progress."""

from __future__ import annotations

import gradio as gr
from gradio.events import Dependency

from resnet import weights
from resnet.compare import nets
from resnet.network import ResNet50
from resnet.ui import messages
from resnet.ui.fetching import fetching
from resnet.ui.html import hidden, shown
from resnet.weights import WeightsError

MEGABYTES = 98  # of either of torchvision's files


def missing(own: ResNet50, *names: str) -> str | None:
    """The first of these sets that is not on this machine."""
    known = [name for name in names if name in weights.named()]
    return next((name for name in known if not nets.is_here(own, name)), None)


def offer_of(own: ResNet50, *names: str) -> dict:
    """The button's update for the chosen sets."""
    name = missing(own, *names)
    if name is None:
        return gr.update(visible=False)
    return gr.update(value=f"Get {name} ({MEGABYTES} MB)", visible=True)


def choices(own: ResNet50) -> list[tuple[str, str]]:
    """(title, name) of all sets; which have to be fetched first is said."""
    return [
        (name if nets.is_here(own, name) else f"{name} (to be fetched)", name)
        for name in nets.names(own)
    ]


def fetch_offer(own: ResNet50, chosen: list[gr.Dropdown]) -> tuple[gr.Button, Dependency]:
    """Build the button inside the current `gr.Blocks`.

    Args:
        chosen: the pickers of A and B; they are told what is here.

    Returns:
        The button, and the event that succeeds once the weights are here.
    """
    with gr.Row(elem_classes="presets", elem_id="compare-fetch-row"):
        button = gr.Button(
            "", visible=False, size="sm", elem_id="compare-fetch", scale=0, min_width=240
        )
        status = gr.HTML("", visible=False, apply_default_css=False, elem_id="compare-fetch-note")

    def fetch(*names: str):
        idle = [gr.skip()] * len(chosen)
        target = missing(own, *names)
        if target is None:
            yield [hidden(), gr.update(visible=False), *idle]
            return

        spec = weights.named()[target]
        try:
            for news in fetching(lambda tick: weights.fetch(spec, tick), target):
                yield [shown(news), gr.skip(), *idle]
        except WeightsError as error:
            yield [shown(messages.problem(str(error))), gr.skip(), *idle]
            return
        here_now = [gr.update(choices=choices(own)) for _ in chosen]
        yield [hidden(), offer_of(own, *names), *here_now]

    event = button.click(
        fetch, chosen, [status, button, *chosen], show_progress="hidden", concurrency_id="fetch",
        concurrency_limit=1, api_visibility="private",
    )  # fmt: skip
    return button, event
