"""What the commands share: the network's options, photos as arguments, what is printed."""

from __future__ import annotations

import argparse
import mimetypes
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from resnet.analysis import Analysis
    from resnet.images import Photo
    from resnet.network import ResNet50

STDIN = "-"


class UsageError(ValueError):
    """Options that do not go together or cannot be met; the text is for the user."""


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """One photo, and the class to ask about."""
    parser.add_argument("photo", metavar="PHOTO", help="a photo; - for standard input")
    parser.add_argument(
        "--class", dest="wanted", metavar="C",
        help="name, unambiguous part of a name, or index (default: the network's own answer)",
    )  # fmt: skip


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """`--weights --labels --device --precision`."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--weights",
        default="he2015",
        metavar="W",
        help="he2015 (ships with the project, works offline), imagenet1k-v1, imagenet1k-v2 "
        "(fetched once), or a .safetensors or .pth file (default: %(default)s)",
    )
    group.add_argument(
        "--labels", metavar="FILE", help="class names of your own weights, one a line"
    )
    group.add_argument(
        "--device", default="auto", metavar="D",
        help="auto, cpu, cuda or cuda:N (default: %(default)s: a GPU where there is one)",
    )  # fmt: skip
    group.add_argument(
        "--precision", default="auto", metavar="P",
        help="auto, fp32, bf16 or fp16 (default: %(default)s, which is fp32)",
    )  # fmt: skip


def add_progress_option(parser: argparse.ArgumentParser, what: str) -> None:
    """`--progress` and `--no-progress`; the default depends on the terminal."""
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help=f"a progress bar on standard error (default: on a terminal, {what})",
    )


def load_network(options: argparse.Namespace) -> ResNet50:
    """The network that the options ask for.

    Raises:
        WeightsError, DeviceError: with a sentence for the user.
    """
    from resnet.network import ResNet50

    return ResNet50.load(options.weights, options.device, options.precision, options.labels)


def facts(net: ResNet50) -> dict[str, str]:
    """What ran, as every JSON answer tells it: weights, device, precision."""
    return {
        "weights": net.spec.name,
        "device": str(net.device),
        "precision": net.precision,
    }


def in_words(net: ResNet50, seconds: float) -> str:
    """What ran and how long it took: `he2015 on CPU, fp32, 0.21 s`."""
    from resnet.device import describe

    return f"{net.spec.name} on {describe(net.device)}, {net.precision}, {seconds:.2f} s"


def analyze(net: ResNet50, photo: Photo) -> Analysis:
    """One forward pass.

    Raises:
        UsageError: the answer is not a number, as with overflowing or damaged weights.
    """
    analysis = net.analyze(photo)
    if not bool(analysis.probabilities.isfinite().all()):
        hint = "damaged" if net.precision == "fp32" else f"too large for {net.precision}"
        raise UsageError(f"{net.spec.name} gives no numbers: its weights are {hint}.")
    return analysis


def expand(names: Sequence[str]) -> list[str]:
    """Folders become the photos in them, sorted, without hidden files and without subfolders.

    A folder that gives nothing stays, so that it is reported in its place.
    """
    files: list[str] = []
    for name in names:
        try:
            inside = sorted(entry.path for entry in os.scandir(name) if _may_be_photo(entry))
        except OSError:  # an ordinary file, none at all, or a closed folder
            inside = []
        files += inside or [name]
    return files


def _may_be_photo(entry: os.DirEntry) -> bool:
    """Not hidden, and not by its name something else, as `notes.txt` beside the photos is."""
    kind, _ = mimetypes.guess_type(entry.name)
    named_so = kind is None or kind.startswith("image/")
    return named_so and not entry.name.startswith(".") and entry.is_file()


def source(name: str) -> str | bytes:
    """What `read_photo` takes: the path, or the bytes on standard input for `-`.

    Raises:
        ImageError: a folder.
    """
    from resnet.images import MAX_BYTES, ImageError

    if name == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)  # one more than allowed, so it is refused
    if Path(name).is_dir():
        raise ImageError("This is a folder, and there are no photos in it to read.")
    return name


def bar(steps: Iterable, wanted: bool | None, title: str, unit: str, many: bool = True) -> Any:
    """`steps` with a progress bar on standard error.

    Args:
        wanted: as `--progress` or `--no-progress` says; None leaves it to `many` and the terminal.
        many: whether there are enough steps to be worth a bar.
    """
    from tqdm import tqdm

    shown = many and sys.stderr.isatty() if wanted is None else wanted
    return tqdm(steps, desc=title, unit=unit, file=sys.stderr, disable=not shown, leave=False)


def write(text: str) -> None:
    """A result to standard output, at once, without tearing a progress bar apart."""
    with _beside_bar(sys.stdout):
        print(text, flush=True)


def say(sentence: str) -> None:
    """One line to standard error, after `resnet: `."""
    with _beside_bar(sys.stderr):
        print(f"resnet: {printable(' '.join(sentence.split()))}", file=sys.stderr, flush=True)


def _beside_bar(stream: TextIO) -> AbstractContextManager:
    """Takes a progress bar off the screen for a moment, if there can be one."""
    package = sys.modules.get("tqdm")
    return package.tqdm.external_write_mode(file=stream) if package else nullcontext()


def printable(text: str) -> str:
    """Control characters in a file name or label must not reach the terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def percent(probability: float) -> str:
    """0.5423 -> ` 54.23 %`, always as wide."""
    return f"{100 * probability:6.2f} %"


def count(text: str) -> int:
    """An argument that is a whole number of at least 1."""
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number of at least 1")
    return number


def share(text: str) -> float:
    """An argument from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not a number from 0 to 1")
    return number
