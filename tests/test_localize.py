"""Boxes from heat maps: exact on drawn maps, on the photo's pixels, right as often as told."""

import hashlib
import io
import json
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT, SHARED, draw_photo
from PIL import Image

from resnet import localize
from resnet.analysis import Analysis, analyze
from resnet.cam import METHODS, CamError, HeatMap
from resnet.classify import UnknownClass
from resnet.detections import Detections
from resnet.images import read_photo
from resnet.localize import Region, analyze_whole, boxes, components, measured, record, regions
from resnet.train import localization
from resnet.train.scenes import SceneError, read_scenes
from resnet.view import View


def drawn(*blobs: tuple[int, int, int, int, float], shape=(40, 60)) -> np.ndarray:
    """A map of zeros with rectangles x0, y0, x1, y1, value."""
    values = np.zeros(shape, np.float32)
    for x0, y0, x1, y1, value in blobs:
        values[y0:y1, x0:x1] = value
    return values


# Regions of a map


def test_two_blobs_are_two_boxes_highest_first():
    values = drawn((5, 10, 15, 20, 0.8), (30, 2, 50, 12, 2.0))
    found = regions(values, 0.3)
    assert found == [
        Region((30, 2, 50, 12), 200, 1.0),
        Region((5, 10, 15, 20), 100, pytest.approx(0.4)),
    ]
    assert [region.box for region in regions(values, 0.5)] == [(30, 2, 50, 12)]


def test_of_equal_peaks_the_larger_comes_first():
    values = drawn((0, 0, 6, 6, 1), (30, 2, 50, 12, 1))
    assert [region.area for region in regions(values, 0.5)] == [200, 36]


def test_a_ring_is_one_box_and_what_it_encloses_another():
    values = drawn((10, 5, 50, 35, 1), (15, 10, 45, 30, 0), (25, 15, 35, 25, 0.9))
    assert [region.box for region in regions(values, 0.5)] == [(10, 5, 50, 35), (25, 15, 35, 25)]
    assert regions(values, 0.5)[0].area == 40 * 30 - 30 * 20


def test_blobs_at_the_border_end_there():
    values = drawn((0, 0, 8, 8, 1), (50, 30, 60, 40, 0.9), (0, 30, 9, 40, 0.8))
    found = [region.box for region in regions(values, 0.5)]
    assert found == [(0, 0, 8, 8), (50, 30, 60, 40), (0, 30, 9, 40)]


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("threshold", [0, 0.3, 1])
def test_a_map_of_nothing_has_no_box(value, threshold):
    assert regions(np.full((20, 30), value, np.float32), threshold) == []


@pytest.mark.parametrize("value", [1e-6, 0.3, 70])
@pytest.mark.parametrize("threshold", [0, 0.3, 1])
def test_a_constant_map_is_one_box_around_all(value, threshold):
    found = regions(np.full((20, 30), value, np.float32), threshold)
    assert found == [Region((0, 0, 30, 20), 600, 1.0)]


def test_the_threshold_is_met_by_equal_values_and_zero_means_all_that_is_positive():
    values = drawn((2, 2, 10, 10, 4), (20, 2, 30, 10, 1), (40, 2, 50, 10, -1))
    assert len(regions(values, 0)) == 2
    assert len(regions(values, 0.25)) == 2  # exactly a quarter of the maximum
    assert len(regions(values, 0.2501)) == 1
    assert [region.box for region in regions(values, 1)] == [(2, 2, 10, 10)]


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan")])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(ValueError, match="0 to 1"):
        regions(np.ones((4, 4), np.float32), threshold)


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        regions(drawn((2, 2, 10, 10, np.nan)), 0.3)


def test_specks_are_dropped_but_never_the_maximum():
    least = round(localize.SPECK * 40 * 60)
    values = drawn((2, 2, 10, 10, 1), (20, 20, 20 + least, 21, 0.9), (20, 30, 19 + least, 31, 0.9))
    assert [region.box for region in regions(values, 0.5)] == [
        (2, 2, 10, 10),
        (20, 20, 20 + least, 21),
    ]
    values[35, 50] = 3
    assert regions(values, 0.5) == [Region((50, 35, 51, 36), 1, 1.0)]


