"""Heat maps: equal to the grad-cam package run on the whole model in its documented way."""

import copy
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from conftest import condition, make_tiny, randomise, torchvision_twin, twin_block
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from resnet import cam
from resnet.network import Block, ResNet50, Trace, Wires
from resnet.view import to_tensor

GRADIENT = ("gradcam", "hirescam", "gradcam++", "xgradcam", "layercam")
LIBRARY = tuple(name for name, method in cam.METHODS.items() if method.library)
TINY_BLOCKS = ("1.0", "2.0", "2.1", "3.0", "4.0", "4.1")


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))


@cache
def whole_model(net: ResNet50) -> nn.Module:
    """Torchvision's model in our memory layout.

    Rounding differs between layouts, and where it flips a ReLU the package's own maps of the early
    blocks differ by 3e-4 between two layouts of one model.
    """
    return torchvision_twin(net).to(memory_format=torch.channels_last)


def by_the_book(net: ResNet50, x: Tensor, index: int, method: str, block: str) -> np.ndarray:
    """The package's own answer, on torchvision's whole model, as its README shows."""
    twin = whole_model(net)
    layer = twin_block(twin, block)
    library = getattr(pytorch_grad_cam, cam.METHODS[method].library)
    with library(model=twin, target_layers=[layer]) as explain:
        return explain(input_tensor=x, targets=[ClassifierOutputTarget(index)])[0]


def as_the_library_shows(grid: np.ndarray, x: Tensor) -> np.ndarray:
    """The package's steps from a raw map to the picture it returns, [H, W] in 0..1."""
    picture = scale_cam_image(np.maximum(grid[None], 0), (x.shape[3], x.shape[2]))
    return scale_cam_image(np.maximum(picture, 0))[0]


def zero_at(trace: Trace, block: str) -> Trace:
    """The trace as if nothing came out of `block`."""
    dead = Wires(*(torch.zeros_like(wire) for wire in trace.blocks[block]))
    return replace(trace, blocks={**trace.blocks, block: dead})


# Equal to the package


@pytest.mark.parametrize("method", (*GRADIENT, "eigencam", "ablationcam"))
@pytest.mark.parametrize("block", TINY_BLOCKS)
def test_equals_the_library_on_the_whole_model(tiny, x, method, block):
    found = cam.heatmap(tiny, tiny.trace(x), 3, method, block)
    theirs = by_the_book(tiny, x, 3, method, block)
    assert theirs.shape == (96, 96) and theirs.max() > 0.9
    assert np.abs(as_the_library_shows(found.grid, x) - theirs).max() < 1e-5


@pytest.mark.parametrize(
    "method, block",
    [(method, block) for method in GRADIENT for block in ("1.0", "2.3", "3.2", "4.0", "4.2")]
    + [("eigencam", "3.2"), ("eigencam", "4.2")],
)
def test_equals_the_library_on_the_shipped_weights(net, analysis, method, block):
    x = to_tensor(analysis.view.image, net.spec)
    index = analysis.top(2)[1].index
    found = analysis.cam(index, method, block)
    theirs = by_the_book(net, x, index, method, block)
    assert np.abs(as_the_library_shows(found.grid, x) - theirs).max() < 1e-5


@pytest.fixture(scope="module")
def analysis(net, photo):
    return net.analyze(photo)


@pytest.mark.parametrize("block", ("2.1", "4.0", "4.1"))
def test_scorecam_equals_the_library_on_the_tail(tiny, x, block):
    """On the tail only: on the whole model Score-CAM masks the photo, which is another method."""
    trace = tiny.trace(x)
    following = tiny.block_names[tiny.block_names.index(block) + 1 :]
    parts = [nn.Identity(), *(copy.deepcopy(tiny.block(name)) for name in following)]
    tail = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), copy.deepcopy(tiny.fc))
    library = pytorch_grad_cam.ScoreCAM(tail, [tail[0]])
    activation = trace.blocks[block].output.clone()
    theirs = library(activation, [ClassifierOutputTarget(2)])[0]
    ours = cam.heatmap(tiny, trace, 2, "scorecam", block).grid
    assert np.abs(as_the_library_shows(ours, activation) - theirs).max() < 1e-5


