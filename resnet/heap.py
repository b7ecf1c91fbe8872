"""Memory that the C library keeps for later; nothing here does anything where it is not glibc.

Each thread would get a heap of its own, and a server of many threads would hold on to what the
largest photos needed in every one of them: five minutes of 64 visitors took it to 4.7 GB, and with
two heaps that are trimmed under load to 2.8.
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
