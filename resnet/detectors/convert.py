"""`Detections` to and from what other programs use: the border of the project.

Boxes leave with four decimals of a pixel or more, so that a file read back is the same to 1e-3.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet.detections import Detections
from resnet.detectors.catalogue import DetectorError

if TYPE_CHECKING:
    from torch import Tensor

CSV_COLUMNS = ("file", "label", "score", "x1", "y1", "x2", "y2", "detector")
MASK_AT = 0.5  # torchvision's masks are probabilities
NO_CLASS = ("__background__", "N/A")  # COCO's ids have gaps, which torchvision's lists fill so

# The class names of Darknet and Pascal VOC that differ from COCO's for the same thing.
_COCO_NAME = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
    "hair dryer": "hair drier",
}


def canonical(name: str) -> str:
    """A class name as COCO spells it, so that `Motorbike` and `motorcycle` are the same."""
    name = " ".join(name.lower().split())
    return _COCO_NAME.get(name, name)


@cache
def coco_table() -> dict[str, int]:
    """COCO's 80 names -> their ids, 1 to 90 with gaps, as torchvision lists them."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return {name: place for place, name in enumerate(names) if name not in NO_CLASS}


def category_ids(names: Sequence[str]) -> tuple[int, ...]:
    """Each name's COCO id; 1, 2, 3 … if any name is none of COCO's."""
    table = coco_table()
    ids = [table.get(canonical(name), 0) for name in names]
    if all(ids) and len(set(ids)) == len(ids):
        return tuple(ids)
    return tuple(range(1, len(names) + 1))


def from_torchvision(
    found: Mapping[str, Tensor], names: Sequence[str], size: tuple[int, int], detector: str
) -> Detections:
    """What a torchvision detector answers for one photo -> detections.

    Args:
        found: `boxes` [n, 4] in pixels of the photo, `scores` [n], `labels` [n], and perhaps
            `masks` [n, 1, H, W] in 0..1.
        names: of the labels, as in the weights' `meta["categories"]`; background and gaps are
            left out, and boxes with such a label with them.
        size: (width, height) of the photo.
        detector: its name in the catalogue.
    """
    array = {key: value.detach().cpu().float().numpy() for key, value in found.items()}
    places = [place for place, name in enumerate(names) if name not in NO_CLASS]
    kept = tuple(names[place] for place in places)
    renumber = np.full(len(names), -1)
    renumber[places] = np.arange(len(places))
    labels = renumber[array["labels"].astype(np.int64)]
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.argsort(-array["scores"][rows], kind="stable")]
    masks = array["masks"][rows, 0] >= MASK_AT if "masks" in array else None
    return Detections(
        _inside(array["boxes"][rows], size),
        array["scores"][rows].clip(0, 1),
        labels[rows],
        kept,
        size,
        detector,
        masks=masks,
    )


def from_coco(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], size: tuple[int, int], detector: str
) -> Detections:
    """COCO's results or annotations of one photo -> detections; without a score it is 1.

    Args:
        rows: each with `bbox` (x, y, width, height), `category_id` and perhaps `score`.
        names: the detector's classes; ids are theirs as `category_ids` gives them.
        size: (width, height) of the photo.
        detector: its name.

    Raises:
        ValueError: an id is none of the names'.
    """
    place = {number: i for i, number in enumerate(category_ids(names))}
    if unknown := {row["category_id"] for row in rows} - set(place):
        raise ValueError(f"Category {min(unknown)} is none of the {len(names)} classes.")
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.array([row.get("score", 1.0) for row in rows], np.float64)
    labels = np.array([place[row["category_id"]] for row in rows], np.int64)
    best = np.argsort(-scores, kind="stable")
    inside = _inside(boxes[best], size)
    return Detections(inside, scores[best], labels[best], tuple(names), size, detector)


