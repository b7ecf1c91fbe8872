"""The figures of a trace as files that open on their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, cast

import resnet

if TYPE_CHECKING:
    from resnet.cli.trace import Traced
    from resnet.draw.chart import Usual

STYLES = Path(resnet.__file__).parent / "ui"  # the page's own styles; no Python of it is needed


@dataclass(frozen=True)
class Drawn:
    """One file."""

    data: bytes
    caption: str = ""  # the invariant with its error, and what the reference is


def figures(traced: Traced) -> dict[str, Drawn]:
    """File name -> SVG or PNG."""
    return {"heatmap.png": Drawn(_heat_map(traced))} | _wirings(traced) | _charts(traced)


def _charts(traced: Traced) -> dict[str, Drawn]:
    from resnet.draw.budget_figure import budget_figure
    from resnet.draw.evidence_figure import evidence_figure
    from resnet.draw.highway_figure import highway_figure
    from resnet.draw.ledger_figure import ledger_figure
    from resnet.draw.lesion_figure import lesion_figure
    from resnet.draw.paths_figure import paths_figure
    from resnet.draw.timeline_figure import timeline_figure
    from resnet.residual import shortcut_readouts

    net, board = traced.analysis.net, traced.lesions.to_dict()
    usual = cast("Usual", traced.reference)  # a NoReference is falsy, and its reason is said
    # Measured for each photo's own answer; the lesion board and the timeline see to it themselves.
    own = usual if traced.index == traced.lesions.answer.index else None
    # Every label at every read-out, so that no line of the figure has a gap.
    every = shortcut_readouts(net, traced.analysis.trace, traced.index, len(net.labels)).to_dict()
    ledger, lead = traced.ledger.to_dict(), traced.lead.to_dict()
    markup = {
        "budget": budget_figure(traced.budget.to_dict(), usual),
        "lesions": lesion_figure(board, usual, every),
        "timeline": timeline_figure(every, usual, board),
        "evidence": evidence_figure(traced.evidence.to_dict(), own),
        # The reference's shares are of the lead over the mean, so they stand behind that one only.
        "ledger": ledger_figure(ledger, None, lead),
        "ledger-lead": ledger_figure(lead, own),
        "highway": highway_figure(traced.highway.to_dict(), own),
    }
    if traced.paths:
        markup["paths"] = paths_figure(traced.paths.to_dict())
    return {f"{name}.svg": _chart(text) for name, text in markup.items()}


def _chart(markup: str) -> Drawn:
    from resnet.draw.chart import standalone

    css = _style("figures.css") + "\n.chart { background: var(--paper); }"
    caption = re.search(r"<figcaption>(.*?)</figcaption>", markup, re.DOTALL)
    words = unescape(re.sub(r"<[^>]+>", "", caption[1])) if caption else ""
    return Drawn(standalone(markup, css).encode(), words)


def _wirings(traced: Traced) -> dict[str, Drawn]:
    """The wiring diagram three times: by signal, by evidence, by gradient."""
    from resnet.draw.encode import image_uri, shrink
    from resnet.draw.wiring import Answer, Style, wiring_svg
    from resnet.ui.wires import MEASURES, carried, states

    analysis = traced.analysis
    label, probability = analysis.top(1)[0]
    photo, css = image_uri(shrink(analysis.view.image, 160)), wiring_css()
    drawn = {}
    for measure, words in MEASURES.items():
        blocks = states(analysis, carried(analysis, measure, traced.index), {}, measure, False)
        style = Style(measure=words, photo=photo, css=css)
        svg = wiring_svg(blocks, Answer(label, probability), style)
        drawn[f"wiring-{measure}.svg"] = Drawn(svg.encode())
    return drawn


def wiring_css() -> str:
    """The diagram's styles for a file: its colours are declared on the SVG, not on the page."""
    css = _style("wiring.css")
    colours = re.search(r"\.wiring \{(.*?)\}", css, re.DOTALL)
    declared = re.findall(r"--[\w-]+:[^;]+;", colours[1]) if colours else []
    own = f".wiring-svg {{ {' '.join(declared)} background: var(--paper);"
    return f"{css}\n{own} font-family: system-ui, sans-serif; }}"


def _heat_map(traced: Traced) -> bytes:
    """Grad-CAM of the class over the photo, of the size at which the photo was decoded."""
    from resnet.draw.encode import encode
    from resnet.heat_picture import heat_picture

    analysis = traced.analysis
    return encode(heat_picture(analysis, analysis.cam(traced.index)), "PNG")


@cache
def _style(name: str) -> str:
    return (STYLES / name).read_text("utf-8")
