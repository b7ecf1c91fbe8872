"""Which of the forms that an answer has is wanted: `Accept`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from resnet.server.visit import Refusal

JSON, PNG = "application/json", "image/png"


def chosen(accept: str, offered: Sequence[str]) -> str:
    """The offered media type that an `Accept` header wants most; the first among equals.

    Raises:
        Refusal: 406, it wants none of them.
    """
    wanted = _weights(accept) or {"*/*": 1.0}

    def weight(kind: str) -> float:
        whole = kind.partition("/")[0] + "/*"
        return next((wanted[name] for name in (kind, whole, "*/*") if name in wanted), 0.0)

    best = max(offered, key=weight)
    if weight(best) <= 0:
        raise Refusal(406, f"This answer comes as {' or '.join(offered)}.", "accept")
    return best


def _weights(accept: str) -> dict[str, float]:
    """Media type → q of the header's parts; what is not one is left out."""
    found = {}
    for part in accept.lower().split(",")[:50]:
        kind, *options = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in options if piece.startswith("q=")), "1")
        if "/" in kind and re.fullmatch(r"[01](\.\d{0,3})?", quality):
            found[kind] = float(quality)
    return found
