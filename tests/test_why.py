"""Why this box: where things are, the map, the evidence, the crop."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from conftest import ROOT, condition, draw_photo
from PIL import Image
from test_detectors_library import checkpoint
from test_detectors_library import small as shrink
from why_detectors import NAMES, seen_by, small_offline, weighted

from resnet.detectors import library, shipped
from resnet.detectors.run import run
from resnet.detectors.second import clues
from resnet.detectors.sighting import Sighting
from resnet.images import read_photo
from resnet.residual import evidence
from resnet.why import analyze_crop, box_evidence, box_map, crop_box, crop_of, under
from resnet.why.frame import Frame, cells_in, frame_of, onto_photo, spread
from resnet.why.logit import slope

EXAMPLES = ROOT / "assets" / "examples"


@pytest.fixture(scope="module")
def linear(photo) -> Sighting:
    return seen_by(weighted(), photo)


@pytest.fixture(scope="module", params=["v1", "v1.5"])
def small(request, photo) -> Sighting:
    return seen_by(small_offline(variant=request.param), photo)


# Where things are


def test_padding_is_seen_and_boxes_go_to_the_input(linear, small):
    frame = frame_of(linear)
    assert frame == Frame((128, 96), (101, 75), (320, 240))
    assert frame.to_input((160, 120, 320, 240)) == pytest.approx((50.5, 37.5, 101, 75))
    assert frame_of(small).filled == (128, 96)


@pytest.mark.parametrize("stage", list("1234"))
@pytest.mark.parametrize("size", [(128, 96), (101, 75), (32, 32)])
def test_spreading_keeps_the_sum_and_the_place(stage, size):
    frame = Frame(size, size, size)
    step = 2 ** (int(stage) + 1)
    shape = tuple(-(-side // step) for side in size[::-1])
    rng = np.random.default_rng(0)
    cells = rng.normal(size=shape)
    grid = spread(cells, stage, frame)
    assert grid.shape == tuple(-(-side // 4) for side in size[::-1])
    assert grid.sum() == pytest.approx(cells.sum(), abs=1e-12)
    for row, column in ((0, 0), (shape[0] // 2, shape[1] // 2)):
        one = np.zeros(shape)
        one[row, column] = 1
        y, x = np.unravel_index(spread(one, stage, frame).argmax(), grid.shape)
        # cell i looks at pixel step * i, which lies in this cell of the common grid or borders it
        assert (
            abs(4 * y + 2 - (step * row + 0.5)) <= 2 and abs(4 * x + 2 - (step * column + 0.5)) <= 2
        )


def test_a_ramp_arrives_on_the_photos_pixels():
    frame = Frame((128, 96), (101, 75), (333, 247))
    grid = np.tile((np.arange(32) + 0.5) * 4, (24, 1))  # every cell holds where it is
    found = onto_photo(grid, frame)
    assert found.shape == (247, 333) and found.dtype == np.float32
    where = (np.arange(333) + 0.5) * 101 / 333
    np.testing.assert_allclose(found[100, 10:], where[10:], rtol=1e-5)
    assert onto_photo(grid, frame, (50, 40)).shape == (40, 50)


def test_cells_of_a_box():
    frame = Frame((128, 96), (128, 96), (256, 192))
    # in input pixels 16 ... 48: cells of stride 8 look at 0.5, 8.5, 16.5, ...
    assert cells_in(frame, (32, 32, 96, 96), "2") == (slice(2, 6), slice(2, 6))
    assert cells_in(frame, (0, 0, 256, 192), "4") == (slice(0, 3), slice(0, 4))
    assert cells_in(frame, (70, 70, 71, 71), "4") == (slice(1, 2), slice(1, 2))  # the nearest


# The map


def test_the_map_of_a_linear_head_is_weight_times_stream(linear):
    found = box_map(linear, 0)
    assert set(found.stages) == {"2", "4"}
    for stage, weights in linear.detector.weights.items():
        wanted = (weights * linear.streams[stage]).sum((0, 1))
        np.testing.assert_allclose(found.stages[stage], wanted, atol=1e-4, rtol=1e-4)
    assert found.rest == pytest.approx(linear.detector.bias, abs=1e-3)
    assert found.error < 1e-7 * sum(np.abs(cells).sum() for cells in found.stages.values())
    assert (found.label, found.score) == ("cat", pytest.approx(0.9))
    assert found.area == pytest.approx(0.125)


def test_the_map_on_the_photo_is_rectified_and_without_padding(linear):
    found = box_map(linear, 0)
    both = found.on_photo(signed=True)
    assert both.shape == (240, 320)
    assert np.abs(both).max() == pytest.approx(1, abs=0.05) and both.min() < -0.1
    part = found.on_photo()
    assert part.min() == 0 and part.max() == pytest.approx(1, abs=0.05)
    assert ((part > 0.2) <= (both > 0)).all()
    assert found.on_photo((64, 48), stage="4").shape == (48, 64)
    with pytest.raises(KeyError):
        found.grid("3")


def test_a_map_says_how_much_lies_in_the_box(linear):
    stages = {"2": np.zeros((12, 16), np.float32)}
    one = copy.copy(box_map(linear, 0))
    object.__setattr__(one, "stages", stages)
    assert math.isnan(one.inside) and one.on_photo().max() == 0
    stages["2"][4, 4] = 2.0  # looks at input pixel (32, 32); the box is 25 ... 50 by 19 ... 56
    assert one.inside == pytest.approx(1, abs=0.1)
    stages["2"][0, 12] = 2.0
    assert one.inside == pytest.approx(0.5, abs=0.05)
    stages["2"][0, 12] = -9.0
    assert one.inside > 0.9


def exact(sighting: Sighting, streams: dict, row: torch.Tensor) -> torch.Tensor:
    """The offline detector's logit in float64, both looks, as a graph over the streams."""
    detector = sighting.detector
    module, tail = copy.deepcopy(detector.module).double(), copy.deepcopy(detector.tail)
    for block in tail.blocks:
        block.double()
    out = module.head(list(module.pyramid({s: streams[s] for s in "234"}).values()))
    at, label = int(row[0]), int(row[1])
    features = tail(streams["3"], [row[None, 2:].double()])
    named, said = module.namer(features), copy.deepcopy(detector.trunk.fc).double()(features)
    fit = out["bbox_ctrness"][0, at].reshape(1)
    found = clues(out["cls_logits"][0, at][None], fit, named, said, detector.aliases)
    return (found @ module.namer.mix)[0, label]


