"""`python -m resnet.bench`: what is saved, on this machine, now.

Each row compares two ways to one answer: the answers are compared first, then both run in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resnet import heap
from resnet.bench import (
    agreement,
    camera,
    detectors,
    gpu,
    growth,
    one_pass,
    page,
    peers,
    shown,
    stages,
    users,
)
from resnet.bench.compare import Different, Row, Skipped
from resnet.bench.machine import machine, words
from resnet.bench.subjects import Subjects, subjects
from resnet.residual.plain import plain


@dataclass(frozen=True)
class Effort:
    """How much is run."""

    runs: int  # of each of a pair
    slow: int  # of a pair that takes seconds
    photos: int  # that many users send
    rounds: int
    grown: tuple[int, ...]  # photos
    crowds: tuple[int, ...]  # users
    parts: int  # of photos, for the agreement
    quick: bool = False


QUICK = Effort(3, 1, 16, 1, (1, 4, 16), (1, 16), 8, quick=True)
WHOLE = Effort(15, 5, 96, 3, (1, 10, 100, 1000), (1, 4, 16, 64), 56)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; exit status 1 if somewhere two answers differ."""
    about = "Measure what one pass, the back ends and the engine save against the libraries."
    parser = argparse.ArgumentParser(prog="python -m resnet.bench", description=about)
    parser.add_argument("--quick", action="store_true", help="fewer runs, under a minute")
    parser.add_argument("--peers", action="store_true", help="other libraries, where installed")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--chart", metavar="FILE", help="also draw them as a PNG")
    parser.add_argument("--backend", default="", metavar="NAME", help="not the fastest, this one")
    parser.add_argument("--threads", type=int, default=0, help="torch's, all cores if 0")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    effort = QUICK if options.quick else WHOLE
    here = machine()
    print(words(here))
    on = subjects(options.backend)
    print(f"back end: {on.backend.name}; {on.why}")
    print(f"in bf16:  {on.half.name if on.half else 'none'}; {on.why_half}\n\n{shown.heading()}")
    with torch.inference_mode(False):
        found = list(_told(rows(on, effort, options.peers)))
        loads_rows, loads = users.many(on, effort.photos, effort.rounds)
        found += list(_told([*loads_rows, *page.rows(on, effort.photos, effort.rounds)]))
        _say("16 users without a pause", shown.load_lines(loads))
        grown = growth.steps(on, effort.grown, effort.slow)
        _say("cost as the work grows", shown.step_lines(grown))
        crowd = users.growth(on, effort.crowds, effort.photos)
        for load in crowd:
            print(*shown.load_lines({"engine": load}), sep="\n")
        agreed = agreement.agreement(on, effort.parts)
        _say("precisions against eager fp32", shown.agreement_lines(agreed))
        frames = camera.frames(on, effort.runs)
        _say("a camera's frames, 640 x 480", shown.frame_lines(frames))
        profiles = {
            "example": stages.profile(on, users.jpeg(on.photo), effort.runs),
            "12 MP": stages.profile(on, on.large, effort.slow),
        }
        lines = (f"  {name}: {shown.stage_line(each).strip()}" for name, each in profiles.items())
        _say("one upload, stage by stage (median ms)", lines)
    if options.json:
        result: dict[str, Any] = {
            "machine": here, "backend": on.backend.name, "why": on.why,
            "bf16": on.half.name if on.half else "", "why bf16": on.why_half,
            "rows": [asdict(row) for row in found],
            "users": {name: asdict(load) for name, load in loads.items()},
            "growth": [asdict(step) for step in grown],
            "growth of users": [asdict(load) for load in crowd],
            "agreement": [asdict(each) for each in agreed],
            "camera": [asdict(each) for each in frames],
            "stages, ms": profiles,
        }  # fmt: skip
        Path(options.json).write_text(json.dumps(plain(result), indent=1) + "\n", "utf-8")
    if options.chart:
        drawn = [row for row in found if isinstance(row, Row)]
        shown.chart(drawn, words(here), Path(options.chart))
    return int(any(isinstance(each, Different) for each in found))


def rows(on: Subjects, effort: Effort, others: bool) -> Iterator[Row | Skipped]:
    """The comparisons of one user."""
    yield from _as_far(one_pass.rows(on, effort.runs, effort.slow))
    yield from _as_far(users.rows(on, effort.runs))
    if others:
        yield from _as_far(peers.rows(on, effort.runs, effort.slow))
    yield from _as_far(detectors.rows(on, effort.slow, effort.quick))
    yield from _as_far(gpu.rows(on, effort.runs))


def _as_far(found: Iterable[Row | Skipped]) -> Iterator[Row | Skipped]:
    """The rows up to a pair whose answers differ: that is told, and ends this group alone."""
    try:
        yield from found
    except RuntimeError as error:
        what, _, why = str(error).partition(": ")
        yield Different(what, f"NOT TIMED, and what follows in its group: {why or what}")


def _told(found: Iterable[Row | Skipped]) -> Iterator[Row | Skipped]:
    """The same, each printed as it comes."""
    for row in found:
        print(shown.line(row), flush=True)
        yield row


def _say(title: str, lines: Iterable[str]) -> None:
    print(f"\n{title}", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    heap.prepare()  # as the server does; both of a pair run with it
    sys.exit(main())
