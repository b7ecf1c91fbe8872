"""The benchmark compares answers before it times them.  Nothing here is timed."""

import numpy as np
import pytest
import torch

from resnet import backends
from resnet.backends import Eager
from resnet.bench import (
    Skipped,
    agreement,
    camera,
    compare,
    detectors,
    gpu,
    growth,
    machine,
    one_pass,
    page,
    peers,
    shown,
    stages,
    users,
)
from resnet.bench import __main__ as bench
from resnet.bench.compare import Different
from resnet.bench.subjects import Subjects
from resnet.cam import HeatMap


def test_different_answers_are_not_timed():
    with pytest.raises(RuntimeError, match="differ by 2"):
        compare("a / b", lambda: np.array([1.0, 2.0]), lambda: np.array([1.0, 4.0]), 3, 0.1)


def test_both_ways_run_in_turn():
    order = []

    def way(name):
        return lambda: order.append(name) or np.zeros(1)

    row = compare("a / b", way("a"), way("b"), 3, 0.0)
    assert order == ["a", "b"] * 4  # once to compare, three times to measure
    assert row.difference == 0 and row.least <= row.ratio <= row.most
    order.clear()
    compare("a / b", way("a"), way("b"), 1, 0.0)
    assert order == ["a", "b"]


def test_a_wanted_ratio_counts_by_wall_or_processor_time():
    row = compare("a / b", lambda: np.zeros(1), lambda: np.zeros(1), 3, 0.0, wanted=1e9)
    assert row.met and "✓" in shown.line(row)
    row = compare("a / b", lambda: np.zeros(1), lambda: np.zeros(1), 3, 0.0, wanted=1e-9)
    assert row.met is False and "✗" in shown.line(row)
    assert "not here" in shown.line(Skipped("a / b", "not here"))


def test_no_number_is_a_difference():
    with pytest.raises(RuntimeError, match="differ by nan"):
        compare("a / b", lambda: np.array([np.nan]), lambda: np.zeros(1), 1, 0.1)


def test_the_machine_is_named_without_a_place():
    said = machine.words(machine.machine())
    assert "cores" in said and "/" not in said.replace("CUDA/", "")


def test_users_growth_and_stages_run_on_a_tiny_network(tiny_v1, tmp_path):
    on = Subjects(tiny_v1, Eager(tiny_v1), "asked for")
    compared, loads = users.many(on, 20, 1)
    assert [row.wanted for row in compared] == [1 / 2.5, 1 / 4]  # in float32, AMX or not
    assert {load.users for load in loads.values()} == {16}
    assert all(load.rate > 0 and load.p95 >= load.median for load in loads.values())
    (row,) = users.rows(on, 3)
    assert row.difference < 1e-3
    steps = growth.steps(on, (1, 4), 1)
    kinds = [(step.what, step.count) for step in steps]
    assert kinds[:3] == [("photos", 1), ("photos", 4), ("blocks cut", 1)]
    profile = stages.profile(on, users.jpeg(on.photo), 1)
    assert {"receive", "decode", "resize", "queue", "forward", "tail", "send"} <= set(profile)
    shown.chart([row], "a title", tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_maps_are_compared_on_the_size_of_theirs():
    grid = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32)
    heat, blank = (HeatMap(g, 0, "gradcam", "4.2", False) for g in (grid, 0 * grid))
    theirs = grid / 4
    assert one_pass.maps_differ([heat], [theirs]) < 1e-6
    assert one_pass.maps_differ([heat], [1 - theirs]) == pytest.approx(1, abs=1e-6)
    assert one_pass.maps_differ([blank], [theirs]) == 0
    probabilities = np.array([0.25, 0.75])
    found = one_pass.full_differ((probabilities, [heat]), (probabilities[::-1], [theirs]))
    assert found == 0.5


def test_boxes_that_are_missing_count():
    every = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [0, 50, 9, 60], [70, 0, 80, 9]], float)

    def seen(boxes: np.ndarray) -> detectors.Seen:
        return detectors.Seen(boxes, list)

    theirs = seen(every)
    assert detectors.lost(seen(every[[3, 1, 0, 2]] + 0.5), theirs) == 0
    assert detectors.lost(seen(every[:1]), theirs) == 0.75
    assert detectors.lost(seen(every[:0]), theirs) == 1
    assert detectors.lost(theirs, seen(every[:0])) == 1


