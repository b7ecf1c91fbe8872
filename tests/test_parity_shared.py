"""The shipped int8 weights against their float original: 250 photos, 500 with RESNET_LONG=1.

The photos are easy and mostly from the training set: they compare, they do not measure accuracy.
"""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from resnet.images import read_photo
from resnet.network import ResNet50
from resnet.view import look, to_tensor

pytestmark = [pytest.mark.shared_data, pytest.mark.slow]
BATCH = 25


@pytest.fixture(scope="module")
def sample(imagenet500) -> list[Path]:
    """Every second photo, or all: a pass over them takes minutes on two cores."""
    assert len(imagenet500) == 500
    return imagenet500 if "RESNET_LONG" in os.environ else imagenet500[::2]


@pytest.fixture(scope="module")
def batches(net, sample) -> list[Tensor]:
    """The photos as the network sees them, uint8 [25, 224, 224, 3] to spare memory."""
    images = [look(read_photo(path), net.spec).image for path in sample]
    tensors = torch.stack(
        [torch.frombuffer(bytearray(i.tobytes()), dtype=torch.uint8) for i in images]
    )
    return list(tensors.view(-1, BATCH, 224, 224, 3))


@pytest.fixture(scope="module")
def truth(sample: list[Path]) -> Tensor:
    """Class indices out of the file names, [photos]."""
    return torch.tensor([int(path.name[:4]) for path in sample])


def probabilities(net: ResNet50, batches: list[Tensor]) -> Tensor:
    """float32 [photos, 1000]."""
    mean, std = torch.tensor(net.spec.mean), torch.tensor(net.spec.std)
    found = []
    with torch.inference_mode():
        for batch in batches:
            x = ((batch.float() / 255 - mean) / std).permute(0, 3, 1, 2)  # channels-last already
            found.append(net(x).softmax(1))
    return torch.cat(found)


def accuracy(found: Tensor, truth: Tensor, k: int) -> float:
    return float((found.topk(k).indices == truth[:, None]).any(1).float().mean())


@pytest.fixture(scope="module")
def shipped(net, batches) -> Tensor:
    return probabilities(net, batches)


def test_answers_are_mostly_right(shipped, truth, net, sample):
    assert accuracy(shipped, truth, 1) >= 0.88
    assert accuracy(shipped, truth, 5) >= 0.975
    first = look(read_photo(sample[0]), net.spec).image  # the batches are what analyze sees
    alone = net.trace(to_tensor(first, net.spec)).logits.softmax(1)
    assert torch.allclose(alone[0], shipped[0], atol=1e-4)


@pytest.mark.network
def test_same_answers_as_the_float_original(net, shipped, batches, truth, float_weights):
    original = ResNet50(net.spec)
    missing, extra = original.load_state_dict(float_weights, strict=False)
    assert not extra and all(key.endswith("num_batches_tracked") for key in missing)
    original = original.to(memory_format=torch.channels_last)
    exact = probabilities(original, batches)
    same = (shipped.argmax(1) == exact.argmax(1)).float().mean()
    print(
        f"\ntop-1/top-5: int8 {accuracy(shipped, truth, 1):.1%}/{accuracy(shipped, truth, 5):.1%}, "
        f"float {accuracy(exact, truth, 1):.1%}/{accuracy(exact, truth, 5):.1%}; same top-1 "
        f"{float(same):.1%}; largest difference {float((shipped - exact).abs().max()):.4f}"
    )
    assert same >= 0.99
    assert abs(accuracy(shipped, truth, 1) - accuracy(exact, truth, 1)) <= 0.01
