"""`python -m resnet trace PHOTO`: every number and figure of *Inside* for one photo."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resnet.cli import options as shared

if TYPE_CHECKING:
    from resnet.analysis import Analysis
    from resnet.network import ResNet50
    from resnet.residual import (
        Budget,
        Evidence,
        Highway,
        Ledger,
        LesionBoard,
        NoReference,
        PathLengths,
        Reference,
        Timeline,
    )

FORMAT = 1  # of manifest.json and numbers.json
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Traced:
    """One photo, one class, everything that the two wires of each block say about it."""

    analysis: Analysis
    index: int  # the class
    budget: Budget
    evidence: Evidence
    ledger: Ledger
    lead: Ledger  # over the mean of all classes
    lesions: LesionBoard
    readouts: Timeline
    highway: Highway
    paths: PathLengths | None  # None if they were left out
    reference: Reference | NoReference
    seconds: float


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "trace",
        help="every number and figure of both wires, for one photo",
        description="Writes what each block's shortcut and branch carry for one photo, and what "
        "this network answers with wires cut: numbers.json, maps as .npy, figures as .svg, the "
        "Grad-CAM heat map, and manifest.json with what made them and each file's sha256.",
        epilog="Evidence maps are float32 [2, h, w], shortcut then branch, in logits; the ledger's "
        "are [parts, h, w]. The .svg files are for browsers.",
    )
    shared.add_photo_options(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--json", action="store_true",
        help="print one JSON object with the numbers and maps, and write no files",
    )  # fmt: skip
    where.add_argument(
        "--out", metavar="DIR",
        help="a new or empty folder (default: PHOTO.trace in the current folder)",
    )  # fmt: skip
    parser.add_argument(
        "--paths", action=argparse.BooleanOptionalAction, default=True,
        help="the gradient by path length, which takes most of the time (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="of the paths that are drawn (default: %(default)s)",
    )  # fmt: skip
    shared.add_progress_option(parser, "for the paths")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trace one photo; 1 if it could not be used."""
    from resnet.images import ImageError

    out = _out_folder(options)
    net = shared.load_network(options)
    try:
        traced = trace(net, shared.source(options.photo), options)
    except ImageError as error:
        if options.json:
            print(json.dumps({"file": options.photo, "error": str(error)}))
        shared.say(f"{options.photo}: {error}")
        return 1
    if out is None:
        head = {"file": options.photo, "seconds": round(traced.seconds, 4)}
        print(json.dumps(head | numbers(traced, with_maps=True)))
    else:
        from resnet.cli.trace_files import save

        count = save(traced, out, options)
        print("\n  ".join(_lines(traced, options.photo, out, count)))
    return 0


def _out_folder(options: argparse.Namespace) -> Path | None:
    """Where the files go; None if nowhere.

    Raises:
        UsageError: a file of that name, no folder to put it in, or a folder with files.  So no
            photo is overwritten, and no file of an earlier trace is taken for one of this.
    """
    if options.json:
        return None
    stem = "stdin" if options.photo == shared.STDIN else Path(options.photo).stem
    out = Path(options.out or f"{stem}.trace")
    try:
        if not out.parent.is_dir():
            raise shared.UsageError(f"--out {out}: there is no folder {out.parent}.")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise shared.UsageError(f"--out {out} is there already; name a new or empty folder.")
    except OSError as error:
        raise unwritable(out, error) from error
    return out


def unwritable(out: Path, error: OSError) -> shared.UsageError:
    """An error of the disk as a sentence for the user."""
    return shared.UsageError(f"--out {out} cannot be written: {error.strerror}.")


