"""Gradient highway: how much gradient comes back into each block along each of its wires."""

from __future__ import annotations

import math
from collections.abc import Mapping

from resnet.draw import by_block, chart
from resnet.draw.chart import LEFT, RIGHT, WIDTH, Usual

TOP, BOTTOM, HEIGHT = 30.0, 322.0, 378.0
WIRES = (("norm_branch", "branch"), ("norm_shortcut", "shortcut"))


def highway_figure(highway: Mapping, reference: Usual | None = None) -> str:
    """Norms of the gradient into every block: through the branch, along the shortcut, together.

    Args:
        highway: `Highway.to_dict()`.
        reference: quartiles of branch ÷ shortcut; the band stands where they put the branch's bar
            beside this photo's shortcut.
    """
    blocks = highway["blocks"]
    at = by_block.columns([row["block"] for row in blocks])
    usual = chart.usual_of(reference, "highway.ratio")
    bands = {}
    for row in blocks:
        found, norm = chart.three(usual.get(row["block"])), chart.finite(row["norm_shortcut"])
        if found and norm is not None:
            bands[row["block"]] = tuple(q * norm for q in found)
    values = [row[field] for row in blocks for field, _ in (*WIRES, ("norm", ""))]
    values += [q for band in bands.values() for q in band]
    scale, marks = chart.scale_for(values, BOTTOM - 30, TOP + 28)

    samples = [
        ("", "norm of the gradient into the block:"),
        ("mark branch pos", "through the branch"),
        ("mark shortcut pos", "along the shortcut"),
        ("stroke whole", "both together"),
        *([("usual", "usual branch ÷ shortcut")] if bands else []),
    ]
    parts = [chart.legend(LEFT, 13, samples), by_block.ground(at, TOP, BOTTOM)]
    parts.append(chart.y_axis(scale, marks, chart.number, LEFT, WIDTH - RIGHT))
    unit = "logits" if highway.get("target") != "loss" else "nats"
    parts.append(chart.axis_name(6, TOP + 15, ["‖dy/dx‖", unit, "per unit"]))
    wide = at.width * 0.34
    for (name, x), row in zip(at.items(), blocks, strict=True):
        inner = []
        for i, (field, kind) in enumerate(WIRES):
            left = x + wide * (i - 1)
            if kind == "branch":
                inner.append(chart.quartile_band(left, wide - 1, scale, bands.get(name)))
            inner.append(chart.bar(left + 3, wide - 6, scale, row[field], kind))
        if (norm := chart.finite(row["norm"])) is not None:
            inner.append(chart.line(x - wide, scale(norm), x + wide, scale(norm), "whole"))
        hint = (
            f"Gradient into block {name}: {chart.say(row['norm'])}\n"
            f"along the shortcut {chart.say(row['norm_shortcut'])}, "
            f"through the branch {chart.say(row['norm_branch'])}\n"
            f"cosine between the two {chart.say(row['cos'])}"
        )
        hit = chart.box(x - at.width / 2, TOP, at.width, BOTTOM - TOP, "hit")
        parts.append(
            f'<g class="column" data-block="{chart.escape(name)}">{chart.title(hint)}{hit}'
            f"{''.join(inner)}</g>"
        )
    ratios, cosines = ([row[k] for row in blocks] for k in ("ratio", "cos_branch_output"))
    along = chart.usual_of(reference, "highway.cos_branch_loss_gradient")
    along = along if highway.get("target") == "loss" else {}
    parts.append(by_block.number_row(at, BOTTOM + 24, "branch ÷ shortcut", ratios, usual))
    parts.append(by_block.number_row(at, BOTTOM + 46, "cos(F, dy/dH)", cosines, along, _cosine))
    return chart.frame(
        "highway",
        (WIDTH, HEIGHT),
        _words(highway),
        parts,
        [
            "‖both‖² = ‖shortcut‖² + ‖branch‖² + 2 cos · ‖shortcut‖ · ‖branch‖: "
            f"largest relative error {chart.error(law_of_cosines(blocks))}.",
            "The gradient comes back from right to left.",
            chart.usual_line(reference),
            "▴ ▾ above or below it." if reference else "",
        ],
    )


def law_of_cosines(blocks) -> float | None:
    """Largest relative distance between the measured norm and that from both parts and cosine."""
    found = []
    for row in blocks:
        values = chart.known(row[k] for k in ("norm", "norm_shortcut", "norm_branch", "cos"))
        if len(values) == 4 and values[0] > 0:
            norm, s, f, cos = values
            found.append(abs(s * s + f * f + 2 * cos * s * f - norm * norm) / norm**2)
    return max(found) if found and math.isfinite(max(found)) else None


def _cosine(value: object) -> str:
    found = chart.finite(value)
    return "–" if found is None else f"{found:+.3f}".replace("-", "−").replace("−0.000", "0.000")


def _words(highway: Mapping) -> str:
    rows = "; ".join(
        f"{row['block']}: shortcut {chart.say(row['norm_shortcut'])}, "
        f"branch {chart.say(row['norm_branch'])}"
        for row in highway["blocks"]
    )
    return f"Norm of the gradient into each block by wire. {rows}."
