"""Measuring a detector: figures worked out by hand, and the command that prints them."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from resnet import ResNet50, detectors
from resnet.__main__ import main
from resnet.detections import Detections
from resnet.detectors import DetectorError
from resnet.detectors.run import run
from resnet.detectors.sighting import OneLook
from resnet.images import ImageError, read_photo
from resnet.train import evaluate
from resnet.train.evaluate import COLUMNS, is_val2017, judge, match, measure
from resnet.train.scenes import Scene

NAMES = ("person", "motorbike", "kite")
SIZE = (640, 480)
BIG = (100.0, 100.0, 220.0, 220.0)  # 120 x 120: large for COCO
OTHER = (300.0, 100.0, 420.0, 220.0)


class Fake(OneLook):
    """Knows by heart what to answer for each photo: [(box, score, name)]."""

    info = SimpleNamespace(name="fake", full=False)

    def __init__(self, trunk: ResNet50, names=NAMES):
        self.trunk = trunk
        self.names = names
        self.answers: dict[str, list] = {}
        self.asked: list[float] = []

    def prepare(self, photo, look=0):
        self.photo = photo.digest
        return torch.zeros(1, 3, 32, 32)

    def answer(self, streams, x):
        return self.answers.get(self.photo, [])

    def decode(self, raw, x, size, floor):
        self.asked.append(floor)
        raw = sorted(raw, key=lambda row: -row[1])
        found = Detections(
            np.array([box for box, _, _ in raw]).reshape(-1, 4),
            [score for _, score, _ in raw],
            [self.names.index(name) for _, _, name in raw],
            self.names,
            size,
            "fake",
        )
        return found, raw


class World:
    """Photos in a folder, what is on them, and what the fake says of them."""

    def __init__(self, folder: Path, trunk: ResNet50):
        self.folder, self.fake, self.scenes = folder, Fake(trunk), []

    def add(self, truth, said) -> None:
        """One photo more: truth [(box, name)], said [(box, score, name)]."""
        path = self.folder / f"{len(self.scenes):03}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", SIZE, (len(self.scenes), 0, 0)).save(path)
        labels = tuple(NAMES.index(name) for _, name in truth)
        self.scenes.append(Scene(path, tuple(box for box, _ in truth), labels))
        self.fake.answers[read_photo(path).digest] = said

    def measure(self, **options):
        return measure(self.fake, self.scenes, NAMES, **options)


@pytest.fixture
def world(tmp_path, tiny_v1) -> World:
    return World(tmp_path / "few", tiny_v1)


def shift(box, x: float) -> tuple[float, ...]:
    return (box[0] + x, box[1], box[2] + x, box[3])


# --- COCO's table


def test_a_perfect_detector_has_100(world, capsys):
    small, medium = (10.0, 10.0, 30.0, 31.0), (400.0, 300.0, 450.0, 350.0)
    world.add([(BIG, "person"), (small, "kite")], [(BIG, 0.9, "person"), (small, 0.6, "kite")])
    world.add([(medium, "kite")], [(medium, 0.3, "kite")])
    world.add([], [])
    found = world.measure()
    assert list(found.table) == list(COLUMNS)
    for name in ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR10", "AR100", "ARs", "ARm", "ARl"):
        assert found.table[name] == pytest.approx(100), name
    assert [found.per_class[name] for name in ("person", "kite")] == pytest.approx([100, 100])
    assert math.isnan(found.per_class["motorbike"])  # none is on any photo
    assert (found.photos, found.objects, found.unknown) == (3, 3, ())
    assert 0 < found.trunk_seconds < found.seconds
    assert found.at(0.0).precision == found.at(0.0).recall == 1
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""  # pycocotools talks otherwise


@pytest.mark.parametrize(
    ("by", "iou", "ap", "ap50", "ap75"),
    [  # IoU = (120 - by) / (120 + by), and AP is the share of .50, .55 … .95 that are below it
        (24.5, 0.66, 40, 100, 0),
        (12.5, 0.81, 70, 100, 100),
        (2.5, 0.959, 100, 100, 100),
        (41, 0.49, 0, 0, 0),
    ],
)
def test_a_shifted_detector_by_hand(world, by, iou, ap, ap50, ap75):
    assert (120 - by) / (120 + by) == pytest.approx(iou, abs=0.005)
    for box in (BIG, OTHER):
        world.add([(box, "person")], [(shift(box, by), 0.9, "person")])
    table = world.measure().table
    assert [table[key] for key in ("AP", "AP50", "AP75")] == pytest.approx([ap, ap50, ap75])
    assert table["APl"] == pytest.approx(ap) and math.isnan(table["APs"])
    assert table["AR1"] == pytest.approx(ap)
    assert world.measure().at(0.5).recall == (1 if ap50 else 0)


def test_an_empty_detector_has_0(world):
    world.add([(BIG, "person")], [])
    found = world.measure()
    assert found.table["AP"] == found.table["AR100"] == found.per_class["person"] == 0
    at = found.at(0.5)
    assert math.isnan(at.precision) and (at.recall, at.boxes, at.right) == (0, 0, 0)


def test_photos_with_nothing_on_them_have_no_ap(world):
    world.add([], [(BIG, 0.9, "person")])
    found = world.measure()
    assert math.isnan(found.table["AP"]) and math.isnan(found.at(0.5).recall)
    assert found.at(0.5).precision == 0


def test_half_found_by_hand(world):
    world.add([(BIG, "person"), (OTHER, "person")], [(BIG, 0.9, "person")])
    found = world.measure()
    assert found.table["AP"] == pytest.approx(100 * 51 / 101)  # recall 0, .01 … .50 of 101 steps
    assert found.at(0.5).precision == 1 and found.at(0.5).recall == 0.5
    assert found.at(0.95).boxes == 0


def test_a_duplicate_costs_precision(world):
    near = shift(BIG, 10)
    said = [(BIG, 0.9, "person"), (near, 0.8, "person"), (OTHER, 0.7, "person")]
    world.add([(BIG, "person"), (OTHER, "person")], said)
    found = world.measure()
    # One of one is right up to recall .50, then two of three.
    assert found.table["AP50"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    at = found.at(0.75)
    assert (at.boxes, at.right, at.duplicates) == (2, 1, 1)
    assert (at.precision, at.recall) == (0.5, 0.5)
    assert found.at(0.7).precision == pytest.approx(2 / 3)  # 0.7 itself counts
    assert found.at(0.85).duplicates == 0


def test_a_box_of_the_wrong_class_is_wrong(world):
    world.add([(BIG, "person")], [(BIG, 0.9, "kite")])
    found = world.measure()
    assert found.table["AP"] == 0
    at = found.at(0.5)
    assert (at.precision, at.recall, at.duplicates) == (0, 0, 0)


def test_boxes_are_given_away_best_first_each_to_what_it_fits():
    objects = np.array([BIG, shift(BIG, 30)])
    kinds = np.array([0, 0])
    boxes = [shift(BIG, 14), shift(BIG, 16), shift(BIG, 2), shift(BIG, -39)]
    found = Detections(boxes, [0.9, 0.8, 0.7, 0.6], [0] * 4, NAMES, SIZE, "fake")
    right, duplicate = match(found, found.labels, objects, kinds)
    # The first fits the left object best, the second the right one, the third finds both taken.
    assert right.tolist() == [True, True, False, False]
    assert duplicate.tolist() == [False, False, True, True]
    right, duplicate = match(found.pick(np.array([1, 2])), np.zeros(2, int), objects, kinds)
    assert right.tolist() == [True, True] and not duplicate.any()
    nearer = Detections([BIG, shift(BIG, 10)], [0.9, 0.8], [0, 0], NAMES, SIZE, "fake")
    right, duplicate = match(nearer, nearer.labels, objects, kinds)  # the second best is free
    assert right.tolist() == [True, True] and not duplicate.any()
    right, duplicate = match(found, np.array([1, 1, 0, 1]), objects, kinds)
    assert right.tolist() == [False, False, True, False] and not duplicate.any()


def test_every_box_and_object_is_told_with_its_class(world):
    """IoU .66: right at .50, wrong from .70 on."""
    near = shift(BIG, 24.5)
    world.add([(BIG, "kite"), (OTHER, "person")], [(near, 0.9, "kite"), (BIG, 0.8, "person")])
    found = world.measure()
    assert [NAMES[label] for label in found.labels] == ["kite", "person"]
    assert found.right.tolist() == [True, False] and not found.duplicate.any()
    assert found.kinds.tolist() == [2, 0]
    assert found.per_class50["kite"] == pytest.approx(100)
    assert found.per_class["kite"] == pytest.approx(40)
    assert found.per_class50["person"] == 0 and math.isnan(found.per_class50["motorbike"])


def test_judging_answers_is_measuring_them(world):
    world.add([(BIG, "person")], [(BIG, 0.9, "person")])
    world.add([(BIG, "kite")], [(OTHER, 0.8, "kite")])
    answers = [run(world.fake, read_photo(scene.path), 0.01).found for scene in world.scenes]
    judged = judge("fake", answers, world.scenes, NAMES)
    measured = world.measure()
    assert judged.table == pytest.approx(measured.table, nan_ok=True)
    assert judged.right.tolist() == measured.right.tolist() == [True, False]
    assert judged.detector == "fake"
    with pytest.raises(ValueError):  # one answer a scene
        judge("fake", answers[:1], world.scenes, NAMES)


# --- names


def test_classes_are_matched_by_name(world):
    world.fake = Fake(world.fake.trunk, names=("zebra", "Motorcycle", "person"))
    answers = [(BIG, 0.9, "Motorcycle"), (OTHER, 0.8, "person"), (BIG, 0.95, "zebra")]
    world.add([(BIG, "motorbike"), (OTHER, "person"), (BIG, "kite")], answers)
    found = world.measure()
    assert found.per_class == pytest.approx({"motorbike": 100, "person": 100, "kite": 0})
    assert found.table["AP"] == pytest.approx(200 / 3)
    assert found.unknown == ("kite",)
    at = found.at(0.5)  # nobody annotated zebras
    assert (at.boxes, at.right) == (2, 2) and at.recall == pytest.approx(2 / 3)


def test_progress_floor_and_a_bad_photo(world):
    world.add([(BIG, "person")], [])
    world.add([(BIG, "person")], [])
    seen = []
    world.measure(floor=0.25, progress=lambda scenes: seen.extend(scenes) or scenes)
    assert seen == world.scenes and world.fake.asked == [0.25, 0.25]
    world.scenes[1].path.write_bytes(b"no photo")
    with pytest.raises(ImageError, match=r"^001\.png: "):
        world.measure()


def test_without_pycocotools_a_sentence(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    world.add([], [])
    with pytest.raises(DetectorError, match="needs the package pycocotools"):
        world.measure()
    assert world.fake.asked == []  # said before the photos are looked at


def test_val2017_is_known_by_number_and_names():
    stems = [139, *range(200, 5198), 581781]
    scenes = [Scene(Path(f"{stem:012}.jpg"), (), ()) for stem in stems]
    assert is_val2017(scenes) and is_val2017(scenes[::-1])
    assert not is_val2017(scenes[:-1]) and not is_val2017(scenes[1:])
    assert not is_val2017([*scenes[1:], scenes[1]])


# --- the command


@pytest.fixture
def command(world, monkeypatch, tmp_path):
    """Two photos, three objects; of four boxes two are right and one is a duplicate."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ResNet50, "load", lambda *args: world.fake.trunk)
    monkeypatch.setattr(detectors, "load", lambda name, net: world.fake)
    said = [(BIG, 0.9, "person"), (shift(BIG, 5), 0.8, "person"), (OTHER, 0.4, "kite")]
    world.add([(BIG, "person"), (OTHER, "kite")], said)
    world.add([(BIG, "person")], [(OTHER, 0.7, "person")])
    images = {
        scene.path.name: {"boxes": scene.boxes, "labels": scene.labels} for scene in world.scenes
    }
    Path("few.json").write_text(json.dumps({"categories": NAMES, "images": images}))
    return lambda *more: main(["evaluate", "offline", "--data", "few.json", *more])


