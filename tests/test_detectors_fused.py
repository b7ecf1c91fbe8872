"""A detector's trunk over fused convolutions: the same streams, for inputs of any shape."""

import pytest
import torch
from conftest import make_tiny

from resnet.backends import suffix
from resnet.backends.prepacked import has_bf16
from resnet.detectors import fused
from resnet.detectors.fused import FusedTail, FusedTrunk, fast, fast_tail
from resnet.detectors.run import stages
from resnet.detectors.second import Tail, regions

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="no bf16 on this processor")


def relative(ours, theirs) -> float:
    return max(float((ours[k].float() - s).abs().max() / s.abs().max()) for k, s in theirs.items())


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))


def in_bf16():
    net = make_tiny("v1")
    net.precision = "bf16"
    return net


@torch.inference_mode()
def test_fused_streams_of_any_shape(tiny_v1, x):
    wanted = stages(tiny_v1, x)
    found = stages(FusedTrunk(tiny_v1, torch.float32), x)
    assert list(found) == list(wanted) == ["1", "2", "3", "4"]
    assert all(found[k].shape == s.shape for k, s in wanted.items())
    assert relative(found, wanted) < 1e-5


@torch.inference_mode()
def test_blocks_leave_their_input_alone_and_agree_with_their_wires(tiny_v1, x):
    trunk = FusedTrunk(tiny_v1, torch.float32)
    stream = trunk.stem(x)
    for name in trunk.block_names:
        block, before = trunk.block(name), stream.clone()
        wires, output = block.wires(stream), block(stream)
        assert torch.equal(output, wires.output) and torch.equal(stream, before)
        ordinary = tiny_v1.block(name)
        for gains in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.5, 1.5)):
            wanted = ordinary(stream, *gains)
            assert torch.allclose(block(stream, *gains), wanted, rtol=0, atol=1e-4)
        assert torch.equal(block(stream, 0.0, 1.0), wires.branch.relu())
        assert torch.equal(block(stream, 1.0, 0.0), wires.shortcut.relu())
        assert torch.equal(stream, before)
        stream = output


def test_in_float32_the_trunk_runs_itself(tiny_v1):
    assert fast(tiny_v1) is tiny_v1


@needs_bf16
@torch.inference_mode()
def test_in_bf16(x):
    net = in_bf16()
    wanted = stages(net, x)
    found = stages(fast(net), x)
    assert fast(net) is fast(net) and found["4"].dtype == torch.bfloat16
    assert 1e-5 < relative(found, wanted) < 0.05


@needs_bf16
def test_changed_weights_are_taken_anew(x):
    net = in_bf16()
    with torch.inference_mode():
        before = stages(fast(net), x)
    with torch.no_grad():
        net.block("4.0").bn3.bias.add_(1.0)
    with torch.inference_mode():
        after, wanted = stages(fast(net), x), stages(net, x)
    assert torch.equal(before["3"], after["3"])
    assert relative(before, wanted) > 0.1 > 0.05 > relative(after, wanted)


@needs_bf16
def test_whether_this_can_be_had_does_not_depend_on_who_asks_first():
    suffix.packs.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert suffix.packs(torch.bfloat16) and suffix.packs(torch.float32)


def boxes_on(x) -> torch.Tensor:
    height, width = x.shape[2:]
    return torch.tensor([[0.0, 0, width, height], [20, 10, 90, 70], [width - 60.5, 3, width, 40]])


@torch.inference_mode()
def test_a_fused_tail_reads_the_same(tiny_v1, x):
    tail, stage3 = Tail(tiny_v1), stages(tiny_v1, x)["3"]
    wanted = tail(stage3, [boxes_on(x)])
    found = FusedTail(tail, torch.float32)(stage3, [boxes_on(x)])
    assert found.shape == wanted.shape and torch.allclose(found, wanted, atol=1e-5)
    assert fast_tail(tail, tiny_v1) is tail  # in float32


@needs_bf16
@torch.inference_mode()
def test_a_tail_in_bf16_follows_the_weights():
    net = in_bf16()
    x = torch.randn(1, 3, 96, 1024, generator=torch.Generator().manual_seed(0))
    tail, stage3 = Tail(net), stages(net, x)["3"]
    found = fast_tail(tail, net)
    assert isinstance(found, FusedTail) and fast_tail(tail, net) is found
    wanted = tail(stage3, [boxes_on(x)])
    assert relative({"": found(stage3.bfloat16(), [boxes_on(x)])}, {"": wanted}) < 0.03


@needs_bf16
def test_changed_weights_of_a_tail_are_taken_anew():
    net = in_bf16()
    tail = Tail(net)
    before = fast_tail(tail, net)
    with torch.no_grad():
        net.block("4.0").bn3.bias.add_(1.0)
    assert fast_tail(tail, net) is not before


def test_regions_are_cut_out_where_they_are_in_bf16_too():
    stream = torch.arange(64.0).expand(1, 1, 8, 64)  # cell i holds i: no rounding
    boxes = torch.tensor([[803.0, 20, 819, 60]])  # 803 would be 804 in bf16
    exact = regions(stream, [boxes])
    assert exact.mean().item() == pytest.approx((811 - 0.5) / 16, abs=1e-3)
    found = regions(stream.bfloat16(), [boxes])
    assert found.dtype == torch.bfloat16 and torch.equal(found, exact.bfloat16())


def test_where_nothing_is_fused_the_trunk_runs_itself(monkeypatch):
    net = in_bf16()
    monkeypatch.setattr(fused, "packs", lambda type: False)
    assert fast(net) is net
