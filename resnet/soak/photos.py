"""Photos to send: new ones that nobody has seen, and damaged ones; all from a seed."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image

from resnet.weights import ASSETS

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")


def fresh(seed: int, size: tuple[int, int] = (320, 240), kind: str = "JPEG") -> bytes:
    """A part of an example photo with a little noise: the same for a seed, new for another."""
    rng = np.random.default_rng(seed)
    paths = sorted((ASSETS / "examples").glob("*.jpg"))
    with Image.open(paths[seed % len(paths)]) as photo:
        width, height = photo.size
        scale = rng.uniform(0.6, 1.0)
        left, top = (int(rng.uniform(0, (1 - scale) * side)) for side in (width, height))
        box = (left, top, left + int(scale * width), top + int(scale * height))
        pixels = np.asarray(photo.convert("RGB").resize(size, box=box), np.int16)
    noisy = np.clip(pixels + rng.integers(-3, 4, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, kind)
    return file.getvalue()


def mutated(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of valid files of five formats, each damaged in one to four places."""
    rng = random.Random(seed)
    whole = {kind: fresh(seed + i, (96, 72), kind) for i, kind in enumerate(FORMATS)}
    for number in range(count):
        kind = FORMATS[number % len(FORMATS)]
        data = bytearray(whole[kind])
        done = [rng.choice(WAYS) for _ in range(rng.randint(1, 4))]
        for way in done:
            way(data, rng)
        yield f"{number:04d}-{'-'.join(way.__name__ for way in done)}.{kind.lower()}", bytes(data)


def _at(data: bytearray, rng: random.Random) -> int:
    """A place; the head of a file says how large it is, so half of them are there."""
    return rng.randrange(max(1, min(len(data), 64) if rng.random() < 0.5 else len(data)))


def flip(data: bytearray, rng: random.Random) -> None:
    """One bit."""
    if data:
        data[_at(data, rng)] ^= 1 << rng.randrange(8)


def large(data: bytearray, rng: random.Random) -> None:
    """A number that is as large as can be."""
    at = _at(data, rng)
    data[at : at + rng.choice((1, 2, 4))] = b"\xff" * rng.choice((1, 2, 4))


def noise(data: bytearray, rng: random.Random) -> None:
    """Some bytes of anything."""
    at = _at(data, rng)
    data[at : at + rng.randint(1, 200)] = rng.randbytes(rng.randint(1, 200))


def cut(data: bytearray, rng: random.Random) -> None:
    """The end is missing."""
    del data[rng.randrange(len(data) + 1) :]


def hole(data: bytearray, rng: random.Random) -> None:
    """A part in the middle is missing."""
    at = _at(data, rng)
    del data[at : at + rng.randint(1, 500)]


def again(data: bytearray, rng: random.Random) -> None:
    """A part stands twice."""
    at = _at(data, rng)
    data[at:at] = data[at : at + rng.randint(1, 500)]


def blank(data: bytearray, rng: random.Random) -> None:
    """Zeros in place of something."""
    at = _at(data, rng)
    span = min(rng.randint(1, 400), len(data) - at)
    data[at : at + span] = bytes(span)


def swap(data: bytearray, rng: random.Random) -> None:
    """Two parts have changed places."""
    a, b = sorted((_at(data, rng), _at(data, rng)))
    data[a : a + 16], data[b : b + 16] = data[b : b + 16], data[a : a + 16]


WAYS = (flip, large, noise, cut, hole, again, blank, swap)