def test_all_blocks_at_once_equal_one_by_one(tiny, x):
    trace = tiny.trace(x)
    for block, found in cam.at_all_blocks(tiny, trace, 3).items():
        one = cam.heatmap(tiny, trace, 3, "gradcam", block)
        assert np.abs(found.grid - one.grid).max() <= 1e-5 * max(1e-6, one.grid.max()), block


# Definitions


def test_exact_cam_adds_to_the_logit(tiny, x):
    trace = tiny.trace(x)
    for index in range(7):
        found = cam.heatmap(tiny, trace, index, "cam")
        bias = float(tiny.fc.bias[index])
        assert found.signed and found.block == "4.1"
        assert found.grid.sum() + bias == pytest.approx(float(trace.logits[0, index]), abs=1e-5)


def test_exact_cam_of_shipped_weights_adds_to_the_logit(net, analysis):
    for answer in analysis.top(3):
        grid = analysis.cam(answer.index, "cam").grid
        logit = float(analysis.trace.logits[0, answer.index])
        assert grid.shape == (7, 7)
        assert grid.sum() + float(net.fc.bias[answer.index]) == pytest.approx(logit, rel=1e-5)


def test_exact_cam_by_hand():
    activation = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # [1, 2, 1, 2]
    assert cam.exact_cam(activation, torch.tensor([10.0, -1.0])).tolist() == [[3.5, 8.0]]


@pytest.mark.parametrize("method", ("gradcam", "hirescam"))
def test_gradcam_at_the_last_block_is_the_positive_part_of_cam(tiny, x, method):
    """There d logit / d activation = w / (h w) at every position."""
    trace = tiny.trace(x)
    for index in range(7):
        exact = cam.heatmap(tiny, trace, index, "cam").grid
        found = cam.heatmap(tiny, trace, index, method).grid
        assert np.allclose(found, np.maximum(exact, 0), rtol=1e-4, atol=1e-6)


def test_hirescam_is_gradient_times_activation(tiny, x):
    trace = tiny.trace(x)
    activation = trace.blocks["2.1"].output.clone().requires_grad_()
    logit = tiny.head(tiny.block("4.1")(tiny.block("4.0")(tiny.block("3.0")(activation))))[0, 5]
    (gradient,) = torch.autograd.grad(logit, activation)
    wanted = (gradient * activation).sum(1).relu()[0].detach().numpy()
    found = cam.heatmap(tiny, trace, 5, "hirescam", "2.1").grid
    assert np.abs(found - wanted).max() < 1e-5 * wanted.max()


def test_eigencam_is_the_same_for_every_class(tiny, x):
    trace = tiny.trace(x)
    first, second = (cam.heatmap(tiny, trace, i, "eigencam", "3.0").grid for i in (0, 6))
    assert np.array_equal(first, second) and not cam.METHODS["eigencam"].uses_class


def test_classes_differ(tiny, x):
    trace = tiny.trace(x)
    first, second = (cam.heatmap(tiny, trace, i, "gradcam", "3.0").grid for i in (0, 6))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("method", LIBRARY)
def test_map_has_the_blocks_grid_and_is_rectified(tiny_v1, x, method):
    trace = tiny_v1.trace(x)
    for block, side in (("2.0", 12), ("3.0", 6), ("4.1", 3)):
        found = cam.heatmap(tiny_v1, trace, 1, method, block)
        assert found.grid.shape == (side, side) and found.grid.dtype == np.float32
        assert found.grid.min() >= 0 and not found.signed
        assert (found.index, found.method, found.block) == (1, method, block)


# Scaling and enlarging


def test_scale():
    assert cam.scale(np.float32([1, 3, 5])).tolist() == pytest.approx([0, 0.5, 1], abs=1e-6)
    assert cam.scale(np.float32([-2, 0, 4]), signed=True).tolist() == [-0.5, 0, 1]
    assert cam.scale(np.zeros(3, np.float32)).tolist() == [0, 0, 0]
    assert cam.scale(np.zeros(3, np.float32), signed=True).tolist() == [0, 0, 0]


def test_enlarge():
    grid = np.float32([[0, 4], [8, 12]])
    plain = cam.enlarge(grid, (4, 2), smooth=False)
    assert plain.tolist() == [[0, 0, 4, 4], [8, 8, 12, 12]]
    assert cam.enlarge(grid, (4, 2)).tolist() == [[0, 1, 3, 4], [8, 9, 11, 12]]


