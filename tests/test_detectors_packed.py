"""A detector's trunk in bf16 over packed weights: the same streams, for inputs of any shape."""

import pytest
import torch
from conftest import make_tiny

from resnet.backends.prepacked import Prepacked, has_bf16
from resnet.detectors import packed
from resnet.detectors.run import stages

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


def test_packed_streams_of_any_shape(tiny_v1, x):
    with torch.inference_mode():
        wanted = stages(tiny_v1, x)
    found = Prepacked(tiny_v1).streams(x)
    assert list(found) == list(wanted) == ["1", "2", "3", "4"]
    assert all(found[k].shape == s.shape for k, s in wanted.items())
    assert relative(found, wanted) < 1e-5


def test_float32_stays_exact(tiny_v1, x):
    assert packed.streams(tiny_v1, x) is None


@needs_bf16
def test_in_bf16(x):
    net = in_bf16()
    with torch.inference_mode():
        wanted = stages(net, x)
    found = packed.streams(net, x)
    assert found is not None and found["4"].dtype == torch.bfloat16
    assert 1e-5 < relative(found, wanted) < 0.05


@needs_bf16
def test_changed_weights_are_packed_anew(x):
    net = in_bf16()
    before = packed.streams(net, x)
    with torch.no_grad():
        net.block("4.0").bn3.bias.add_(1.0)
    after, wanted = packed.streams(net, x), stages(net, x)
    assert torch.equal(before["3"], after["3"])
    assert relative(before, wanted) > 0.1 > 0.05 > relative(after, wanted)


def test_where_weights_are_not_packed(x, monkeypatch):
    def refuse(*_):
        raise packed.BackendError("no packing here")

    monkeypatch.setattr(packed, "Prepacked", refuse)
    assert packed.streams(in_bf16(), x) is None
