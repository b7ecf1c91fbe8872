"""The offline detector and `net.detect`: exact boxes, duplicates, thresholds, the way back."""

import dataclasses
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import make_tiny
from PIL import Image, ImageDraw, ImageOps
from safetensors.torch import save_file
from torch import Tensor
from why_detectors import named

import resnet.detect
from resnet import ResNet50, detectors, weights
from resnet.detectors import DetectorError, library, offline, shipped
from resnet.detectors.looks import ONE, Named
from resnet.detectors.offline import Dense, OfflineDetector
from resnet.detectors.run import run
from resnet.engine import Engine
from resnet.images import ImageError, read_photo

NAMES = ("person", "dog", "kite")
WIDTH, HEIGHT = 96, 64  # of the synthetic input; 8 x 12 + 4 x 6 + 2 x 3 points
LEVEL = {8: 0, 16: 96, 32: 120}  # where each stride's points begin
SURE = 30.0  # a logit whose sigmoid is 1 in float32
TRANSPOSED = {  # EXIF orientation -> how an upright picture is stored with it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def point(stride: int, row: int, column: int) -> int:
    """The index of a point of the synthetic input."""
    return LEVEL[stride] + row * (WIDTH // stride) + column


def dense(*answers: tuple[int, int, float, tuple[float, float, float, float]]) -> Dense:
    """Answers (point, label, class logit, distances in strides) where all else is silent."""
    count = LEVEL[32] + (WIDTH // 32) * (HEIGHT // 32)
    logits = torch.full((1, count, len(NAMES)), -SURE)
    distances, fit = torch.zeros(1, count, 4), torch.full((1, count), SURE)
    for at, label, logit, reach in answers:
        logits[0, at, label] = logit
        distances[0, at] = torch.tensor(reach)
    return Dense(logits, distances, fit)


def decoder(shown=(0, 1, 2), calibration=(1.0, 0.0), overlap=0.6) -> shipped.Offline:
    info = SimpleNamespace(name="offline", full=False)
    return shipped.Offline(info, None, None, None, NAMES, shown, None, calibration, overlap)


def decode(raw: Dense, size=(WIDTH, HEIGHT), floor=0.5, detector=None):
    x = torch.zeros(1, 3, HEIGHT, WIDTH)
    return (detector or decoder()).decode(named(raw, HEIGHT, WIDTH), x, size, floor)


# --- one answer, one box


@pytest.mark.parametrize(
    ("stride", "row", "column", "reach", "box"),
    [
        (8, 3, 5, (1, 0.5, 2, 0.25), (32.5, 20.5, 56.5, 26.5)),
        (16, 1, 2, (1, 0.5, 1.5, 1), (16.5, 8.5, 56.5, 32.5)),
        (32, 1, 1, (0.25, 0.5, 1, 0.75), (24.5, 16.5, 64.5, 56.5)),
        (32, 1, 2, (1, 9, 9, 9), (32.5, 0, 96, 64)),  # cut at the input's edges
        (8, 0, 0, (0, 0, 0, 0), (0.5, 0.5, 0.5, 0.5)),
    ],
)
@pytest.mark.parametrize("size", [(96, 64), (193, 127), (1001, 3)])
def test_one_hot_point_is_one_exact_box(stride, row, column, reach, box, size):
    at = point(stride, row, column)
    found, rows = decode(dense((at, 1, SURE, reach)), size)
    fx, fy = size[0] / WIDTH, size[1] / HEIGHT
    assert found.boxes[0] == pytest.approx(np.multiply(box, (fx, fy, fx, fy)), abs=1e-4)
    assert len(found) == 1 and found.label_names == ("dog",)
    assert found.scores[0] == pytest.approx(1, abs=2e-6)
    assert rows[0, :2].tolist() == [at, 1] and found.size == size


def test_points_lie_where_the_levels_say():
    places, strides = offline.points(HEIGHT, WIDTH)
    assert len(places) == len(strides) == 96 + 24 + 6
    for stride in (8, 16, 32):
        at = point(stride, 1, 2)
        assert strides[at] == stride
        assert places[at].tolist() == [2 * stride + 0.5, stride + 0.5]


def test_calibration_by_hand():
    score = torch.tensor([0.0, 0.2, 0.5, 1.0])
    assert shipped.calibrate(score, (1, 0)).tolist() == pytest.approx([0, 0.2, 0.5, 1], abs=2e-6)
    moved = shipped.calibrate(score, (2, 1))
    assert moved[2].item() == pytest.approx(1 / (1 + np.exp(-1)))
    assert moved[1].item() == pytest.approx(1 / (1 + np.exp(-(2 * np.log(0.25) + 1))))
    assert moved.isfinite().all() and (moved.diff() > 0).all()


# --- duplicates and thresholds


def beside(gap: float) -> Dense:
    """Two persons of 32 x 16 pixels, the second `gap` pixels to the right and a little less sure.

    IoU = (32 - gap) / (32 + gap).
    """
    left, right = point(8, 3, 4), point(8, 3, 5)  # 8 pixels apart
    near, far = 2 - (gap - 8) / 8, 2 + (gap - 8) / 8
    return dense((left, 0, 3.0, (2, 1, 2, 1)), (right, 0, 2.0, (near, 1, far, 1)))


@pytest.mark.parametrize("overlap", [0.5, 0.6, 0.7])
def test_duplicates_go_at_the_overlap(overlap):
    edge = 32 * (1 - overlap) / (1 + overlap)  # 8 pixels at 0.6
    kept, _ = decode(beside(edge + 0.05), detector=decoder(overlap=overlap))
    assert len(kept) == 2 and kept.scores[0] > kept.scores[1]
    left, rows = decode(beside(edge - 0.05), detector=decoder(overlap=overlap))
    assert left.boxes.tolist() == kept.boxes[:1].tolist()
    assert rows[:, :2].tolist() == [[point(8, 3, 4), 0]]


def test_two_classes_in_one_place_share_a_probability_of_one():
    one, other = point(8, 3, 4), point(8, 3, 5)
    raw = dense((one, 0, 1.0, (2, 1, 2, 1)), (other, 2, 0.9, (3, 1, 1, 1)))
    assert decode(raw)[0].label_names == ("person",)
    found, rows = decode(raw, floor=0.01)
    assert found.label_names == ("person", "kite")
    assert found.boxes[0].tolist() == found.boxes[1].tolist()
    assert found.scores.sum() == pytest.approx(1) and found.scores[0] > 0.5
    assert rows[:, :2].tolist() == [[one, 0], [other, 2]]
    seldom = dense((one, 0, 1.0, (2, 1, 2, 1)), (other, 2, -3.0, (3, 1, 1, 1)))
    assert decode(seldom, floor=0.01)[0].scores.sum() < 0.95  # there is room for both


def test_a_second_name_gives_way_to_what_was_behind_it():
    one, other, third = point(8, 3, 4), point(8, 3, 5), point(8, 6, 9)
    rival = (other, 2, 0.9, (3, 1, 1, 1))
    raw = dense((one, 0, 1.0, (2, 1, 2, 1)), rival, (third, 1, 0.5, (1, 1, 1, 1)))
    found, rows = decode(raw, floor=0.01)
    assert found.label_names == ("person", "dog", "kite")  # best first once more
    assert rows[:, :2].tolist() == [[one, 0], [third, 1], [other, 2]]


def test_names_are_rivals_from_an_overlap_on():
    boxes = torch.tensor([[0.0, 0, 100, 10], [0, 0, 79, 10], [0, 0, 81, 10]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 2])
    # The third overlaps both by more than SAME, the second the first by less.
    told = shipped.one_name(boxes, scores, labels)
    assert told.tolist() == pytest.approx([0.9, 0.8, 0.1])
    assert shipped.one_name(boxes, scores, torch.tensor([0, 1, 0])).tolist() == pytest.approx(
        [0.9, 0.8, 0.2]
    )
    none = torch.zeros(0)
    assert len(shipped.one_name(torch.zeros(0, 4), none, none)) == 0


def test_the_floor_keeps_what_equals_it():
    raw = dense((5, 1, 0.3, (1, 1, 1, 1)))
    score = decode(raw, floor=0.1)[0].scores[0]
    assert 0.5 < score < 0.7
    assert len(decode(raw, floor=float(score))[0]) == 1
    assert len(decode(raw, floor=float(np.nextafter(score, np.float32(1))))[0]) == 0


def test_nothing_sure_is_an_empty_answer():
    found, rows = decode(dense())
    assert len(found) == 0 and rows.shape == (0, 6) and found.names == NAMES


def test_hidden_classes_are_not_reported():
    raw = dense((5, 0, 3.0, (1, 1, 1, 1)), (40, 1, 2.0, (1, 1, 1, 1)))
    assert decode(raw)[0].label_names == ("person", "dog")
    assert decode(raw, detector=decoder(shown=(1, 2)))[0].label_names == ("dog",)
    every = decode(raw, floor=0.0, detector=decoder(shown=(1, 2)))[0]
    assert set(every.label_names) == {"dog", "kite"}  # even where everything is let through
    assert len(decode(raw, floor=0.0, detector=decoder(shown=()))[0]) == 0


def test_the_best_of_very_many_are_kept(monkeypatch):
    monkeypatch.setattr(shipped, "MOST", 7)
    far = [(at, at % 3, 3 - at / 50, (0.1, 0.1, 0.1, 0.1)) for at in range(0, 96, 4)]
    found, rows = decode(dense(*far), floor=0.01)
    assert rows[:, 0].int().tolist() == [0, 4, 8, 12, 16, 20, 24]
    assert len(found) == 7


# --- from the photo to the input and back


class Finder(shipped.Offline):
    """Answers with the bounds of what is white in the input: one dog."""

    def answer(self, streams, x: Tensor) -> Named:
        height, width = x.shape[2:]
        places, strides = offline.points(height, width)
        bright = x[0].amin(0) > 0.5 * x.max()
        ys, xs = bright.nonzero(as_tuple=True)
        bounds = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        inside = (places[:, 0] > bounds[0]) & (places[:, 0] < bounds[2])
        inside &= (places[:, 1] > bounds[1]) & (places[:, 1] < bounds[3])
        at, other = (int(inside.nonzero()[place]) for place in (0, -1))
        (px, py), stride = places[at], strides[at]
        reach = torch.stack((px - bounds[0], py - bounds[1], bounds[2] - px, bounds[3] - py))
        logits = torch.full((1, len(places), len(NAMES)), -SURE)
        logits[0, at, 1] = SURE
        logits[0, other, 0] = 0.0  # and, smaller, a person of 0.62
        distances = torch.zeros(1, len(places), 4)
        distances[0, at], distances[0, other] = reach / stride, 0.1
        return named(Dense(logits, distances, torch.full((1, len(places)), SURE)), height, width)


def finder(net: ResNet50) -> Finder:
    info = SimpleNamespace(name="finder", full=False)
    return Finder(info, net, None, None, NAMES, (0, 1, 2), None, (1.0, 0.0))


def painted(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """White on black; x1 and y1 are the first pixels outside."""
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), "white")
    return image


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((301, 173), (31, 20, 150, 101)),
        ((173, 301), (0, 201, 90, 301)),
        ((1601, 1203), (1001, 7, 1501, 333)),  # a JPEG of this size is decoded at a half
        ((97, 613), (10, 400, 80, 590)),
        ((640, 384), (64, 32, 320, 96)),  # goes in as it is
    ],
)
def test_boxes_are_in_pixels_of_the_photo(tiny_v1, tmp_path, size, box):
    painted(size, box).save(tmp_path / "a.jpg", quality=95)
    photo = read_photo(tmp_path / "a.jpg")
    assert (photo.image.size != photo.size) == (size[0] > 1500)
    sighting = run(finder(tiny_v1), photo, 0.7)
    height, width = sighting.input.shape[2:]
    assert height % 32 == width % 32 == 0
    cell = max(size[0] / width, size[1] / height, size[0] / photo.image.width)
    found = sighting.found
    assert found.size == size and found.label_names == ("dog",)
    assert found.boxes[0] == pytest.approx(box, abs=cell + 0.5)
    assert 0 < found.trunk_seconds < found.seconds
    if size == (width, height):
        assert found.boxes[0].tolist() == list(box)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(301, 173), (1601, 1203)])
