"""From a trained detector to what ships: what held-out photos decide, the record, the files."""

import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SHARED, make_tiny, randomise
from PIL import Image
from safetensors.torch import load_file, save_file
from why_detectors import named, small_offline

from resnet import ResNet50, weights
from resnet.detectors import shipped
from resnet.detectors.looks import Look
from resnet.detectors.offline import Dense, OfflineDetector, points
from resnet.train import choose, detector_bundle
from resnet.train.detector_bundle import Seen, decoded, official, settle
from resnet.train.detector_figures import SUBSET, only
from resnet.train.evaluate import FLOOR, judge, measure
from resnet.train.scenes import Scene, read_scenes

# --- rules


def test_the_lowest_overlap_that_costs_next_to_nothing():
    assert choose.lowest_overlap({0.5: 12.7, 0.55: 12.85, 0.6: 12.95, 0.65: 13.0}) == 0.55
    assert choose.lowest_overlap({0.5: 13.0, 0.6: 12.0}) == 0.5
    assert choose.lowest_overlap({0.5: 10.0, 0.6: 11.0}) == 0.6


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (3.5, -0.4), (0.5, 1.0)])
def test_the_calibration_that_made_the_data_is_found(slope, offset):
    scores = np.linspace(0.05, 0.95, 19).repeat(20_000)
    share = 1 / (1 + np.exp(-(slope * np.log(scores / (1 - scores)) + offset)))
    place = np.tile((np.arange(20_000) + 0.5) / 20_000, 19)
    found = choose.logistic(scores.astype(np.float32), place < share)
    assert found == pytest.approx((slope, offset), abs=0.01)
    told = shipped.calibrate(torch.tensor([0.3]), found)
    assert told.item() == pytest.approx(share[np.isclose(scores, 0.3)].mean(), abs=0.003)


@pytest.mark.parametrize("right", ["all", "none", "the better half", "the worse half"])
def test_a_calibration_is_finite_and_keeps_the_order(right):
    scores = np.linspace(0.01, 0.99, 40).astype(np.float32)
    truth = {
        "all": scores > 0,
        "none": scores < 0,
        "the better half": scores > 0.5,
        "the worse half": scores < 0.5,
    }
    slope, offset = choose.logistic(scores, truth[right])
    assert math.isfinite(slope) and math.isfinite(offset) and slope >= 0.1


def test_the_threshold_by_hand():
    scores = np.array([0.2, 0.9, 0.8, 0.4, 0.6], np.float32)  # in any order
    right = np.array([False, True, True, False, True])

    def kept(aim: float) -> int:
        return int((scores >= choose.threshold(scores, right, aim)).sum())

    assert [kept(aim) for aim in (0.6, 0.61, 0.75, 0.76, 1.0)] == [5, 4, 4, 3, 3]
    middle = choose.threshold(scores, right, 0.75)  # between 0.4 and 0.2, in logits
    assert math.log(middle / (1 - middle)) == pytest.approx((math.log(2 / 3) - math.log(4)) / 2)
    # The first box is wrong, and the share that is right rises again after it.
    assert kept_of([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 1], 0.75) == 4
    # Boxes of one score come together.
    assert kept_of([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], 0.9) == 1
    assert kept_of([0.9, 0.5, 0.5, 0.1], [1, 0, 1, 0], 0.9) == 1
    # Never reached: the highest precision there is.
    assert kept_of([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0], 0.9) == 3
    assert kept_of([0.9, 0.8], [0, 0], 0.9) == 1


def kept_of(scores: list[float], right: list[int], aim: float) -> int:
    scores = np.array(scores)
    return int((scores >= choose.threshold(scores, np.array(right, bool), aim)).sum())


def test_classes_worth_showing_by_hand():
    ap50 = {"cat": 30.0, "dog": 30.0, "bird": 0.0, "fork": 0.0, "bear": 40.0, "cow": math.nan}
    objects = {"cat": 9, "dog": 9, "bird": 30, "fork": 4, "bear": 3, "cow": 0}
    learned = {"cat": 90, "dog": 15, "bird": 99, "fork": 99, "bear": 16, "cow": 99}
    # Mean 20, bar 6.67; bird (30 x 0 + 5 x 20) / 35 = 2.9, fork (4 x 0 + 5 x 20) / 9 = 11.1.
    assert choose.worth_showing(ap50, objects, learned) == ("cat", "fork", "bear", "cow")
    nothing = dict.fromkeys(ap50, math.nan)
    assert "cat" in choose.worth_showing(nothing, objects, learned)


