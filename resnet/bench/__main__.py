"""`python -m resnet.bench`: what is saved, on this machine, now.

Each row compares two ways to one answer: the answers are compared first, then both run in turn.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from resnet.bench import growth, one_pass, peers, shown, stages, users
from resnet.bench.compare import Row, Skipped
from resnet.bench.machine import machine, words
from resnet.bench.subjects import subjects
from resnet.residual.plain import plain

ELSEWHERE = (
    Skipped("RetinaNet v2, Faster R-CNN v2 / their fp32 eager", "asked for with AMX; not here"),
    Skipped("latency and throughput on a GPU", "no GPU on this machine"),
)


def main(arguments: list[str] | None = None) -> None:
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
    runs = 3 if options.quick else 15
    here = machine()
    print(words(here))
    on = subjects(options.backend)
    print(f"back end: {on.backend.name}; {on.why}\n\n{shown.heading()}")

    found: list[Row | Skipped] = []
    with torch.inference_mode(False):
        sources = [one_pass.rows(on, runs), users.rows(on, runs)]
        sources += [peers.rows(on, runs)] if options.peers else []
        for row in (row for source in sources for row in source):
            print(shown.line(row), flush=True)
            found.append(row)
        for row in ELSEWHERE:
            print(shown.line(row))
            found.append(row)
        loads = users.many(on, 32 if options.quick else 96, 1 if options.quick else 3)
        print("\n16 users without a pause", *shown.load_lines(loads), sep="\n", flush=True)
        most, counts = (16, (1, 16)) if options.quick else (256, (1, 4, 16, 64))
        grown = growth.steps(on, most, max(2, runs // 5))
        print("\ncost as the work grows", *shown.step_lines(grown), sep="\n", flush=True)
        crowd = users.growth(on, counts, 32 if options.quick else 64)
        print(*(line for load in crowd for line in shown.load_lines({"engine": load})), sep="\n")
        small = users.jpeg(on.photo)
        profiles = {
            "example": stages.profile(on, small, runs),
            "12 MP": stages.profile(on, on.large, max(2, runs // 3)),
        }
        print("\none upload, stage by stage (median ms)")
        for name, profile in profiles.items():
            print(f"  {name}:", shown.stage_line(profile).strip())
    if options.json:
        result: dict[str, Any] = {
            "machine": here, "backend": on.backend.name, "why": on.why,
            "rows": [asdict(row) for row in found],
            "users": {name: asdict(load) for name, load in loads.items()},
            "growth": [asdict(step) for step in grown],
            "growth of users": [asdict(load) for load in crowd],
            "stages, ms": profiles,
        }  # fmt: skip
        Path(options.json).write_text(json.dumps(plain(result), indent=1) + "\n", "utf-8")
    if options.chart:
        drawn = [row for row in found if isinstance(row, Row)]
        shown.chart(drawn, words(here), Path(options.chart))


if __name__ == "__main__":
    main()