def test_boxes_are_upright_whatever_the_camera_recorded(tiny_v1, tmp_path, size, orientation):
    box = (size[0] // 8, size[1] // 5, size[0] // 2, size[1] // 3)  # no symmetry
    upright = painted(size, box)
    turn = TRANSPOSED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if turn is None else upright.transpose(turn)
    stored.save(tmp_path / "a.jpg", quality=95, exif=exif)
    with Image.open(tmp_path / "a.jpg") as opened:  # Pillow's own word on what upright is
        pillow = np.asarray(ImageOps.exif_transpose(opened), int)
    assert np.abs(pillow - np.asarray(upright, int)).mean() < 2
    found = run(finder(tiny_v1), read_photo(tmp_path / "a.jpg"), 0.7).found
    assert found.size == size
    assert found.boxes[0] == pytest.approx(box, abs=max(size) / 300)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((640, 480), (384, 512)),
        ((480, 640), (512, 384)),
        ((301, 173), (352, 640)),  # with 384 it would be 668 wide
        ((3000, 300), (64, 640)),
        ((20, 20), (384, 384)),
        ((20, 390), (640, 32)),  # so thin that its shape cannot be kept
    ],
)
def test_the_input_is_the_whole_photo_in_multiples_of_32(tiny_v1, size, shape):
    x = shipped.prepare(read_photo(Image.new("RGB", size)), tiny_v1)
    assert tuple(x.shape) == (1, 3, *shape)


