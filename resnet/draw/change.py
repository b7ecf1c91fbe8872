"""Before and after: two sets of answers as paired bars, and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from resnet.draw.answers import percent


def pairs_html(rows: Sequence[tuple[str, float, float]]) -> str:
    """Paired bars, one class a row.

    Args:
        rows: (label, probability as trained, probability now), each 0..1.
    """
    items = "".join(
        f'<li><span class="pair-label">{escape(label)}</span>'
        f'<span class="pair-value">{_html(before)} → <b>{_html(after)}</b></span>'
        f'<span class="answer-track"><span class="pair-bar before" '
        f'style="width:{100 * before:.2f}%"></span></span>'
        f'<span class="answer-track"><span class="pair-bar after" '
        f'style="width:{100 * after:.2f}%"></span></span></li>'
        for label, before, after in rows
    )
    return f'<ol class="pairs">{items}</ol>'


def _html(probability: float) -> str:
    return escape(percent(probability))


def sentence(
    what: str, label: str, before: float, after: float, answer: str, probability: float
) -> str:
    """The change in words; plain text.

    Args:
        what: the setting, to begin the sentence ("With the shortcut of 2.1 cut").
        label: the answer as trained; its probability then and now.
        answer: the answer now, with its probability.
    """
    if answer == label:
        return (
            f"{what} this network still says “{label}”: {percent(before)} before, "
            f"{percent(after)} now."
        )
    return (
        f"{what} this network says “{answer}” ({percent(probability)}) instead of “{label}”, "
        f"which falls from {percent(before)} to {percent(after)}."
    )
