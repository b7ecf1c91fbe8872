"""`python -m resnet classify PHOTO…`: what is in these photos."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from resnet.cli import options as shared

if TYPE_CHECKING:
    from resnet.classify import Prediction
    from resnet.network import ResNet50

FEW = 3  # so many photos are done before a progress bar has been read


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "classify",
        help="what is in one or many photos",
        description="The most probable classes of each photo.",
        epilog="The seconds are those from opening the file to the answer, without loading the "
        "weights. A photo that cannot be read is reported in its place and the others still come; "
        "the exit status is then 1.",
    )
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO",
        help="photos; a folder stands for the photos in it, - for standard input",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=shared.count, default=5, metavar="K",
        help="how many classes to name (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON array, a photo a row")
    shared.add_progress_option(parser, f"for more than {FEW} photos")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Classify every photo; 1 if any could not be used."""
    from resnet.images import ImageError

    net = shared.load_network(options)
    names = shared.expand(options.photos)
    rows: list[dict] = []
    status = 0
    for name in shared.bar(names, options.progress, "classify", "photo", len(names) > FEW):
        try:
            row, text = _answer(net, name, options.top)
        except ImageError as error:
            row, text, status = {"file": name, "error": str(error)}, "", 1
            shared.say(f"{name}: {error}")
        if options.json:
            rows.append(row)
        elif text:
            shared.write(text)
    if options.json:
        print("[" + ",\n ".join(map(json.dumps, rows)) + "]")
    return status


def _answer(net: ResNet50, name: str, k: int) -> tuple[dict, str]:
    """One photo -> its row of the JSON array and its block of text.

    Raises:
        ImageError: the photo cannot be used.
    """
    from resnet.images import read_photo

    started = time.perf_counter()
    photo = read_photo(shared.source(name))
    top = shared.analyze(net, photo).top(k)
    seconds = time.perf_counter() - started
    row = {"file": name, **shared.facts(net), "seconds": round(seconds, 4)}
    row["top"] = [asdict(prediction) for prediction in top]
    title = f"{shared.printable(name)}: {shared.in_words(net, seconds)}"
    return row, "\n".join([title, *(f"  {note}" for note in photo.notes), table(top), ""])


def table(top: list[Prediction]) -> str:
    """Probability, name and index in aligned columns, one class a line."""
    labels = [shared.printable(prediction.label) for prediction in top]
    width = max(map(len, labels))
    return "\n".join(
        f"  {shared.percent(prediction.probability)}  {label:<{width}}  {prediction.index:>4}"
        for prediction, label in zip(top, labels, strict=True)
    )
