"""Many users: photos' files through the engine, against one lock and one pass at a time."""

from __future__ import annotations

import io
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from resnet import view
from resnet.bench.compare import Row, compare, row
from resnet.bench.machine import has_amx
from resnet.bench.subjects import Subjects
from resnet.engine import CALLER, Caller, Engine
from resnet.engine.lane import Lane, threads
from resnet.images import read_photo
from resnet.weights import ASSETS

USERS = 16
ROUNDING = 0.5  # of logits, in bf16; in float32 they agree to 1e-3
# Seconds a photo and 95th percentile, engine / one lock: with AMX, and without.
WANTED = {True: (1 / 10, 1 / 10), False: (1 / 2.5, 1 / 4)}
Look = Callable[[Path], np.ndarray]  # a photo's file -> logits


@dataclass(frozen=True)
class Load:
    """What a number of users met who each sent photos without a pause."""

    users: int
    rate: float  # photos a second
    median: float  # seconds from a photo's file to its answer
    p95: float
    cpu: float  # processor seconds a photo


@contextmanager
def files(count: int) -> Iterator[list[Path]]:
    """So many different photos of about 0.2 megapixels, as files."""
    sources = sorted((ASSETS / "examples").glob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for i in range(count):
            with Image.open(sources[i % len(sources)]) as image:
                small = image.convert("RGB").resize((500 + i // len(sources), 400))
            made.append(Path(folder) / f"{i}.jpg")
            small.save(made[-1], "JPEG", quality=88)
        yield made


def load(look: Look, paths: list[Path], users: int) -> Load:
    """Each user sends its share of the photos, one after the other."""
    times: list[float] = []

    def user(number: int) -> None:
        CALLER.set(Caller(f"user {number}"))
        for path in paths[number::users]:
            started = time.perf_counter()
            look(path)
            times.append(time.perf_counter() - started)

    workers = [threading.Thread(target=user, args=(i,)) for i in range(users)]
    started, processor = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds, spent = time.perf_counter() - started, time.process_time() - processor
    times.sort()
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    rate = len(times) / seconds
    return Load(users, rate, statistics.median(times), p95, spent / len(times))


def one_lock(on: Subjects) -> Look:
    """What a demo does: a lock around the ordinary pass, nothing kept."""
    lock = threading.Lock()

    def look(path: Path) -> np.ndarray:
        seen = view.look(read_photo(path), on.net.spec)
        x = view.to_tensor(seen.image, on.net.spec)
        with lock, torch.inference_mode():
            return on.net(x).numpy()

    return look


@contextmanager
def through_the_engine(on: Subjects) -> Iterator[Look]:
    """As the server runs it; results are forgotten, so that every photo is worked on."""
    line = Lane()
    engine = Engine(on.net, memory=400 << 20, backend=on.best, line=line)

    def look(path: Path) -> np.ndarray:
        logits = engine.open(path).trace.logits.numpy()
        engine.forget(path)
        return logits

    try:
        with threads(1):
            yield look
    finally:
        line.close()


def rows(on: Subjects, runs: int) -> Iterator[Row]:
    """A lone user through the queue against a direct call."""
    with files(1) as (path,), through_the_engine(on) as ours:

        def direct() -> np.ndarray:
            seen = view.look(read_photo(path), on.net.spec)
            with threads(on_cores()):
                return on.best.trace(view.to_tensor(seen.image, on.net.spec)).logits.numpy()

        yield compare(f"a lone user through the queue / a direct call, {on.best.precision}",
                      lambda: ours(path), direct, max(5, runs), rounding(on), 1.15)  # fmt: skip


def rounding(on: Subjects) -> float:
    """By how much logits may differ."""
    return 1e-3 if on.best.precision == "fp32" else ROUNDING


def on_cores() -> int:
    """Threads of a direct call: what the lane has."""
    return Lane().threads


def many(on: Subjects, photos: int, rounds: int) -> tuple[list[Row], dict[str, Load]]:
    """USERS users through the engine and through one lock, in turn; also medians of the rounds."""
    with files(photos) as paths, through_the_engine(on) as ours:
        theirs = one_lock(on)
        difference = float(np.abs(ours(paths[0]) - theirs(paths[0])).max())
        if not difference <= rounding(on):
            raise RuntimeError("the engine gives another answer than the ordinary pass")
        load(ours, paths[:8], 8)  # the batch sizes are learned
        found: dict[str, list[Load]] = {"engine": [], "one lock": []}
        for _ in range(rounds):
            found["engine"].append(load(ours, paths, USERS))
            found["one lock"].append(load(theirs, paths, USERS))
    pairs = list(zip(found["engine"], found["one lock"], strict=True))
    rate, late = WANTED[has_amx() and on.half is not None]
    title = f"{USERS} users, engine {on.best.precision} / one lock, eager fp32:"
    each = [((1 / a.rate, a.cpu), (1 / b.rate, b.cpu)) for a, b in pairs]
    p95 = [((a.p95, 0.0), (b.p95, 0.0)) for a, b in pairs]
    made = [
        row(f"{title} a photo", each, difference, rate),
        row(f"{title} p95", p95, difference, late),
    ]
    return made, {name: _middle(loads) for name, loads in found.items()}


def _middle(loads: list[Load]) -> Load:
    return sorted(loads, key=lambda each: each.rate)[len(loads) // 2]


def growth(on: Subjects, counts: tuple[int, ...], photos: int) -> list[Load]:
    """Users 1 … many, the same photos."""
    with files(photos) as paths, through_the_engine(on) as ours:
        load(ours, paths[:8], 8)
        return [load(ours, paths, users) for users in counts]


def jpeg(image: Image.Image) -> bytes:
    """A file's bytes."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()
