"""`python -m resnet evaluate DETECTOR --data JSON`: how good a detector is on annotated photos."""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet.cli import options as shared

if TYPE_CHECKING:
    from resnet.train.evaluate import Evaluation, Operation

OWN_DATA = (
    "These figures are not comparable with published COCO AP: that is measured on all 5,000 "
    "photos of COCO val2017, and these are others or fewer."
)
VAL2017 = (
    "Published COCO AP leaves boxes on crowd regions out and takes an object's size from its "
    "outline; here they count, and the box gives the size, so a few tenths may differ."
)


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="how good a detector is on annotated photos",
        description="COCO's table (pycocotools), precision and recall at a threshold, and the "
        "seconds a photo takes.",
        epilog="Classes are matched by name; one that the detector does not have scores nothing. "
        "Annotations are COCO's own JSON, or {categories: [name], images: {file: {boxes: "
        "[[x0, y0, x1, y1]], labels: [index]}}}.",
    )
    parser.add_argument("detector", metavar="DETECTOR", help="its name, such as offline, or auto")
    parser.add_argument("--data", required=True, metavar="JSON", type=Path, help="the annotations")
    parser.add_argument(
        "--photos", metavar="DIR", type=Path,
        help="folder of the photos (default: the one beside the JSON with its name, "
        "devtest.json -> devtest)",
    )  # fmt: skip
    parser.add_argument(
        "--score", type=shared.share, default=0.5, metavar="X",
        help="threshold for precision and recall, 0 to 1 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--per-class", action="store_true", help="the AP of every class as well")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    shared.add_progress_option(parser, "always")
    shared.add_network_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure on all photos; an error if one cannot be used, since the figures would be others."""
    from resnet import detectors
    from resnet.device import describe
    from resnet.train.evaluate import is_val2017, measure
    from resnet.train.scenes import read_scenes

    detectors.choose(options.detector)  # a wrong name is said before anything is read
    folder = options.photos or options.data.with_suffix("")
    if options.data.is_file() and not folder.is_dir():
        raise shared.UsageError(f"There is no folder {folder} with the photos; name it: --photos.")
    names, scenes = read_scenes(folder, options.data)
    detector = detectors.load(options.detector, shared.load_network(options))
    progress = partial(shared.bar, wanted=options.progress, title="evaluate", unit="photo")
    found = measure(detector, scenes, names, progress=progress)
    note = VAL2017 if is_val2017(scenes) else OWN_DATA
    facts = shared.facts(detector.trunk)
    at = found.at(options.score)
    if options.json:
        print(json.dumps(_row(found, at, options, facts, note)))
    else:
        facts["device"] = describe(detector.trunk.device)
        print(_text(found, at, options, facts, note))
    return 0


def _row(
    found: Evaluation, at: Operation, options: argparse.Namespace, facts: dict, note: str
) -> dict[str, Any]:
    """The JSON object; AP and AR in percent, precision and recall 0..1, null for no such object."""
    row = {
        "detector": found.detector,
        **facts,
        "data": str(options.data),
        "photos": found.photos,
        "objects": found.objects,
        "classes": len(found.names),
        "classes_unknown_to_the_detector": list(found.unknown),
        "table": {name: _rounded(value) for name, value in found.table.items()},
        "score": at.score,
        "precision": _rounded(at.precision, 4),
        "recall": _rounded(at.recall, 4),
        "boxes": at.boxes,
        "right": at.right,
        "duplicates": at.duplicates,
        "seconds": _rounded(found.seconds, 4),
        "trunk_seconds": _rounded(found.trunk_seconds, 4),
        "head_seconds": _rounded(found.head_seconds, 4),
        "note": note,
    }
    if options.per_class:
        row["per_class"] = {name: _rounded(value) for name, value in found.per_class.items()}
    return row


def _rounded(value: float, digits: int = 2) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def _text(
    found: Evaluation, at: Operation, options: argparse.Namespace, facts: dict, note: str
) -> str:
    """What was measured, for people."""
    from resnet.train.evaluate import COLUMNS

    lines = [
        f"{found.detector} on {shared.printable(str(options.data))}: {found.photos:,} photos, "
        f"{found.objects:,} objects of {len(found.names)} classes",
        f"  {facts['weights']} on {facts['device']}, {facts['precision']}: "
        f"{found.seconds:.2f} s a photo (median; trunk {found.trunk_seconds:.2f}, "
        f"head {found.head_seconds:.2f})",
    ]
    if found.unknown:
        missing = shared.printable(", ".join(found.unknown))
        lines.append(f"  The detector does not know, and scores nothing for: {missing}.")
    lines += [f"  {name:<5}  {_figure(found.table[name])}  {COLUMNS[name]}" for name in COLUMNS]
    lines.append(
        f"  At scores of {at.score:g} or more: precision {_share(at.precision)}, recall "
        f"{_share(at.recall)} (IoU .50, all classes together; {at.boxes:,} boxes, {at.right:,} "
        f"right, {at.duplicates:,} of the others once more on a thing that has its box)."
    )
    if options.per_class:
        lines.append("  AP of each class:")
        labels = {name: shared.printable(name) for name in found.per_class}
        width = max(map(len, labels.values()))
        rows = sorted(found.per_class.items(), key=lambda row: (math.isnan(row[1]), -row[1]))
        lines += [f"    {labels[name]:<{width}}  {_figure(value)}" for name, value in rows]
    return "\n".join([*lines, f"  {note}"])


def _figure(percent: float) -> str:
    """13.24 -> `  13.2 %`, always as wide; a dash where there is nothing to find."""
    return f"{'–':>6}  " if math.isnan(percent) else f"{percent:6.1f} %"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"
