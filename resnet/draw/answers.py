"""The top answers as a list of bars, HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def percent(probability: float) -> str:
    """0..1 -> "97.3 %"; tiny values as "< 0.1 %", so that nothing reads as impossible."""
    if 0 < probability < 0.001:
        return "< 0.1 %"
    return f"{100 * probability:.1f} %"


def answers_html(
    rows: Sequence[tuple[int, str, float]], explained: int | None = None, buttons: bool = True
) -> str:
    """Bars, one a class; each is a button which asks for that class's heat map.

    Args:
        rows: (index, label, probability 0..1), most probable first.
        explained: the class whose heat map is shown, drawn as pressed; it is added as a last
            row by the caller if it is not among the top answers.
    """
    items = []
    for index, label, probability in rows:
        pressed = "true" if index == explained else "false"
        tag = (
            f'button type="button" class="answer" data-index="{index}" aria-pressed="{pressed}" '
            f'title="Show where {escape(label, quote=True)} is seen"'
        )
        tag = tag if buttons else 'div class="answer plain"'
        items.append(
            f"<li><{tag}>"
            f'<span class="answer-label">{escape(label)}</span>'
            f'<span class="answer-value">{escape(percent(probability))}</span>'
            f'<span class="answer-track"><span class="answer-bar" '
            f'style="width:{100 * probability:.2f}%"></span></span></{tag.split()[0]}></li>'
        )
    return f'<ol class="answers">{"".join(items)}</ol>'
