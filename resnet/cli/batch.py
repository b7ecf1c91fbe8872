"""`python -m resnet batch FILES…`: what is in all of these photos, and how often that is right."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from resnet.cli import options as shared

if TYPE_CHECKING:
    from resnet.batch import BatchResult, BatchRow, Collection
    from resnet.network import ResNet50


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "batch",
        help="many photos in one go, with accuracy and calibration where labels are given",
        description="Classifies photos, folders of photos and ZIPs of photos, several at a time.",
        epilog="A list is a CSV with the columns file and label (a class's name or index); the "
        "label may be left out. Files that a list among FILE names and that were not given are "
        "opened from its own folder. A photo that cannot be used is reported and the others "
        "still come; the exit status is then 1.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE",
        help="photos, folders, ZIPs of photos, lists (.csv, .tsv)",
    )  # fmt: skip
    # `--labels` names the classes of one's own weights, here as in every command.
    parser.add_argument("--truth", metavar="CSV", help="a list with the true label of each photo")
    parser.add_argument(
        "--out", metavar="DIR", type=Path,
        help="a new or empty folder for results.csv, results.json, contact sheets, figures and "
        "manifest.json; a name that ends in .zip makes one file of them",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--size", type=shared.count, default=8, metavar="N",
        help="photos in one forward pass (default: %(default)s)",
    )  # fmt: skip
    shared.add_progress_option(parser, "always")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the batch; 1 if any photo could not be used."""
    from resnet.batch import BatchError, collect

    if options.out:
        _check(options.out)
    if options.truth and not Path(options.truth).is_file():
        raise shared.UsageError(f"--truth {options.truth}: there is no such file.")
    try:
        with collect(shared.expand(options.files), truth=options.truth, follow=True) as photos:
            result = _run(shared.load_network(options), photos, options)
    except BatchError as error:
        raise shared.UsageError(str(error)) from error
    if options.out:
        _write(result, options.out)
    if options.json:
        print(json.dumps(result.to_dict()))
    else:
        shared.write("\n".join(summary(result)))
    return 1 if result.failed else 0


def _run(net: ResNet50, photos: Collection, options: argparse.Namespace) -> BatchResult:
    from resnet.batch import BatchResult, facts_of, run_batch

    started = time.perf_counter()
    rows = []
    with shared.bar((), options.progress, "batch", "photo") as bar:
        bar.total = len(photos)
        for row in run_batch(net, photos, options.size):
            rows.append(row)
            bar.update()
            if not row.ok:
                shared.say(f"{row.name}: {row.reason}")
            elif not options.json:
                shared.write(line(row))
    seconds = time.perf_counter() - started
    made = facts_of(net, size=options.size)
    return BatchResult(tuple(rows), net.labels, len(photos), seconds, made, photos.notes)


def line(row: BatchRow) -> str:
    """One usable photo: confidence, answer, and the true label where it is another."""
    label, probability = row.top5[0]
    words = f"{shared.percent(probability)}  {label}"
    if row.correct is False and row.truth is not None:
        words += f"  (is {row.truth.label}, rank {row.truth.rank})"
    return shared.printable(f"{words}  {row.name}")


def summary(result: BatchResult) -> list[str]:
    """The batch in a few sentences."""
    counts, made = result.counts, result.made
    each = result.seconds / max(1, counts["seen"])
    lines = [
        f"{counts['usable']:,} of {counts['planned']:,} photos with {made['weights']['name']} on "
        f"{made['device']}, {made['precision']}: {result.seconds:.1f} s, {each:.3f} s a photo"
    ]
    lines += [f"  {note}" for note in result.notes]
    if accuracy := result.accuracy:
        found = accuracy.to_dict()
        lines.append(
            f"  top-1 {100 * found['top1']:.1f} %, top-5 {100 * found['top5']:.1f} % of "
            f"{accuracy.photos:,} photos with a true label"
        )
    if reliability := result.calibration():
        lines.append(
            f"  mean confidence {100 * reliability.confidence:.1f} %, expected calibration error "
            f"{100 * reliability.ece:.1f} % ({len(reliability.bins)} bins)"
        )
    if (confused := result.confusion()) and confused.mistakes:
        lines += [
            f"  {mistake.photos:>5} x {mistake.truth} taken for {mistake.answer}"
            for mistake in confused.mistakes[:5]
        ]
    return [shared.printable(text) for text in lines]


def _check(out: Path) -> None:
    """Refuse, before an hour's work, a place that cannot take the files or has some already."""
    try:
        if not out.parent.is_dir():
            raise shared.UsageError(f"--out {out}: there is no folder {out.parent}.")
        folder = out.is_dir() and out.suffix != ".zip" and not any(out.iterdir())
        if out.exists() and not folder:
            raise shared.UsageError(f"--out {out} is there already; name a new or empty folder.")
    except OSError as error:
        raise _unwritable(out, error) from error


def _write(result: BatchResult, out: Path) -> None:
    from resnet.batch.export import to_folder

    try:
        if out.suffix == ".zip":
            with open(out, "xb") as file:
                result.to_zip(file)
        else:
            to_folder(result, out)
    except OSError as error:
        raise _unwritable(out, error) from error
    print(f"resnet: written to {shared.printable(str(out))}", file=sys.stderr)


def _unwritable(out: Path, error: OSError) -> shared.UsageError:
    return shared.UsageError(f"--out {out} cannot be written: {error.strerror}.")
