"""How the cost grows with the work: photos, blocks cut, classes explained."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from resnet.analysis import Analysis
from resnet.bench.subjects import Subjects
from resnet.residual.gains import logits_of, plan_of
from resnet.residual.plan import with_gain


@dataclass(frozen=True)
class Step:
    """One amount of work."""

    what: str
    count: int
    cpu: float  # processor seconds in all
    each: float  # processor seconds for one of them


def steps(on: Subjects, photos: tuple[int, ...], runs: int) -> list[Step]:
    """Photos in passes of up to 8, lesions of 1 … 16 blocks, heat maps of 1 … 100 classes."""
    found = []
    for count in photos:
        sizes = [8] * (count // 8) + ([count % 8] if count % 8 else [])

        def passes(sizes: list[int] = sizes) -> None:
            for size in sizes:
                on.best.logits(on.x.expand(size, -1, -1, -1))

        found.append(_step("photos", count, passes, runs if count < 32 else 1))
    found += [_step("blocks cut", count, partial(_cut, on, count), runs) for count in (1, 4, 16)]
    analysis = Analysis(on.net, on.analysis.photo, on.analysis.view, on.best.trace(on.x), 0.0)
    for count in (1, 10, 100):

        def maps(count: int = count) -> None:
            for index in range(count):
                analysis.cam(index % analysis.net.spec.classes)

        found.append(_step("classes explained", count, maps, runs))
    return found


def _cut(on: Subjects, count: int) -> None:
    """Both lesions of so many blocks, spread evenly over the network."""
    plan = plan_of(on.analysis.trace)
    count = min(count, len(plan))
    chosen = [(2 * i + 1) * len(plan) // (2 * count) for i in range(count)]
    cuts = [(i, wire) for i in chosen for wire in ("branch", "shortcut")]
    plans = [(*plan[:i], with_gain(plan[i], wire, 0.0), *plan[i + 1 :]) for i, wire in cuts]
    logits_of(on.net, on.analysis.trace, plans)


def _step(what: str, count: int, work: Callable[[], None], runs: int) -> Step:
    times = []
    with torch.inference_mode(False):
        for _ in range(runs):
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
    seconds = statistics.median(times)
    return Step(what, count, seconds, seconds / count)
