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
    heap.share()
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