def _inside(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes [n, 4] cut at the photo's edge, which rounding may have left by a hair."""
    return boxes.clip(0, np.array([*size, *size]))


def to_coco(found: Detections, image_id: int = 1) -> list[dict[str, Any]]:
    """COCO's results format: one entry a box, `bbox` as x, y, width, height in pixels."""
    ids = category_ids(found.names)
    return [
        {
            "image_id": image_id,
            "category_id": ids[label],
            "bbox": [round(float(v), 4) for v in (x0, y0, x1 - x0, y1 - y0)],
            "score": round(float(score), 6),
        }
        for (x0, y0, x1, y1), score, label in zip(
            found.boxes.astype(np.float64), found.scores, found.labels, strict=True
        )
    ]


def to_coco_file(found: Detections, file: str, image_id: int = 1) -> str:
    """A complete COCO JSON of one photo: images, annotations (with scores) and categories.

    Args:
        file: the photo's name, for `file_name`.
    """
    width, height = found.size
    annotations = [
        {
            "id": number,
            **row,
            "area": round(row["bbox"][2] * row["bbox"][3], 4),
            "iscrowd": 0,
        }
        for number, row in enumerate(to_coco(found, image_id), start=1)
    ]
    categories = [
        {"id": number, "name": name}
        for number, name in sorted(zip(category_ids(found.names), found.names, strict=True))
    ]
    whole = {
        "info": {"description": f"Found by the detector {found.detector}, not by people."},
        "images": [{"id": image_id, "file_name": file, "width": width, "height": height}],
        "annotations": annotations,
        "categories": categories,
    }
    return json.dumps(whole, indent=1)


def to_csv(found: Detections, file: str) -> str:
    """A table with a header, one box a line, corners in pixels of the upright photo.

    Names that a spreadsheet would take for a formula are led by an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(CSV_COLUMNS)
    for box, score, name in zip(found.boxes, found.scores, found.label_names, strict=True):
        corners = [f"{value:.4f}" for value in box]
        writer.writerow(
            [_no_formula(file), _no_formula(name), f"{score:.6f}", *corners, found.detector]
        )
    return out.getvalue()


def _no_formula(text: str) -> str:
    risky = text.lstrip().startswith(("=", "+", "-", "@")) or text.startswith(("\t", "\r", "\n"))
    return f"'{text}" if risky else text


def to_yolo(found: Detections) -> tuple[str, str]:
    """YOLO's two text files: the photo's labels, and `classes.txt`.

    Returns:
        One line a box, `class cx cy w h` as shares of the photo's width and height; and the
        names, one a line, which `class` counts from 0.
    """
    boxes = found.boxes.astype(np.float64) / np.tile(np.array(found.size, np.float64), 2)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    lines = [
        " ".join([str(label), *(f"{value:.8f}" for value in (*centre, *side))])
        for label, centre, side in zip(found.labels, centres, sides, strict=True)
    ]
    names = [" ".join(name.split()) for name in found.names]
    return "".join(f"{line}\n" for line in lines), "".join(f"{name}\n" for name in names)


def to_supervision(found: Detections) -> Any:
    """The same as `supervision.Detections`, with `class_name` among its data.

    Raises:
        DetectorError: the package is not installed.
    """
    try:
        import supervision
    except ImportError:
        raise DetectorError(
            "This needs the package supervision, which is not installed: pip install supervision"
        ) from None
    return supervision.Detections(
        xyxy=found.boxes.copy(),
        confidence=found.scores.copy(),
        class_id=found.labels.copy(),
        mask=None if found.masks is None else _masks_of_size(found.masks, found.size),
        data={"class_name": np.array(found.label_names, dtype=str)},
    )


def _masks_of_size(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks [n, h, w] on a smaller grid -> [n, height, width] of the photo, nearest cell."""
    rows, columns = (
        np.minimum((np.arange(side) + 0.5) * cells / side, cells - 1).astype(int)
        for side, cells in zip((size[1], size[0]), masks.shape[1:], strict=True)
    )
    return masks[:, rows[:, None], columns]