@pytest.mark.parametrize("method", cam.METHODS)
def test_blank_map_is_flagged(tiny_v1, x, method):
    trace = tiny_v1.trace(x)
    assert not cam.heatmap(tiny_v1, trace, 1, method).blank
    found = cam.heatmap(tiny_v1, zero_at(trace, "4.1"), 1, method)
    assert found.blank
    assert not found.scaled.any() and np.isfinite(found.scaled).all()


def test_map_without_positive_evidence_is_blank(x):
    net = make_tiny("v1")
    nn.init.constant_(net.fc.weight, -1)
    trace = net.trace(x)
    assert cam.heatmap(net, trace, 0, "gradcam").blank
    exact = cam.heatmap(net, trace, 0, "cam")
    assert not exact.blank and exact.grid.max() <= 0 and exact.scaled.min() == -1


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # the package's
@pytest.mark.parametrize("method", cam.METHODS)
def test_no_not_a_number_when_the_logit_is_zero(x, method):
    net = make_tiny("v1")
    nn.init.zeros_(net.fc.weight)
    nn.init.zeros_(net.fc.bias)
    found = cam.heatmap(net, net.trace(x), 0, method)
    assert np.isfinite(found.grid).all() and np.isfinite(found.scaled).all()


# Errors


def test_errors_say_what_can_be_had(tiny_v1, x):
    trace = tiny_v1.trace(x)
    with pytest.raises(
        cam.CamError, match=r"no method “smoothgrad”. Use one of gradcam, cam, hires"
    ):
        cam.heatmap(tiny_v1, trace, 0, "smoothgrad")
    with pytest.raises(cam.CamError, match=r"no block “5.0”. Use one of 1.0, 2.0"):
        cam.heatmap(tiny_v1, trace, 0, "gradcam", "5.0")
    with pytest.raises(cam.CamError, match=r"exact CAM exists at the last block, 4.1, only"):
        cam.heatmap(tiny_v1, trace, 0, "cam", "4.0")


# Nothing left behind


@pytest.mark.parametrize("method", cam.METHODS)
def test_nothing_left_on_the_network(tiny_v1, x, method):
    trace, before = tiny_v1.trace(x), condition(tiny_v1)
    cam.heatmap(tiny_v1, trace, 1, method)
    assert condition(tiny_v1) == before
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_training_flags_stay_as_they_are(x):
    net = make_tiny("v1")
    trace = net.trace(x)
    net.block("4.1").train()
    before = condition(net)
    cam.heatmap(net, trace, 1, "gradcam", "4.1")
    assert condition(net) == before and net.block("4.1").bn1.training


@pytest.mark.parametrize("method", ("gradcam", "layercam", "ablationcam", "scorecam"))
def test_nothing_left_after_an_exception_in_the_method(tiny_v1, x, method, monkeypatch):
    trace, before = tiny_v1.trace(x), condition(tiny_v1)
    wanted = cam.heatmap(tiny_v1, trace, 1, method, "3.0").grid

    def fail(*args, **kwargs):
        raise IndexError("swallowed by the package's own context manager")

    library = getattr(pytorch_grad_cam, cam.METHODS[method].library)
    monkeypatch.setattr(library, "get_cam_image", fail)
    with pytest.raises(IndexError):
        cam.heatmap(tiny_v1, trace, 1, method, "3.0")
    monkeypatch.undo()
    assert condition(tiny_v1) == before
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert np.array_equal(cam.heatmap(tiny_v1, trace, 1, method, "3.0").grid, wanted)


@pytest.mark.parametrize("method", ("gradcam", "ablationcam"))
def test_nothing_left_after_an_exception_in_the_network(tiny_v1, x, method, monkeypatch):
    trace, before = tiny_v1.trace(x), condition(tiny_v1)

    def fail(self, stream):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Block, "branch", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        cam.heatmap(tiny_v1, trace, 1, method, "3.0")
    monkeypatch.undo()
    assert condition(tiny_v1) == before