# --- net.detect


@pytest.fixture
def passes(tiny_v1, monkeypatch) -> list[int]:
    """Every name means the finder on the tiny trunk; its passes are counted."""
    made: list[int] = []
    stem = ResNet50.stem

    def counted(self, x):
        made.append(len(x))
        return stem(self, x)

    monkeypatch.setattr(ResNet50, "stem", counted)
    monkeypatch.setattr(detectors, "load", lambda name, net: finder(tiny_v1))
    return made


def test_net_detect_filters_by_score_and_class(tiny_v1, passes):
    photo = painted((301, 173), (31, 20, 150, 101))
    assert tiny_v1.detect(photo).label_names == ("dog", "person")
    assert tiny_v1.detect(photo, score=0.75).label_names == ("dog",)
    assert tiny_v1.detect(photo, "finder", 0.1, ["person"]).label_names == ("person",)
    assert len(tiny_v1.detect(photo, classes=["kite"])) == 0
    one, other = tiny_v1.detect(np.asarray(photo)), tiny_v1.detect(read_photo(photo))
    assert one.boxes.tolist() == other.boxes.tolist()
    with pytest.raises(ValueError, match="finder does not know “cat”"):
        tiny_v1.detect(photo, classes=["cat"])
    with pytest.raises(ImageError):
        tiny_v1.detect(b"no photo")
    for score in (-0.1, 1.01, float("nan")):
        with pytest.raises(ValueError, match="number from 0 to 1"):
            tiny_v1.detect(photo, score=score)


