"""Make `assets/reference/he2015.json`: `python -m resnet.train.reference FOLDER`.

Measures every figure of *Inside* over a folder of photos and writes quartiles.  If file names
begin with a class index (`0000_tench.jpg`), the science section adds the share of right answers
with wires cut, blocks swapped, and gains changed.  Two to five seconds a photo on a CPU; Ctrl-C
writes what was measured until then (photos come in a shuffled order, so any part is a fair one).
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import platform
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch

from resnet.images import ImageError
from resnet.network import ResNet50, Trace
from resnet.residual.backward import backward
from resnet.residual.budget import signal_budget
from resnet.residual.evidence import evidence_of
from resnet.residual.gains import logits_of, run
from resnet.residual.highway import gradient_highway, highway_of
from resnet.residual.ledger import logit_ledger
from resnet.residual.lesions import lesions
from resnet.residual.plan import (
    all_shortcuts_off,
    identity_blocks,
    identity_branch_gain,
    random_blocks_cut,
    repeated,
    swap_pairs,
    swapped,
)
from resnet.residual.readouts import shortcut_readouts
from resnet.residual.reference import FOLDER, FORMAT
from resnet.train.tally import Tally, interval

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
GAINS = (0.0, 0.5, 0.75, 1.25, 1.5)
RANDOM_COUNTS = (2, 3, 4, 6, 8)
PRESETS_EVERY = 2  # the switchboard's presets cost as much as all the rest: every second photo


def measure(net: ResNet50, trace: Trace, truth: int | None, number: int, tally: Tally) -> None:
    """Add all figures of one photo to the tally.

    Args:
        truth: the photo's class index, None if unknown (no accuracies then).
        number: of the photo; seeds the random cuts.
    """
    budget = signal_budget(trace)
    for b in budget.blocks:
        for figure in ("ratio", "cos", "novelty", "zeros", "share_s", "share_f", "share_cross"):
            tally.add(f"budget.{figure}", b.block, getattr(b, figure))
    board = lesions(net, trace)
    for row in board.rows:
        tally.add(f"lesions.{row.wire}.change", row.block, row.change)
        tally.count(f"lesions.{row.wire}.flips", row.block, row.flips)
    index = board.answer.index
    passed = backward(net, trace, index)
    for e in evidence_of(passed, index).blocks:
        tally.add("evidence.shortcut_share", e.block, e.share)
    ledger = logit_ledger(net, trace, index, against="mean")
    for entry in ledger.entries:
        tally.add("ledger.share", entry.part, entry.logit / ledger.logit)
    tally.add("ledger.error", "logit", abs(logit_ledger(net, trace, index).error))
    for readout in shortcut_readouts(net, trace, index).rows:
        tally.add("readouts.probability", readout.block, readout.probability)
        tally.count("readouts.agrees", readout.block, readout.agrees)
        if truth is not None:
            tally.count("accuracy.readouts", readout.block, readout.top[0].index == truth)
    for g in highway_of(passed, index, "logit").blocks:
        tally.add("highway.ratio", g.block, g.ratio)
    if truth is not None:
        tally.count("accuracy", "baseline", index == truth)
        for row in board.rows:
            tally.count(f"accuracy.{row.wire}_cut", row.block, row.answer.index == truth)
    if truth is not None and number % PRESETS_EVERY == 0:
        for (figure, part), answer in changed_answers(net, trace, number).items():
            tally.count(f"accuracy.{figure}", part, answer == truth)
        for g in gradient_highway(net, trace, truth, "loss").blocks:
            tally.add("highway.cos_branch_loss_gradient", g.block, g.cos_branch_output)


def changed_answers(net: ResNet50, trace: Trace, number: int) -> dict[tuple[str, str], int]:
    """The answer (class index) of this network under each preset of the switchboard."""
    plans = {("identity_branch_gain", f"{g:g}"): identity_branch_gain(net, g) for g in GAINS}
    for count in (n for n in RANDOM_COUNTS if n <= len(identity_blocks(net))):
        key = ("random_branches_cut", str(count))
        plans[key] = random_blocks_cut(net, count, seed=1000 * count + number)
    plans["all", "shortcuts_off"] = all_shortcuts_off(net)
    answers = logits_of(net, trace, list(plans.values())).argmax(1).tolist()
    found = dict(zip(plans, answers, strict=True))
    later = [n for n in net.block_names if n.startswith("3.") and n != "3.0"]
    alone = {("swap", f"{a}-{b}"): swapped(net, a, b) for a, b in swap_pairs(net)}
    alone["repeat_stage_3", "half_steps"] = repeated(net, later, 2, scaled=True)
    alone["repeat_stage_3", "un_scaled"] = repeated(net, later, 2, scaled=False)
    for key, plan in alone.items():
        found[key] = int(run(net, trace, plan).logits.argmax())
    return found


def photos_in(folder: Path) -> list[Path]:
    """Photos of a folder, shuffled by the hash of their names: always the same order."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return sorted(found, key=lambda path: hashlib.sha256(path.name.encode()).digest())