def exact_logit(sighting: Sighting, streams: dict, row: torch.Tensor) -> float:
    with torch.no_grad():
        return float(exact(sighting, {s: t.double() for s, t in streams.items()}, row))


def test_the_gradient_is_finite_differences(small):
    found = slope(small, 0)
    row = small.rows[0]
    assert found.logit == pytest.approx(exact_logit(small, small.streams, row), abs=1e-4)
    rng = torch.Generator().manual_seed(3)
    steepest = max(float(g.norm()) for g in found.gradient.values())
    for stage, gradient in found.gradient.items():
        noise = torch.randn(gradient.shape, generator=rng)
        steep = gradient / gradient.norm().clamp_min(1e-12)  # none where the head does not look
        for way in (steep, noise / noise.norm()):
            ends = []
            for sign in (1, -1):
                moved = small.streams[stage].double() + sign * 1e-5 * way.double()
                ends.append(exact_logit(small, {**small.streams, stage: moved}, row))
            measured = (ends[0] - ends[1]) / 2e-5
            wanted = float((gradient.double() * way).sum())
            assert wanted == pytest.approx(measured, rel=1e-3, abs=1e-4 * steepest)


def test_the_sum_is_the_slope_of_louder_streams(small):
    found = box_map(small, 1)
    assert set(found.stages) == {"2", "3", "4"}
    ends = [
        exact_logit(
            small, {s: t.double() * (1 + k) for s, t in small.streams.items()}, small.rows[1]
        )
        for k in (1e-5, -1e-5)
    ]
    size = sum(float(np.abs(cells).sum()) for cells in found.stages.values())
    assert found.total == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-4 * size)
    assert found.total + found.rest == pytest.approx(found.logit)
    assert found.error < 1e-6


