"""`python -m resnet detect PHOTO…`: which things are in these photos, and where."""

from __future__ import annotations

import argparse
import difflib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from resnet.cli import options as shared

if TYPE_CHECKING:
    from resnet.detections import Detections
    from resnet.detectors.sighting import Detector
    from resnet.images import Photo

FEW = 3  # so many photos are done before a progress bar has been read
SIGNED = "photo-sha256"  # in a picture's PNG text: which photo it is of


class Answer(NamedTuple):
    """One photo and what was found in it."""

    photo: Photo
    found: Detections
    seconds: float


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "detect",
        help="which things are in one or many photos, and where",
        description="Boxes around the things in each photo, in pixels of the upright photo.",
        epilog="The seconds are those from opening the file to the boxes, without loading the "
        "weights and without drawing. A photo that cannot be read is reported in its place and "
        "the others still come; the exit status is then 1.",
    )
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO",
        help="photos; a folder stands for the photos in it, - for standard input",
    )  # fmt: skip
    parser.add_argument(
        "--detector", default="auto", metavar="D",
        help="its name; auto is the best one whose weights are here, offline the one that ships "
        "with the project, offline-quick the same at one look instead of four "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--score", type=shared.share, default=0.5, metavar="X",
        help="lowest score to report, 0 to 1 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--classes", metavar="A,B", help="report these only, such as person,dog (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array, a photo a row")
    parser.add_argument(
        "--draw", metavar="DIR", type=Path,
        help="write each photo with its boxes to DIR/PHOTO.boxes.png; the folder is made, and no "
        "other file in it is replaced",
    )  # fmt: skip
    shared.add_progress_option(parser, f"for more than {FEW} photos")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at every photo; 1 if any could not be used."""
    from resnet import detectors
    from resnet.images import ImageError

    if options.draw:
        _make(options.draw)
    detectors.choose(options.detector)  # a wrong name is said before the weights are read
    detector = detectors.load(options.detector, shared.load_network(options))
    names = shared.expand(options.photos)
    rows: list[dict] = []
    status = 0
    for name in shared.bar(names, options.progress, "detect", "photo", len(names) > FEW):
        try:
            source = shared.source(name)
            answer = _answer(detector, source, options)
            row = _row(name, answer)
            drawn = _draw(answer, name, source, options.draw) if options.draw else None
            text = _text(name, answer, detector, options.score, drawn)
            if drawn:
                row["drawn"] = str(drawn)
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


def _answer(detector: Detector, source: str | bytes, options: argparse.Namespace) -> Answer:
    """One photo through the detector.

    Raises:
        ImageError: the photo cannot be used.
        UsageError: the detector does not know a class of `--classes`.
    """
    from resnet.detect import FLOOR
    from resnet.detectors.run import run as detect
    from resnet.images import read_photo

    started = time.perf_counter()
    photo = read_photo(source, full=detector.info.full)
    everything = detect(detector, photo, min(FLOOR, options.score)).found
    wanted = None if options.classes is None else pick(options.classes, everything)
    found = everything.above(options.score, wanted)
    return Answer(photo, found, time.perf_counter() - started)


def pick(wanted: str, found: Detections) -> list[str]:
    """`--classes` -> the detector's own names; case and COCO's or Darknet's spelling are one.

    Raises:
        UsageError: it does not know one; the nearest names are offered.
    """
    from resnet.detectors.convert import canonical

    own = {canonical(name): name for name in found.names}
    asked = [canonical(part) for part in wanted.split(",") if part.strip()]
    if not asked:
        raise shared.UsageError("--classes names no class.")
    for name in asked:
        if name not in own:
            near = difflib.get_close_matches(name, own, n=3)
            hint = f" Did you mean {', '.join(own[key] for key in near)}?" if near else ""
            raise shared.UsageError(f"{found.detector} does not know “{name}”.{hint}")
    return [own[name] for name in asked]


def _row(name: str, answer: Answer) -> dict:
    """A photo's row of the JSON array; hundredths of a pixel."""
    found = answer.found
    width, height = found.size
    return {
        "file": name,
        "detector": found.detector,
        "seconds": round(answer.seconds, 4),
        "width": width,
        "height": height,
        "detections": [
            {
                "label": label,
                "score": round(float(score), 4),
                "box": [round(float(value), 2) for value in box],
            }
            for label, score, box in zip(found.label_names, found.scores, found.boxes, strict=True)
        ],
    }


