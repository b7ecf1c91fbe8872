"""The ledger's parts as maps: where on the photo each wire wrote its share of the logit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from resnet.draw.encode import image_uri
from resnet.draw.overlay import colourize

_NAMES = {"P": "from stage 3 (P)"}


def ledger_maps_html(entries: Sequence[Mapping]) -> str:
    """Every part's map and their sum on one signed scale, bare cells.

    Args:
        entries: of `Ledger.to_dict(maps=True)`; those without a map (the bias) are left out.
    """
    maps = [(e["part"], np.asarray(e["map"], np.float32)) for e in entries if e.get("map")]
    if not maps:
        return ""
    total = np.sum([values for _, values in maps], axis=0)
    limit = max(float(np.abs(values).max()) for values in (*[m for _, m in maps], total))
    cells = []
    for number, (part, values) in enumerate([*maps, ("sum", total)]):
        sign = "" if number == 0 else "=" if part == "sum" else "+"
        name = "sum: the CAM" if part == "sum" else _NAMES.get(part, f"branch {part}")
        said = f"{name}: {float(values.sum()):+.2f} logits in all"
        picture = image_uri(colourize(values / max(limit, 1e-12), signed=True), "PNG")
        cells.append(
            f'<span class="ledger-sign" aria-hidden="true">{sign}</span><figure>'
            f'<img src="{picture}" alt="{escape(said, quote=True)}">'
            f"<figcaption>{escape(name)}<br><b>{float(values.sum()):+.2f}</b></figcaption></figure>"
        )
    height, width = total.shape
    return (
        f'<div class="ledger-maps">{"".join(cells)}</div>'
        f'<p class="figure-text">The same parts where they were written, {width} × {height} cells '
        f"over the crop, one scale: orange −{limit:.2f} … blue +{limit:.2f} logits a cell. "
        "Their sum is the exact CAM of the last block.</p>"
    )
