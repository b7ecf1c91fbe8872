"""`python -m resnet compare A B`: two answers side by side, and where the two part."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from resnet.cli import options as shared
from resnet.cli.explain import METHOD_NAMES
from resnet.cli.trace import unwritable

if TYPE_CHECKING:
    from resnet.analysis import Analysis
    from resnet.network import ResNet50
    from resnet.verbs import Compared


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="two photos, or one photo under two sets of weights",
        description="Both top lists in one table with ranks and differences, how far the answers "
        "agree, and after each block how alike the two streams are.",
        epilog="The same photo twice with two sets of weights asks what another training changes. "
        "A cosine needs the same weights on both sides; linear CKA does not, and is used then.",
    )
    parser.add_argument("a", metavar="A", help="a photo; - for standard input")
    parser.add_argument("b", metavar="B", help="another, or the same")
    parser.add_argument(
        "--weights-a", default="he2015", metavar="W",
        help="of A: he2015, imagenet1k-v1, imagenet1k-v2, or a file (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--weights-b", metavar="W", help="of B (default: those of A)")
    parser.add_argument(
        "--top", type=shared.count, default=5, metavar="K",
        help="how many classes of each (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--class", dest="wanted", metavar="C",
        help="of the heat maps in --out: name, part of a name, or index (default: A's answer)",
    )  # fmt: skip
    parser.add_argument(
        "--method", choices=METHOD_NAMES, default="gradcam", metavar="M",
        help="of the heat maps in --out: %(choices)s (default: %(default)s)",
    )  # fmt: skip
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--json", action="store_true", help="print one JSON object")
    where.add_argument(
        "--out", metavar="DIR", type=Path,
        help="a new or empty folder for numbers.json, tables (CSV), figures (SVG), both heat maps "
        "on one colour scale (PNG) and manifest.json",
    )  # fmt: skip
    group = parser.add_argument_group("network")
    group.add_argument("--labels", metavar="FILE", help="class names of your own weights")
    group.add_argument("--device", default="auto", metavar="D", help="as of `classify`")
    group.add_argument("--precision", default="auto", metavar="P", help="as of `classify`")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare; 1 if a photo could not be used."""
    from resnet.images import ImageError
    from resnet.verbs import compared

    if options.out:
        _check(options.out)
    if options.a == options.b == shared.STDIN:
        raise shared.UsageError("Only one of the two photos can come from standard input.")
    nets = _networks(options)
    started = time.perf_counter()
    sides = []
    for name, net in zip((options.a, options.b), nets, strict=True):
        try:
            sides.append(_look(net, name))
        except ImageError as error:
            if options.json:
                print(json.dumps({"file": name, "error": str(error)}))
            shared.say(f"{name}: {error}")
            return 1
    a, b = sides
    found = compared(a, b, options.top)
    seconds = time.perf_counter() - started
    if options.json:
        print(json.dumps(_numbers(found, options)))
        return 0
    lines = _lines(found, options, seconds)
    if options.out:
        from resnet.cli.compare_files import save

        made = save(a, b, found, options)
        lines.append(f"  Written to {shared.printable(str(options.out))}: {made} files.")
    print("\n".join(lines))
    return 0


def _look(net: ResNet50, name: str) -> Analysis:
    from resnet.images import read_photo

    return shared.analyze(net, read_photo(shared.source(name)))


def _networks(options: argparse.Namespace) -> list[ResNet50]:
    """A's and B's; the same object if they have the same weights.

    Raises:
        WeightsError, DeviceError: with a sentence for the user.
    """
    from resnet import weights
    from resnet.network import ResNet50

    names = [options.weights_a, options.weights_b or options.weights_a]
    if options.labels and all(name in weights.named() for name in names):
        raise shared.UsageError("--labels is for your own weights; these bring their own.")
    made: dict[str, ResNet50] = {}
    for name in names:
        if name not in made:
            labels = None if name in weights.named() else options.labels
            made[name] = ResNet50.load(name, options.device, options.precision, labels)
    return [made[name] for name in names]


def _numbers(found: Compared, options: argparse.Namespace) -> dict:
    return {"file_a": options.a, "file_b": options.b, **found.to_dict()}


def _lines(found: Compared, options: argparse.Namespace, seconds: float) -> list[str]:
    """The comparison as a title, a table and two sentences."""
    a, b = found.a, found.b
    names = [shared.printable(name) for name in (options.a, options.b)]
    lines = [
        f"A: {names[0]}, {a.weights}; B: {names[1]}, {b.weights}; on {a.device}, {a.precision}, "
        f"{seconds:.2f} s"
    ]
    lines += [f"  A: {note}" for note in a.notes] + [f"  B: {note}" for note in b.notes]
    labels = [shared.printable(row.label) for row in found.answers]
    width = max(map(len, labels))
    lines.append(f"  {'A':>8}  {'B':>8}  {'B - A':>8}  {'':<{width}}  rank")
    for row, label in zip(found.answers, labels, strict=True):
        change = "" if row.difference is None else f"{100 * row.difference:+.2f}"
        ranks = " -> ".join("-" if r is None else str(r) for r in (row.rank_a, row.rank_b))
        cells = f"{_chance(row.p_a)}  {_chance(row.p_b)}  {change:>8}  {label:<{width}}"
        lines.append(f"  {cells}  {ranks}")
    lines += [f"  {shared.printable(text)}" for text in (found.answers_sentence,
                                                         found.streams_sentence)]  # fmt: skip
    return lines


def _chance(value: float | None) -> str:
    return f"{'-':>8}" if value is None else shared.percent(value)


def _check(out: Path) -> None:
    """Refuse a place that has no folder or has files already."""
    try:
        if not out.parent.is_dir():
            raise shared.UsageError(f"--out {out}: there is no folder {out.parent}.")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise shared.UsageError(f"--out {out} is there already; name a new or empty folder.")
    except OSError as error:
        raise unwritable(out, error) from error