def _text(name: str, answer: Answer, detector: Detector, score: float, drawn: Path | None) -> str:
    """A photo's block of text: title, notes, table, where the picture is."""
    from resnet.device import describe

    net = detector.trunk
    ran = f"{answer.found.detector} on {describe(net.device)}, {net.precision}"
    lines = [f"{shared.printable(name)}: {ran}, {answer.seconds:.2f} s"]
    lines += [f"  {note}" for note in answer.photo.notes]
    lines.append(table(answer.found) or f"  No box scores {shared.percent(score).strip()} or more.")
    if drawn:
        lines.append(f"  Written to {shared.printable(str(drawn))}.")
    return "\n".join([*lines, ""])


def table(found: Detections) -> str:
    """Score, name and corners (x1 y1 x2 y2, pixels) in aligned columns; "" without any box."""
    if not len(found):
        return ""
    labels = [shared.printable(name) for name in found.label_names]
    width = max(map(len, labels))
    digits = max(4, len(str(max(found.size))))
    head = "  ".join(f"{corner:>{digits}}" for corner in ("x1", "y1", "x2", "y2"))
    lines = [f"  {'score':>8}  {'':<{width}}  {head}"]
    for score, label, box in zip(found.scores, labels, found.boxes, strict=True):
        corners = "  ".join(f"{round(float(value)):>{digits}}" for value in box)
        lines.append(f"  {shared.percent(float(score))}  {label:<{width}}  {corners}")
    return "\n".join(lines)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise shared.UsageError(
            f"--draw {folder}: there can be no such folder: {error.strerror}."
        ) from error


def _draw(answer: Answer, name: str, source: str | bytes, folder: Path) -> Path:
    """Write the photo with its boxes as a PNG.

    Raises:
        ImageError: the photo is gone, or another, since it was read.
        UsageError: the folder takes no file.
    """
    from PIL.PngImagePlugin import PngInfo

    from resnet.draw.box_picture import draw_boxes
    from resnet.images import read_photo

    photo, found = answer.photo, answer.found
    if photo.image.size != photo.size:  # decoded at a half or less; a picture wants it whole
        photo = read_photo(source, full=True)
    scale = (photo.image.width / found.size[0], photo.image.height / found.size[1])
    picture = draw_boxes(
        photo.image,
        found.boxes * (*scale, *scale),
        found.label_names,
        found.scores.tolist(),
        masks=found.masks,
    )
    signature = PngInfo()
    signature.add_text(SIGNED, photo.digest)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=signature)
    try:
        out = next(path for path in _names(name, folder) if _free(path, photo.digest))
        out.write_bytes(buffer.getbuffer())  # in one go: a failure while encoding leaves no file
    except OSError as error:
        raise shared.UsageError(f"{folder} takes no picture: {error.strerror}.") from error
    return out


def _names(name: str, folder: Path) -> Iterator[Path]:
    """cat.boxes.png, cat-2.boxes.png, cat-3.boxes.png …"""
    stem = "stdin" if name == shared.STDIN else Path(name).stem
    yield folder / f"{stem}.boxes.png"
    number = 2
    while True:
        yield folder / f"{stem}-{number}.boxes.png"
        number += 1


def _free(path: Path, digest: str) -> bool:
    """Nothing is there yet, or a picture of the same photo, drawn earlier."""
    from PIL import Image

    if not path.exists() and not path.is_symlink():
        return True
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return not path.is_symlink() and image.info.get(SIGNED) == digest
    except Exception:  # whatever it is, it is none of our pictures
        return False
