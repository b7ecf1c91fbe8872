"""The C library's heaps, in a process of their own: what is set there stays set."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, threading
from resnet import heap

if sys.argv[1] == "shared":
    heap.prepare()
all_there = threading.Barrier(9)

def work():
    kept = [bytes(1000 + i) for i in range(100)]
    all_there.wait()
    all_there.wait()

for _ in range(8):
    threading.Thread(target=work).start()
all_there.wait()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
all_there.wait()
"""


def heaps(how: str, tmp_path) -> int:
    """How many heaps nine threads have."""
    told = tmp_path / f"{how}.xml"
    subprocess.run([sys.executable, "-c", COUNT, how, str(told)], check=True, timeout=120)
    return told.read_text().count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_threads_share_two_heaps(tmp_path):
    assert heaps("shared", tmp_path) <= 2
    assert heaps("own", tmp_path) > 2


AGAIN = """
import ctypes, resource, sys
from resnet import heap

if sys.argv[1] == "kept":
    heap.prepare()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
SIZE = 40 << 20  # more than glibc keeps of itself

def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(SIZE)
    ctypes.memset(block, 1, SIZE)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()

touched()
print(touched(), end=" ")
full = resident()
heap.trim()
print(full - resident())
"""


def again(how: str) -> tuple[int, int]:
    """Pages fetched for 40 MB that were there before, and bytes given back afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, how], check=True, timeout=120, capture_output=True, text=True
    )
    pages, freed = map(int, done.stdout.split())
    return pages, freed


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_blocks_come_back_without_their_pages_being_cleared_and_trim_gives_them_back():
    pages, freed = again("kept")
    assert pages < 10
    assert freed > 30 << 20
    pages, freed = again("plain")
    assert pages > 10
    assert freed < 30 << 20