def test_threshold_and_classes_need_no_further_pass(tiny_v1, passes, tmp_path):
    sighting = resnet.detect.sight(tiny_v1, painted((301, 173), (31, 20, 150, 101)))
    assert passes == [1]
    counts = [len(sighting.found.above(score)) for score in (0, 0.5, 0.75, 1)]
    assert counts == [2, 2, 1, 0]  # no score is quite 1
    assert len(sighting.found.above(0.1, ["person"])) == 1 and passes == [1]
    painted((301, 173), (31, 20, 150, 101)).save(tmp_path / "a.png")
    engine = Engine(tiny_v1)
    first = engine.sight(tmp_path / "a.png", "offline")
    assert engine.sight(tmp_path / "a.png", "offline") is first and passes == [1, 1]


@pytest.mark.parametrize(("waiting", "turns"), [(0, 1), (1, 3), (4, 3), (5, 1)])
def test_a_few_who_wait_go_between_two_looks(tiny_v1, monkeypatch, waiting, turns):
    """With nobody there it looks on at once; in a crowd turns would only make all wait."""
    detector = dataclasses.replace(finder(tiny_v1), ways=ONE * 3)
    monkeypatch.setattr(detectors, "load", lambda *_: detector)
    engine, taken = Engine(tiny_v1), []

    def do(job):
        (made,) = job(None)
        taken.append(made)
        return made

    engine.lane = SimpleNamespace(do=do, waiting=waiting)
    data = io.BytesIO()
    painted((301, 173), (31, 20, 150, 101)).save(data, "PNG")
    seen = engine.spot(data.getvalue(), "offline")
    assert len(taken) == turns and taken[-1] is seen and taken[:-1] == [None] * (turns - 1)
    assert len(seen.found) and seen.detector is detector


