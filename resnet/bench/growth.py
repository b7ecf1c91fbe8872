"""How the cost grows with the work: photos in a batch, blocks kept, classes explained."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from resnet.analysis import Analysis
from resnet.bench.subjects import Subjects


@dataclass(frozen=True)
class Step:
    """One amount of work."""

    what: str
    count: int
    cpu: float  # processor seconds in all
    each: float  # processor seconds for one of them


def steps(on: Subjects, most: int, runs: int) -> list[Step]:
    """Photos 1 … `most` in passes of up to 8, and heat maps of 1 … 100 classes."""
    found = []
    for count in _powers(most):
        sizes = [8] * (count // 8) + ([count % 8] if count % 8 else [])

        def passes(sizes: list[int] = sizes) -> None:
            for size in sizes:
                on.backend.logits(on.x.expand(size, -1, -1, -1))

        found.append(_step("photos", count, passes, runs if count < 32 else 1))
    analysis = Analysis(on.net, on.analysis.photo, on.analysis.view, on.backend.trace(on.x), 0.0)
    for count in (1, 10, 100):

        def maps(count: int = count) -> None:
            for index in range(count):
                analysis.cam(index % analysis.net.spec.classes)

        found.append(_step("classes explained", count, maps, runs))
    return found


def _powers(most: int) -> list[int]:
    found, count = [], 1
    while count <= most:
        found.append(count)
        count *= 4
    return found


def _step(what: str, count: int, work: Callable[[], None], runs: int) -> Step:
    times = []
    with torch.inference_mode(False):
        for _ in range(runs):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
    seconds = statistics.median(times)
    return Step(what, count, seconds, seconds / count)
