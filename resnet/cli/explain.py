"""`python -m resnet explain PHOTO`: which part of a photo speaks for a class."""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from resnet.cli import options as shared

if TYPE_CHECKING:
    from PIL import Image

    from resnet.analysis import Analysis
    from resnet.cam import HeatMap
    from resnet.network import ResNet50

# The keys of resnet.cam.METHODS and the names in resnet.draw.overlay, which would bring torch and
# numpy along; a test compares them.
METHOD_NAMES = (
    "gradcam", "cam", "hirescam", "gradcam++", "xgradcam", "layercam", "eigencam",
    "ablationcam", "scorecam",
)  # fmt: skip
COLOUR_MAPS = ("viridis", "magma", "inferno", "cividis")


@dataclass(frozen=True)
class Explained:
    """One photo, one class, one heat map."""

    analysis: Analysis
    found: HeatMap
    seconds: float


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "explain",
        help="a heat map over one photo",
        description="A heat map of what speaks for a class, drawn over the photo. It covers the "
        "part that the network saw; the rest is dimmed.",
        epilog="The seconds are those from opening the file to the map, without loading the "
        "weights; loading the grad-cam package is included.",
    )
    shared.add_photo_options(parser)
    parser.add_argument(
        "--method", choices=METHOD_NAMES, default="gradcam", metavar="M",
        help="%(choices)s (default: %(default)s); cam is exact and signed, at the last block only",
    )  # fmt: skip
    parser.add_argument(
        "--block", metavar="B", help="one of the 16 blocks, 1.0 to 4.2 (default: the last)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with the grid")
    shared.add_progress_option(parser, "for slow methods")
    picture = parser.add_argument_group("picture")
    picture.add_argument(
        "--out", metavar="FILE.png",
        help="where to write it (default: PHOTO.heatmap.png in the current folder; "
        "none with --json)",
    )  # fmt: skip
    picture.add_argument(
        "--colour-map", choices=COLOUR_MAPS, default="viridis", metavar="NAME",
        help="%(choices)s (default: %(default)s); signed maps are blue for and orange against",
    )  # fmt: skip
    picture.add_argument(
        "--opacity", type=shared.share, default=0.5, metavar="X",
        help="of the map over the photo, 0 to 1 (default: %(default)s)",
    )  # fmt: skip
    picture.add_argument("--grid", action="store_true", help="the bare cells, not smoothed")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explain one photo; 1 if it could not be used."""
    from resnet.images import ImageError

    out = _out_file(options)
    net = shared.load_network(options)
    try:
        source = shared.source(options.photo)
        explained = _explain(net, source, options)
        if out:
            _save(_draw(explained, source, options), out)
    except ImageError as error:
        if options.json:
            print(json.dumps({"file": options.photo, "error": str(error)}))
        shared.say(f"{options.photo}: {error}")
        return 1
    if options.json:
        print(json.dumps(_as_json(explained, options.photo, out)))
    else:
        print(_as_text(explained, options.photo, out))
    return 0


def _out_file(options: argparse.Namespace) -> Path | None:
    """Where the picture goes; None if nowhere.

    Raises:
        UsageError: it would replace the photo, is no PNG, or has no folder.
    """
    if options.json and not options.out:
        return None
    stem = "stdin" if options.photo == shared.STDIN else Path(options.photo).stem
    out = Path(options.out or f"{stem}.heatmap.png")
    if out.suffix.lower() != ".png":
        raise shared.UsageError(f"--out {out}: the picture is a PNG, its name must end in .png.")
    if not out.parent.is_dir():
        raise shared.UsageError(f"--out {out}: there is no folder {out.parent}.")
    if out.exists() and os.path.exists(options.photo) and out.samefile(options.photo):
        raise shared.UsageError(f"--out {out} would replace the photo; give another name.")
    return out


def _explain(net: ResNet50, source: str | bytes, options: argparse.Namespace) -> Explained:
    from resnet.cam import METHODS
    from resnet.images import read_photo

    started = time.perf_counter()
    analysis = shared.analyze(net, read_photo(source))
    title = METHODS[options.method].title
    progress = partial(shared.bar, wanted=options.progress, title=title, unit="batch")
    found = analysis.cam(options.wanted, options.method, options.block, progress)
    return Explained(analysis, found, time.perf_counter() - started)


def _draw(explained: Explained, source: str | bytes, options: argparse.Namespace) -> Image.Image:
    """The photo with the map over it, of the photo's size.

    A large JPEG was decoded at a half or less, which is all the network needs; a picture wants it
    whole.  Photos of more than about 4,000 pixels a side stay reduced also then.
    """
    from resnet.heat_picture import heat_picture
    from resnet.images import read_photo

    analysis = explained.analysis
    picture = analysis.photo.image
    if picture.size != analysis.photo.size:
        picture = read_photo(source, full=True).image
    return heat_picture(
        analysis,
        explained.found,
        options.colour_map,
        smooth=not options.grid,
        opacity=options.opacity,
        picture=picture,
    )


def _save(picture: Image.Image, out: Path) -> None:
    """Write the PNG in one go, so that a failure while encoding leaves no half of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    try:
        out.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise shared.UsageError(f"{out} cannot be written: {error.strerror}.") from error