def test_the_pyramid_may_be_rounded_and_no_more():
    levels = [torch.ones(1, 4, 6, 6), 3 * torch.ones(1, 4, 3, 3)]

    def seen(*changes: float) -> detectors.Seen:
        changed = [level + change for level, change in zip(levels, changes, strict=True)]
        return detectors.Seen(np.empty((0, 4)), lambda: changed)

    assert detectors.far(seen(0, 0), seen(0, 0)) == 0
    assert detectors.far(seen(0, 0.3), seen(0, 0)) == pytest.approx(0.1)
    assert detectors.far(seen(0.2, 0.3), seen(0, 0)) == pytest.approx(0.2)


def test_the_page_must_answer_as_the_engine_does(tmp_path):
    def engine(path):
        return np.log(np.array([[0.2, 0.8]], np.float32))

    said = [{"top": [{"index": 1, "probability": 0.77}]}]
    assert page._differ(said, engine, tmp_path) == pytest.approx(0.03)
    said[0]["top"][0]["index"] = 0
    with pytest.raises(RuntimeError, match=r"otherwise than the engine, by 0\.57"):
        page._differ(said, engine, tmp_path)


def test_names_of_another_library():
    names = {
        "conv1.weight": "resnet.embedder.embedder.convolution.weight",
        "bn1.running_var": "resnet.embedder.embedder.normalization.running_var",
        "layer3.5.conv2.weight": "resnet.encoder.stages.2.layers.5.layer.1.convolution.weight",
        "layer2.0.bn3.bias": "resnet.encoder.stages.1.layers.0.layer.2.normalization.bias",
        "layer1.0.downsample.0.weight":
            "resnet.encoder.stages.0.layers.0.shortcut.convolution.weight",
        "layer4.0.downsample.1.bias":
            "resnet.encoder.stages.3.layers.0.shortcut.normalization.bias",
        "fc.bias": "classifier.1.bias",
    }  # fmt: skip
    assert list(peers.as_transformers(dict.fromkeys(names))) == list(names.values())


def test_precisions_are_held_against_float32(tiny_v1):
    on = Subjects(tiny_v1, Eager(tiny_v1), "asked for")
    exact, rough = agreement.agreement(on, 3)
    assert (exact.way, exact.photos, exact.same, exact.difference) == ("eager fp32", 3, 3, 0)
    assert rough.way == "eager bf16" and 0 < rough.difference < 0.1
    (other,) = shown.agreement_lines([agreement.Agreement("a", 9, 8, 0.25, 0.125)])
    assert "8 of 9 photos, all with a lead of at most 0.125" in other


def test_a_frame_of_the_camera_has_its_stages(tiny_v1):
    on = Subjects(tiny_v1, Eager(tiny_v1), "asked for")
    found = camera._frames(
        on, "classify", camera.base64.b64encode(users.jpeg(on.photo)).decode(), 2
    )
    assert {"decode", "resize", "queue", "forward", "draw"} <= set(found.stages)
    assert found.rate == 1 / found.wall and found.possible == found.cores / found.cpu


def test_a_gpus_rows_in_parts_on_the_cpu(tiny_v1):
    """The network itself stands for torchvision's; a GPU would take another device and back end."""
    on = Subjects(tiny_v1, Eager(tiny_v1), "asked for")
    on.__dict__["model"] = tiny_v1
    row = gpu.latency(on, backends.make("folded", tiny_v1), torch.device("cpu"), 1)
    assert row.difference < 1e-3 and row.wanted == 0.5
    x = on.x.expand(3, -1, -1, -1)
    row = gpu.throughput(backends.make("folded", tiny_v1), tiny_v1, x, 1)
    assert row.difference < 1e-3
    if not torch.cuda.is_available():
        assert [row.why for row in gpu.rows(on, 1)] == [gpu.NO_GPU] * 2


def test_a_pair_that_differs_ends_its_group_alone():
    def group():
        yield Skipped("first", "not here")
        compare("second", lambda: np.zeros(1), lambda: np.ones(1), 1, 0.5)
        yield Skipped("third", "never told")

    first, second = bench._as_far(group())
    assert (first.what, second.what) == ("first", "second")
    assert isinstance(second, Different) and not isinstance(first, Different)
    assert second.why == ("NOT TIMED, and what follows in its group: the two answers differ by 1")
