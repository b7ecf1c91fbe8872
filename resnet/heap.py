"""Memory that the C library keeps for later; nothing here does anything where it is not glibc.

Two things are set, once, before there are threads.  Each thread would get a heap of its own, and a
server of many threads would hold on to what the largest photos needed in every one of them.  And
large blocks would go back to the system at once and come again page by page, each page cleared:
keeping all wires of a photo touches 22 MB in bf16 and 44 in fp32, in pages of 4 KB, which took
a third of the time of a bf16 pass.  What is kept so is given back by `trim`, which the model's
lane calls under load and when it has nothing to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

# glibc's names and numbers, malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
HEAPS = 2
KEPT = 2**30  # bytes: blocks up to here come from a heap, and so much may lie free at its end


def prepare() -> None:
    """Let all threads share a few heaps, which keep large blocks; before they are started."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_ARENA_MAX, HEAPS)
        library.mallopt(_MMAP_THRESHOLD, KEPT)
        library.mallopt(_TRIM_THRESHOLD, KEPT)


def trim() -> None:
    """Give back what loading and work left over."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