@pytest.mark.parametrize("method", LIBRARY)
def test_memory_is_given_back_at_once(tiny_v1, x, method, monkeypatch):
    """Without waiting for the garbage collector: a tail's graph may hold a hundred megabytes."""
    kept: list[weakref.ref] = []
    own = cam.Tail.__init__

    def remember(self, *args):
        own(self, *args)
        kept.append(weakref.ref(self))

    monkeypatch.setattr(cam.Tail, "__init__", remember)
    trace = tiny_v1.trace(x)
    gc.collect()
    gc.disable()
    try:
        cam.heatmap(tiny_v1, trace, 1, method, "2.0")
        assert len(kept) == 1 and kept[0]() is None
    finally:
        gc.enable()


def test_inside_inference_mode(tiny_v1, x):
    trace = tiny_v1.trace(x)
    wanted = cam.heatmap(tiny_v1, trace, 1, "gradcam", "3.0").grid
    with torch.inference_mode():
        assert np.array_equal(cam.heatmap(tiny_v1, trace, 1, "gradcam", "3.0").grid, wanted)
        cam.heatmap(tiny_v1, trace, 1, "ablationcam"), cam.heatmap(tiny_v1, trace, 1, "cam")
    with torch.no_grad():
        assert np.array_equal(cam.heatmap(tiny_v1, trace, 1, "gradcam", "3.0").grid, wanted)


def test_a_trace_gives_the_same_map_twice(tiny_v1, x):
    """Slow methods change activations in place; the stored ones must not be those."""
    trace = tiny_v1.trace(x)
    stored = {name: wires.output.clone() for name, wires in trace.blocks.items()}
    for method in cam.METHODS:
        first = cam.heatmap(tiny_v1, trace, 1, method).grid
        assert np.array_equal(cam.heatmap(tiny_v1, trace, 1, method).grid, first), method
    assert all(torch.equal(trace.blocks[name].output, value) for name, value in stored.items())


def test_eight_threads_give_the_same_maps_as_one(tiny_v1, x):
    traces = [tiny_v1.trace(x), tiny_v1.trace(x.flip(3))]
    jobs = [
        (trace, index, method, block)
        for trace in traces
        for index in (0, 3)
        for method in LIBRARY
        for block in ("3.0", "4.0", "4.1")
    ]

    def one(job) -> np.ndarray:
        trace, index, method, block = job
        return cam.heatmap(tiny_v1, trace, index, method, block).grid

    alone = [one(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(one, jobs * 2))
    for job, wanted, *found in zip(jobs, alone, together, together[len(jobs) :], strict=False):
        for grid in found:
            assert np.allclose(grid, wanted, rtol=1e-5, atol=1e-7), job[1:]


def test_progress_follows_the_slow_methods_only_when_asked(tiny_v1, x, capfd):
    trace, seen = tiny_v1.trace(x), []

    def watch(batches: range):
        for start in batches:
            seen.append((start, len(batches)))
            yield start

    cam.heatmap(tiny_v1, trace, 1, "ablationcam", progress=watch)
    assert [start for start, _ in seen] == list(range(0, 256, 32))
    seen.clear()
    cam.heatmap(tiny_v1, trace, 1, "scorecam", progress=watch)
    assert len(seen) == seen[0][1] == 256 / 16
    seen.clear()
    cam.heatmap(tiny_v1, trace, 1, "ablationcam")
    assert not seen and capfd.readouterr().err == ""


def test_bf16_map_is_close_and_float32(x):
    net = make_tiny("v1")
    exact = cam.heatmap(net, net.trace(x), 1, "gradcam").grid
    net.precision = "bf16"
    close = cam.heatmap(net, net.trace(x), 1, "gradcam").grid
    assert close.dtype == np.float32
    assert np.abs(close - exact).max() < 0.05 * exact.max()


# Sanity check of Adebayo et al. 2018 (1810.03292): a map of the weights changes with the weights


def test_randomised_weights_give_another_map(net, analysis):
    random = copy.deepcopy(net)
    randomise(random.layer4), randomise(random.fc)
    other = random.trace(to_tensor(analysis.view.image, net.spec))
    likeness = []
    for answer in analysis.top(5):
        for method in ("gradcam", "layercam"):
            trained = analysis.cam(answer.index, method).grid
            changed = cam.heatmap(random, other, answer.index, method).grid
            likeness.append(np.corrcoef(trained.ravel(), changed.ravel())[0, 1])
    assert abs(np.mean(likeness)) < 0.5
    assert analysis.cam(analysis.top(1)[0].index).grid.std() > 0
