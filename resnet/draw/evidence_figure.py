"""Evidence river: what each wire carried for a class, as one river through all blocks.

At every plus three arms meet: the shortcut S from the left, the branch F from above, the block's
output H to the right, each as thick as the evidence it carries.  S + F = H exactly, so the
thickest arm is as thick as the other two together and they fit without a gap.  Negative evidence
flows the other way through the same arms: orange, slit, with its arrows turned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from resnet.draw import by_block, chart, river
from resnet.draw.by_block import Columns
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Scale, Usual
from resnet.draw.river import BEND

DEEPEST, ARM, STUB, LETTERS = 168.0, 34.0, 20.0, 34.0
STRIP = 84.0  # height of the strip of shares
TOP, TAPER = 30.0, 0.3  # TAPER: part of a column in which the river changes between two blocks


def evidence_figure(evidence: Mapping, reference: Usual | None = None) -> str:
    """The river.

    Args:
        evidence: `Evidence.to_dict()`.
        reference: quartiles of the share through the shortcut, of each photo's own answer; give
            None for another class.
    """
    blocks = evidence["blocks"]
    at = by_block.columns([row["block"] for row in blocks])
    scale = pixels_per_logit(blocks, at.width)
    deepest = max([abs(v) * scale for row in blocks for v in _arms(row)], default=0.0)
    bed = TOP + 24 + LETTERS + STUB + BEND + max(deepest, 40.0)
    bottom = bed + 44
    usual = chart.usual_of(reference, "evidence.shortcut_share")

    samples = [
        ("", "evidence in logits, thickness on one scale:"),
        ("mark shortcut pos", "shortcut and output"),
        ("mark branch pos", "branch"),
        ("mark shortcut neg", "negative: flows the other way"),
        *([("usual", "usual share")] if usual else []),
    ]
    parts = [chart.legend(LEFT, 13, samples), by_block.ground(at, TOP, bottom)]
    parts.append(_ruler(scale, bed))
    parts.append(chart.line(LEFT, bed, WIDTH - RIGHT, bed, "zero"))
    junctions = []
    for (_, x), row in zip(at.items(), blocks, strict=True):
        s, f, h = (v * scale for v in _arms(row))
        left, right = x - at.width * (0.5 - TAPER), x + at.width * 0.5
        junctions.append(river.Junction(left, right, s, f, h))
    for before, after in zip([None, *junctions], junctions, strict=False):
        parts.append(river.taper(before, after, at.width * TAPER, bed))
    for (name, x), row, where in zip(at.items(), blocks, junctions, strict=True):
        parts.append(_block(name, x, at.width, row, where, bed, bottom, usual.get(name), scale))
    if junctions:
        last = junctions[-1]
        parts.append(
            river.band(last.right, WIDTH - RIGHT, 0, abs(last.output), bed, "shortcut", last.output)
        )
    rows = (
        ("S carries", [row["shortcut"] for row in blocks]),
        ("F adds", [row["branch"] for row in blocks]),
        ("H = S + F", [row["total"] for row in blocks]),
    )
    for i, (name, values) in enumerate(rows):
        parts.append(by_block.number_row(at, bottom + 22 + 20 * i, name, values, form=_logits))
    parts.append(_shares(at, [_share(row) for row in blocks], usual, bottom + 76))
    return chart.frame(
        "evidence",
        (WIDTH, bottom + 76 + STRIP + 26),
        _words(blocks),
        parts,
        [
            "S + F = H in every block: largest error "
            f"{chart.error(evidence.get('invariant_error'))} logits.",
            "Between two blocks nothing has to be conserved: part of the river enters the next "
            "branch, and the network is not linear in its stream.",
            chart.usual_line(reference),
        ],
    )


def _shares(at: Columns, shares: Sequence[float | None], usual: Mapping, top: float) -> str:
    """The share through the shortcut as a dot before what is usual; beyond the strip, an arrow."""
    scale = Scale(-1.0, 2.0, top + STRIP - 6, top + 6)
    parts = [chart.box(x0, top, x1 - x0, STRIP, "stage", ' rx="8"') for _, x0, x1 in at.stages]
    parts.append(chart.y_axis(scale, [-1, 0, 1, 2], chart.share, LEFT, WIDTH - RIGHT))
    parts.append(chart.axis_name(6, top + 26, ["share", "through S"]))
    for (name, x), value in zip(at.items(), shares, strict=True):
        if found := chart.three(usual.get(name)):
            low, middle, high = (min(max(q, scale.low), scale.high) for q in found)
            parts.append(chart.quartile_band(x - 9, 18, scale, (low, middle, high)))
        y = scale(min(max(value or 0.0, scale.low), scale.high))
        if value is None:
            parts.append(chart.missing(x, scale(0)))
        elif scale.low <= value <= scale.high:
            parts.append(f'<circle class="dot l0" cx="{x:.2f}" cy="{y:.2f}" r="4.4"/>')
        else:
            way = -1 if value > scale.high else 1
            d = f"M{x - 5:.2f} {y - 2 * way:.2f}h10l-5 {8 * way}Z"
            parts.append(f'<path class="dot l0" d="{d}"/>')
    row = by_block.number_row(at, top + STRIP + 18, "", list(shares), usual, chart.share)
    return "".join(parts) + row


def pixels_per_logit(blocks, width: float) -> float:
    """One scale for all arms: the river fits its height, the branches fit their columns."""
    room = min(ARM, width * (1 - TAPER) - BEND - 4)
    limits = []
    for row in blocks:
        s, f, h = _arms(row)
        limits += [room / abs(f)] if f else []
        limits += [DEEPEST / abs(v) for v in (s, h) if v]
    found = min(limits, default=1.0)
    return found if math.isfinite(found) else 1.0


def _arms(row: Mapping) -> tuple[float, float, float]:
    """S, F and their sum; what is not a number counts as nothing."""
    s, f = (chart.finite(row[k]) or 0.0 for k in ("shortcut", "branch"))
    return s, f, s + f


def _share(row: Mapping) -> float | None:
    s, h = chart.finite(row["shortcut"]), chart.finite(row["total"])
    return s / h if s is not None and h else None


def _block(
    name: str,
    x: float,
    width: float,
    row: Mapping,
    at: river.Junction,
    bed: float,
    bottom: float,
    quartiles: object,
    scale: float,
) -> str:
    s, f, h = abs(at.shortcut), abs(at.branch), abs(at.output)
    thickest = max(s, f, h)
    surface = max(s, h)
    inner = []
    if f == thickest and at.shortcut * at.output <= 0:  # F feeds (or drains) both sides
        middle = (at.left + at.right + s - h) / 2
        foot = river.turn(middle, h, at.right, 0.0, bed, STUB + surface - h, at.branch, +1)
        foot += river.turn(middle, s, at.left, 0.0, bed, STUB + surface - s, at.branch, -1)
        arm, top = middle + (h - s) / 2, bed - surface - BEND - STUB
        inner.append(foot)
    elif h >= s:  # F joins the river and goes on to the right
        inner.append(river.band(at.left, at.right, 0, s, bed, "shortcut", at.shortcut))
        inner.append(river.turn(at.right - BEND - f, f, at.right, s, bed, STUB, at.branch, +1))
        arm, top = at.right - BEND - f / 2, bed - s - f - BEND - STUB
    else:  # F leaves the river that comes from the left
        inner.append(river.band(at.left, at.right, 0, h, bed, "shortcut", at.output))
        inner.append(river.turn(at.left + BEND + f, f, at.left, h, bed, STUB, at.branch, -1))
        arm, top = at.left + BEND + f / 2, bed - h - f - BEND - STUB
    inner.append(river.head(arm, top, f, at.branch))
    inner.append(river.chevrons(x, s, h, at, bed))
    usual = chart.three(quartiles)
    side = " end" if h >= s else ""  # over the river's lower side, where the next rise is not
    edge = arm + (f / 2 + 3 if h >= s else -f / 2 - 3)
    if f:
        inner.append(chart.text(edge, top - 14, _logits(row["branch"]), f"halo{side}"))
    hint = (
        f"Block {name}, evidence in logits\nshortcut carries {chart.signed(row['shortcut'])}, "
        f"branch adds {chart.signed(row['branch'])}\noutput {chart.signed(row['total'])}, "
        f"{chart.share(_share(row))} of it through the shortcut"
    )
    if usual:
        hint += f"\nmiddle half of photos: {chart.share(usual[0])} to {chart.share(usual[2])}"
    hit = chart.box(x - width / 2, TOP, width, bottom - TOP, "hit")
    return (
        f'<g class="column" data-block="{chart.escape(name)}">{chart.title(hint)}{hit}'
        f"{''.join(inner)}</g>"
    )


def _ruler(scale: float, bed: float) -> str:
    """How thick a round number of logits is."""
    most = DEEPEST * 0.75 / scale
    power = 10.0 ** math.floor(math.log10(most))
    size = next(m * power for m in (5, 2, 1) if m * power <= most * 1.000001)
    x, y = 78.0, bed - size * scale
    d = f"M{x - 5:.2f} {y:.2f}h10M{x:.2f} {y:.2f}V{bed:.2f}M{x - 5:.2f} {bed:.2f}h10"
    unit = "logit" if size == 1 else "logits"
    label = chart.text(6, (y + bed) / 2 + 4, f"{size:g} {unit}", "muted")
    return f'<path class="whole ruler" d="{d}"/>{label}'


def _logits(value: object) -> str:
    """A column's width has room for two decimals; tooltips give the small ones in full."""
    found = chart.finite(value)
    if found is None or abs(found) >= 0.01 or found == 0:
        return chart.signed(value)
    return "+0.00" if found > 0 else "−0.00"


def _words(blocks) -> str:
    rows = "; ".join(
        f"{row['block']}: shortcut {chart.signed(row['shortcut'])}, "
        f"branch {chart.signed(row['branch'])}"
        for row in blocks
    )
    return f"Evidence river in logits, by block. {rows}."
