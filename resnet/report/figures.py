"""The figures of *Inside* as a list: what each says, how its numbers are made and drawn."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from resnet.analysis import Analysis
from resnet.draw.budget_figure import budget_figure
from resnet.draw.evidence_figure import evidence_figure
from resnet.draw.highway_figure import highway_figure
from resnet.draw.ledger_figure import ledger_figure
from resnet.draw.ledger_maps import ledger_maps_html
from resnet.draw.lesion_figure import lesion_figure
from resnet.draw.timeline_figure import timeline_figure
from resnet.residual import (
    evidence,
    gradient_highway,
    lesions,
    load_reference,
    logit_ledger,
    shortcut_readouts,
    signal_budget,
)
from resnet.ui.claims import claim_html


@dataclass(frozen=True)
class Figure:
    """One figure: what it says, how its numbers are made and drawn, which rows make its table."""

    key: str
    title: str
    text: str  # two lines for the visitor
    numbers: Callable[[Analysis, int], dict]  # (analysis, class index) -> plain values
    draw: Callable[..., str]  # (numbers, reference) -> HTML
    rows: str  # entry of the numbers that holds one dict a row
    follows: bool = True  # the switchboard; False: always the network as trained


def _ledger_numbers(analysis: Analysis, index: int) -> dict:
    net, trace = analysis.net, analysis.trace
    against_mean = logit_ledger(net, trace, index, "mean").to_dict()
    return logit_ledger(net, trace, index).to_dict(maps=True) | {"against_mean": against_mean}


def _ledger_draw(numbers: dict, reference) -> str:
    # The reference shares are of the lead over the mean class: they belong to that ledger alone.
    waterfall = ledger_figure(numbers, None, numbers["against_mean"])
    lead = ledger_figure(numbers["against_mean"], reference)
    return waterfall + ledger_maps_html(numbers["entries"]) + lead


FIGURES: tuple[Figure, ...] = (
    Figure(
        "lesions",
        "Lesion board",
        "Every wire cut alone, 32 times: how far the probability of the class moves. A cross marks "
        "a cut that changes the answer. Click a bar to make that cut in the diagram.",
        lambda a, index: lesions(a.net, a.trace, index).to_dict(),
        lesion_figure,
        "rows",
        follows=False,
    ),
    Figure(
        "budget",
        "Signal budget",
        "What the sum at each plus is made of: the shortcut's energy, the branch's, and what they "
        "share. Below: how large the branch is, whether it agrees, how much is new.",
        lambda a, index: signal_budget(a.trace).to_dict(),
        budget_figure,
        "blocks",
    ),
    Figure(
        "evidence",
        "Evidence river",
        "Gradient times signal at every plus: how much of what speaks for the class arrives by "
        "each wire. Negative evidence flows the other way; shares may exceed 100 %.",
        lambda a, index: evidence(a.net, a.trace, index).to_dict(),
        evidence_figure,
        "blocks",
    ),
    Figure(
        "ledger",
        "Logit ledger",
        "The class's logit, split exactly into what arrived from stage 3 on the projected shortcut "
        "and what each block of stage 4 wrote, with the ReLUs that were open as gates.",
        _ledger_numbers,
        _ledger_draw,
        "entries",
    ),
    Figure(
        "timeline",
        "Answer timeline",
        "The network's answer if, from a block on, only the shortcuts carry the signal. "
        "Where does the final answer appear on the road?",
        lambda a, index: shortcut_readouts(a.net, a.trace, index, k=50).to_dict(),
        timeline_figure,
        "rows",
    ),
    Figure(
        "highway",
        "Gradient highway",
        "The gradient of the class's logit on its way back: how much of it comes through the "
        "shortcut and how much through the branch of each block.",
        lambda a, index: gradient_highway(a.net, a.trace, index).to_dict(),
        highway_figure,
        "blocks",
    ),
)


def reference_for(analysis: Analysis, index: int, changed: bool):
    """The reference quartiles where they apply: the network as trained, and its own answer."""
    if changed or index != analysis.top(1)[0].index:
        return None
    return load_reference(analysis.net.spec)


# The last read-out of the timeline is one of the lesions: each figure prints how well they agree.
PARTNERS = {"lesions": "timeline", "timeline": "lesions"}
_PARTNER_NAMES = {"lesions": "timeline", "timeline": "board"}


def drawn(
    figure: Figure,
    analysis: Analysis,
    index: int,
    changed: bool,
    numbers: dict,
    partner: dict | None = None,
) -> str:
    """One figure with its words, HTML.

    Args:
        partner: the numbers of the figure's partner for the same network, if it has one.
    """
    state = " Shown for the network as set in the diagram." if changed and figure.follows else ""
    if not figure.follows:
        state = " Always of the network as trained."
    extra = {_PARTNER_NAMES[figure.key]: partner} if partner else {}
    reference = reference_for(analysis, index, changed and figure.follows)
    picture = figure.draw(numbers, reference, **extra)
    label = escape(analysis.net.labels[index])
    return (
        f'<div class="figure-panel" data-name="{figure.key}">'
        f'<p class="figure-text">{escape(figure.text + state)} Class: <b>{label}</b>.</p>'
        f"{picture}{claim_html(figure.key, load_reference(analysis.net.spec))}</div>"
    )


def table(rows: list[dict]) -> bytes:
    """Rows as CSV; nested values as JSON text in their cell, maps left to the JSON file."""
    rows = [{key: value for key, value in row.items() if key != "map"} for row in rows]
    out = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(out, columns, restval="")
    writer.writeheader()
    for row in rows:
        flat = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
        writer.writerow(flat)
    return out.getvalue().encode()


def manifest(analysis: Analysis, index: int) -> dict:
    """What the numbers belong to."""
    spec = analysis.net.spec
    return {
        "weights": spec.name,
        "weights_sha256": spec.sha256,
        "photo_sha256": analysis.photo.digest,
        "class": {"index": index, "label": analysis.net.labels[index]},
        "precision": analysis.net.precision,
    }