def test_an_unknown_detector_is_named_and_the_known_ones_offered(tiny_v1):
    with pytest.raises(DetectorError, match=r"no detector “yolo”\. Use auto, offline"):
        tiny_v1.detect(Image.new("RGB", (64, 64)), "yolo")


def test_auto_is_the_best_that_is_here(monkeypatch):
    monkeypatch.setattr(library, "is_here", lambda name: False)
    assert detectors.choose() == "offline"
    monkeypatch.setattr(library, "is_here", lambda name: name == detectors.AUTO)
    assert detectors.choose() == detectors.AUTO
    assert detectors.choose("offline") == "offline"


# --- the file that ships


def test_the_record_and_the_catalogue_agree():
    record, (info, _) = shipped.record(), shipped.infos()
    assert set(record["shown"]) <= set(record["names"])
    assert len(set(record["names"])) == len(record["names"])
    assert info.classes == len(record["shown"]) > 0
    assert weights.sha256(shipped.FILE) == info.sha256
    assert json.loads(shipped.RECORD.read_text("utf-8")) == record
    assert next(iter(detectors.catalogue())) == "offline"


def test_it_works_on_its_own_trunk_only():
    other = make_tiny("v1", sha256="0" * 64)
    with pytest.raises(DetectorError, match="he2015 only, and tiny-v1 is running"):
        other.detect(Image.new("RGB", (64, 64)), "offline")


def test_another_network_of_the_same_weights_gets_its_own_trunk(net):
    first = detectors.load("offline", net)
    other = ResNet50(net.spec)
    other.load_state_dict(net.state_dict())
    assert detectors.load("offline", other).trunk.conv1 is other.conv1
    assert first.trunk.conv1 is net.conv1
    assert detectors.load("offline", net).trunk.conv1 is net.conv1


def test_it_shares_the_trunk_and_brings_its_own_stage_4(net):
    detector = detectors.load("offline", net)
    assert detectors.load("offline", net) is detector  # read once
    trunk = detector.trunk
    assert trunk.conv1 is net.conv1 and trunk.layer3 is net.layer3
    assert trunk.layer4 is detector.module.layer4 and trunk.layer4 is not net.layer4
    assert not any(p.requires_grad for p in detector.module.parameters())
    assert not detector.module.training


def test_it_answers_alike_twice_in_valid_detections(net, photo):
    floor = 0.001
    one, other = (run(detectors.load("offline", net), read_photo(photo), floor) for _ in "ab")
    assert one.found.boxes.tolist() == other.found.boxes.tolist()
    assert len(one.rows) == len(one.found) <= shipped.MOST
    assert set(one.found.label_names) <= set(shipped.record()["shown"])
    assert len(one.rows)
    one = one.one_look
    again = one.detector.answer(one.streams, one.input)
    assert len(one.rows)
    for row in one.rows[:3]:
        logit = one.detector.target(one.streams, one.input, row)
        place = (again.at == row[0]).nonzero()[0, 0]
        assert logit.item() == pytest.approx(again.logits[place, int(row[1])].item(), abs=1e-4)


