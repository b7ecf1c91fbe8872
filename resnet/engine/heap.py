"""Memory that the C library keeps for later."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def trim() -> None:
    """Give back what loading left over; nothing where the C library is not glibc."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