def test_a_shape_that_closes_only_below_is_one_part():
    mask = drawn((5, 5, 8, 30, 1), (20, 5, 23, 30, 1), (35, 5, 38, 30, 1), (5, 30, 38, 33, 1)) > 0
    assert len(components(mask)) == 1
    assert len(components(mask[:30])) == 3


@pytest.mark.parametrize("share", [0.2, 0.4, 0.5, 0.6])
@pytest.mark.parametrize("shape", [(13, 17), (1, 9), (9, 1)])
def test_components_are_those_of_a_flood_fill(share, shape):
    mask = np.random.default_rng(round(100 * share)).random(shape) < share
    found = {
        frozenset((y, x) for y, start, stop in part for x in range(start, stop))
        for part in components(mask)
    }
    assert found == flooded(mask)
    assert components(np.zeros(shape, bool)) == []


def flooded(mask: np.ndarray) -> set[frozenset]:
    left, parts = {(int(y), int(x)) for y, x in np.argwhere(mask)}, set()
    while left:
        queue, part = deque([left.pop()]), set()
        while queue:
            y, x = queue.popleft()
            part.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            queue.extend(near)
        parts.add(frozenset(part))
    return parts


# From the grid to the photo's pixels


def seen(analysis: Analysis, view: View) -> Analysis:
    """The analysis as if its network had looked through another view."""
    return replace(analysis, view=view)


def one_cell(row: int, column: int, shape=(7, 7), index: int = 2) -> HeatMap:
    grid = np.zeros(shape, np.float32)
    grid[row, column] = 5
    return HeatMap(grid, index, "cam", "4.1", signed=True)


@pytest.fixture(scope="module")
def analysis(tiny_v1) -> Analysis:
    return tiny_v1.analyze(draw_photo(320, 240))


def test_boxes_are_finer_than_the_grid(analysis):
    """A lone cell's bilinear tent falls by 1/32 a pixel: half its height is the cell itself."""
    at = seen(analysis, View(analysis.view.image, (0, 0, 224, 224), (224, 224)))
    heat = one_cell(2, 4)
    assert boxes(at, [heat], 0.5).boxes.tolist() == [[128, 64, 160, 96]]
    # 1 - (d + .5) / 32 >= .3 (1 - .5 / 32) holds up to d = 22: seven pixels more on every side
    assert boxes(at, [heat], 0.3).boxes.tolist() == [[121, 57, 167, 103]]
    assert boxes(at, [heat], 1).boxes.tolist() == [[143, 79, 145, 81]]
    corner = boxes(at, [one_cell(6, 0)], 0.5)
    assert corner.boxes.tolist() == [[0, 192, 32, 224]]


@pytest.mark.parametrize("size", [(500, 375), (333, 501), (1023, 769), (31, 29), (97, 400)])
def test_boxes_lie_on_the_photos_own_pixels(tiny_v1, size):
    found = tiny_v1.analyze(draw_photo(*size))
    x0, y0, x1, y1 = found.view.box
    cell = (x1 - x0) / 7, (y1 - y0) / 7
    box = boxes(found, [one_cell(2, 4)], 0.5)
    wanted = [x0 + 4 * cell[0], y0 + 2 * cell[1], x0 + 5 * cell[0], y0 + 3 * cell[1]]
    assert box.size == size
    assert box.boxes[0] == pytest.approx(wanted, rel=1e-5)


def test_boxes_of_a_turned_photo_are_in_the_upright_one(tiny_v1):
    upright = draw_photo(301, 200)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    file = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    plain, turned = (tiny_v1.analyze(each) for each in (upright, file.getvalue()))
    assert turned.photo.notes
    for look in (lambda a: a, lambda a: analyze_whole(tiny_v1, a.photo)):
        ours, theirs = (localize.localize(look(each), "ant", 0.4) for each in (plain, turned))
        assert ours.size == theirs.size == (301, 200)
        assert len(ours) and np.array_equal(ours.boxes, theirs.boxes)