def test_another_class_has_another_map(small):
    labels = small.found.labels
    other = int(np.flatnonzero(labels != labels[0])[0])
    one, two = box_map(small, 0), box_map(small, other)
    assert one.label != two.label
    assert not np.allclose(one.grid(), two.grid(), atol=1e-6)


# The evidence


def by_hand(sighting: Sighting, i: int, gains: dict | None = None) -> tuple:
    """y and (S, F, H) of all blocks by one graph over trunk and head, in float64."""
    detector = sighting.detector
    trunk = copy.deepcopy(detector.trunk).double()
    x = trunk.stem(sighting.input.double().clone())
    streams, rows = {}, []
    for name in trunk.block_names:
        g_s, g_f = ((gains or {}).get((name, wire), 1.0) for wire in ("shortcut", "branch"))
        block = trunk.block(name)
        x = x.requires_grad_(True) if not x.requires_grad else x
        s, f = block.shortcut(x), block.branch(x)
        x = torch.relu(g_s * s + g_f * f)
        rows.append((s, f, x))
        streams[name[0]] = x
    if hasattr(detector, "module"):
        return exact(sighting, streams, sighting.rows[i].clone()), rows
    return detector.target(streams, sighting.input, sighting.rows[i]), rows


@pytest.mark.parametrize("detector", [weighted("24"), small_offline(), small_offline(3, "v1.5")])
def test_evidence_block_by_block_is_that_of_one_graph(detector, photo):
    sighting = seen_by(detector, photo)
    found = box_evidence(sighting, 0)
    y, rows = by_hand(sighting, 0)
    assert found.logit == pytest.approx(float(y.detach()), abs=1e-3)
    gradients = torch.autograd.grad(y, [h for _, _, h in rows])
    assert [row.block for row in found.whole.blocks] == list(sighting.detector.trunk.block_names)
    for row, (s, f, h), g in zip(found.whole.blocks, rows, gradients, strict=True):
        gated = (g * (h > 0)).detach()
        size = float((gated * h).detach().abs().sum())
        for part, value, cells in (
            (s, row.shortcut, row.shortcut_map),
            (f, row.branch, row.branch_map),
        ):
            wanted = (gated * part.detach()).sum((0, 1))
            np.testing.assert_allclose(cells, wanted, atol=1e-4 * size)
            assert value == pytest.approx(float(wanted.sum()), abs=1e-4 * size)
        assert row.total == pytest.approx(float((g * h).detach().sum()), abs=1e-4 * size)
        assert row.map.sum() == pytest.approx(row.total, abs=1e-4 * size)


def test_evidence_is_the_slope_in_the_wires_gain(small):
    """<G m, S> is dy/dg_S at gain 1: what turning the wire up would do at first."""
    found = box_evidence(small, 0)
    for block in ("1.0", "2.1", "3.0", "4.1"):
        for wire in ("shortcut", "branch"):
            ends = [by_hand(small, 0, {(block, wire): 1 + k})[0] for k in (1e-6, -1e-6)]
            measured = float((ends[0] - ends[1]).detach()) / 2e-6
            assert getattr(found.whole[block], wire) == pytest.approx(measured, rel=2e-3, abs=2e-3)


def test_evidence_of_a_classifiers_head_is_the_classifiers(tiny, photo):
    """With the network's own head as a detector's, both ways give the same figures."""
    detector = copy.copy(weighted())
    object.__setattr__(detector, "trunk", tiny)
    target = lambda streams, x, row: tiny.head(streams["4"])[0, 3]  # noqa: E731
    object.__setattr__(detector, "target", target)
    sighting = seen_by(detector, photo)
    wanted = evidence(tiny, tiny.trace(sighting.input.clone()), 3)
    for row, other in zip(box_evidence(sighting, 0).whole.blocks, wanted.blocks, strict=True):
        assert row.shortcut == pytest.approx(other.shortcut, rel=1e-4, abs=1e-5)
        assert row.branch == pytest.approx(other.branch, rel=1e-4, abs=1e-5)
        np.testing.assert_allclose(row.branch_map, other.branch_map, atol=1e-5)


