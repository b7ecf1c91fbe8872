"""Photos with boxes for training: read, cropped, mirrored, resized to one canvas a batch.

Two layouts of the annotations are read: COCO's own (`images`, `annotations` with `bbox` as
x, y, width, height, `categories`), and a compact one,
`{"categories": [name], "images": {file: {"boxes": [[x0, y0, x1, y1]], "labels": [index]}}}`.

Boxes are in pixels of the upright photo, as people see it and the detector reads it: a photo that
the camera recorded lying on its side (EXIF) is turned first.  Where the annotations say how large a
photo is (`width`, `height`), this must be its upright size, so that boxes drawn on the unturned
picture are refused instead of learned.  COCO's own photos carry no orientation.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from resnet.view import to_tensor
from resnet.weights import WeightSet

SIDES = (224, 256, 288, 320, 352, 384)  # shorter side of a batch's canvas
ASPECT = 1.4  # longer to shorter side: most cameras' 4:3 and 3:2
VISIBLE = 0.35  # a box stays if at least this much of it is inside the crop
ORIENTATION = 0x0112  # EXIF's tag; from 5 on, width and height change places

Box = tuple[float, float, float, float]


class SceneError(ValueError):
    """Annotations that cannot be used; the message says what is wrong."""


@dataclass(frozen=True)
class Scene:
    """One photo and what is on it."""

    path: Path
    boxes: tuple[Box, ...]  # x0, y0, x1, y1 in pixels of the upright photo
    labels: tuple[int, ...]  # index into the names
    size: tuple[int, int] | None = None  # width and height of the upright photo, as annotated


@dataclass(frozen=True)
class Batch:
    """Photos of one canvas, ready for the trunk."""

    pixels: Tensor  # [N, 3, H, W], normalised
    boxes: list[Tensor]  # [objects, 4] in pixels of the canvas
    labels: list[Tensor]  # [objects]


def read_scenes(folder: Path, annotations: Path) -> tuple[tuple[str, ...], list[Scene]]:
    """Class names in index order, and the photos sorted by name.

    Raises:
        SceneError: the file is no JSON, has another layout, or names photos that are not there or
            have another size.
    """
    try:
        notes = json.loads(annotations.read_text("utf-8"))
        if "annotations" in notes:
            names, found = _coco(notes, folder)
        else:
            names, found = _compact(notes, folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise SceneError(f"{annotations.name} is not usable: {error!r}") from error
    if not found:
        raise SceneError(f"{annotations.name} names no photos.")
    for scene in found:
        if not scene.path.is_file():
            raise SceneError(f"{annotations.name} names {scene.path.name}, which is not there.")
        if any(not 0 <= label < len(names) for label in scene.labels):
            raise SceneError(f"{scene.path.name} has a label outside 0 to {len(names) - 1}.")
        _check_size(scene)
    return names, sorted(found, key=lambda scene: scene.path.name)


def _check_size(scene: Scene) -> None:
    """Refuse boxes that were drawn on another picture, such as the one before it was turned."""
    if scene.size is None:
        return
    try:
        with Image.open(scene.path) as image:
            found = upright_size(image)
    except OSError:
        return  # whoever reads the photo will say so
    if found != scene.size:
        raise SceneError(
            f"{scene.path.name} is {found[0]} x {found[1]} pixels when upright, and the "
            f"annotations were made on {scene.size[0]} x {scene.size[1]}: their boxes do not fit."
        )


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of the upright photo; reads the header alone."""
    turned = image.getexif().get(ORIENTATION, 1) >= 5
    return (image.height, image.width) if turned else (image.width, image.height)


def _size(image: dict) -> tuple[int, int] | None:
    return (image["width"], image["height"]) if "width" in image and "height" in image else None


def _box(corners: list) -> Box:
    x0, y0, x1, y1 = map(float, corners)
    return x0, y0, x1, y1


def _compact(notes: dict, folder: Path) -> tuple[tuple[str, ...], list[Scene]]:
    scenes = [
        Scene(folder / name, tuple(map(_box, it["boxes"])), tuple(it["labels"]), _size(it))
        for name, it in notes["images"].items()
    ]
    return tuple(notes["categories"]), scenes


