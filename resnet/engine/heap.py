"""Memory that the C library keeps for later; nothing here does anything where it is not glibc.

Each thread would get a heap of its own, and a server of many threads would hold on to what the
largest photos needed in every one of them: 64 visitors at once took 3.4 GB, and 2.2 so.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

_ARENA_MAX = -8  # glibc's name for the number of heaps, M_ARENA_MAX in malloc.h
HEAPS = 2


def share() -> None:
    """Let all threads share a few heaps; before they are started."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, HEAPS)


def trim() -> None:
    """Give back what loading and work left over."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
