"""Signal budget: ‖S+F‖² = ‖S‖² + ‖F‖² + 2⟨S,F⟩ at every block, on one scale."""

from __future__ import annotations

from collections.abc import Mapping

from resnet.draw import by_block, chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Usual

SHARES = (
    ("share_s", "shortcut", "‖S‖²"),
    ("share_f", "branch", "‖F‖²"),
    ("share_cross", "third", "2⟨S,F⟩"),
)
ROWS = (
    ("ratio", "‖F‖ ÷ ‖S‖"),
    ("cos", "cos(S, F)"),
    ("novelty", "1 − cos(S, out)"),
    ("zeros", "zeros in output"),
)
TOP, BOTTOM, HEIGHT = 30.0, 356.0, 456.0


def budget_figure(budget: Mapping, reference: Usual | None = None) -> str:
    """Three signed shares a block, which add to 1, and four ratios below them.

    Args:
        budget: `Budget.to_dict()`.
        reference: quartiles drawn behind the bars; if falsy with a `reason`, the reason is said.
    """
    blocks = budget["blocks"]
    at = by_block.columns([row["block"] for row in blocks])
    usual = {field: chart.usual_of(reference, f"budget.{field}") for field, *_ in SHARES + ROWS}
    values = [row[field] for row in blocks for field, *_ in SHARES]
    values += [q for field, *_ in SHARES for name in at.names for q in usual[field].get(name, ())]
    scale, marks = chart.scale_for([1.0, *values], BOTTOM - 30, TOP + 24, 6)

    samples = [
        ("", "shares of ‖S+F‖²:"),
        ("mark shortcut pos", "shortcut ‖S‖²"),
        ("mark branch pos", "branch ‖F‖²"),
        ("mark third pos", "2⟨S,F⟩ > 0: they agree"),
        ("mark third neg", "2⟨S,F⟩ < 0: they cancel"),
        *([("usual", "middle half of photos")] if reference else []),
    ]
    parts = [chart.legend(LEFT, 13, samples), by_block.ground(at, TOP, BOTTOM)]
    parts.append(chart.y_axis(scale, marks, chart.say, LEFT, WIDTH - RIGHT))
    parts.append(chart.line(LEFT, scale(1), WIDTH - RIGHT, scale(1), "whole"))
    parts.append(chart.axis_name(6, scale(1) - 3, ["S, F and", "2⟨S,F⟩", "add to 1"]))
    wide = at.width / 3.5
    for (name, x), row in zip(at.items(), blocks, strict=True):
        hint = [f"Block {name}"]
        inner = []
        for i, (field, kind, sign) in enumerate(SHARES):
            left, band = x + wide * (i - 1.5), usual[field].get(name)
            inner.append(chart.quartile_band(left, wide, scale, band))
            inner.append(chart.bar(left + 2.5, wide - 5, scale, row[field], kind))
            middle = f" (middle half {chart.say(band[0])} to {chart.say(band[2])})" if band else ""
            hint.append(f"{sign}: {chart.say(row[field])} of ‖S+F‖²{middle}")
        norms = [chart.say(row[k]) for k in ("norm_s", "norm_f", "norm_z")]
        hint.append("‖S‖ {}, ‖F‖ {}, ‖S+F‖ {}".format(*norms))
        parts.append(
            f'<g class="column" data-block="{chart.escape(name)}">'
            + chart.title("\n".join(hint))
            + chart.box(x - at.width / 2, TOP, at.width, BOTTOM - TOP, "hit")
            + f"{''.join(inner)}</g>"
        )
    for i, (field, name) in enumerate(ROWS):
        form = chart.share if field == "zeros" else _two_decimals
        values = [row[field] for row in blocks]
        parts.append(
            by_block.number_row(at, BOTTOM + 24 + 22 * i, name, values, usual[field], form)
        )
    return chart.frame(
        "budget",
        (WIDTH, HEIGHT),
        _words(blocks),
        parts,
        [
            "The three shares add to 1 in every block: largest error "
            f"{chart.error(budget.get('invariant_error'))}.",
            chart.usual_line(reference),
            "▴ ▾ above or below it." if reference else "",
        ],
    )


def _two_decimals(value: object) -> str:
    """A ratio or cosine for a narrow cell; not −0.00, a sign that the digits do not bear."""
    number = chart.finite(value)
    text = "–" if number is None else f"{number:.2f}".replace("-", "−")
    return "0.00" if text == "−0.00" else text


def _words(blocks) -> str:
    rows = "; ".join(
        f"{row['block']}: shortcut {chart.say(row['share_s'])}, branch {chart.say(row['share_f'])},"
        f" cross term {chart.say(row['share_cross'])}"
        for row in blocks
    )
    return f"Signal budget, shares of the squared norm of the sum by block. {rows}."