def test_boxes_of_a_shrunk_jpeg_are_in_the_files_own_pixels(tiny_v1):
    file = io.BytesIO()
    draw_photo(2400, 1602).save(file, "JPEG")
    photo = read_photo(file.getvalue())
    assert photo.image.width < 2400
    whole = analyze_whole(tiny_v1, photo)
    heat = HeatMap(np.ones((2, 3), np.float32), 0, "cam", "4.1", True)
    assert boxes(whole, [heat]).boxes.tolist() == [[0, 0, 2400, 1602]]


def test_a_crop_that_hangs_over_the_photo_is_cut_off(analysis):
    at = seen(analysis, View(analysis.view.image, (-40, -30, 184, 194), (120, 90)))
    full = HeatMap(np.ones((7, 7), np.float32), 2, "cam", "4.1", True)
    assert boxes(at, [full]).boxes.tolist() == [[0, 0, 120, 90]]
    assert len(boxes(at, [one_cell(0, 0)], 0.5)) == 0  # beside the photo: there is nothing


# Classes, scores, methods


def test_a_box_scores_its_peak_times_the_probability(analysis):
    logits = torch.tensor([0.2, 0.1, 0.1, 0.3, 0.05, 0.05, 0.2]).log()[None]
    analysis = replace(analysis, trace=replace(analysis.trace, logits=logits))
    heat = one_cell(1, 1, index=3)
    heat.grid[5, 5] = 4  # of 5
    found = boxes(analysis, [heat, one_cell(3, 3, index=6)], 0.3)
    assert found.labels.tolist() == [3, 3, 6]
    assert found.scores == pytest.approx([0.3, 0.8 * 0.3, 0.2])
    assert found.names == analysis.net.labels and found.detector == "heat map"
    assert found.trunk_seconds == analysis.seconds < found.seconds


def test_one_class_several_classes_or_the_answer(analysis):
    answer = analysis.top(1)[0]
    found = localize.localize(analysis)
    assert isinstance(found, Detections) and set(found.label_names) == {answer.label}
    assert found.scores[0] == pytest.approx(answer.probability)
    both = localize.localize(analysis, ["bee", 1, "ant"])
    assert set(both.label_names) <= {"bee", "ant"}
    alone = [localize.localize(analysis, name) for name in ("bee", "ant")]
    assert len(both) == sum(map(len, alone))
    assert (np.diff(both.scores) <= 0).all()
    with pytest.raises(UnknownClass):
        localize.localize(analysis, "wardrobe")
    with pytest.raises(CamError):
        localize.localize(analysis, method="guess")
    with pytest.raises(ValueError, match="0 to 1"):
        localize.localize(analysis, threshold=30)


def test_no_evidence_for_a_class_is_no_box(analysis):
    heat = HeatMap(np.full((7, 7), -1, np.float32), 2, "cam", "4.1", True)
    found = boxes(analysis, [heat])
    assert len(found) == 0 and found.boxes.shape == (0, 4) and found.size == (320, 240)
    assert len(boxes(analysis, [])) == 0


def test_another_threshold_needs_no_pass(analysis, monkeypatch):
    heat = analysis.cam("bee")

    def refused(*_):
        raise AssertionError("the network ran")

    monkeypatch.setattr(type(analysis.net), "trace", refused)
    monkeypatch.setattr(type(analysis.net), "head", refused)
    areas = [
        np.prod(np.ptp(boxes(analysis, [heat], t).boxes[0].reshape(2, 2), 0)) for t in (0.2, 0.9)
    ]
    assert areas[0] > areas[1]


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_at_the_last_block_these_are_the_cams_boxes(tiny, method):
    """With only the mean and `fc` after it, gradient times activation is the CAM itself."""
    found = tiny.analyze(draw_photo(200, 260))
    ours, theirs = (localize.localize(found, None, 0.5, name) for name in (method, "cam"))
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1.5)


# The whole photo


@pytest.mark.parametrize(
    "size, grid",
    [((300, 200), (3, 4)), ((200, 300), (4, 3)), ((100, 100), (3, 3)), ((1600, 100), (2, 24))],
)
def test_the_whole_photo_is_looked_at(tiny_v1, size, grid):
    found = analyze_whole(tiny_v1, read_photo(draw_photo(*size)))
    assert found.view.box == (0, 0, *size) and found.view.size == size
    assert found.cam("bee").grid.shape == grid
    assert found.view.image.size == (32 * grid[1], 32 * grid[0])
    assert found.heatmap("bee").shape == size[::-1]