def saved(net: ResNet50, path) -> str:
    """A file for this trunk with known random numbers; returns its sha256."""
    module = OfflineDetector(net, len(NAMES))
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, path)
    return weights.sha256(path)


def test_a_file_is_read_back_and_a_damaged_one_refused(tiny_v1, tmp_path):
    file = tmp_path / "own.safetensors"
    digest = saved(tiny_v1, file)
    module = shipped.read(tiny_v1, len(NAMES), digest, file)
    assert not module.training and not any(p.requires_grad for p in module.parameters())
    with pytest.raises(DetectorError, match=r"shape .*, the offline detector needs"):
        shipped.read(tiny_v1, len(NAMES) + 1, digest, file)  # another number of classes
    with pytest.raises(DetectorError, match="damaged"):
        shipped.read(tiny_v1, len(NAMES), "0" * 64, file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DetectorError):
        shipped.read(tiny_v1, len(NAMES), "", file)
    with pytest.raises(DetectorError, match="missing"):
        shipped.read(tiny_v1, len(NAMES), "", tmp_path / "gone.safetensors")


def test_assembled_with_all_or_some_names(tiny_v1):
    module = OfflineDetector(tiny_v1, len(NAMES))
    some = shipped.assemble(tiny_v1, module, NAMES, ("kite", "person"), (1.0, 0.0))
    assert some.shown == (2, 0) and some.names == NAMES and some.calibration == (1.0, 0.0)
    every = shipped.assemble(tiny_v1, module, NAMES, NAMES)
    assert every.looks == 1 and every.one_look is every
    assert shipped.assemble(tiny_v1, module, NAMES, NAMES, overlap=0.5).overlap == 0.5
    assert dataclasses.is_dataclass(every) and every.trunk.layer4 is module.layer4


def test_the_record_sets_the_detector_at_four_looks_and_at_one(net):
    record, four = shipped.record(), detectors.load("offline", net)
    one = detectors.load("offline-quick", net)
    assert four.one_look is four.alone and one.one_look is one
    assert (four.looks, four.one_look.looks, one.looks) == (4, 1, 1)
    assert (four.boxes, four.one_look.boxes, one.boxes) == (40, 40, 24)
    for made, told in ((four, record), (one, record["quick"])):
        assert list(made.calibration) == told["calibration"] and made.overlap == told["overlap"]
        assert [made.names[i] for i in made.shown] == record["shown"]
        assert made.info.ap == told["measured"]["shown"]["AP"]
    assert four.info.ap > one.info.ap
    assert one.module is four.module and one.trunk is four.trunk
    known = [name for name in detectors.catalogue() if detectors.ships(name)]
    assert known == ["offline", "offline-quick"] == [four.info.name, one.info.name]


def test_a_photo_is_looked_at_four_times_and_its_first_look_is_kept(net, photo, tmp_path):
    """Through the lane it is what `run` makes of the photo."""
    photo.save(tmp_path / "a.png")
    engine = Engine(net)
    seen = engine.sight(tmp_path / "a.png", "offline")
    whole = run(detectors.load("offline", net), read_photo(tmp_path / "a.png"), resnet.detect.FLOOR)
    assert seen.found.boxes == pytest.approx(whole.found.boxes, abs=0.01)
    assert seen.found.scores == pytest.approx(whole.found.scores, abs=1e-4)
    first = run(seen.detector.one_look, read_photo(tmp_path / "a.png"), resnet.detect.FLOOR)
    alone = seen.one_look
    assert alone.found.boxes == pytest.approx(first.found.boxes, abs=0.01)
    assert alone.found.scores == pytest.approx(first.found.scores, abs=1e-4)
    quick = engine.sight(tmp_path / "a.png", "offline-quick")
    assert len(quick.found) and quick.detector.boxes < alone.detector.boxes
    assert (seen.found.detector, alone.found.detector) == ("offline", "offline-quick")
