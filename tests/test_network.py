"""The network against torchvision's own forward, and the wires against their definitions."""

import copy
import io

import numpy as np
import pytest
import torch
from conftest import condition, make_tiny, randomise, tiny_spec, torchvision_twin, twin_block
from PIL import Image
from torch import Tensor, nn

from resnet.images import read_photo
from resnet.network import Block, ResNet50, Trace, join
from resnet.view import look, to_tensor

FULL = tuple(
    f"{stage}.{index}"
    for stage, depth in ((1, 3), (2, 4), (3, 6), (4, 3))
    for index in range(depth)
)


def off(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def torchvision_wires(twin: nn.Module, names: tuple[str, ...], x: Tensor) -> tuple[dict, Tensor]:
    """(S, F, output) of every block and the logits, caught during torchvision's own forward."""
    seen: dict[str, dict[str, Tensor]] = {name: {} for name in names}

    def keep(name: str, wire: str):
        # Cloned at once: the block adds to bn3's output in place.
        return lambda module, args, out: seen[name].__setitem__(wire, out.clone())

    for name in names:
        block = twin_block(twin, name)
        block.register_forward_hook(keep(name, "output"))
        block.bn3.register_forward_hook(keep(name, "branch"))
        if block.downsample is not None:
            block.downsample.register_forward_hook(keep(name, "shortcut"))
        else:
            block.register_forward_pre_hook(
                lambda module, args, name=name: seen[name].update(shortcut=args[0].clone())
            )
    with torch.no_grad():
        return seen, twin(x)


def compare_with_torchvision(net: ResNet50, x: Tensor) -> None:
    trace = net.trace(x)
    seen, logits = torchvision_wires(torchvision_twin(net), net.block_names, x)
    for name, theirs in seen.items():
        wires = trace.blocks[name]
        assert off(wires.shortcut, theirs["shortcut"]) < 1e-5, name
        assert off(wires.branch, theirs["branch"]) < 1e-5, name
        assert off(wires.output, theirs["output"]) < 1e-5, name
        assert torch.equal(wires.output, torch.relu(wires.sum)), name
    assert off(trace.logits, logits) < 1e-5
    with torch.no_grad():
        assert off(net(x), logits) < 1e-5


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def test_full_random_network_equals_torchvision(big):
    assert big.block_names == FULL
    compare_with_torchvision(big, torch.randn(2, 3, 128, 128))


def test_tiny_network_equals_torchvision(tiny, x):
    compare_with_torchvision(tiny, x)


def test_shipped_weights_equal_torchvision(net, photo):
    assert net.block_names == FULL
    image = look(read_photo(photo), net.spec).image
    compare_with_torchvision(net, to_tensor(image, net.spec))


def test_stride_sits_where_the_variant_says():
    v1, v15 = make_tiny("v1").block("2.0"), make_tiny("v1.5").block("2.0")
    assert (v1.conv1.stride, v1.conv2.stride) == ((2, 2), (1, 1))
    assert (v15.conv1.stride, v15.conv2.stride) == ((1, 1), (2, 2))
    assert v1.bn1.eps == 1e-3 and v15.bn1.eps == 1e-5


def test_identity_shortcut_is_the_previous_output(tiny, x):
    trace = tiny.trace(x)
    for before, name in zip(tiny.block_names, tiny.block_names[1:], strict=False):
        assert trace.input_of(name) is trace.blocks[before].output
        identity = trace.blocks[name].shortcut is trace.blocks[before].output
        assert identity == (tiny.block(name).downsample is None)
    assert trace.input_of("1.0") is trace.stem


def test_trace_holds_the_expected_shapes(tiny, x):
    trace = tiny.trace(x)
    shapes = {name: tuple(wires.output.shape) for name, wires in trace.blocks.items()}
    assert tuple(trace.stem.shape) == (3, 8, 24, 24)
    assert shapes == {
        "1.0": (3, 32, 24, 24),
        "2.0": (3, 64, 12, 12),
        "2.1": (3, 64, 12, 12),
        "3.0": (3, 128, 6, 6),
        "4.0": (3, 256, 3, 3),
        "4.1": (3, 256, 3, 3),
    }
    assert tuple(trace.logits.shape) == (3, 7) and trace.logits.dtype == torch.float32


def test_gains_of_one_change_nothing_bit_for_bit(tiny, x):
    trace = tiny.trace(x)
    ones = torch.ones(3, 1, 1, 1)
    with torch.inference_mode():
        for name, wires in trace.blocks.items():
            assert torch.equal(wires.output, torch.relu(wires.shortcut + wires.branch)), name
            stream = trace.input_of(name)
            assert torch.equal(tiny.block(name)(stream, 1.0, 1.0), wires.output), name
            assert torch.equal(tiny.block(name)(stream, ones, ones), wires.output), name


def test_a_cut_wire_leaves_the_other(tiny, x):
    trace = tiny.trace(x)
    with torch.inference_mode():
        for name, wires in trace.blocks.items():
            block, stream = tiny.block(name), trace.input_of(name)
            assert torch.equal(block(stream, g_f=0.0), torch.relu(wires.shortcut)), name
            assert torch.equal(block(stream, g_s=0.0), torch.relu(wires.branch)), name


def test_join_is_the_residual_step():
    shortcut, branch = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.5, 1.0, -4.0])
    assert join(shortcut, branch).tolist() == [1.5, 0.0, 0.0]
    assert join(shortcut, branch, 2.0, 0.5).tolist() == [2.25, 0.0, 4.0]
    assert join(shortcut, branch, 0.0, -1.0).tolist() == [0.0, 0.0, 4.0]