def test_a_square_the_size_of_the_crop_is_seen_alike_both_ways(tiny_v1):
    photo = read_photo(draw_photo(96, 96))
    whole = analyze_whole(tiny_v1, photo)
    assert np.array_equal(np.array(whole.view.image), np.array(photo.image))
    spec = tiny_v1.spec
    assert whole.view.image.size == (spec.crop, spec.crop)
    alone = tiny_v1.trace(localize.to_tensor(photo.image, spec)).logits
    assert np.allclose(whole.trace.logits, alone, atol=1e-5)


def test_the_box_follows_the_thing(net):
    """The bee's flower stands left or right on a grey ground that no centre crop would show."""
    bee = Image.open(ROOT / "assets" / "examples" / "bee.jpg").convert("RGB").resize((200, 200))
    middles = []
    for left in (0, 400):
        ground = Image.new("RGB", (600, 200), (124, 117, 104))
        ground.paste(bee, (left, 0))
        found = localize.localize(analyze_whole(net, read_photo(ground)), "bee")
        x0, _, x1, _ = found.boxes[0]
        assert left - 40 < (x0 + x1) / 2 < left + 240
        middles.append((x0 + x1) / 2)
    assert middles[1] - middles[0] > 200


# How often it fits


def test_overlap():
    found = localization.overlap((0, 0, 10, 10), np.array([[0, 0, 10, 5], [5, 5, 15, 15]]))
    assert found == pytest.approx([0.5, 25 / 175])
    apart = np.array([[20, 20, 30, 30], [10, 0, 20, 10], [3, 3, 3, 3]])
    assert localization.overlap((0, 0, 10, 10), apart).tolist() == [0, 0, 0]


def test_judge():
    truth = np.array([[0, 0, 10, 10], [0, 0, 100, 100]], float)
    assert localization.judge((0, 0, 10, 5), truth) == {"any": True, "largest": False}
    assert localization.judge((0, 0, 10, 4.9), truth) == {"any": False, "largest": False}
    assert localization.judge((0, 0, 90, 90), truth) == {"any": True, "largest": True}
    for nothing in (localization.judge(None, truth), localization.judge((0, 0, 9, 9), truth[:0])):
        assert nothing == {"any": False, "largest": False}


def test_the_default_is_chosen_on_the_first_half_alone():
    nothing = np.zeros((8, len(localization.THRESHOLDS)), bool)
    table = {
        (view, method, "any"): nothing.copy()
        for view in localization.VIEWS
        for method in localization.METHODS
    }
    table["whole", "hirescam", "any"][4:] = True  # the other half
    table["whole", "cam", "any"][:2, 3:8] = True
    table["crop", "layercam", "any"][0, 2] = True
    assert localization.choose(table, 4, ("crop", "whole")) == ("whole", "cam", 5)
    assert localization.choose(table, 4, ("crop",)) == ("crop", "layercam", 2)


@pytest.fixture
def folder(tmp_path):
    images = {}
    for number, size in enumerate([(120, 100), (100, 130), (96, 96)]):
        draw_photo(*size, seed=number).save(tmp_path / f"{number}.png")
        images[f"{number}.png"] = {"boxes": [[0, 0, *size], [4, 8, 15, 16]], "labels": [0, 0]}
    notes = {"categories": ["thing"], "images": images}
    (tmp_path / "boxes.json").write_text(json.dumps(notes))
    return tmp_path