def test_names_get_cocos_spelling_and_others_stay():
    told = [official(name) for name in ("motorbike", "tvmonitor", "Dog", "Golden Retriever")]
    assert told == ["motorcycle", "tv", "dog", "Golden Retriever"]


def test_only_some_classes():
    scene = Scene(Path("a"), ((0, 0, 1, 1), (2, 2, 3, 3), (4, 4, 5, 5)), (0, 2, 1))
    (left,) = only([scene], (2, 0))
    assert left.boxes == ((0, 0, 1, 1), (2, 2, 3, 3)) and left.labels == (1, 0)


# --- what a detector with known answers gets

NAMES = ("cat", "dog", "kite")
SIDE = 96


def said(*answers: tuple[int, int, float]) -> Seen:
    """A photo of 96 x 96 on which (point of stride 8, label, logit) stand out, 16 pixels wide."""
    places, _ = points(SIDE, SIDE)
    logits = torch.full((1, len(places), len(NAMES)), -12.0)
    for at, label, logit in answers:
        logits[0, at, label] = logit
    distances = torch.ones(1, len(places), 4)
    raw = named(Dense(logits, distances, torch.full((1, len(places)), 12.0)), SIDE, SIDE)
    return Seen((raw,), ((SIDE, SIDE),), (SIDE, SIDE), (0.2,), (0.15,))


def there(*things: tuple[int, int]) -> Scene:
    """The truth: (point, label) of each thing."""
    places, _ = points(SIDE, SIDE)
    boxes = [(x - 8, y - 8, x + 8, y + 8) for x, y in (places[at].tolist() for at, _ in things)]
    return Scene(Path("a.png"), tuple(boxes), tuple(label for _, label in things))


SPOTS = (26, 30, 34, 74, 78, 82, 122, 126)  # far from each other and from the edge


def known() -> shipped.Offline:
    info = SimpleNamespace(name="offline", full=False)
    return shipped.Offline(info, None, None, None, NAMES, (0, 1, 2), None, (1.0, 0.0), 0.6)


def test_settled_on_photos_with_known_answers():
    rng = np.random.default_rng(1)
    looks, scenes = [], []
    for _ in range(40):  # surer answers are right more often
        rows = [(at, int(rng.integers(2)), float(rng.normal())) for at in SPOTS]
        looks.append(said(*rows))
        is_right = [rng.random() < 1 / (1 + math.exp(-2 * logit)) for _, _, logit in rows]
        truth = [(at, label) for (at, label, _), right in zip(rows, is_right, strict=True) if right]
        scenes.append(there(*truth, (14, 2)))  # and a kite, which is never found
    learned = {"cat": 99, "dog": 99, "kite": 99}
    made, ap = settle(known(), looks, scenes, learned)
    assert made.overlap == 0.5 and set(ap) == set(detector_bundle.OVERLAPS)
    assert len(set(ap.values())) == 1  # these boxes overlap nowhere
    assert [NAMES[place] for place in made.shown] == ["cat", "dog"]
    slope, offset = made.calibration
    assert 1.5 < slope < 4  # of the score, which has a part of the fit in it
    found = judge("x", decoded(made, looks), scenes, NAMES)
    at = found.at(0.5)
    assert choose.AIM <= at.precision < choose.AIM + 0.05
    lower = judge(
        "x", decoded(replace(made, calibration=(slope, offset + 0.1)), looks), scenes, NAMES
    )
    assert lower.at(0.5).precision < choose.AIM  # more recall would cost it
    assert settle(known(), looks, scenes, learned | {"dog": 3})[0].shown == (0,)
    one = next(decoded(made, looks))
    assert (one.seconds, one.trunk_seconds) == (0.2, 0.15)


def test_nothing_to_choose_on_is_said():
    with pytest.raises(ValueError, match="show nothing"):
        settle(known(), [said((26, 0, 2.0))], [there()], dict.fromkeys(NAMES, 99))


# --- the command

LOOKS = (Look(64, 640), Look(64, 640, mirrored=True))


@pytest.fixture
def world(tmp_path, monkeypatch) -> Path:
    """Forty-one photos of one size, a trained detector of three classes, a small input."""
    tiny = make_tiny("v1")
    monkeypatch.setattr(ResNet50, "load", lambda *args, **kwargs: tiny)
    monkeypatch.setattr(detector_bundle, "FOUR", LOOKS)
    module = small_offline().module
    (tmp_path / "trained").mkdir()
    state = {key: value.contiguous() for key, value in module.state_dict().items()}
    save_file(state, tmp_path / "trained" / "detector.safetensors")
    own = {key: value for key, value in state.items() if key.startswith("namer.")}
    save_file(own, tmp_path / "trained" / "namer.safetensors")
    (tmp_path / "trained" / "options.json").write_text('{"epochs": 3}')
    for folder, count in (("photos", 41), ("test", 7)):
        (tmp_path / folder).mkdir()
        notes = {"categories": ["motorbike", "Cat", "dog"], "images": {}}
        for number in range(count):
            name = f"{number:03}.png"
            Image.effect_noise((96, 64), 80 + number).convert("RGB").save(tmp_path / folder / name)
            boxes = [[8, 8, 60, 56], [30, 4, 94, 60]]
            notes["images"][name] = {"boxes": boxes, "labels": [number % 3, 1]}
        (tmp_path / f"{folder}.json").write_text(json.dumps(notes))
    return tmp_path