def test_a_region_and_the_rest_are_the_whole(small):
    found = box_evidence(small, 0)
    width, height = small.photo.size
    every = found.within((0, 0, width, height))
    halves = [found.within((0, 0, width / 2, height)), found.within((width / 2, 0, width, height))]
    for row, all_of_it, left, right in zip(
        found.whole.blocks, every.blocks, *(h.blocks for h in halves), strict=True
    ):
        assert all_of_it.total == pytest.approx(row.total, abs=1e-4)
        assert left.shortcut + right.shortcut == pytest.approx(row.shortcut, abs=1e-4)
        assert left.branch_map.shape[1] + right.branch_map.shape[1] == row.branch_map.shape[1]
    rows, columns = cells_in(found.frame, found.box, "3")
    inside = found.within()["3.0"]
    np.testing.assert_array_equal(inside.branch_map, found.whole["3.0"].branch_map[rows, columns])
    assert inside.total == pytest.approx(inside.shortcut + inside.branch, abs=1e-6)


def test_stages_that_the_head_does_not_read_carry_nothing(photo):
    found = box_evidence(seen_by(weighted("3"), photo), 0).whole
    assert found["4.1"].total == found["4.0"].shortcut == 0 and found["3.0"].total != 0


def test_the_shipped_detector_keeps_the_invariants(net):
    detector = shipped.load(net, shipped.QUICK)
    before = condition(detector.trunk), condition(detector.module)
    path = sorted(EXAMPLES.glob("*.jpg"))[0]
    sighting = run(detector, read_photo(path), 0.0)
    found, seen = box_evidence(sighting, 0), box_map(sighting, 0)
    assert len(found.whole.blocks) == 16
    for row in found.whole.blocks:
        size = abs(row.shortcut) + abs(row.branch)
        assert abs(row.shortcut + row.branch - row.total) < 1e-3 * size
        assert row.map.sum() == pytest.approx(row.total, abs=1e-3 * size)
    assert seen.logit == pytest.approx(found.logit)
    raw = detector.answer(sighting.streams, sighting.input)
    at, label = sighting.rows[0][:2].long().tolist()
    place = int((raw.at == at).nonzero()[0, 0])
    assert seen.logit == pytest.approx(float(raw.logits[place, label]), abs=1e-3)
    assert seen.error < 1e-3 * sum(np.abs(cells).sum() for cells in seen.stages.values())
    # The last block's output is the stream that the head reads: both pictures meet there.
    assert found.whole["4.2"].total == pytest.approx(seen.totals["4"], abs=1e-3)
    np.testing.assert_allclose(found.whole["4.2"].map, seen.stages["4"], atol=1e-3)
    assert (condition(detector.trunk), condition(detector.module)) == before


@pytest.mark.parametrize("name", ["fasterrcnn-v2", "retinanet-v2"])
def test_torchvisions_detectors_are_explained_alike(name, photo):
    """Padded inputs, both kinds of head, random weights."""
    info = library.info_of(name)
    detector = library.assemble(info, checkpoint(name), torch.device("cpu"))
    shrink(detector.model)
    sighting = seen_by(detector, draw_photo(330, 230), 0.05)
    assert len(sighting.found)
    frame = frame_of(sighting)
    assert frame.filled != frame.input
    found, seen = box_evidence(sighting, 0), box_map(sighting, 0)
    for row in found.whole.blocks:
        size = float(np.abs(row.shortcut_map).sum() + np.abs(row.branch_map).sum())
        assert abs(row.shortcut + row.branch - row.total) < 1e-4 * size
    assert found.whole["4.2"].total == pytest.approx(seen.totals["4"], rel=1e-3, abs=1e-4)
    assert seen.error < 1e-5 * sum(float(np.abs(cells).sum()) for cells in seen.stages.values())
    assert seen.on_photo().shape == (230, 330) and np.isfinite(seen.on_photo()).all()
    assert under(sighting, {}) is sighting.found
    under(sighting, {("4.2", "branch"): 0.0})
    if name == "fasterrcnn-v2":
        assert set(seen.stages) == set("1234")


# The crop


