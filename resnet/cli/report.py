"""`python -m resnet report PHOTO`: everything about one photo, to keep or to hand on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from resnet.cli import options as shared
from resnet.cli.explain import COLOUR_MAPS, METHOD_NAMES
from resnet.cli.trace import unwritable

if TYPE_CHECKING:
    from resnet.network import ResNet50
    from resnet.report import Report

NO_BOXES = "none"


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "report",
        help="a self-contained report of one photo, with everything to make it again",
        description="Answers, heat map, boxes, wiring diagram and all figures of one photo as one "
        "HTML file that asks nothing of any host, with pictures, arrays (.npy), numbers (JSON), "
        "tables (CSV) and manifest.json: versions, hashes, options and seeds.",
        epilog="The same photo, weights and options give the same bytes on the same machine. There "
        "is no date in it, unless SOURCE_DATE_EPOCH is set.",
    )
    shared.add_photo_options(parser)
    parser.add_argument(
        "--out", metavar="WHERE",
        help="a new or empty folder for everything; FILE.zip for the same as a ZIP; FILE.html for "
        "the report alone (default: PHOTO.report in the current folder)",
    )  # fmt: skip
    parser.add_argument(
        "--method", choices=METHOD_NAMES, default="gradcam", metavar="M",
        help="of the heat map: %(choices)s (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--block", metavar="B", help="of the heat map (default: the last)")
    parser.add_argument(
        "--colour-map", choices=COLOUR_MAPS, default="viridis", metavar="NAME",
        help="%(choices)s (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--detector", default="offline", metavar="D",
        help="whose boxes are shown: offline, offline-quick, auto, another's name, or none "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--score", type=shared.share, default=0.5, metavar="X",
        help="lowest score of a box, 0 to 1 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--paths", action=argparse.BooleanOptionalAction, default=False,
        help="also the gradient by path length, which takes longest (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="of the paths that are drawn (default: %(default)s)",
    )  # fmt: skip
    shared.add_progress_option(parser, "while it is made")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the report; 1 if the photo could not be used."""
    from resnet.images import ImageError

    out = out_place(options.out, options.photo)
    net = shared.load_network(options)
    try:
        report = make(net, shared.source(options.photo), options)
    except ImageError as error:
        shared.say(f"{options.photo}: {error}")
        return 1
    count = save(report, out)
    label, probability = report.analysis.top(1)[0]
    print(
        f"{shared.printable(options.photo)}: “{shared.printable(label)}” "
        f"{shared.percent(probability).strip()}, by {net.spec.name}.\n"
        f"  Written to {shared.printable(str(out))}: {count}."
    )
    return 0


def out_place(out: str | None, photo: str) -> Path:
    """Where the report goes.

    Raises:
        UsageError: there is no folder for it, or it is there already: nothing is overwritten.
    """
    stem = "stdin" if photo == shared.STDIN else Path(photo).stem
    place = Path(out or f"{stem}.report")
    try:
        if not place.parent.is_dir():
            raise shared.UsageError(f"--out {place}: there is no folder {place.parent}.")
        if place.is_dir() and place.suffix not in (".html", ".zip") and not any(place.iterdir()):
            return place
        if place.exists():
            raise shared.UsageError(f"--out {place} is there already; name a new one.")
    except OSError as error:
        raise unwritable(place, error) from error
    return place


def make(net: ResNet50, source: str | bytes, options: argparse.Namespace) -> Report:
    """The report.

    Raises:
        ImageError, UnknownClass, CamError, UsageError: with a sentence for the user.
    """
    from resnet import detect, detectors
    from resnet.images import read_photo
    from resnet.report import Choices, gather

    wanted = "" if options.detector == NO_BOXES else detectors.choose(options.detector)
    choices = Choices(
        options.wanted, options.method, options.block, options.colour_map, wanted,
        options.score, options.paths, options.seed,
    )  # fmt: skip
    analysis = shared.analyze(net, read_photo(source))
    with shared.bar((), options.progress, "report", "%") as bar:
        bar.total = 100

        def step(share: float, words: str) -> None:
            bar.set_description(words)
            bar.update(round(100 * share) - bar.n)

        return gather(analysis, choices, lambda name: detect.sight(net, source, name), step)


def save(report: Report, out: Path) -> str:
    """Write it as the name of the place asks; what was written, in words.

    Raises:
        UsageError: it cannot be written.
    """
    from resnet.report import files, to_html, to_zip

    try:
        if out.suffix == ".html":
            out.write_text(to_html(report), "utf-8")
            return "the report"
        if out.suffix == ".zip":
            out.write_bytes(to_zip(report))
            return "the report, its figures and numbers"
        made = files(report)
        for name, data in made.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise unwritable(out, error) from error
    return f"{len(made)} files, listed in manifest.json; open report.html"
