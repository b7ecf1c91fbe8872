"""Broken and malicious files: each gives an image or a clear error, fast, in bounded memory.

`python tests/test_hostile.py` with paths on standard input is the measured process; it prints a
JSON line a file. The tests run it and judge.
"""

import contextlib
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
HOSTILE = ROOT.parent / "shared" / "data" / "hostile"
SECONDS, MEGABYTES = 2.0, 300.0


def peak_mb() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reset_peak() -> None:
    with contextlib.suppress(OSError):  # then the peak is that of all files so far, a harder test
        Path("/proc/self/clear_refs").write_text("5")


def work() -> None:
    sys.path.insert(0, str(ROOT))
    from resnet.images import ImageError, read_photo

    buffer = io.BytesIO()
    for name in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):  # load the codecs: part of being idle
        buffer.seek(0)
        Image.new("RGB", (64, 64)).save(buffer, name)
        read_photo(buffer.getvalue())
    reset_peak()
    idle = peak_mb()
    for line in sys.stdin:
        path = line.rstrip("\n")
        reset_peak()
        start, cpu = time.perf_counter(), time.process_time()
        row = {"file": os.path.basename(path)}
        try:
            photo = read_photo(path)
            row |= {"mode": photo.image.mode, "size": photo.size, "notes": photo.notes}
        except ImageError as error:
            row["error"] = str(error)
        except BaseException as error:
            row["crash"] = repr(error)
        row["seconds"] = min(time.perf_counter() - start, time.process_time() - cpu)
        row["wall"] = time.perf_counter() - start
        row["mb"] = peak_mb() - idle
        print(json.dumps(row), flush=True)


