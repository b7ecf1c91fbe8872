"""`python -m resnet lesions PHOTO`: the answer with each of the 32 wires cut, one at a time."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from resnet.cli import options as shared

if TYPE_CHECKING:
    from resnet.residual import LesionBoard


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "lesions",
        help="the answer with each wire cut, one at a time",
        description="Cuts the shortcut and the branch of every block, one at a time, and asks "
        "this network again: the probability of the class, and the answer then.",
        epilog="The baseline is the class whose probability is followed, with nothing cut; a "
        "row's label is the answer with that one wire cut.",
    )
    shared.add_photo_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, a cut a row")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Cut every wire once; 1 if the photo could not be used."""
    from resnet.images import ImageError, read_photo

    net = shared.load_network(options)
    try:
        source = shared.source(options.photo)
        started = time.perf_counter()
        photo = read_photo(source)
        board = shared.analyze(net, photo).lesions(options.wanted)
        seconds = time.perf_counter() - started
    except ImageError as error:
        if options.json:
            print(json.dumps({"file": options.photo, "error": str(error)}))
        shared.say(f"{options.photo}: {error}")
        return 1
    if options.json:
        print(json.dumps(as_json(board, options.photo)))
    else:
        title = f"{shared.printable(options.photo)}: {shared.in_words(net, seconds)}"
        print("\n  ".join([title, *photo.notes, *_lines(board)]))
    return 0


def as_json(board: LesionBoard, name: str) -> dict:
    """The cuts as the JSON answer tells them; probabilities 0..1 of the board's class."""
    return {
        "file": name,
        "baseline": {"label": board.label, "probability": board.probability},
        "lesions": [
            {
                "block": row.block,
                "wire": row.wire,
                "probability": row.probability,
                "label": row.answer.label,
            }
            for row in board.rows
        ],
    }


def _lines(board: LesionBoard) -> list[str]:
    """The cuts as aligned columns, those with another answer marked."""
    label = shared.printable(board.label)
    before = shared.percent(board.probability).strip()
    lines = [f"“{label}” ({board.index}) has {before} with nothing cut."]
    if board.index != board.answer.index:
        chance = shared.percent(board.answer.probability).strip()
        own = shared.printable(board.answer.label)
        lines.append(f"The network's own answer is “{own}” ({chance}).")
    lines.append(f"{'block':<7}{'wire':<10}{'then':>8}  {'change':>8}    answer")
    for row in board.rows:
        mark = "*" if row.flips else " "
        lines.append(
            f"{row.block:<7}{row.wire:<10}{shared.percent(row.probability)}"
            f"  {100 * row.change:>+8.2f}  {mark} {shared.printable(row.answer.label)}"
        )
    flips = sum(row.flips for row in board.rows)
    lines.append(f"* another answer than with nothing cut: {flips} of {len(board.rows)} cuts.")
    return lines
