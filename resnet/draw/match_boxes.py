"""Two lists of boxes on one photo: what both found, what only A found, what only B found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image

from resnet.draw import chart
from resnet.draw.encode import image_uri, shrink
from resnet.draw.wiring_marks import text_width

SIDE = 640.0  # pixels of the longer side on the drawing's own scale: as it stands on the page
HEAD = 30.0
KINDS = (("only-a", "only A"), ("only-b", "only B"), ("both", "both"))


def match_boxes(
    photo: Image.Image,
    size: tuple[int, int],
    boxes: tuple[np.ndarray, np.ndarray],
    matches: Mapping,
) -> str:
    """The photo with boxes in three colours and line styles; of a pair both boxes are drawn.

    Args:
        photo: RGB, upright, any size.
        size: (width, height) that the boxes' pixels are of.
        boxes: float [n, 4] of A and of B: x0, y0, x1, y1.
        matches: `Matches.to_dict()` of the same two.
    """
    unit = SIDE / max(size)
    width, height = size[0] * unit, size[1] * unit
    counts = {
        "only-a": len(matches["only_a"]),
        "only-b": len(matches["only_b"]),
        "both": len(matches["both"]),
    }
    samples = [(f"match {kind} sample", f"{name}: {counts[kind]}") for kind, name in KINDS]
    picture = image_uri(shrink(photo, 1200))
    parts = [
        chart.legend(2, 14, samples),
        f'<image href="{picture}" x="0" y="{HEAD}" width="{width:.1f}" height="{height:.1f}" '
        'preserveAspectRatio="none"/>',
    ]
    # The best last, on top.
    for single in reversed(matches["only_a"]):
        parts.append(_one(boxes[0][single["row"]], unit, "only-a", _said("only A", single), width))
    for single in reversed(matches["only_b"]):
        parts.append(_one(boxes[1][single["row"]], unit, "only-b", _said("only B", single), width))
    for pair in reversed(matches["both"]):
        said = (
            f"both: {pair['label']}, A {chart.chance(pair['score_a'])}, "
            f"B {chart.chance(pair['score_b'])}, overlap {pair['iou']:.2f}"
        )
        parts.append(_one(boxes[1][pair["b"]], unit, "both other", said, width, ""))
        parts.append(_one(boxes[0][pair["a"]], unit, "both", said, width, pair["label"]))
    words = f"Boxes of A and of B. {matches['sentence']}"
    return chart.frame(
        "matches", (max(width, 420.0), HEAD + height), words, parts, [matches["sentence"]]
    )


def match_rows(matches: Mapping) -> str:
    """The same as a table, HTML: thing, who found it, both scores, overlap."""
    rows: list[tuple[str, str, str, object, object, object]] = []
    for pair in matches["both"]:
        rows.append((pair["label"], "both", "both", pair["score_a"], pair["score_b"], pair["iou"]))
    rows += [(r["label"], "only-a", "only A", r["score"], None, None) for r in matches["only_a"]]
    rows += [(r["label"], "only-b", "only B", None, r["score"], None) for r in matches["only_b"]]
    if not rows:
        return ""
    body = "".join(
        f'<tr><td><span class="swatch {kind}"></span>{escape(label)}</td><td>{who}</td>'
        f"<td>{_cell(a)}</td><td>{_cell(b)}</td>"
        f"<td>{'–' if iou is None else f'{iou:.2f}'}</td></tr>"
        for label, kind, who, a, b, iou in rows
    )
    heads = "".join(
        f'<th scope="col">{name}</th>' for name in ("thing", "found by", "A", "B", "overlap")
    )
    return (
        '<div class="table-scroll" tabindex="0" role="region" aria-label="Both lists of boxes">'
        f'<table class="things counts matches"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    return "–" if value is None else chart.chance(value)


def _said(who: str, single: Mapping) -> str:
    return f"{who}: {single['label']}, {chart.chance(single['score'])}"


def _one(
    box: Sequence[float], unit: float, kind: str, said: str, width: float, label: str | None = None
) -> str:
    x0, y0, x1, y1 = (float(edge) * unit for edge in box)
    y0, y1 = y0 + HEAD, y1 + HEAD
    drawn = chart.box(x0, y0, x1 - x0, y1 - y0, f"match-halo {kind}", ' rx="3"')
    drawn += chart.box(x0, y0, x1 - x0, y1 - y0, f"match {kind}", ' rx="3"')
    name = said.split(": ", 1)[1].split(",")[0] if label is None else label
    if name:
        wide = text_width(name, 13, bold=True) + 10
        left = min(max(x0, 0.0), max(width - wide, 0.0))
        top = y0 - 19 if y0 - 19 > HEAD else y0 + 2
        drawn += chart.box(left, top, wide, 18, f"match-tag {kind}", ' rx="3"')
        drawn += chart.text(left + 5, top + 13.5, name, "match-name")
    return f"<g>{chart.title(said)}{drawn}</g>"
