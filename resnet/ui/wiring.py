"""The wiring diagram as a live part of the page: hover, select, cut, turn up and down."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Any

import gradio as gr

from resnet.draw.wiring import PLAIN, Answer, BlockState, Style, wiring_svg, wiring_text

HERE = Path(__file__).parent
CSS = (HERE / "wiring.css").read_text("utf-8")
JS = (HERE / "wiring.js").read_text("utf-8")
MOST_GAIN = 2.0

# Keyframes cannot be nested, and Gradio nests `css_template`; so they stand here.
TEMPLATE = """<style>
@keyframes wiring-flow { to { stroke-dashoffset: -12px } }
@keyframes wiring-wait { to { opacity: 0.35 } }
</style><div class="wiring"><div class="wiring-drawing">${value}</div>
<div class="wiring-tip" aria-hidden="true"></div></div>"""

EMPTY = '<p class="wiring-empty">Choose a photo to see its signal run through the network.</p>'
_revision = count()

Gains = dict[str, dict[str, float]]  # {"3.2": {"shortcut": 0.0}}: only wires that are not at 1


def wiring_diagram(value: str = EMPTY, **options: Any) -> gr.HTML:
    """The component; give it what `wiring_value` returns.

    A function and not a subclass: Gradio writes a `.pyi` beside every file with a subclass.

    Its events, each heard with a `gr.EventData` argument:

    - `.select`: `{block}`;
    - `.cut`: `{block, wire, gain, gains}`, gain 0 (cut) or 1 (mended);
    - `.gain`: `{block, wire, gain, gains}`, gain 0..2.

    Read them with `read_block` and `read_gains`: the payload comes from a browser.
    """
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        css_template=CSS,
        js_on_load=JS,
        apply_default_css=False,
        **options,
    )


def wiring_value(blocks: Sequence[BlockState], answer: Answer, style: Style = PLAIN) -> str:
    """The HTML of one state of the network: both layouts (CSS shows one) and the words.

    Every text in it is escaped.  The revision makes each value new, so that the page always hears
    that its change was answered, even where the answer is the drawing it shows already.
    """
    said = escape(wiring_text(blocks, answer, style.measure))
    drawings = (wiring_svg(blocks, answer, style, kind) for kind in ("wide", "tall"))
    return (
        f'<div data-revision="{next(_revision)}">{"".join(drawings)}'
        f'<p class="wiring-said" aria-live="polite">{said}</p></div>'
    )


def read_gains(event: gr.EventData, blocks: Collection[str]) -> Gains:
    """All gains that are not 1, from a `cut` or `gain` event.

    Args:
        blocks: names that exist.

    Raises:
        gr.Error: not something that the diagram sends.
    """
    sent = (event._data or {}).get("gains")
    if not isinstance(sent, dict):
        raise gr.Error("This change of a wire cannot be read.")
    gains: Gains = {}
    for block, wires in sent.items():
        if block not in blocks or not isinstance(wires, dict):
            raise gr.Error("This network has no such block.")
        for wire, gain in wires.items():
            number = isinstance(gain, int | float) and not isinstance(gain, bool)
            if wire not in ("shortcut", "branch") or not number:
                raise gr.Error("This change of a wire cannot be read.")
            if not (isfinite(gain) and 0 <= gain <= MOST_GAIN):
                raise gr.Error("A gain lies between 0 and 2.")
            if gain != 1:
                gains.setdefault(block, {})[wire] = float(gain)
    return gains


def read_block(event: gr.EventData, blocks: Collection[str]) -> str:
    """The block of a `select` event.  Raises gr.Error if there is none of that name."""
    block = (event._data or {}).get("block")
    if not isinstance(block, str) or block not in blocks:
        raise gr.Error("This network has no such block.")
    return block