def _as_json(explained: Explained, name: str, out: Path | None) -> dict:
    analysis, found = explained.analysis, explained.found
    return {
        "file": name,
        **shared.facts(analysis.net),
        "seconds": round(explained.seconds, 4),
        "class": {
            "index": found.index,
            "label": analysis.net.labels[found.index],
            "probability": float(analysis.probabilities[found.index]),
        },
        "method": found.method,
        "block": found.block,
        "signed": found.signed,
        "blank": found.blank,
        "grid": found.grid.tolist(),
        "box": list(analysis.view.box),  # of the crop, in the photo's pixels
        "size": list(analysis.photo.size),
        "out": str(out) if out else None,
    }


def _as_text(explained: Explained, name: str, out: Path | None) -> str:
    analysis, found = explained.analysis, explained.found
    lines = [f"{shared.printable(name)}: {shared.in_words(analysis.net, explained.seconds)}"]
    lines += analysis.photo.notes
    lines.append(_sentence(analysis, found))
    own = analysis.top(1)[0]
    if own.index != found.index:
        chance = shared.percent(own.probability).strip()
        lines.append(f"The network's own answer is “{shared.printable(own.label)}” ({chance}).")
    if out:
        lines.append(f"Written to {shared.printable(str(out))}.")
    return "\n  ".join(lines)


def _sentence(analysis: Analysis, found: HeatMap) -> str:
    from resnet.cam import METHODS

    method = METHODS[found.method]
    label = shared.printable(analysis.net.labels[found.index])
    chance = shared.percent(float(analysis.probabilities[found.index])).strip()
    target = f"for “{label}” ({found.index}, {chance})"
    if not method.uses_class:
        target = f"whatever the class (here “{label}”, {found.index}, {chance})"
    what = f"{method.title}, block {found.block}"
    if found.blank:
        return f"The map ({what}) is blank: no place stands out {target}."
    x, y = strongest(found, analysis.view.box)
    return f"The map ({what}) highlights, {target}, most strongly the place around x {x}, y {y}."


def strongest(found: HeatMap, box: tuple[float, float, float, float]) -> tuple[int, int]:
    """The middle of the cell with the largest value, (x, y) in the photo's pixels.

    Args:
        box: x0, y0, x1, y1 of the crop that the grid covers, in the photo's pixels.
    """
    rows, columns = found.grid.shape
    row, column = divmod(int(found.grid.argmax()), columns)
    x0, y0, x1, y1 = box
    x, y = x0 + (column + 0.5) / columns * (x1 - x0), y0 + (row + 0.5) / rows * (y1 - y0)
    return round(x), round(y)
