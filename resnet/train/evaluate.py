"""How good a detector is on annotated photos: COCO's table, precision and recall, seconds.

The table is pycocotools' own (Lin et al. 2014, arXiv 1405.0312), on boxes.  Two things differ from
COCO's server: an object's size is its box's area instead of its outline's, and what lies on a
crowd region counts as wrong, because scenes hold no crowds.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchvision.ops import box_iou

from resnet.detections import Detections
from resnet.detectors.catalogue import DetectorError
from resnet.detectors.convert import canonical
from resnet.detectors.run import run
from resnet.detectors.sighting import Detector
from resnet.images import ImageError, Photo, read_photo
from resnet.train.scenes import Scene

COLUMNS = {  # in pycocotools' order
    "AP": "IoU .50 to .95",
    "AP50": "IoU .50",
    "AP75": "IoU .75",
    "APs": "small objects, under 32 x 32 pixels",
    "APm": "medium objects",
    "APl": "large objects, 96 x 96 pixels or more",
    "AR1": "recall with at most 1 box a photo and class",
    "AR10": "recall with at most 10",
    "AR100": "recall with at most 100",
    "ARs": "of these, small objects",
    "ARm": "medium objects",
    "ARl": "large objects",
}
OVERLAP = 0.5  # IoU from which a box is right
FLOOR = 0.001  # lowest score that is looked at: AP counts the unsure boxes as well


@dataclass(frozen=True)
class Operation:
    """What a visitor gets at one threshold, all classes together.

    Attributes:
        score: the threshold.
        precision: share of the boxes that are right, 0..1; NaN without any box.
        recall: share of the objects that were found, 0..1; NaN without any object.
        boxes: with that score or more.
        right: of these, the one best-scored box on an object of its class.
        duplicates: of these, further boxes on an object that has its box.
    """

    score: float
    precision: float
    recall: float
    boxes: int
    right: int
    duplicates: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured.

    Attributes:
        detector: its name.
        names: the classes of the data.
        unknown: those that the detector does not have; they score nothing.
        photos, objects: how many.
        table: COCO's twelve figures in percent, by `COLUMNS`; NaN if there is no such object.
        per_class, per_class50: class -> AP, and AP50, in percent; NaN if no photo shows one.
        seconds: of a photo, from the decoded picture to the boxes, the median.
        trunk_seconds: of these, preparing and trunk.
        head_seconds: head, decoding, removing duplicates.
        scores, labels, right, duplicate: float, int (of `names`) and bool [n], every box of these
            classes.
        kinds: int [objects], the class of every object.
    """

    detector: str
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    photos: int
    objects: int
    table: dict[str, float]
    per_class: dict[str, float]
    per_class50: dict[str, float]
    seconds: float
    trunk_seconds: float
    head_seconds: float
    scores: np.ndarray
    labels: np.ndarray
    right: np.ndarray
    duplicate: np.ndarray
    kinds: np.ndarray

    def at(self, score: float) -> Operation:
        """Precision and recall at a threshold; boxes are given away greedily, best first.

        Taking the best box first means that those above a threshold are matched as if the others
        were not there, so one matching serves every threshold.
        """
        kept = self.scores >= score
        boxes, right = int(kept.sum()), int(self.right[kept].sum())
        return Operation(
            score,
            right / boxes if boxes else float("nan"),
            right / self.objects if self.objects else float("nan"),
            boxes,
            right,
            int(self.duplicate[kept].sum()),
        )


