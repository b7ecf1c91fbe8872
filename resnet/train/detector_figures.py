"""What the record of the offline detector says of its quality, and the same for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from resnet.detections import Detections
from resnet.train.evaluate import Evaluation, judge
from resnet.train.scenes import Scene

SUBSET = 20  # every so many photos are measured by themselves as well, for a quick test
COLUMNS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
AT_HALF = ("precision", "recall", "boxes", "duplicates")


def figures(found: Evaluation) -> dict[str, Any]:
    """AP and the like in percent; precision and recall 0..1 at a score of one half."""
    at = found.at(0.5)
    return {name: _short(found.table[name]) for name in COLUMNS} | {
        "precision": _short(at.precision, 3),
        "recall": _short(at.recall, 3),
        "boxes": at.boxes,
        "duplicates": at.duplicates,
    }


def measured(
    found: Sequence[Detections], scenes: Sequence[Scene], names: Sequence[str], shown: Sequence[str]
) -> dict[str, Any]:
    """Quality with all classes, and with those that are shown.

    Args:
        found: of every scene, all classes, from a low score on; with its seconds.
        scenes: of photos that the detector has not seen.
        names: all classes, which the scenes' labels count.
        shown: those that are shown.
    """
    whole = judge("offline", found, scenes, names)
    ships = judge("offline", [each.above(0, shown) for each in found], scenes, names)
    known = judge("offline", found, only(scenes, [names.index(name) for name in shown]), shown)
    part = judge("offline", found[::SUBSET], scenes[::SUBSET], names)
    # Recall counts all objects, also those of classes that are not shown.
    at = {name: value for name, value in figures(ships).items() if name in AT_HALF}
    return {
        "photos": len(scenes),
        "objects": len(whole.kinds),
        **figures(whole),
        "shown": {"classes": len(shown), **figures(known), **at},
        "AP50_per_class": {name: _short(value) for name, value in whole.per_class50.items()},
        "subset": {"every": SUBSET, "photos": part.photos, "AP": _short(part.table["AP"])},
        "seconds": {
            "photo": _short(whole.seconds, 3),
            "trunk": _short(whole.trunk_seconds, 3),
            "head": _short(whole.head_seconds, 3),
        },
    }


def only(scenes: Iterable[Scene], kept: Sequence[int]) -> list[Scene]:
    """The same photos with the objects of some classes, whose places in `kept` are the labels."""
    place = {label: i for i, label in enumerate(kept)}
    return [
        replace(
            scene,
            boxes=tuple(
                b for b, label in zip(scene.boxes, scene.labels, strict=True) if label in place
            ),
            labels=tuple(place[label] for label in scene.labels if label in place),
        )
        for scene in scenes
    ]


def _short(value: float, digits: int = 2) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def report(record: dict[str, Any], held: int, ap: dict[float, float]) -> str:
    """The record for people."""
    told, ships = record["measured"], record["measured"]["shown"]
    hidden = [name for name in record["names"] if name not in record["shown"]]
    lines = [
        f"chosen on {held} held-out photos",
        "  AP by overlap: " + ", ".join(f"{at:g}: {value:.1f}" for at, value in ap.items()),
        f"  overlap {record['overlap']:g}, slope and offset "
        + ", ".join(f"{value:.3f}" for value in record["calibration"]),
        f"  hidden: {', '.join(hidden) or 'no class'}",
        f"measured on {told['on']}",
        f"  {'':10}{'all ' + str(len(record['names'])):>10}{'shown ' + str(ships['classes']):>10}",
    ]
    for name in (*COLUMNS, *AT_HALF):
        row = "".join(f"{'–' if side[name] is None else side[name]:>10}" for side in (told, ships))
        lines.append(f"  {name:10}{row}")
    time = told["seconds"]
    lines.append(
        f"  {time['photo']:.2f} s a photo (trunk {time['trunk']:.2f}, head {time['head']:.2f}; "
        f"{time['on']})"
    )
    quick = record["quick"]["measured"]
    lines.append(
        f"  one look alone: AP {quick['AP']}, AP50 {quick['AP50']}, precision "
        f"{quick['shown']['precision']}, recall {quick['shown']['recall']}, "
        f"{quick['seconds']['photo']:.2f} s a photo"
    )
    kinds = sorted(told["AP50_per_class"].items(), key=lambda row: -(row[1] or 0))
    row = ", ".join(f"{name} {'–' if value is None else f'{value:.0f}'}" for name, value in kinds)
    return "\n".join([*lines, f"  AP50: {row}"])
