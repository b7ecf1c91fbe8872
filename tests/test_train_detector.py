"""Training the offline detector: annotations, augmentation, assignment, going on after a stop."""

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import randomise, tiny_spec
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from resnet import ResNet50
from resnet.detectors.offline import Dense, boxes_at, points
from resnet.train import detector, scenes
from resnet.train.assign import TOP, assign, loss
from resnet.train.scenes import Scene, SceneError, make_batch, plan, read_scenes

TRANSPOSED = {  # EXIF orientation -> how an upright picture is stored with it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

# --- annotations


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("b.png", "a.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    return tmp_path


COCO = {
    "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    "images": [{"id": 7, "file_name": "b.png"}, {"id": 5, "file_name": "a.png"}],
    "annotations": [
        {"image_id": 7, "category_id": 18, "bbox": [1.5, 2, 10, 20]},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 0},
        {"image_id": 7, "category_id": 3, "bbox": [9, 9, 9, 9], "iscrowd": 1},
    ],
}
COMPACT = {
    "categories": ["car", "dog"],
    "images": {
        "b.png": {"boxes": [[1.5, 2, 11.5, 22], [0, 0, 5, 5]], "labels": [1, 0]},
        "a.png": {"boxes": [], "labels": []},
    },
}


@pytest.mark.parametrize("notes", [COCO, COMPACT])
def test_both_layouts_say_the_same(folder, notes):
    (folder / "notes.json").write_text(json.dumps(notes))
    names, (first, second) = read_scenes(folder, folder / "notes.json")
    assert names == ("car", "dog")  # in order of COCO's ids
    assert first == Scene(folder / "a.png", (), ())
    assert second.path == folder / "b.png"
    assert second.boxes == ((1.5, 2, 11.5, 22), (0, 0, 5, 5))  # and the crowd is left out
    assert second.labels == (1, 0)


@pytest.mark.parametrize(
    ("notes", "says"),
    [
        ("{", "not usable"),
        ("[]", "not usable"),
        ('{"images": {}}', "not usable"),
        (json.dumps(COMPACT | {"images": {}}), "names no photos"),
        (json.dumps(COMPACT).replace("a.png", "c.png"), "names c.png, which is not there"),
        (json.dumps(COMPACT).replace("[1, 0]", "[1, 2]"), "b.png has a label outside 0 to 1"),
        (json.dumps(COCO).replace('"category_id": 3', '"category_id": 4'), "not usable"),
    ],
)
def test_annotations_that_cannot_be_used_are_named(folder, notes, says):
    (folder / "notes.json").write_text(notes)
    with pytest.raises(SceneError, match=says):
        read_scenes(folder, folder / "notes.json")


@pytest.fixture
def lying(tmp_path) -> Path:
    """A photo of 64 x 48 pixels that the camera recorded as lying on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "b.png", exif=exif)
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    return tmp_path


@pytest.mark.parametrize("coco", [True, False])
def test_the_size_annotated_is_the_upright_one(lying, coco):
    def write(width: int, height: int) -> None:
        size = {"width": width, "height": height}
        images = [COCO["images"][0] | size, COCO["images"][1]]
        compact = COMPACT["images"] | {"b.png": COMPACT["images"]["b.png"] | size}
        notes = COCO | {"images": images} if coco else COMPACT | {"images": compact}
        (lying / "notes.json").write_text(json.dumps(notes))

    write(48, 64)
    _, (first, second) = read_scenes(lying, lying / "notes.json")
    assert (first.size, second.size) == (None, (48, 64))
    write(64, 48)  # the boxes were drawn on the picture before it was turned
    with pytest.raises(SceneError, match=r"b.png is 48 x 64 pixels when upright.*on 64 x 48"):
        read_scenes(lying, lying / "notes.json")


# --- augmentation


def painted(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> Scene:
    image = Image.new("RGB", size, (0, 0, 90))
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), (255, 200, 0))
    image.save(path)
    return Scene(path, (tuple(map(float, box)),), (3,))


@pytest.mark.parametrize("size", [(301, 201), (150, 333)])
def test_an_augmented_box_still_bounds_its_content(tmp_path, size):
    """Crop, ground, mirror and change of shape: the painted thing and its box go together."""
    width, height = size
    box = (width // 6, height // 4, width // 2, height * 2 // 3)  # neither in the middle
    scene = painted(tmp_path / "a.png", size, box)
    canvas = (224, 160)
    kept, sides, starts = 0, set(), set()
    for seed in range(60):
        image, boxes, labels = scenes._augment(scene, canvas, random.Random(seed))
        assert image.size == canvas and len(boxes) == len(labels)
        pixels = np.asarray(image, int)
        ys, xs = np.nonzero(pixels[..., 0] - pixels[..., 2] > 60)  # the ground's grey differs by 20
        if not len(boxes):
            continue
        kept += 1
        bounds = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        reach = 1.5 + max(canvas[0] / width, canvas[1] / height)  # a pixel of either picture
        assert boxes[0].tolist() == pytest.approx(bounds, abs=reach), seed
        assert labels.tolist() == [3]
        sides.add(round(float(boxes[0, 2] - boxes[0, 0])))
        starts.add(boxes[0, 0].item() < canvas[0] / 3)
    assert kept >= 50 and len(sides) > 5 and starts == {True, False}  # it does vary


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photo_is_turned_upright_before_its_boxes_count(tmp_path, orientation):
    """The same photo, stored in another way, gives the same picture and boxes."""
    scene = painted(tmp_path / "a.png", (90, 60), (10, 12, 40, 50))
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(scene.path) as image:
        image.transpose(TRANSPOSED[orientation]).save(tmp_path / "b.png", exif=exif)
    stored = replace(scene, path=tmp_path / "b.png")
    image, boxes, _ = scenes._augment(scene, (96, 64), random.Random(1))
    turned, same, _ = scenes._augment(stored, (96, 64), random.Random(1))
    assert np.array_equal(np.asarray(image), np.asarray(turned)) and torch.equal(boxes, same)
    assert [len(batch) for batch in plan([scene, stored], 2, random.Random(1))] == [2]  # both wide


def test_what_is_cropped_away_loses_its_box(tmp_path):
    scene = painted(tmp_path / "a.png", (300, 200), (0, 0, 12, 12))
    counts = {len(scenes._augment(scene, (224, 160), random.Random(seed))[1]) for seed in range(60)}
    assert counts == {0, 1}


def test_batches_lie_the_same_way_and_share_a_canvas(tmp_path):
    spec = tiny_spec("v1")
    every = [painted(tmp_path / f"{i}.png", (60, 40), (5, 5, 30, 30)) for i in range(5)]
    every += [painted(tmp_path / f"u{i}.png", (40, 60), (5, 5, 30, 30)) for i in range(4)]
    batches = plan(every, 2, random.Random(1))
    assert sorted(len(batch) for batch in batches) == [2, 2, 2, 2]  # the fifth wide one is left
    names = [scene.path.name for batch in batches for scene in batch]
    assert len(set(names)) == 8
    for batch in batches:
        assert len({scene.path.name[0] == "u" for scene in batch}) == 1
        made = make_batch(batch, spec, random.Random(2))
        _, _, height, width = made.pixels.shape
        assert min(height, width) in scenes.SIDES and height % 32 == width % 32 == 0
        assert (height > width) == batch[0].path.name.startswith("u")
        assert len(made.pixels) == len(made.boxes) == len(made.labels) == 2


def test_the_held_out_are_not_trained_on():
    every = [Scene(Path(f"{i}.jpg"), (), ()) for i in range(45)]
    trained, held = detector.split(every)
    assert [scene.path.stem for scene in held] == ["0", "20", "40"]
    assert len(trained) == 42 and not set(trained) & set(held)


# --- assignment and loss


def answers(size=(64, 96), classes: int = 3):
    """All points of an input, saying 0.5 for every class and boxes of 4 x 4 cells."""
    places, strides = points(*size)
    found = boxes_at(places, strides, torch.full((len(places), 4), 2.0))
    return torch.full((len(places), classes), 0.5), found, places


def test_points_whose_box_fits_answer_for_an_object():
    probability, found, places = answers()
    boxes, labels = torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.tensor([1])
    a = assign(probability, found, places, boxes, labels)
    assert 1 <= len(a.points) <= TOP and (a.objects == 0).all()
    x, y = places[a.points].T
    assert ((x > 8) & (x < 40) & (y > 8) & (y < 40)).all()
    best = a.points[a.quality.argmax()]
    assert places[best].tolist() == [24.5, 24.5]  # stride 8: 32 pixels wide, in the middle
    shared = 31.5**2 / (2 * 32**2 - 31.5**2)
    assert a.quality.max().item() == pytest.approx(shared, abs=1e-5)  # the IoU itself


def test_a_higher_class_score_wins_between_equal_boxes():
    probability, found, places = answers()
    boxes, labels = torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.tensor([1])
    even = assign(probability, found, places, boxes, labels)
    first, second = even.points[even.quality.argsort(descending=True)[:2]]
    found[second] = found[first]
    probability[first, 2] = 1.0  # another class does not matter
    probability[second, 1] = 0.6
    sure = assign(probability, found, places, boxes, labels)
    quality = dict(zip(sure.points.tolist(), sure.quality.tolist(), strict=True))
    assert max(quality, key=quality.get) == second
    assert quality[int(first)] / quality[int(second)] == pytest.approx(0.5 / 0.6)


def test_an_object_smaller_than_a_cell_gets_the_nearest_point():
    probability, found, places = answers()
    boxes, labels = torch.tensor([[26.0, 26.0, 28.0, 28.0]]), torch.tensor([0])
    a = assign(probability, found, places, boxes, labels)
    assert [places[at].tolist() for at in a.points] == [[24.5, 24.5]]


def test_a_point_answers_for_one_object_only():
    probability, found, places = answers()
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0], [12.0, 8.0, 44.0, 40.0]])
    a = assign(probability, found, places, boxes, torch.tensor([0, 1]))
    assert len(set(a.points.tolist())) == len(a.points)
    assert set(a.objects.tolist()) == {0, 1}
    for at, thing in zip(a.points, a.objects, strict=True):
        fits = [float(_iou(found[at], box)) for box in boxes]
        assert fits[thing] == pytest.approx(max(fits))


def _iou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    shared = (high - low).clamp_min(0).prod()
    return shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared)


def test_the_loss_is_small_for_the_right_answer_and_falls_towards_it():
    places, strides = points(64, 96)
    truth, label = torch.tensor([[8.5, 8.5, 40.5, 40.5]]), torch.tensor([1])
    logits = torch.full((1, len(places), 3), -12.0)
    distances = torch.full((1, len(places), 4), 0.5)
    fit = torch.full((1, len(places)), 12.0)
    at = int((places == torch.tensor([24.5, 24.5])).all(1).nonzero()[0])
    logits[0, at, 1], distances[0, at] = 12.0, torch.tensor([2.0, 2, 2, 2])
    right = loss(Dense(logits, distances, fit), places, strides, [truth], [label])
    assert right["class"] < 0.1
    silent = loss(Dense(logits - 24, distances, fit), places, strides, [truth], [label])
    assert silent["class"] > right["class"] + 1
    wrong = logits.clone()
    wrong[0, at] = torch.tensor([12.0, -12.0, -12.0])
    assert loss(Dense(wrong, distances, fit), places, strides, [truth], [label])["class"] > 1
    off = distances.clone()
    off[0, at] = torch.tensor([1.0, 2, 2, 2])
    moved = loss(Dense(logits, off, fit), places, strides, [truth], [label])
    assert moved["box"] > right["box"]


def test_a_photo_with_nothing_on_it_still_teaches_the_classes():
    places, strides = points(64, 96)
    logits = torch.zeros(1, len(places), 3, requires_grad=True)
    distances = torch.ones(1, len(places), 4, requires_grad=True)
    dense = Dense(logits, distances, torch.zeros(1, len(places)))
    none = [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.long)]
    losses = loss(dense, places, strides, *none)
    sum(losses.values()).backward()
    assert losses["box"] == losses["fit"] == 0 and (logits.grad > 0).all()
    assert distances.grad.abs().max() == 0


# --- going on after a stop


def make_net() -> ResNet50:
    return randomise(ResNet50(tiny_spec("v1"), depths=(1, 1, 1, 1), width=8))


def options(out: Path, rounds: int) -> argparse.Namespace:
    out.mkdir()
    return argparse.Namespace(
        out=out, epochs=3, batch=2, rounds=rounds, speed=1e-3, seed=1, precision="fp32",
        start=None, minutes=None,
    )  # fmt: skip


@pytest.fixture
def four(tmp_path, monkeypatch) -> list[Scene]:
    monkeypatch.setattr(scenes, "SIDES", (64,))
    made = [painted(tmp_path / f"{i}.png", (90 + i, 60), (10 * i, 9, 40, 50)) for i in range(4)]
    return [replace(scene, labels=(i % 2,)) for i, scene in enumerate(made)]


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(
    rounds, four, tmp_path, monkeypatch, capsys
):
    net = make_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(0)
    detector.train(net, four, 2, options(tmp_path / "whole", rounds))
    whole = load_file(tmp_path / "whole" / "detector.safetensors")
    assert "goes on" not in capsys.readouterr().out

    steps, asked = detector.steps, []

    def stopped(net, scenes, options, epoch):
        asked.append(epoch)
        for number, step in enumerate(steps(net, scenes, options, epoch)):
            if epoch == 1 and number == 1:
                raise KeyboardInterrupt
            yield step

    broken = options(tmp_path / "broken", rounds)
    monkeypatch.setattr(detector, "steps", stopped)
    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        detector.train(net, four, 2, broken)
    assert asked == [0, 1]
    monkeypatch.setattr(detector, "steps", steps)
    torch.manual_seed(99)  # what a new process draws at first is not used
    detector.train(net, four, 2, broken)
    assert "goes on at epoch 1" in capsys.readouterr().out
    resumed = load_file(tmp_path / "broken" / "detector.safetensors")
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.allclose(value, resumed[name], atol=1e-6), name
    assert (tmp_path / "broken" / "features" / "round-0" / "complete").exists() == bool(rounds)
    for name, value in net.state_dict().items():  # the trunk is frozen
        assert torch.equal(value, before[name]), name


def test_training_fits_four_photos(four, tmp_path, monkeypatch):
    """The loss of the class falls, and stage 4's batch norms are as they came."""
    net = make_net()
    seen = []

    def watched(*args):
        losses = loss(*args)
        seen.append(losses["class"].item())
        return losses

    monkeypatch.setattr(detector, "loss", watched)
    chosen = options(tmp_path / "out", rounds=1)
    chosen.epochs, chosen.speed = 12, 5e-3
    torch.manual_seed(0)
    detector.train(net, four, 2, chosen)
    assert np.mean(seen[-4:]) < 0.8 * np.mean(seen[:4])
    state = load_file(tmp_path / "out" / "detector.safetensors")
    own = dict(net.layer4.named_parameters())
    for name, value in own.items():
        kept = torch.equal(state[f"layer4.{name}"], value)
        assert kept == (".bn" in name or "downsample.1" in name), name