def measure(
    detector: Detector,
    scenes: Sequence[Scene],
    names: Sequence[str],
    floor: float = FLOOR,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Evaluation:
    """Run a detector over photos and compare with what is on them.

    Args:
        detector: ready to run.
        scenes: at least one.
        names: the classes of the data, which the scenes' labels count.
        floor: lowest score that is looked at, 0..1; a higher one lowers AP.
        progress: goes round the scenes.

    Raises:
        ImageError: a photo cannot be used; the text names it.
        DetectorError: pycocotools is not installed.
    """
    _tools()  # before the photos, which take long
    found = (run(detector, _read(detector, scene), floor).found for scene in progress(scenes))
    return judge(detector.info.name, found, scenes, names)


def judge(
    detector: str, answers: Iterable[Detections], scenes: Sequence[Scene], names: Sequence[str]
) -> Evaluation:
    """Compare what a detector found with what is there.

    Classes are matched by name, in COCO's spelling.  Boxes of classes that the data does not know
    are left out: nobody looked for those there.

    Args:
        detector: its name.
        answers: one a scene, in their order; with its seconds.
        scenes, names: as for `measure`.

    Raises:
        DetectorError: pycocotools is not installed.
    """
    number = {canonical(name): i for i, name in enumerate(names)}
    truth, boxes, matched, times, there = [], [], [], [], []
    known: set[str] = set()
    for image_id, (scene, found) in enumerate(zip(scenes, answers, strict=True), start=1):
        times.append((found.seconds, found.trunk_seconds, found.seconds - found.trunk_seconds))
        known.update(canonical(name) for name in found.names)
        places = np.array([number.get(canonical(name), -1) for name in found.names], np.int64)
        labels = places[found.labels]
        found, labels = found.pick(labels >= 0), labels[labels >= 0]
        objects = np.array(scene.boxes, np.float64).reshape(-1, 4)
        kinds = np.array(scene.labels, np.int64)
        truth += _entries(image_id, objects, kinds)
        boxes += _entries(image_id, found.boxes.astype(np.float64), labels, found.scores)
        matched.append((found.scores, labels, *match(found, labels, objects, kinds)))
        there.append(kinds)
    table, per_class, per_class50 = _coco(len(matched), truth, boxes, names)
    seconds, trunk, head = np.median(times, axis=0).tolist()
    scores, named, right, duplicate = (np.concatenate(row) for row in zip(*matched, strict=True))
    return Evaluation(
        detector,
        tuple(names),
        tuple(name for name in names if canonical(name) not in known),
        len(matched),
        len(truth),
        table,
        per_class,
        per_class50,
        seconds,
        trunk,
        head,
        scores,
        named,
        right,
        duplicate,
        np.concatenate(there),
    )


def _read(detector: Detector, scene: Scene) -> Photo:
    try:
        return read_photo(scene.path, full=detector.info.full)
    except ImageError as error:
        raise ImageError(f"{scene.path.name}: {error}") from error


def match(
    found: Detections, labels: np.ndarray, objects: np.ndarray, kinds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give every object at most one box: the best-scored first, each the object it fits best.

    Args:
        found: of one photo, best first.
        labels: int64 [n], of the boxes, counted as `kinds`.
        objects, kinds: [m, 4] and [m], the truth.

    Returns:
        bool [n] right: it has an object of its class with IoU >= OVERLAP for itself; and bool [n]
        duplicate: all such objects were taken.
    """
    right, duplicate = np.zeros(len(found), bool), np.zeros(len(found), bool)
    if not len(found) or not len(objects):
        return right, duplicate
    iou = box_iou(torch.from_numpy(found.boxes).double(), torch.from_numpy(objects)).numpy()
    iou[labels[:, None] != kinds] = 0
    free = np.ones(len(objects), bool)
    for row, fit in enumerate(iou):
        best = int(np.where(free, fit, 0).argmax())
        if free[best] and fit[best] >= OVERLAP:
            free[best], right[row] = False, True
        else:
            duplicate[row] = fit.max() >= OVERLAP
    return right, duplicate


def is_val2017(scenes: Sequence[Scene]) -> bool:
    """Whether these are COCO val2017's 5,000 photos, going by their number and names."""
    stems = sorted(scene.path.stem for scene in scenes)
    return len(stems) == 5000 and (stems[0], stems[-1]) == ("000000000139", "000000581781")


def _entries(
    image_id: int, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """One photo's boxes as pycocotools wants them."""
    entries = []
    for row, ((x0, y0, x1, y1), label) in enumerate(zip(boxes, labels, strict=True)):
        width, height = x1 - x0, y1 - y0
        entry = {
            "image_id": image_id,
            "category_id": int(label) + 1,
            "bbox": [x0, y0, width, height],
            "area": width * height,
            "iscrowd": 0,
        }
        entries.append(entry if scores is None else entry | {"score": float(scores[row])})
    return entries


def _tools() -> tuple[Any, Any]:
    """pycocotools' two classes.

    Raises:
        DetectorError: it is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise DetectorError(
            "Measuring needs the package pycocotools: pip install -r requirements-dev.txt"
        ) from None
    return COCO, COCOeval


def _coco(
    photos: int, truth: list[dict], found: list[dict], names: Sequence[str]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """COCO's table, and every class's AP and AP50, in percent; NaN without any object."""
    coco_class, evaluator_class = _tools()

    def indexed(annotations: list[dict]) -> Any:
        coco = coco_class()
        coco.dataset = {
            "images": [{"id": number} for number in range(1, photos + 1)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
            "annotations": [note | {"id": i} for i, note in enumerate(annotations, start=1)],
        }
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):  # it talks
        evaluator = evaluator_class(indexed(truth), indexed(found), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    table = {name: _percent(value) for name, value in zip(COLUMNS, evaluator.stats, strict=True)}
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, class], any size
    # A class without objects is -1 throughout, and so is its mean.
    per_class, per_class50 = (
        {name: _percent(values[..., i].mean()) for i, name in enumerate(names)}
        for values in (precision, precision[0])
    )
    return table, per_class, per_class50


def _percent(share: float) -> float:
    """0..1 -> percent; pycocotools says -1 where there is nothing to find."""
    return 100 * float(share) if share >= 0 else float("nan")
