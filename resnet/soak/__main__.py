"""`python -m resnet.soak`: run the steps, print a table; exit status 1 if a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from resnet.soak import steps
from resnet.soak.server import ROOT, Running, running

HOSTILE = ROOT.parent / "shared" / "data" / "hostile"
STEPS = ("attacks", "hostile", "mutated", "fairness", "load", "leaks")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m resnet.soak",
        description="Start the page and see whether it holds: attacks, damaged files, many users, "
        "one greedy user, memory.",
    )
    parser.add_argument("--quick", action="store_true", help="two minutes instead of an hour")
    parser.add_argument("--only", default=",".join(STEPS), metavar="A,B",
                        help=f"some of the steps (default: {','.join(STEPS)})")  # fmt: skip
    for name, whole, quick, text in (
        ("users", 64, 16, "users at once"),
        ("seconds", 300, 20, "of load"),
        ("mutations", 2000, 100, "damaged files"),
        ("analyses", 3000, 90, "photos that are looked at to find leaks"),
        ("batch", 500, 60, "photos of the greedy user"),
    ):
        parser.add_argument(f"--{name}", type=int, metavar="N",
                            help=f"{text} (default: {whole}; quick: {quick})")  # fmt: skip
        parser.set_defaults(**{f"{name}_of": (whole, quick)})
    parser.add_argument("--hostile", type=Path, default=HOSTILE, metavar="DIR",
                        help="folder of broken pictures; left out where there is none")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(arguments)
    options.only = tuple(part for part in options.only.split(",") if part)
    if unknown := set(options.only) - set(STEPS):
        parser.error(f"there is no step “{sorted(unknown)[0]}”; there are {', '.join(STEPS)}")
    for name in ("users", "seconds", "mutations", "analyses", "batch"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(options, f"{name}_of")[options.quick])
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    made: dict[str, dict] = {}
    rounds = 12 if options.quick else 40
    ways: dict[str, Callable[[Running], object]] = {
        "hostile": lambda server: steps.hostile(server, options.hostile),
        "mutated": lambda server: steps.mutations(server, options.mutations),
        "fairness": lambda server: steps.fairness(server, options.batch, rounds),
        "load": lambda server: steps.load(server, options.users, options.seconds),
        "leaks": lambda server: steps.leaks(server, options.analyses),
    }
    for name in (step for step in STEPS if step in options.only):
        if name == "hostile" and not options.hostile.is_dir():
            print(f"\nhostile: left out, there is no folder {options.hostile}")
            continue
        started = time.perf_counter()
        if name == "attacks":
            found = steps.attacks()
        else:
            with running() as server:  # a new one each, so that memory tells of this step
                found = asyncio.run(ways[name](server))  # type: ignore[arg-type]
                failures = server.failures()
                found["failures in the log"] = failures
                if failures or not server.alive():
                    found["bad"].append(f"{failures} failures in the log")
        found["took, s"] = time.perf_counter() - started
        made[name] = found
        show(name, found)
        if options.json:
            options.json.write_text(json.dumps(made, indent=1))
    broken = sum(bool(found["bad"]) for found in made.values())
    print(f"\n{len(made) - broken} of {len(made)} steps held.")
    return 1 if broken else 0


def show(name: str, found: dict) -> None:
    """Print a step's figures."""
    print(f"\n{name}: {'HELD' if not found['bad'] else 'NOT HELD'}")
    for key, value in found.items():
        if key == "bad":
            for line in value[:10]:
                print(f"  ! {line}")
        elif isinstance(value, dict):
            if all(isinstance(inner, dict) for inner in value.values()):
                for inner, figures in value.items():
                    print(f"  {inner:>24}  {_line(figures)}")
            else:
                print(f"  {key:>24}  {_line(value)}")
        else:
            print(f"  {key:>24}  {_figure(value)}")
    sys.stdout.flush()


def _line(figures: dict) -> str:
    return ", ".join(f"{key} {_figure(value)}" for key, value in figures.items())


def _figure(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else (
        f"{value:,.0f}" if isinstance(value, float) else str(value)
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