def trace(net: ResNet50, source: str | bytes, options: argparse.Namespace) -> Traced:
    """Everything, from one forward pass, one backward pass, the cuts and the paths.

    Args:
        source: path or bytes of the photo.
        options: `wanted`, `paths`, `seed`, `progress`.

    Raises:
        ImageError, UnknownClass, UsageError: with a sentence for the user.
    """
    from resnet.images import read_photo
    from resnet.residual.backward import backward
    from resnet.residual.evidence import evidence_of
    from resnet.residual.highway import highway_of
    from resnet.residual.reference import load_reference

    started = time.perf_counter()
    analysis = shared.analyze(net, read_photo(source))
    index = analysis.find(options.wanted)
    passed = backward(net, analysis.trace, index)
    return Traced(
        analysis,
        index,
        analysis.budget(),
        evidence_of(passed, index),
        analysis.ledger(index),
        analysis.ledger(index, against="mean"),
        analysis.lesions(index),
        analysis.readouts(index),
        highway_of(passed, index, "logit"),
        _paths(analysis, index, options) if options.paths else None,
        load_reference(net.spec),
        time.perf_counter() - started,
    )


def _paths(analysis: Analysis, index: int, options: argparse.Namespace) -> PathLengths:
    from resnet.residual import path_lengths

    with shared.bar((), options.progress, "path lengths", "path") as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return path_lengths(analysis.net, analysis.trace, index, seed=options.seed, progress=step)


def numbers(traced: Traced, with_maps: bool = False) -> dict:
    """Everything as plain values, the same for the same photo, weights and machine.

    Args:
        with_maps: also the maps of evidence and ledger, as nested lists.
    """
    analysis, index = traced.analysis, traced.index
    usual = traced.reference
    return {
        "format": FORMAT,
        **shared.facts(analysis.net),
        "class": {
            "index": index,
            "label": analysis.net.labels[index],
            "probability": float(analysis.probabilities[index]),
            "logit": float(analysis.trace.logits[0, index]),
        },
        "top": [asdict(prediction) for prediction in analysis.top(5)],
        "size": list(analysis.photo.size),
        "box": list(analysis.view.box),  # of the crop, in the photo's pixels
        "budget": traced.budget.to_dict(),
        "evidence": traced.evidence.to_dict(with_maps),
        "ledger": traced.ledger.to_dict(with_maps),
        "ledger_against_mean": traced.lead.to_dict(),
        "lesions": traced.lesions.to_dict(),
        "readouts": traced.readouts.to_dict(),
        "highway": traced.highway.to_dict(),
        "paths": traced.paths.to_dict() if traced.paths else None,
        "reference": {
            "caption": getattr(usual, "caption", None),  # of a Reference
            "missing": getattr(usual, "reason", None),  # of a NoReference
        },
    }


def _lines(traced: Traced, name: str, out: Path, count: int) -> list[str]:
    """The trace in a few sentences."""
    analysis, board = traced.analysis, traced.lesions
    label = shared.printable(board.label)
    chance = shared.percent(board.probability).strip()
    lines = [f"{shared.printable(name)}: {shared.in_words(analysis.net, traced.seconds)}"]
    lines += analysis.photo.notes
    lines.append(f"“{label}” ({traced.index}): {chance}, logit {traced.ledger.logit:.3f}.")
    if traced.index != board.answer.index:
        own = shared.printable(board.answer.label)
        lines.append(f"The network's own answer is “{own}”.")
    cut = {wire: [row for row in board.rows if row.wire == wire] for wire in ("shortcut", "branch")}
    flips = {wire: sum(row.flips for row in rows) for wire, rows in cut.items()}
    lines.append(
        f"Cut alone, {flips['shortcut']} of {len(cut['shortcut'])} shortcuts and "
        f"{flips['branch']} of {len(cut['branch'])} branches change this network's answer."
    )
    if traced.paths:
        length, of = traced.paths.mean_gradient, len(traced.budget.blocks)
        lines.append(
            f"By the gradient it brings back, a path takes {length:.1f} of {of} branches on "
            f"average; by count {traced.paths.mean_count:g}."
        )
    lines.append(
        f"Rounding: budget shares {traced.budget.error:.0e}, evidence "
        f"{traced.evidence.error:.0e} and ledger {abs(traced.ledger.error):.0e} logits."
    )
    lines.append(f"Written to {shared.printable(str(out))}: {count} files, listed in {MANIFEST}.")
    return lines