def test_evaluate_json(command, world, capsys):
    assert command("--json") == 0
    captured = capsys.readouterr()
    row = json.loads(captured.out)
    assert captured.err == ""
    wanted = world.measure()
    assert (row["detector"], row["weights"], row["data"]) == ("fake", "tiny-v1", "few.json")
    assert (row["photos"], row["objects"], row["classes"]) == (2, 3, 3)
    assert row["table"]["AP"] == pytest.approx(wanted.table["AP"], abs=0.005)
    assert list(row["table"]) == list(COLUMNS) and row["table"]["APs"] is None
    assert (row["score"], row["boxes"], row["right"], row["duplicates"]) == (0.5, 3, 1, 1)
    assert row["precision"] == row["recall"] == 0.3333
    assert row["seconds"] == pytest.approx(row["trunk_seconds"] + row["head_seconds"], rel=0.5)
    assert "not comparable with published COCO AP" in row["note"] and "per_class" not in row
    assert command("--json", "--per-class", "--score", "0.4") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["per_class"] == {"person": 50.5, "motorbike": None, "kite": 100.0}
    assert (row["boxes"], row["right"], row["recall"]) == (4, 2, 0.6667)


def test_evaluate_prints_twelve_aligned_rows(command, world, capsys):
    assert command() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fake on few.json: 2 photos, 3 objects of 3 classes"
    assert lines[1].startswith("  tiny-v1 on CPU, fp32: ") and "trunk" in lines[1]
    rows = lines[2:14]
    assert [row.split()[0] for row in rows] == list(COLUMNS)
    assert len({row.index(COLUMNS[row.split()[0]]) for row in rows}) == 1
    assert rows[0].split()[1] == f"{world.measure().table['AP']:.1f}"
    assert "precision 33.3 %, recall 33.3 %" in lines[14] and "3 boxes, 1 right" in lines[14]
    assert lines[15].strip() == "These figures are not comparable with published COCO AP: that " + (
        "is measured on all 5,000 photos of COCO val2017, and these are others or fewer."
    )
    assert command("--per-class") == 0
    text = capsys.readouterr().out
    kinds = text.split("AP of each class:\n")[1].splitlines()[:3]
    assert [row.split()[:2] for row in kinds] == [
        ["kite", "100.0"],
        ["person", "50.5"],
        ["motorbike", "–"],
    ]


