"""The report as one HTML file: no script, no address, nothing outside itself."""

from __future__ import annotations

import re
from html import escape

import numpy as np

from resnet import cam
from resnet.cli.trace import Traced
from resnet.detectors.catalogue import catalogue
from resnet.draw.answers import answers_html, percent
from resnet.draw.box_colours import colour_of
from resnet.draw.boxes import boxes_figure
from resnet.draw.encode import image_uri, shrink
from resnet.draw.overlay import SIGNED_MAP, palette
from resnet.draw.paths_figure import paths_figure
from resnet.draw.wiring import Answer, Style, wiring_svg, wiring_text
from resnet.heat_picture import heat_picture
from resnet.report import manifest as about
from resnet.report.content import Report
from resnet.report.figures import FIGURES, PARTNERS, drawn
from resnet.report.rows import block_rows, table_html
from resnet.report.styles import sheet
from resnet.residual import shortcut_readouts
from resnet.ui.wires import MEASURES, Carried, carried, states

SIDE = 900  # pixels of a photo in the report
# The browser itself refuses whatever this file should ever ask for.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SHOWN = ("signal", "evidence", "gradient")  # measures of the wiring diagram


def to_html(report: Report) -> str:
    """The whole report.  The same report gives the same text."""
    parts = (_head(report), _classify(report), _detect(report), _inside(report), _made(report))
    label = escape(report.analysis.top(1)[0].label)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>What a ResNet-50 sees: {label}</title><style>{sheet()}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(report: Report) -> str:
    analysis, index = report.analysis, report.traced.index
    net, first = analysis.net, analysis.top(1)[0]
    words = (
        f"{net.spec.name} says “{first.label}” with {percent(first.probability)}. Every figure "
        f"explains the class “{net.labels[index]}”."
    )
    notes = " ".join(analysis.photo.notes)
    return (
        f"<header><h1>What a ResNet-50 sees</h1><p>{escape(words)}</p>"
        f"{f'<p class=note>{escape(notes)}</p>' if notes else ''}"
        '<nav aria-label="Parts"><a href="#classify">Classify</a><a href="#detect">Detect</a>'
        '<a href="#inside">Inside</a><a href="#made">How this was made</a></nav></header>'
    )


def _classify(report: Report) -> str:
    analysis, heat, index = report.analysis, report.heat, report.traced.index
    net = analysis.net
    listed = [(p.index, p.label, p.probability) for p in analysis.top(5)]
    if index not in [row[0] for row in listed]:
        listed.append((index, net.labels[index], float(analysis.probabilities[index])))
    title, label = cam.METHODS[heat.method].title, net.labels[index]
    crop = f"{net.spec.crop} × {net.spec.crop} pixels"
    seen = f"What the network saw: {crop}, shorter side to {net.spec.resize}, centre cut out."
    caption = (
        f"{title} for “{label}” at block {heat.block}: the map highlights where the signal is "
        "that speaks for this class. What lies outside the crop is dimmed."
    )
    if not cam.METHODS[heat.method].uses_class:
        caption = f"{title} at block {heat.block}: the strongest pattern, the same for every class."
    if heat.blank:
        caption = "The map is blank: nothing at this block speaks for this class by this method."
    return (
        '<section id="classify"><h2>Classify</h2><div class="pair">'
        f"{_figure(image_uri(_overlay(report)), caption, '' if heat.blank else _legend(report))}"
        f"<div>{answers_html(listed, buttons=False)}"
        f"{_figure(image_uri(analysis.view.image, quality=92), seen, kind='crop')}</div></div>"
        "</section>"
    )


def _overlay(report: Report):
    picture = shrink(report.analysis.photo.image, SIDE)
    return heat_picture(report.analysis, report.heat, report.choices.colours, picture=picture)


def _figure(source: str, caption: str, below: str = "", kind: str = "") -> str:
    return (
        f'<figure class="picture {kind}"><img src="{source}" alt="{escape(caption, quote=True)}">'
        f"<figcaption>{escape(caption)}{below}</figcaption></figure>"
    )


def _legend(report: Report) -> str:
    heat = report.heat
    colours = palette(SIGNED_MAP if heat.signed else report.choices.colours)[::17].tolist()
    stops = ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours)
    largest = float(np.abs(heat.grid).max())
    low, high = "low", f"high ({largest:.3g})"
    if heat.signed:
        low, high = f"against −{largest:.3g}", f"for +{largest:.3g}"
    return (
        f'<span class="legend"><span>{low}</span><span class="ramp" '
        f'style="background:linear-gradient(90deg,{stops})"></span><span>{high}</span></span>'
    )


def _detect(report: Report) -> str:
    shown = report.shown
    if shown is None or report.found is None:
        body = f"<p>{escape(report.no_boxes)}</p>"
        return f'<section id="detect"><h2>Detect</h2>{body}</section>'
    image = shrink(report.analysis.photo.image, SIDE)
    score = percent(report.choices.score)
    title = catalogue()[shown.detector].title
    words = f"{len(shown)} of {len(report.found)} boxes by {title} score {score} or more."
    figure = boxes_figure(
        image, shown.boxes_on(image.size), shown.label_names, shown.scores.tolist(), words,
        masks=shown.masks,
    )  # fmt: skip
    rows = "".join(
        f'<tr><th scope="row"><span class="swatch" style="background:{colour_of(name)}"></span>'
        f"{escape(name)}</th><td>{percent(float(value))}</td>"
        f"<td>{x0:.0f}, {y0:.0f} – {x1:.0f}, {y1:.0f}</td></tr>"
        for name, value, (x0, y0, x1, y1) in zip(
            shown.label_names, shown.scores, shown.boxes, strict=True
        )
    )
    table = (
        '<div class="table-scroll"><table class="rows"><thead><tr><th scope="col">thing</th>'
        f'<th scope="col">score</th><th scope="col">box, pixels</th></tr></thead><tbody>{rows}'
        "</tbody></table></div>"
    )
    body = f'<div class="pair">{_at_rest(figure)}{table if len(shown) else ""}</div>'
    return f'<section id="detect"><h2>Detect</h2>{body}</section>'