def test_gain_per_photo_equals_separate_runs(tiny, x):
    g_s, g_f = torch.tensor([0.0, 0.7, 1.3]), torch.tensor([2.0, 0.0, 0.4])
    trace = tiny.trace(x)
    with torch.inference_mode():
        for name in tiny.block_names:
            block, stream = tiny.block(name), trace.input_of(name)
            together = block(stream, g_s.view(3, 1, 1, 1), g_f.view(3, 1, 1, 1))
            for i in range(3):
                alone = block(stream[i : i + 1], float(g_s[i]), float(g_f[i]))
                assert off(together[i : i + 1], alone) < 1e-5, name


def test_alone_and_inside_a_batch(tiny, x):
    together = tiny.trace(x)
    for i in range(3):
        alone = tiny.trace(x[i : i + 1])
        assert off(alone.logits, together.logits[i : i + 1]) < 1e-5
        for name, wires in alone.blocks.items():
            assert off(wires.output, together.blocks[name].output[i : i + 1]) < 1e-5, name


def test_shipped_weights_alone_and_inside_a_batch(net, photo):
    tensors = [
        to_tensor(look(read_photo(photo.rotate(a)), net.spec).image, net.spec) for a in (0, 90)
    ]
    together = net.trace(torch.cat(tensors)).logits
    for i, tensor in enumerate(tensors):
        assert off(net.trace(tensor).logits, together[i : i + 1]) < 1e-5


def test_trace_runs_without_gradients(tiny, x):
    trace = tiny.trace(x)
    assert all(not wire.requires_grad for wires in trace.blocks.values() for wire in wires)
    assert not any(p.requires_grad for p in tiny.parameters())


def test_nothing_left_behind_after_an_exception(tiny, x, monkeypatch):
    before, wanted, calls = condition(tiny), tiny.trace(x).logits, []
    own = Block.branch

    def fail(self, stream):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("out of memory")
        return own(self, stream)

    monkeypatch.setattr(Block, "branch", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        tiny.trace(x)
    monkeypatch.undo()
    assert condition(tiny) == before
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert torch.equal(tiny.trace(x).logits, wanted)


def test_bf16_is_close_and_its_answer_is_float32(x):
    net = make_tiny("v1")
    exact = net.trace(x).logits
    net.precision = "bf16"
    trace = net.trace(x)
    assert trace.blocks["4.1"].branch.dtype == torch.bfloat16
    assert trace.logits.dtype == torch.float32
    assert 0 < off(trace.logits, exact) < 0.05
    assert not torch.is_autocast_enabled("cpu")


def test_shipped_weights_in_bf16_give_the_same_answer(photo):
    exact = ResNet50.load("he2015", device="cpu", precision="fp32").analyze(photo)
    close = ResNet50.load("he2015", device="cpu", precision="bf16").analyze(photo)
    assert close.net.precision == "bf16"
    assert (close.probabilities - exact.probabilities).abs().max() < 0.05
    assert exact.top(1)[0].index in [found.index for found in close.top(2)]


def test_unknown_block_names_the_valid_ones(tiny):
    with pytest.raises(KeyError, match=r"no block 5.0; blocks are 1.0, 2.0, 2.1, 3.0, 4.0, 4.1"):
        tiny.block("5.0")


def test_channels_last_changes_no_answer(x):
    spec = tiny_spec("v1")
    plain = randomise(ResNet50(spec, depths=(1, 2, 1, 2), width=8))
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    assert last.layer1[0].conv2.weight.is_contiguous(memory_format=torch.channels_last)
    assert off(last.trace(x).logits, plain.trace(x).logits) < 1e-5


def test_analyze_takes_every_kind_of_photo(net, photo, photo_jpeg, tmp_path):
    path = tmp_path / "photo.png"
    photo.save(path)
    wanted = net.analyze(photo)
    assert isinstance(wanted.trace, Trace) and list(wanted.blocks) == list(FULL)
    for source in (path, str(path), path.read_bytes(), np.array(photo), read_photo(photo)):
        assert torch.equal(net.analyze(source).trace.logits, wanted.trace.logits)
    again = net.analyze(Image.open(io.BytesIO(photo_jpeg)))
    assert torch.equal(net.analyze(photo_jpeg).trace.logits, again.trace.logits)


def test_the_trunk_runs_once(net, photo, monkeypatch):
    runs = []
    own = ResNet50.trace
    monkeypatch.setattr(ResNet50, "trace", lambda self, x: runs.append(1) or own(self, x))
    stems = []
    own_stem = ResNet50.stem
    monkeypatch.setattr(ResNet50, "stem", lambda self, x: stems.append(1) or own_stem(self, x))
    found = net.analyze(photo)
    found.top(5), found.heatmap(3), found.heatmap(5, "hirescam", "4.1"), found.heatmap(7, "cam")
    assert len(runs) == 1 and len(stems) == 1