def test_evaluate_on_all_of_val2017_says_something_else(command, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "is_val2017", lambda scenes: True)
    assert command("--json") == 0
    note = json.loads(capsys.readouterr().out)["note"]
    assert "not comparable" not in note and "crowd regions" in note


def test_evaluate_takes_photos_from_elsewhere_and_shows_progress(command, world, capsys):
    Path("few").rename("elsewhere")
    assert command("--photos", "elsewhere", "--json", "--progress") == 0
    captured = capsys.readouterr()
    assert "evaluate" in captured.err and "/2" in captured.err
    assert json.loads(captured.out)["photos"] == 2


def test_evaluate_names_what_the_detector_does_not_know(command, world, capsys):
    world.fake.names = ("person", "kite")
    assert command() == 0
    assert "does not know, and scores nothing for: motorbike." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["yolo", "--data", "few.json"], 2, "There is no detector “yolo”"),
        (["offline"], 2, "--data"),
        (["offline", "--data", "gone.json"], 2, "gone.json is not usable"),
        (["offline", "--data", "bad.json"], 2, "bad.json is not usable"),
        (["offline", "--data", "lost.json"], 2, "There is no folder lost with the photos"),
        (["offline", "--data", "few.json", "--photos", "empty"], 2, "000.png, which is not there"),
        (["offline", "--data", "few.json", "--score", "2"], 2, "not a number from 0 to 1"),
    ],
)
def test_evaluate_says_in_one_line_what_is_wrong(command, arguments, status, says, capsys):
    Path("bad.json").write_text("{")
    Path("bad").mkdir()
    Path("empty").mkdir()
    Path("lost.json").write_text("{}")
    assert main(["evaluate", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("resnet: ") and says in line


def test_a_photo_that_cannot_be_read_ends_it_with_its_name(command, world, capsys):
    world.scenes[1].path.write_bytes(b"no photo")
    assert command() == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("resnet: 001.png: ")