def test_the_file_is_what_the_boxes_give(tiny_v1, folder, capsys):
    content = localization.localization(tiny_v1, folder, folder / "boxes.json")
    assert content["photos"] == 3 and content["halves"] == {"chosen": 1, "test": 2}
    json.dumps(content, allow_nan=False)
    for view, look in (("crop", analyze), ("whole", analyze_whole)):
        for place, threshold in ((5, 0.3), (9, 0.5)):
            hits = []
            for number in range(3):
                found = look(tiny_v1, read_photo(folder / f"{number}.png"))
                box = localize.localize(found, None, threshold, "layercam").boxes[0]
                truth = np.array([[0, 0, *found.photo.size]])
                hits.append(localization.overlap(box, truth)[0] >= 0.5)
            rates = content["rates"][view]["layercam"]["largest"]
            assert rates["all"][place] == pytest.approx(np.mean(hits), abs=1e-4)
            assert rates["chosen"][place] == hits[0]
            assert rates["test"][place] == pytest.approx(np.mean(hits[1:]), abs=1e-4)
    assert content["base lines"]["photo"]["largest"]["all"][0] == 1
    assert "layercam" in localization.report(content)
    assert localization.localization(tiny_v1, folder, folder / "boxes.json") == content


def test_the_script_writes_the_file_and_refuses_what_it_cannot_use(folder, monkeypatch, tiny_v1):
    monkeypatch.setattr(localization.ResNet50, "load", lambda name: tiny_v1)
    arguments = [str(folder), str(folder / "boxes.json"), "--out", str(folder / "new" / "out.json")]
    localization.main([*arguments, "--limit", "2"])
    content = json.loads((folder / "new" / "out.json").read_text())
    assert content["photos"] == 2 and len(content["hits"]) == 2
    with pytest.raises(SystemExit):
        localization.main([*arguments, "--limit", "1"])
    with pytest.raises(SceneError):
        localization.localization(tiny_v1, folder, folder / "0.png")


# What ships


def test_the_defaults_are_what_was_chosen():
    chosen = record()["default"]
    assert (chosen["method"], chosen["threshold"]) == (localize.METHOD, localize.THRESHOLD)
    assert chosen in record()["best"].values()


def test_the_record_agrees_with_itself(net):
    known = record()
    assert known["weights"]["sha256"] == net.spec.sha256
    assert known["photos"] == sum(known["halves"].values()) == len(known["hits"]) == 300
    assert set(known["rates"]) == {"crop", "whole"}
    assert set(known["rates"]["crop"]) == {name for name, m in METHODS.items() if not m.slow}
    half, chosen = known["halves"]["chosen"], known["default"]
    hits = [digit == "1" for digit in known["hits"]]
    parts = {"chosen": hits[:half], "test": hits[half:], "all": hits}
    place = known["thresholds"].index(chosen["threshold"])
    for name, part in parts.items():
        rate, low, high = chosen[name]
        told = known["rates"][chosen["view"]][chosen["method"]]["any"][name][place]
        assert rate == told == pytest.approx(np.mean(part), abs=1e-4)
        assert low < rate < high
    for view, best in known["best"].items():
        rates = [each["any"]["chosen"] for each in known["rates"][view].values()]
        assert best["chosen"][0] == max(map(max, rates))


def test_measured_is_the_other_halfs_rate():
    known = record()
    rates = known["rates"]["whole"]["gradcam"]["any"]["test"]
    thresholds = known["thresholds"]
    assert measured("gradcam", thresholds[4], whole=True) == pytest.approx(rates[4])
    between = (thresholds[4] + thresholds[5]) / 2
    assert measured("gradcam", between, whole=True) == pytest.approx((rates[4] + rates[5]) / 2)
    assert measured("gradcam", 0.3) == pytest.approx(
        known["rates"]["crop"]["gradcam"]["any"]["test"][thresholds.index(0.3)]
    )
    assert measured("scorecam", 0.3) is None
    assert measured("cam", 0.0) is None and measured("cam", 1.0) is None


@pytest.mark.shared_data
@pytest.mark.slow
def test_twenty_photos_hit_and_miss_as_recorded(net):
    known, coco = record(), SHARED / "coco"
    annotations = coco / "devtest.json"
    assert hashlib.sha256(annotations.read_bytes()).hexdigest() == known["annotations"]["sha256"]
    view, method, threshold = (known["default"][key] for key in ("view", "method", "threshold"))
    found = ""
    for scene in read_scenes(coco / "devtest", annotations)[1][:20]:
        hits = localization.measure(net, scene, [view], [method], [threshold])
        found += str(int(hits[view, method, "any"][0]))
    assert found == known["hits"][:20] and "0" in found and "1" in found