def make(world: Path, *more: str) -> dict:
    given = [world / "photos", world / "photos.json", "--trained", world / "trained"]
    detector_bundle.main([*map(str, given), "--out", str(world / "out"), *more])
    return json.loads((world / "out" / "detector-offline.json").read_text("utf-8"))


def on_test(world: Path) -> list[str]:
    return ["--test-photos", str(world / "test"), "--test-annotations", str(world / "test.json")]


def test_what_the_command_writes_is_what_it_measured(world, capsys):
    record = make(world, *on_test(world), "--source", "noise")
    printed = capsys.readouterr().out
    file = world / "out" / "detector-offline.safetensors"
    assert sorted(path.name for path in (world / "out").iterdir()) == [
        "detector-offline.json",
        "detector-offline.safetensors",
    ]
    assert record["names"] == ["motorcycle", "cat", "dog"]
    assert record["sha256"] == weights.sha256(file) and record["sha256"] in printed
    assert record["trunk"] == ResNet50.load().spec.sha256
    assert record["trained_on"] == "38 noise photos"  # of 41, three are held out
    assert record["inputs"] == {
        "annotations": weights.sha256(world / "photos.json"),
        "detector": weights.sha256(world / "trained" / "detector.safetensors"),
        "namer": weights.sha256(world / "trained" / "namer.safetensors"),
        "test_annotations": weights.sha256(world / "test.json"),
        "options": {"epochs": 3},
    }
    told = record["measured"]
    assert told["on"].startswith("7 other noise photos (not comparable with published AP")
    assert (told["photos"], told["objects"]) == (7, 14)
    assert told["shown"]["classes"] == len(record["shown"])
    assert told["subset"]["photos"] == len(range(0, 7, SUBSET))
    assert f"{told['AP']:>10}" in printed
    # Measured again from the files, it is the same, at all looks and at one.
    assert_measured(world, record, record, LOOKS, shipped.BOXES)
    assert_measured(world, record["quick"], record, LOOKS[:1], shipped.QUICK_BOXES)


def assert_measured(
    world: Path, told: dict, record: dict, ways: tuple[Look, ...], boxes: int
) -> None:
    file = world / "out" / "detector-offline.safetensors"
    module = shipped.read(ResNet50.load(), 3, record["sha256"], file)
    names, overlap = tuple(record["names"]), told["overlap"]
    detector = shipped.assemble(
        ResNet50.load(), module, names, names, tuple(told["calibration"]), overlap
    )
    detector, told = replace(detector, ways=ways, boxes=boxes), told["measured"]
    again = measure(detector, read_scenes(world / "test", world / "test.json")[1], names, FLOOR)
    assert again.table["AP"] == pytest.approx(told["AP"], abs=0.02)
    assert again.at(0.5).precision == pytest.approx(told["precision"], abs=0.02)
    per_class = {name: told["AP50_per_class"][name] for name in names}
    assert again.per_class50 == pytest.approx(per_class, abs=0.02)


def test_a_bundle_keeps_its_weights_and_is_measured_again(world):
    first = make(world, *on_test(world))
    file = world / "out" / "detector-offline.safetensors"
    shutil.move(world / "out", world / "shipped")
    shutil.rmtree(world / "trained")
    again = make(world, "--trained", str(world / "shipped" / file.name), *on_test(world))
    assert file.read_bytes() == (world / "shipped" / file.name).read_bytes()
    for told in (first, again):
        for part in (told, told["quick"]):
            del part["measured"]["seconds"]
    assert again == first
    (world / "shipped" / "detector-offline.json").unlink()
    with pytest.raises(SystemExit):
        make(world, "--trained", str(world / "shipped" / file.name))


def test_without_test_photos_the_record_says_on_what_it_was_measured(world):
    record = make(world)
    assert record["measured"]["on"].startswith("3 held-out photos photos, which chose the")
    assert "test_annotations" not in record["inputs"]


