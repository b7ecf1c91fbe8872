"""Detections to other programs' formats and back."""

import builtins
import csv
import importlib.util
import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from resnet.detections import Detections
from resnet.detectors import DetectorError, convert
from resnet.train.scenes import read_scenes

NAMES = ("person", "motorbike", "traffic light", "tvmonitor", "toothbrush")
SIZES = [(101, 67), (1, 1), (333, 4999), (6401, 4273)]
EXACT = 1e-3  # pixels


def make(size: tuple[int, int], names=NAMES, count: int = 20, **changes) -> Detections:
    """Random boxes with edges between the pixels, two of them at the photo's edge or empty."""
    rng = np.random.default_rng(size[0])
    corners = rng.random((count, 2, 2)) * size
    boxes = np.concatenate((corners.min(1), corners.max(1)), 1).astype(np.float32)
    boxes[0] = (0, 0, *size)
    boxes[1] = (*size, *size)
    scores = np.sort(rng.random(count).astype(np.float32))[::-1]
    labels = rng.integers(0, len(names), count)
    return Detections(boxes, scores, labels, names, size, "test", **changes)


def same(one: Detections, other: Detections) -> None:
    assert np.abs(one.boxes - other.boxes).max() <= EXACT
    assert np.abs(one.scores - other.scores).max() <= 1e-5
    assert one.label_names == other.label_names
    assert (one.size, one.detector) == (other.size, other.detector)


# --- COCO


def test_ids_are_those_of_coco_by_name():
    table = convert.coco_table()
    assert len(table) == 80 and len(set(table.values())) == 80
    wanted = {"person": 1, "motorcycle": 4, "traffic light": 10, "tv": 72, "toothbrush": 90}
    assert {name: table[name] for name in wanted} == wanted
    assert convert.category_ids(NAMES) == (1, 4, 10, 72, 90)
    assert convert.category_ids(("Person", "weasel")) == (1, 2)  # not all are COCO's: own ids
    assert convert.category_ids(("tv", "tvmonitor")) == (1, 2)  # two names for one id
    assert convert.category_ids(()) == ()


@pytest.mark.parametrize("size", SIZES)
def test_coco_there_and_back(size):
    found = make(size)
    rows = json.loads(json.dumps(convert.to_coco(found, 7)))
    assert {row["image_id"] for row in rows} == {7}
    same(convert.from_coco(rows[::-1], NAMES, size, "test"), found)  # any order comes in


def test_a_coco_row_is_left_top_width_height():
    found = Detections([[10.5, 20, 30, 44]], [0.75], [1], NAMES, (100, 50), "test")
    row = {"image_id": 1, "category_id": 4, "bbox": [10.5, 20, 19.5, 24], "score": 0.75}
    assert convert.to_coco(found) == [row]


def test_from_coco_takes_annotations_and_says_what_is_wrong():
    rows = [{"bbox": [1, 2, 3, 4], "category_id": 10}]
    found = convert.from_coco(rows, NAMES, (9, 9), "truth")
    assert found.scores.tolist() == [1] and found.label_names == ("traffic light",)
    over = convert.from_coco([{"bbox": [1, 2, 9, 9], "category_id": 1}], NAMES, (9, 9), "truth")
    assert over.boxes.tolist() == [[1, 2, 9, 9]]
    with pytest.raises(ValueError, match="Category 2 is none"):
        convert.from_coco([{"bbox": [1, 2, 3, 4], "category_id": 2}], NAMES, (9, 9), "truth")
    assert len(convert.from_coco([], NAMES, (9, 9), "truth")) == 0


@pytest.mark.parametrize("names", [NAMES, ("weasel", "person")])
def test_the_coco_file_is_complete_and_our_own_reader_takes_it(tmp_path, names):
    found = make((101, 67), names)
    Image.new("RGB", (101, 67)).save(tmp_path / "zoo.png")
    (tmp_path / "zoo.json").write_text(convert.to_coco_file(found, "zoo.png"))
    whole = json.loads((tmp_path / "zoo.json").read_text())
    (image,) = whole["images"]
    assert (image["file_name"], image["width"], image["height"]) == ("zoo.png", 101, 67)
    assert len({note["id"] for note in whole["annotations"]}) == len(found)
    for note, box in zip(whole["annotations"], found.boxes.astype(float), strict=True):
        assert note["image_id"] == image["id"] and note["iscrowd"] == 0
        assert note["area"] == pytest.approx((box[2] - box[0]) * (box[3] - box[1]), abs=0.1)
    same(convert.from_coco(whole["annotations"], names, (101, 67), "test"), found)
    read, (scene,) = read_scenes(tmp_path, tmp_path / "zoo.json")
    assert np.abs(np.array(scene.boxes) - found.boxes).max() <= EXACT
    assert tuple(read[label] for label in scene.labels) == found.label_names


# --- text