def _coco(notes: dict, folder: Path) -> tuple[tuple[str, ...], list[Scene]]:
    kinds = sorted(notes["categories"], key=lambda kind: kind["id"])
    index = {kind["id"]: i for i, kind in enumerate(kinds)}
    boxes: dict[int, list] = {image["id"]: [] for image in notes["images"]}
    for note in notes["annotations"]:
        if not note.get("iscrowd"):
            x, y, width, height = map(float, note["bbox"])
            boxes[note["image_id"]].append(
                ((x, y, x + width, y + height), index[note["category_id"]])
            )
    scenes = [
        Scene(
            folder / image["file_name"],
            tuple(box for box, _ in boxes[image["id"]]),
            tuple(label for _, label in boxes[image["id"]]),
            _size(image),
        )
        for image in notes["images"]
    ]
    return tuple(kind["name"] for kind in kinds), scenes


def canvas(shorter: int, wide: bool) -> tuple[int, int]:
    """(width, height) in multiples of 32."""
    longer = round(shorter * ASPECT / 32) * 32
    return (longer, shorter) if wide else (shorter, longer)


def plan(scenes: list[Scene], size: int, rng: random.Random) -> list[list[Scene]]:
    """One round: batches of `size` photos that lie the same way, in random order."""
    upright: list[Scene] = []
    wide: list[Scene] = []
    for scene in scenes:
        (wide if _is_wide(scene) else upright).append(scene)
    batches = []
    for group in (upright, wide):
        rng.shuffle(group)
        batches += [group[i : i + size] for i in range(0, len(group) - size + 1, size)]
    rng.shuffle(batches)
    return batches


def _is_wide(scene: Scene) -> bool:
    with Image.open(scene.path) as image:
        width, height = upright_size(image)
    return width >= height


def make_batch(scenes: list[Scene], spec: WeightSet, rng: random.Random) -> Batch:
    """Augment photos onto one canvas of random size: crop, mirror, light, mild change of shape."""
    size = canvas(rng.choice(SIDES), _is_wide(scenes[0]))
    pixels, boxes, labels = [], [], []
    for scene in scenes:
        image, box, label = _augment(scene, size, rng)
        pixels.append(to_tensor(image, spec))
        boxes.append(box)
        labels.append(label)
    return Batch(torch.cat(pixels), boxes, labels)


def _augment(
    scene: Scene, size: tuple[int, int], rng: random.Random
) -> tuple[Image.Image, Tensor, Tensor]:
    with Image.open(scene.path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    boxes = np.array(scene.boxes, dtype=np.float64).reshape(-1, 4)
    labels = np.array(scene.labels, dtype=np.int64)
    left, top, right, bottom = 0.0, 0.0, float(image.width), float(image.height)
    if rng.random() < 0.5:  # zoom in: a part of the photo
        share_x, share_y = rng.uniform(0.6, 1), rng.uniform(0.6, 1)
        left = rng.uniform(0, image.width * (1 - share_x))
        top = rng.uniform(0, image.height * (1 - share_y))
        right, bottom = left + image.width * share_x, top + image.height * share_y
    elif rng.random() < 0.3:  # zoom out: the photo on a larger, grey ground
        grow = rng.uniform(1.1, 1.6)
        left = -rng.uniform(0, image.width * (grow - 1))
        top = -rng.uniform(0, image.height * (grow - 1))
        right, bottom = left + image.width * grow, top + image.height * grow
    if left < 0 or top < 0 or right > image.width or bottom > image.height:
        ground = Image.new("RGB", (round(right - left), round(bottom - top)), (124, 117, 104))
        ground.paste(image, (round(-left), round(-top)))
        image = ground.resize(size, Image.Resampling.BILINEAR)
    else:
        image = image.resize(size, Image.Resampling.BILINEAR, (left, top, right, bottom))
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    boxes = (boxes - (left, top, left, top)) * np.tile(
        (size[0] / (right - left), size[1] / (bottom - top)), 2
    )
    area *= size[0] / (right - left) * size[1] / (bottom - top)
    boxes = boxes.clip(0, np.tile(size, 2))
    seen = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    keep = (seen >= VISIBLE * area) & (seen > 16)
    boxes, labels = boxes[keep], labels[keep]
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        boxes = boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (size[0], 0, size[0], 0)
    gain, shift = rng.uniform(0.8, 1.2), rng.uniform(-15, 15)
    image = image.point(lambda value: value * gain + shift)
    return image, torch.from_numpy(boxes).float(), torch.from_numpy(labels)
