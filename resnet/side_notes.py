"""`NAME.json` beside a user's weights: what torchvision's defaults do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _colours(value: Any) -> tuple[float, ...]:
    red, green, blue = value
    return float(red), float(green), float(blue)


def _spread(value: Any) -> tuple[float, ...]:
    found = _colours(value)
    if min(found) <= 0:
        raise ValueError("std must be positive")
    return found


def _side(value: Any) -> int:
    if not isinstance(value, int) or not 32 <= value <= 1024:
        raise ValueError(f"a side of {value} pixels is outside 32 to 1024")
    return value


def _interpolation(value: Any) -> str:
    if value not in ("nearest", "bilinear", "bicubic", "lanczos"):
        raise ValueError(f"unknown interpolation “{value}”")
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):  # bool("false") is True
        raise ValueError("stride_in_1x1 must be true or false")
    return value


KEYS: dict[str, Callable] = {
    "stride_in_1x1": _flag, "eps": float, "mean": _colours, "std": _spread,
    "resize": _side, "crop": _side, "interpolation": _interpolation, "licence": str, "source": str,
}  # fmt: skip


def read(weights: Path) -> dict[str, Any]:
    """The notes beside a weights file, as fields of a `WeightSet`; empty if there are none.

    Raises:
        ValueError: with a sentence that names the file, what is wrong in it, and what it may set.
    """
    beside = weights.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        notes = json.loads(beside.read_text("utf-8"))
        if not isinstance(notes, dict):
            raise ValueError("not a JSON object")
        unknown = set(notes) - set(KEYS)
        if unknown:
            raise ValueError(f"unknown entry “{min(unknown)}”")
        return {key: KEYS[key](value) for key, value in notes.items()}
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{beside.name} is not usable ({error}). It may set {', '.join(KEYS)}."
        ) from error