@pytest.mark.parametrize("size", SIZES)
def test_csv_there_and_back(size):
    found = make(size)
    rows = list(csv.DictReader(io.StringIO(convert.to_csv(found, "a, “b”.jpg"), newline="")))
    assert tuple(rows[0]) == convert.CSV_COLUMNS
    assert {row["file"] for row in rows} == {"a, “b”.jpg"}
    boxes = [[float(row[key]) for key in ("x1", "y1", "x2", "y2")] for row in rows]
    scores = [float(row["score"]) for row in rows]
    labels = [NAMES.index(row["label"]) for row in rows]
    same(Detections(np.clip(boxes, 0, size * 2), scores, labels, NAMES, size, "test"), found)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum(A1)", "'@sum(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\t=1", "'\t=1"),
        ("\rdog", "'\rdog"),
        ("hot dog", "hot dog"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_csv_holds_no_formulas(name, safe):
    found = Detections([[0, 0, 1, 1]], [1], [0], (name,), (9, 9), "test")
    text = convert.to_csv(found, name)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["label"] == row["file"] == safe


@pytest.mark.parametrize("size", SIZES)
def test_yolo_there_and_back(size):
    found = make(size)
    text, classes = convert.to_yolo(found)
    names = classes.splitlines()
    assert names == list(NAMES)
    rows = np.array([line.split() for line in text.splitlines()], float)
    assert rows.shape == (len(found), 5) and (rows[:, 1:] >= 0).all() and (rows <= 5).all()
    assert [names[int(label)] for label in rows[:, 0]] == list(found.label_names)
    centres, sides = rows[:, 1:3] * size, rows[:, 3:] * size
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), 1)
    assert np.abs(boxes - found.boxes).max() <= EXACT


def test_yolo_of_one_box_by_hand():
    found = Detections([[10, 20, 30, 60]], [0.5], [2], ("a", "b", "two\nlines"), (40, 80), "test")
    line, classes = convert.to_yolo(found)
    assert line == "2 0.50000000 0.50000000 0.50000000 0.50000000\n"
    assert classes == "a\nb\ntwo lines\n"


def test_empty_detections_give_empty_files():
    empty = Detections(np.zeros((0, 4)), [], [], NAMES, (9, 9), "test")
    assert convert.to_coco(empty) == []
    assert json.loads(convert.to_coco_file(empty, "a.jpg"))["annotations"] == []
    assert convert.to_csv(empty, "a.jpg") == ",".join(convert.CSV_COLUMNS) + "\r\n"
    assert convert.to_yolo(empty)[0] == ""


# --- torchvision


def test_from_torchvision_sorts_cuts_and_leaves_out_what_has_no_name():
    names = ("__background__", "person", "N/A", "dog")
    answer = {
        "boxes": torch.tensor([[1, 2, 3, 4], [0, 0, 9, 9], [-0.5, 2, 21, 9], [5, 5, 6, 6.0]]),
        "scores": torch.tensor([0.3, 0.99, 0.8, 0.7], requires_grad=True),
        "labels": torch.tensor([3, 2, 1, 0]),
        "masks": torch.rand(4, 1, 11, 20, generator=torch.Generator().manual_seed(0)),
    }
    found = convert.from_torchvision(answer, names, (20, 11), "fcos")
    assert found.names == ("person", "dog") and found.label_names == ("person", "dog")
    assert found.boxes.tolist() == [[0, 2, 20, 9], [1, 2, 3, 4]]
    assert found.scores.tolist() == pytest.approx([0.8, 0.3])
    assert (found.masks == (answer["masks"][[2, 0], 0] >= 0.5).numpy()).all()
    assert (found.size, found.detector) == ((20, 11), "fcos")


def test_from_torchvision_of_nothing():
    answer = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0).long()}
    assert len(convert.from_torchvision(answer, ("a",), (5, 5), "fcos")) == 0


# --- supervision


def test_without_supervision_a_sentence(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "supervision":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DetectorError, match="pip install supervision"):
        convert.to_supervision(make((101, 67)))


def test_what_supervision_is_given(monkeypatch):
    made = SimpleNamespace(Detections=lambda **given: given)
    if importlib.util.find_spec("supervision") is None:
        monkeypatch.setitem(sys.modules, "supervision", made)
    masks = np.zeros((20, 2, 3), bool)
    masks[0, 1, 2] = True  # the last cell of a grid of 2 x 3: the lower right
    found = make((9, 4), masks=masks)
    given = convert.to_supervision(found)
    given = given if isinstance(given, dict) else vars(given)
    assert (given["xyxy"] == found.boxes).all() and (given["confidence"] == found.scores).all()
    assert (given["class_id"] == found.labels).all()
    assert tuple(given["data"]["class_name"]) == found.label_names
    wanted = np.zeros((20, 4, 9), bool)
    wanted[0, 2:, 6:] = True
    assert (given["mask"] == wanted).all()