def test_a_crop_is_square_where_the_photo_allows(linear):
    # the box is 80 ... 160 by 60 ... 180: 120 high, 144 with its margins
    assert crop_box(linear, 0) == pytest.approx((48, 48, 192, 192))
    crop = crop_of(linear, 0)
    assert crop.image.size == crop.size == (144, 144)
    wanted = np.asarray(linear.photo.image)[48:192, 48:192]
    np.testing.assert_array_equal(np.asarray(crop.image), wanted)
    assert crop.digest and crop.digest != linear.photo.digest
    assert crop_box(linear, 0, margin=0) == pytest.approx((60, 60, 180, 180))
    assert crop_box(linear, 0, margin=2) == pytest.approx((0, 0, 320, 240))  # no larger than all


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((0, 0, 20, 20), (0, 0, 24, 24)),  # moved in from the corner
        ((310, 230, 320, 240), (308, 228, 320, 240)),
        ((100.2, 50.1, 100.4, 50.2), (99.8, 49.65, 100.8, 50.65)),  # at least a pixel
        ((320, 240, 320, 240), (319, 239, 320, 240)),
        ((0, 100, 320, 104), (0, 0, 320, 240)),
    ],
)
def test_crops_at_the_edge_and_of_next_to_nothing(tiny, linear, box, wanted):
    moved = copy.copy(linear)
    found = copy.copy(linear.found)
    object.__setattr__(found, "boxes", np.array([box], np.float32))
    object.__setattr__(moved, "found", found)
    assert crop_box(moved, 0) == pytest.approx(wanted, abs=1e-3)
    analysis = analyze_crop(tiny, moved, 0)
    assert min(analysis.photo.image.size) >= 1
    assert sum(p for _, p in analysis.top(7)) == pytest.approx(1, abs=1e-5)


def test_a_crop_of_a_draft_keeps_the_files_own_pixels(linear):
    draft = copy.copy(linear)
    photo = copy.copy(linear.photo)
    object.__setattr__(photo, "image", linear.photo.image.resize((160, 120), Image.Resampling.BOX))
    object.__setattr__(draft, "photo", photo)
    crop = crop_of(draft, 0)
    assert crop.image.size == (72, 72) and crop.size == (144, 144)
    np.testing.assert_array_equal(np.asarray(crop.image), np.asarray(photo.image)[24:96, 24:96])


# All of it


def test_results_are_json(small):
    for found in (box_map(small, 0), box_evidence(small, 0)):
        for maps in (False, True):
            row = json.loads(json.dumps(found.to_dict(maps=maps), allow_nan=False))
            assert row["label"] in NAMES and len(row["box"]) == 4
    assert np.shape(box_map(small, 0).to_dict(maps=True)["stages"]["2"]) == (12, 16)


@pytest.mark.parametrize("ask", [box_map, box_evidence, crop_box, crop_of])
@pytest.mark.parametrize("i", [-1, 10_000])
def test_a_box_that_is_not_there(small, ask, i):
    with pytest.raises(IndexError, match="There is no box"):
        ask(small, i)


def test_nothing_is_left_behind_also_in_the_callers_inference_mode(photo):
    detector = small_offline()
    before = condition(detector.trunk), condition(detector.module)
    sighting = seen_by(detector, photo)
    outside = box_map(sighting, 0), box_evidence(sighting, 0)
    with torch.inference_mode():
        inside = box_map(sighting, 0), box_evidence(sighting, 0)
    assert inside[0].to_dict(maps=True) == outside[0].to_dict(maps=True)
    assert inside[1].to_dict(maps=True) == outside[1].to_dict(maps=True)
    assert (condition(detector.trunk), condition(detector.module)) == before


def test_reduced_precision_is_explained_in_float32(photo):
    detector = small_offline()
    exact = seen_by(detector, photo)
    detector.trunk.precision = "bf16"
    rough = seen_by(detector, photo)
    assert rough.streams["3"].dtype == torch.bfloat16
    object.__setattr__(rough, "rows", exact.rows)
    object.__setattr__(rough, "found", exact.found)
    wanted, found = (box_evidence(sighting, 0) for sighting in (exact, rough))
    assert found.whole.error < 1e-3
    assert found.logit == pytest.approx(wanted.logit, abs=1e-3)
    assert box_map(rough, 0).logit == pytest.approx(wanted.logit, abs=0.3)


def test_photos_of_odd_sizes(photo):
    for size in ((333, 247), (101, 399)):
        sighting = seen_by(weighted(), draw_photo(*size))
        assert box_map(sighting, 0).on_photo().shape == size[::-1]