def _inside(report: Report) -> str:
    traced = report.traced
    panels = "".join(f"<article>{panel}</article>" for panel in _panels(report))
    return (
        '<section id="inside"><h2>Inside</h2><p>The straight line is the <b>shortcut</b>: it '
        "carries the signal from the photo to the answer. Every arch is a <b>branch</b> that adds "
        f'to it.</p><div id="wires">{_wires(report)}</div>'
        "<article><h3>Block by block</h3><p class=figure-text>A cross marks a cut that changes "
        "this network's answer; changes of the class's probability are in percentage points.</p>"
        f"{table_html(block_rows(traced))}</article>{panels}</section>"
    )


def _wires(report: Report) -> str:
    """The diagram by signal, by evidence and by gradient, as it is on the page but at rest."""
    analysis = report.analysis
    first = analysis.top(1)[0]
    answer = Answer(first.label, first.probability)
    photo = image_uri(shrink(analysis.view.image, 120), quality=80)
    figures = []
    for measure in SHOWN:
        blocks = states(analysis, _carried(report.traced, measure), {}, measure, False)
        style = Style(MEASURES[measure], photo=photo)
        drawings = "".join(wiring_svg(blocks, answer, style, kind) for kind in ("wide", "tall"))
        drawings = _at_rest(drawings).replace(' tabindex="0"', "")
        said = escape(wiring_text(blocks, answer, MEASURES[measure]))
        figures.append(
            f'<figure class="wiring"><div class="wiring-drawing">{drawings}</div>'
            f"<figcaption>Width of the wires: {escape(MEASURES[measure])}."
            f'<span class="wiring-said">{said}</span></figcaption></figure>'
        )
    return "".join(figures)


def _carried(traced: Traced, measure: str) -> Carried:
    """As `carried`, of the network as trained, from the passes that were made already."""
    if measure == "evidence":
        found = {b.block: (b.shortcut, b.branch) for b in traced.evidence.blocks}
    elif measure == "gradient":
        found = {b.block: (b.norm_shortcut, b.norm_branch) for b in traced.highway.blocks}
    else:
        return carried(traced.analysis, measure, traced.index)
    return {name: {"shortcut": s, "branch": f} for name, (s, f) in found.items()}


def _panels(report: Report) -> list[str]:
    """Every figure of the page's list, with its words and its invariant."""
    traced = report.traced
    analysis, index = traced.analysis, traced.index
    timeline = shortcut_readouts(analysis.net, analysis.trace, index, 50).to_dict()
    numbers = {
        "lesions": traced.lesions.to_dict(),
        "budget": traced.budget.to_dict(),
        "evidence": traced.evidence.to_dict(),
        "ledger": traced.ledger.to_dict(maps=True) | {"against_mean": traced.lead.to_dict()},
        "timeline": timeline,
        "highway": traced.highway.to_dict(),
    }
    panels = []
    for figure in FIGURES:
        found = numbers.get(figure.key) or figure.numbers(analysis, index)
        partner = numbers.get(PARTNERS.get(figure.key, ""))
        html = drawn(figure, analysis, index, False, found, partner)
        panels.append(f"<h3>{escape(figure.title)}</h3>{_at_rest(html)}")
    if traced.paths:
        panels.append(f"<h3>Path lengths</h3>{_at_rest(paths_figure(traced.paths.to_dict()))}")
    return panels


_LIVE = re.compile(
    r' role="(?:button|switch)"| aria-(?:pressed|checked)="\w+"| data-tip="[^"]*"'
    r"|; press Enter to [\w ,]+(?=\")|\n?click to [\w ]+(?=</title>)"
    r"| Press Enter to make this cut\.| Click a bar to make that cut in the diagram\."
)


def _at_rest(html: str) -> str:
    """A figure without what only the page can answer: nothing here can be pressed."""
    return _LIVE.sub("", html).replace("cut-button", "column")


def _made(report: Report) -> str:
    made = about.manifest(report)
    weights, detector = made["weights"], made["detector"]
    rows = [
        ("Photo", f"SHA-256 {made['photo']['sha256']}"),
        ("Weights", f"{weights['name']} ({weights['variant']}), SHA-256 {weights['sha256']}"),
        ("From", weights["source"]),
        ("Detector", f"{detector['name']}, {detector['sha256']}" if detector else "none"),
        ("Ran on", f"{made['device']}, {made['precision']}"),
        ("Versions", ", ".join(f"{name} {number}" for name, number in made["versions"].items())),
    ]
    rows += [("Date", made["date"])] if "date" in made else []
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in rows)
    return (
        f'<section id="made"><h2>How this was made</h2><dl>{listed}</dl>'
        "<p>The same photo gives the same report with</p>"
        f"<pre><code>{escape(made['command'])}</code></pre>"
        "<p class=note>A map highlights where a signal is; it does not prove what the network "
        "relies on. A cut says what this network answers with the part removed.</p></section>"
    )
