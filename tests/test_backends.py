"""Every way to run the trunk gives the same wires and the same answer."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from conftest import make_tiny
from torch import Tensor

from resnet import backends
from resnet.backends import BackendError, Eager, prepacked
from resnet.network import ResNet50, Trace
from resnet.residual.ledger import logit_ledger

CPU = ("eager", "folded", "prepacked", "openvino")


def off(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    assert ours.shape == theirs.shape
    return float((ours.float() - theirs).abs().max() / theirs.abs().max())


def made(name: str, net: ResNet50, precision: str = "fp32"):
    if name == "openvino":
        pytest.importorskip("openvino")
    return backends.make(name, net, precision)


def agree(ours: Trace, theirs: Trace, least: float) -> None:
    assert list(ours.blocks) == list(theirs.blocks)
    assert off(ours.stem, theirs.stem) < least
    for name, wires in theirs.blocks.items():
        for one, other in zip(ours.blocks[name], wires, strict=True):
            assert off(one, other) < least, name
    assert off(ours.logits, theirs.logits) < least
    assert ours.logits.dtype == torch.float32


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", CPU)
def test_all_wires_agree_on_a_tiny_network(tiny, x, name):
    backend, wanted = made(name, tiny), tiny.trace(x)
    agree(backend.trace(x), wanted, 1e-5)
    assert off(backend.logits(x), wanted.logits) < 1e-5


@pytest.mark.parametrize("name", CPU)
def test_a_brief_pass_keeps_the_last_stage_and_answers_the_same(tiny, x, name):
    backend = made(name, tiny)
    ours, whole = backend.trace(x, brief=True), backend.trace(x)
    assert tuple(ours.blocks) == tiny.last_stage == ("4.0", "4.1")
    wanted = {name: whole.blocks[name] for name in tiny.last_stage}
    agree(ours, replace(whole, blocks=wanted), 1e-5)


@pytest.mark.parametrize("name", CPU[1:])
def test_all_wires_agree_on_the_shipped_weights(net, name):
    x = 50 * torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    agree(made(name, net).trace(x), net.trace(x), 1e-5)


@pytest.mark.parametrize("name", CPU)
def test_the_residual_step_holds_bit_for_bit(tiny, x, name):
    trace = made(name, tiny).trace(x)
    stream = trace.stem
    for block, wires in trace.blocks.items():
        assert torch.equal(wires.output, torch.relu(wires.shortcut + wires.branch)), block
        if tiny.block(block).downsample is None:
            assert wires.shortcut is stream, block
        stream = wires.output


@pytest.mark.parametrize("name", CPU)
def test_exact_figures_stand_on_any_trace(tiny, x, name):
    trace = made(name, tiny).trace(x[:1])
    ledger = logit_ledger(tiny, trace, 3)
    assert abs(ledger.error) < 1e-5 * max(1, *(abs(entry.logit) for entry in ledger.entries))


@pytest.mark.parametrize("name", CPU[1:])
def test_an_input_of_another_size_is_answered_too(tiny, name):
    x = torch.randn(1, 3, 128, 64, generator=torch.Generator().manual_seed(3))
    backend = made(name, tiny)
    agree(backend.trace(x), tiny.trace(x), 1e-5)
    assert off(backend.logits(x), tiny.trace(x).logits) < 1e-5


@pytest.mark.parametrize("name", ["folded", "prepacked"])
def test_bf16_is_close(x, name):
    net = make_tiny("v1")
    if name == "prepacked" and not prepacked.has_bf16():
        with pytest.raises(BackendError, match="no arithmetic for bf16"):
            backends.make(name, net, "bf16")
        return
    trace = backends.make(name, net, "bf16").trace(x)
    assert trace.blocks["4.1"].branch.dtype == torch.bfloat16
    assert 0 < off(trace.logits, net.trace(x).logits) < 0.05
    agree(trace, net.trace(x), 0.1)


def test_a_torch_without_the_private_operators_says_so(tiny, monkeypatch):
    def missing(*args):
        raise AttributeError("no such operator")

    monkeypatch.setattr(prepacked.Packed, "__init__", missing)
    with pytest.raises(BackendError, match="does not pack weights"):
        backends.make("prepacked", tiny)
    choice = backends.choose(tiny, "fp32", lambda backend: 1.0)
    assert "prepacked fp32" not in choice.seconds


def test_without_the_library_it_is_not_offered(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendError, match="not installed"):
        backends.make("openvino", tiny)


def test_a_gpu_way_is_refused_without_a_gpu(tiny):
    with pytest.raises(BackendError, match="need a GPU"):
        backends.make("cuda graphs", tiny)
    with pytest.raises(BackendError, match="there is no back end “tpu”"):
        backends.make("tpu", tiny)


def test_the_fastest_is_chosen_and_the_reason_names_the_times(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    times = {"eager": 0.2, "prepacked": 0.1}
    choice = backends.choose(tiny, "fp32", lambda backend: times[backend.name])
    assert choice.backend.name == "prepacked"
    assert choice.reason.startswith("prepacked fp32: 100 ms for a photo against eager fp32 200")
    times["prepacked"] = 0.199  # not worth a private operator
    assert backends.choose(tiny, "fp32", lambda b: times[b.name]).backend.name == "eager"


def test_auto_offers_bf16_only_where_the_processor_has_it(tiny, monkeypatch):
    monkeypatch.setattr(prepacked, "has_bf16", lambda: False)
    assert {each for _, each in backends.candidates(tiny, "auto")} == {"fp32"}
    monkeypatch.setattr(prepacked, "has_bf16", lambda: True)
    assert {each for _, each in backends.candidates(tiny, "auto")} == {"fp32", "bf16"}


def test_the_real_choice_runs(tiny, x):
    choice = backends.choose(tiny, "auto")
    assert set(choice.seconds) >= {"eager fp32"}
    close = 1e-5 if choice.backend.precision == "fp32" else 0.05
    agree(choice.backend.trace(x), Eager(tiny).trace(x), close)


def test_who_is_twice_as_slow_is_timed_only_once_more(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    times, timed, steps = {"eager": 0.21, "prepacked": 0.1}, [], []

    def seconds_of(backend):
        timed.append(backend.name)
        return times[backend.name]

    def run(work):
        steps.append(len(timed))
        work()

    backends.choose(tiny, "fp32", seconds_of, run)
    assert timed.count("eager") == 2 and timed.count("prepacked") == 1 + backends.RUNS
    assert sorted(set(steps)) == list(range(len(timed)))  # others have a turn between two passes
    timed.clear()
    times["eager"] = 0.19
    backends.choose(tiny, "fp32", seconds_of)
    assert timed.count("eager") == 1 + backends.RUNS


LAID_OUT = """
import torch
from resnet.backends.prepacked import SEVERAL, Prepacked
from resnet.network import ResNet50

backend = Prepacked(ResNet50.load("he2015"))
for count in (1, SEVERAL):
    x = torch.zeros(count, 3, 224, 224).to(memory_format=torch.channels_last)
    backend.trace(x)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        print("begin", flush=True)
        backend.trace(x)
        backend.logits(x)
"""


def test_no_pass_lays_weights_out_anew():
    done = subprocess.run(
        [sys.executable, "-c", LAID_OUT], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert said.count("begin") == 2
    assert said.count(",convolution,") >= 2 * 2 * 53
    assert ",reorder," not in said
