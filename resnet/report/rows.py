"""One row a block: what both wires carry, and what cutting each does to the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from resnet.cli.trace import Traced
from resnet.residual.plain import plain


def block_rows(traced: Traced) -> list[dict]:
    """Plain values, None for what is not defined.

    `rms_*` is the root mean square over channels and positions; `share_*` and `cos` as in the
    signal budget; `evidence_*` in logits; `cut_*` the change of the class's probability, -1..1,
    with that wire cut, and `flips_*` whether the answer becomes another.
    """
    rows = []
    for budget in traced.budget.blocks:
        name = budget.block
        shortcut, branch = traced.lesions[name, "shortcut"], traced.lesions[name, "branch"]
        carried = traced.evidence[name]
        root = math.sqrt(traced.analysis.blocks[name].output.numel())
        rows.append(
            {
                "block": name,
                "rms_shortcut": budget.norm_s / root,
                "rms_branch": budget.norm_f / root,
                "ratio": budget.ratio,
                "cos": budget.cos,
                "share_shortcut": budget.share_s,
                "share_branch": budget.share_f,
                "share_both": budget.share_cross,
                "novelty": budget.novelty,
                "evidence_shortcut": carried.shortcut,
                "evidence_branch": carried.branch,
                "cut_shortcut": shortcut.change,
                "cut_branch": branch.change,
                "flips_shortcut": shortcut.flips,
                "flips_branch": branch.flips,
            }
        )
    return plain(rows)


_COLUMNS = (  # key, heading, what it is, format
    ("rms_shortcut", "RMS of S", "strength of the shortcut", ".3f"),
    ("rms_branch", "RMS of F", "strength of the branch", ".3f"),
    ("ratio", "‖F‖ / ‖S‖", "how large the branch is beside the shortcut", ".2f"),
    ("cos", "cos(S, F)", "whether both point the same way", "+.2f"),
    ("novelty", "novelty", "1 − cos(S, output)", ".2f"),
    ("evidence_shortcut", "evidence by S", "logits", "+.2f"),
    ("evidence_branch", "evidence by F", "logits", "+.2f"),
    ("cut_shortcut", "S cut", "change of the class's probability, points", "points"),
    ("cut_branch", "F cut", "change of the class's probability, points", "points"),
)


def table_html(rows: Sequence[dict]) -> str:
    """The rows as a table; a cut that changes the answer carries a cross, and says so."""
    head = "".join(
        f'<th scope="col" title="{escape(why, quote=True)}">{escape(name)}</th>'
        for _, name, why, _ in _COLUMNS
    )
    body = []
    for row in rows:
        cells = "".join(
            f"<td>{_cell(row[key], form)}{_flip(row, key)}</td>" for key, _, _, form in _COLUMNS
        )
        body.append(f'<tr><th scope="row">{escape(row["block"])}</th>{cells}</tr>')
    return (
        '<div class="table-scroll" tabindex="0" role="group" aria-label="Block by block">'
        f'<table class="rows"><thead><tr><th scope="col">block</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(value: float | None, form: str) -> str:
    if value is None:
        return "–"
    text = f"{100 * value:+.1f}" if form == "points" else f"{value:{form}}"
    return text.replace("-", "\N{MINUS SIGN}")


def _flip(row: dict, key: str) -> str:
    flips = key.startswith("cut_") and row[f"flips_{key.removeprefix('cut_')}"]
    return ' <b class="flips" title="the answer becomes another">×</b>' if flips else ""