def test_the_weights_are_those_trained_but_for_rounding(world):
    make(world)
    stored = load_file(world / "out" / "detector-offline.safetensors")
    trained = load_file(world / "trained" / "detector.safetensors")
    state = weights.dequantize(stored)
    assert stored["layer4.0.conv1.weight"].dtype == torch.int8
    for key, value in trained.items():
        if value.ndim > 1:
            assert (state[key] - value).abs().max() <= 0.05 * value.abs().max(), key
        else:
            assert torch.equal(state[key], value), key


def test_a_run_that_is_stopped_changes_nothing(world, monkeypatch):
    (world / "out").mkdir()
    for end in ("json", "safetensors"):
        (world / "out" / f"detector-offline.{end}").write_text("as before")

    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(detector_bundle, "measured", stopped)
    with pytest.raises(KeyboardInterrupt):
        make(world)
    kept = {path.name: path.read_text() for path in (world / "out").iterdir()}
    assert kept == {
        "detector-offline.json": "as before",
        "detector-offline.safetensors": "as before",
    }


def other_classes(world: Path) -> list[str]:
    file = world / "test.json"
    file.write_text(file.read_text().replace("dog", "cow"))
    return on_test(world)


def another_trunk(world: Path) -> list[str]:
    big = OfflineDetector(randomise(make_tiny("v1")), 5).state_dict()
    state = {key: value.contiguous() for key, value in big.items()}
    save_file(state, world / "trained" / "detector.safetensors")
    return []


def no_photo(world: Path) -> list[str]:
    (world / "photos" / "020.png").write_bytes(b"no photo")
    return []


def untrained(world: Path) -> list[str]:
    (world / "trained" / "detector.safetensors").unlink()
    return []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_classes, "other classes than the training photos"),
        (another_trunk, "the offline detector needs"),
        (no_photo, "020.png: "),
        (untrained, "detector.safetensors is missing"),
        (lambda world: on_test(world)[:2], "go together"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(world, spoil, says, capsys):
    with pytest.raises(SystemExit):
        make(world, *spoil(world))
    assert says in capsys.readouterr().err
    assert not list(world.glob("out/*"))


# --- the detector that ships


def test_the_record_tells_what_was_shipped_and_from_what():
    record = shipped.record()
    assert weights.sha256(shipped.FILE) == record["sha256"]
    assert record["trunk"] == weights.HE2015_SHA256
    assert record["names"] == [official(name) for name in record["names"]]
    assert "motorcycle" in record["names"] and "motorbike" not in record["names"]
    hashes = [record["inputs"][key] for key in ("annotations", "detector", "test_annotations")]
    assert len({len(value) for value in hashes}) == 1 and len(hashes[0]) == 64
    told = record["measured"]
    assert "not comparable" in told["on"] and told["shown"]["classes"] == len(record["shown"])
    assert told["shown"]["precision"] >= 0.7  # what a visitor sees by default


@pytest.mark.shared_data
def test_the_recorded_inputs_are_those_at_hand():
    inputs = shipped.record()["inputs"]
    assert weights.sha256(SHARED / "coco" / "train.json") == inputs["annotations"]
    assert weights.sha256(SHARED / "coco" / "devtest.json") == inputs["test_annotations"]


def ap_on_devtest(net: ResNet50, every: int, name: str) -> tuple[float, int]:
    """AP in percent of the shipped file, all classes, on every so many photos; and how many."""
    record = shipped.record()
    names = record["names"]
    module = shipped.read(net, len(names), record["sha256"])
    four, quick = shipped.from_record(net, module, record | {"shown": names})
    detector = four if name == shipped.NAME else quick
    _, scenes = read_scenes(SHARED / "coco" / "devtest", SHARED / "coco" / "devtest.json")
    scenes = scenes[::every]
    return measure(detector, scenes, names, FLOOR).table["AP"], len(scenes)


@pytest.mark.shared_data
def test_ap_on_some_photos_is_the_recorded_one(net):
    """At one look: four take minutes on an old processor."""
    told = shipped.record()["quick"]["measured"]["subset"]
    found = ap_on_devtest(net, told["every"], shipped.QUICK)
    assert found == (pytest.approx(told["AP"], abs=0.3), told["photos"])


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.skipif("RESNET_LONG" not in os.environ, reason="half an hour: RESNET_LONG=1 runs it")
@pytest.mark.parametrize("name", [shipped.NAME, shipped.QUICK])
def test_ap_on_devtest_is_the_recorded_one(net, name):
    record = shipped.record()
    told = (record if name == shipped.NAME else record["quick"])["measured"]
    found = ap_on_devtest(net, 1, name)
    assert found == (pytest.approx(told["AP"], abs=0.3), told["photos"])