def measure(paths: list[Path]) -> list[dict]:
    """Read `paths` in one process of its own and check what holds for every file."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", __file__],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(paths), f"died after {rows[-1:]}: {done.stderr[-500:]}"
    for row in rows:
        assert "crash" not in row, row
        assert row["seconds"] < SECONDS and row["wall"] < 5 * SECONDS, row
        assert row["mb"] < MEGABYTES, row
        if "error" in row:
            assert row["error"].endswith(".") and len(row["error"]) < 200, row
            assert "/" not in row["error"] and "Error" not in row["error"], row
        else:
            assert row["mode"] == "RGB" and min(row["size"]) > 0, row
    return rows


@pytest.mark.shared_data
def test_every_hostile_file_gives_an_image_or_a_clear_error():
    if not HOSTILE.is_dir():
        pytest.skip("../shared/data/hostile is not here")
    files = sorted(HOSTILE.iterdir())
    rows = measure(files)
    images = sum("error" not in row for row in rows)
    assert images > len(files) // 3, "far too many refused"
    upright = [row["size"] for row in rows if row["file"].startswith("exif__Landscape")]
    assert len(set(map(tuple, upright))) == 1


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, *chunks: bytes, rows: int | None = None, depth=8, colour=2
) -> bytes:
    """A black PNG with `chunks` before its data, which has `rows` rows (all, unless told)."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    row = bytes(1 + width * depth * {0: 1, 2: 3, 6: 4}[colour] // 8) if rows != 0 else b""
    packer = zlib.compressobj(1)
    packed = [packer.compress(row) for _ in range(height if rows is None else rows)]
    idat = png_chunk(b"IDAT", b"".join(packed) + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + idat + png_chunk(b"IEND", b"")


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory of (tag, type, count, value), `tail` after it."""
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + directory + bytes(4) + tail


def greedy_exif() -> bytes:
    """2,600 entries of 32 KB that all point at the same place."""
    return tiff(*((40000 + i, 7, 1 << 15, 8) for i in range(2600)), tail=bytes(33000))


def tiny_scans(jpeg: bytes, copies: int) -> bytes:
    """A progressive JPEG with its last scan repeated."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * copies + b"\xff\xd9"


def bombs() -> dict[str, bytes]:
    """Hostile files by name; those that start with "ok" are images for all that."""
    grey = Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64))
    rgb = Image.merge("RGB", [grey] * 3)
    jpeg = saved(rgb, "JPEG")
    big = Image.new("L", (5000, 5000), 99)
    gif = saved(grey, "GIF")
    small_png, chunks = png(8, 8), png_chunk(b"abCd", b"") * 1_500_000
    zeros = zlib.compress(bytes(60_000_000), 1)
    exif = tiff(*((40000 + i, 7, 1 << 20, 8) for i in range(20000)), tail=bytes(1 << 20))
    blank = tiff(tail=bytes(len(exif) - 14))  # saving the bomb itself takes Pillow a minute
    webp = saved(rgb, "WEBP", lossless=True)
    files = {
        "png 13000": png(13000, 13000, depth=1, colour=0),
        "png 30000 header": png(30000, 30000, rows=0),
        "png 2^31": png(2**31 - 1, 2**31 - 1, rows=0),
        "png zero": png(0, 5, rows=0),
        "png ribbon": png(1, 50000),
        "png ztxt": png(8, 8, *[png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000)))] * 99),
        "png ztxt large": png(8, 8, png_chunk(b"zTXt", b"a\0\0" + zeros)),
        "png icc": png(8, 8, png_chunk(b"iCCP", b"a\0\0" + zeros)),
        "png chunks": png(8, 8, chunks),
        "png chunks after": small_png[:-12] + chunks + small_png[-12:],
        "ok png zlib short": png(5000, 5000, rows=1),
        "ok png 49 MP": png(7000, 7000),
        "ok png 49 MP alpha": png(7000, 7000, colour=6),
        "ok png exif": png(8, 8, png_chunk(b"eXIf", greedy_exif())),
        "gif bomb": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + gif[13:],
        "gif comments": gif[:13 + 768] + b"!\xfe\x01a\0" * 3_000_000 + gif[13 + 768:],
        "gif one comment": gif[:13 + 768] + b"!\xfe" + b"\xffa" * 10_000_000,
        "jpeg segments": jpeg[:2] + b"\xff\xe5\0\x02" * 4_000_000 + jpeg[2:],
        "jpeg fill bytes": jpeg[:2] + b"\xff" * 15_000_000 + jpeg[2:],
        "jpeg 65500": jpeg.replace(b"\0\x40\0\x40", b"\xff\xdc\xff\xdc", 1),
        "jpeg scans": tiny_scans(saved(big, "JPEG", progressive=True), 2000),
        "ok jpeg scans": tiny_scans(saved(big, "JPEG", progressive=True), 20),
        "ok jpeg 49 MP": saved(Image.new("RGB", (7000, 7000), (9, 8, 7)), "JPEG"),
        "ok jpeg 32 MP progressive": saved(
            Image.new("RGB", (5600, 5600), (9, 8, 7)), "JPEG", progressive=True, subsampling=0),
        "ok jpeg exif": jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 8 + 60000)
        + b"Exif\0\0" + greedy_exif()[:60000] + jpeg[2:],
        "tiff huge": tiff((256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), (273, 4, 1, 8)),
        "tiff strips": tiff((256, 4, 1, 1000), (257, 4, 1, 1000), (258, 3, 1, 8), (259, 3, 1, 1),
                            (262, 3, 1, 1), (273, 4, 4_000_000, 200), (278, 4, 1, 1),
                            tail=bytes(17_000_000)),
        "tiff same megabyte": tiff(*((40000 + i, 7, 1 << 20, 8) for i in range(20000)),
                                   (256, 4, 1, 9), (257, 4, 1, 9), tail=bytes(1 << 20)),
        "ok tiff 18 MP one strip": saved(
            Image.new("RGB", (4240, 4240)), "TIFF", compression="tiff_lzw",
            tiffinfo={278: 4240}),
        "ok webp 13 MP": saved(Image.new("RGB", (3600, 3600), (9, 8, 7)), "WEBP", method=0),
        "webp 49 MP": webp[:21] + struct.pack("<I", 6999 | 6999 << 14) + webp[25:],
        "ok avif 14 MP": saved(Image.new("RGB", (3750, 3750), (9, 8, 7)), "AVIF", speed=10),
        "avif exif": saved(rgb, "AVIF", exif=blank).replace(blank, exif),
        "ppm plain": b"P3 3000 3000 255 " + b"1 " * 9_000_000,
        "ppm odd maximum": b"P6 3000 3000 100 " + bytes(9_000_000),
        "ppm endless number": b"P6 " + b"1" * 9_000_000,
        "bmp rle": saved(grey, "BMP")[:30] + struct.pack("<I", 1) + bytes(9_000_000),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "pdf": b"%PDF-1.7\n1 0 obj",
        "svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        "empty": b"",
        "one byte": b"\xff",
        "random": random.Random(1).randbytes(100_000),
        "polyglot": jpeg[:2] + b"%!PS" + saved(grey, "PNG") + gif,
        "ok polyglot": jpeg + b"%PDF-1.7" + saved(grey, "PNG"),
    }  # fmt: skip
    return files


def test_generated_bombs(tmp_path):
    files = bombs()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    rows = measure([tmp_path / name for name in files])
    for row in rows:
        assert ("error" not in row) == row["file"].startswith("ok"), row


if __name__ == "__main__":
    work()