def class_of(path: Path, classes: int) -> int | None:
    """The class index at the head of a file name, `0417_balloon.jpg` -> 417; None if absent."""
    found = re.match(r"(\d{4})_", path.name)
    return int(found[1]) if found and int(found[1]) < classes else None


def reference(net: ResNet50, folder: Path, limit: int | None = None, quiet: bool = False) -> dict:
    """All figures over the photos of a folder, as the content of the shipped file.

    Args:
        limit: no more photos than this.

    Raises:
        ValueError: no photo in the folder can be read.
    """
    paths = photos_in(folder)[:limit]
    tally, started = Tally(), time.monotonic()
    names: list[str] = []
    for path in paths:
        try:
            digest = _one(net, path, len(names), tally)
        except ImageError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        except KeyboardInterrupt:
            print("\nStopped; writing what was measured.", file=sys.stderr)
            break
        names.append(f"{path.name} {digest}")
        if not quiet:
            left = (time.monotonic() - started) / len(names) * (len(paths) - len(names))
            print(f"\r{len(names)}/{len(paths)}, {left:.0f} s left ", end="", flush=True)
    if not names:
        raise ValueError(f"There is no photo in {folder.name} that can be read.")
    return {
        "format": FORMAT,
        "weights": {"name": net.spec.name, "sha256": net.spec.sha256},
        "photos": len(names),
        "date": datetime.date.today().isoformat(),
        "inputs": {
            "what": f"{len(names)} of {len(photos_in(folder))} photos of the folder {folder.name}",
            "sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "explained": {
            "figures": "25, 50 and 75 % over the photos, for each photo's own top class",
            "shares": "share of the photos, 0 ... 1",
            "science": "[share of right answers, 95 % Wilson interval low, high, photos]; an "
            "easy sample: read differences, not levels",
        },
        "figures": tally.quartiles(),
        "shares": {k: v for k, v in tally.shares().items() if not k.startswith("accuracy")},
        "science": science(tally),
    }


def _one(net: ResNet50, path: Path, number: int, tally: Tally) -> str:
    """Measure one photo; its sha256.  An interrupt leaves the tally as it was before."""
    trace = net.analyze(str(path)).trace
    own = Tally()
    measure(net, trace, class_of(path, net.spec.classes), number, own)
    tally.merge(own)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def science(tally: Tally) -> dict[str, dict[str, list[float]]]:
    """Accuracies with their intervals: figure -> part -> [share, low, high, photos]."""
    return {
        figure: {
            part: [round(x, 4) for x in (yes / of, *interval(yes, of), of)]
            for part, (yes, of) in parts.items()
        }
        for figure, parts in tally.counts().items()
        if figure.startswith("accuracy")
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m resnet.train.reference", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="default: assets/reference/WEIGHTS.json")
    parser.add_argument("--weights", default="he2015")
    parser.add_argument("--limit", type=int, help="no more photos than this")
    chosen = parser.parse_args(arguments)
    if not chosen.folder.is_dir():
        parser.error(f"{chosen.folder} is not a folder")
    net = ResNet50.load(chosen.weights)
    content = reference(net, chosen.folder, chosen.limit)
    out = chosen.out or FOLDER / f"{net.spec.name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, allow_nan=False)
    # One line a list of numbers: easy to read and to compare.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    out.write_text(text + "\n", "utf-8")
    print(f"\n{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
