"""Results as plain values: what JSON, CSV and the drawings take, with no torch in it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np


def plain(value):
    """Dataclasses, tuples, arrays -> dicts and lists; NaN and infinities -> None (JSON has none).

    The order of fields is kept.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
