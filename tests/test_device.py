"""Where the network runs, and what is said when that cannot be."""

import pytest
import torch

from resnet.device import DeviceError, autocast, choose_device, choose_precision, describe

CPU = torch.device("cpu")


def test_cpu():
    assert choose_device("cpu") == CPU
    assert describe(CPU) == "CPU"


@pytest.mark.parametrize("there, wanted", [(False, "cpu"), (True, "cuda")])
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, there, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("auto").type == wanted


@pytest.mark.parametrize("name", ["gpu", "", "mps", "meta", "cpu:x", "cuda:-1", "cuda:x"])
def test_unknown_device(name):
    with pytest.raises(DeviceError, match="Use auto, cpu, cuda or cuda:N"):
        choose_device(name)


def test_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(DeviceError, match="cuda:1 is not there: this machine has 1 CUDA GPU"):
        choose_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError, match="cuda is not there"):
        choose_device("cuda")


def test_precision():
    assert choose_precision("auto", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("fp16", torch.device("cuda")) == "fp16"
    with pytest.raises(DeviceError, match="fp16 needs a GPU"):
        choose_precision("fp16", CPU)
    with pytest.raises(
        DeviceError, match=r"Unknown precision “int4”. Use auto, fp32, bf16 or fp16"
    ):
        choose_precision("int4", CPU)


def test_autocast_is_off_for_fp32_and_ends_with_its_block():
    with autocast(CPU, "fp32"):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(CPU, "bf16"):
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_cpu_answer():
    from conftest import make_tiny

    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    net = make_tiny("v1")
    on_cpu = net.trace(x).logits
    on_gpu = net.to("cuda").trace(x).logits.cpu()
    assert torch.allclose(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)  # TF32 where the GPU has it
