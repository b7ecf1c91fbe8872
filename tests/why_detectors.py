"""Small detectors for the tests of "Why this box?"."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from conftest import make_tiny, randomise
from PIL import Image
from torch import Tensor
from torch.nn import functional

from resnet.detections import Detections
from resnet.detectors import shipped
from resnet.detectors.looks import Named
from resnet.detectors.offline import Dense, OfflineDetector, boxes_at, points
from resnet.detectors.run import run
from resnet.detectors.sighting import OneLook, Sighting
from resnet.images import Photo, read_photo
from resnet.network import ResNet50
from resnet.view import to_tensor

NAMES = ("bird", "cat", "dog")


def named(dense: Dense, height: int, width: int) -> Named:
    """All that a dense head says, as if the second look agreed with every word."""
    places, strides = points(height, width)
    boxes = boxes_at(places, strides, dense.distances[0])
    boxes = boxes.clamp_min(0).minimum(boxes.new_tensor([width, height] * 2))
    return Named(torch.arange(len(places)), boxes, dense.logits[0], boxes)


def input_of(photo: Photo, net: ResNet50, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """The photo at `size`, zeros to the right and below up to `padded`; (width, height) each."""
    x = to_tensor(photo.image.resize(size, Image.Resampling.BILINEAR), net.spec)
    x = functional.pad(x, (0, padded[0] - size[0], 0, padded[1] - size[1]))
    return x.to(memory_format=torch.channels_last)


class SmallOffline(shipped.Offline):
    """The offline detector on inputs that a test can wait for."""

    def prepare(self, photo: Photo, look: int = 0) -> Tensor:
        x = input_of(photo, self.trunk, (128, 96), (128, 96))
        return x.flip(3) if self.ways[look].mirrored else x


def small_offline(seed: int = 0, variant: str = "v1") -> SmallOffline:
    """A random one whose scores lie about one half, so that there are boxes to lose."""
    trunk = make_tiny(variant, seed)
    module = randomise(OfflineDetector(trunk, len(NAMES)), seed + 1).requires_grad_(False)
    rng = torch.Generator().manual_seed(seed + 2)
    for part in module.modules():
        if isinstance(part, torch.nn.GroupNorm):
            part.bias.normal_(0, 0.2, generator=rng)
        elif isinstance(part, torch.nn.Conv2d) and part.bias is not None:
            part.bias.normal_(0, 0.1, generator=rng)
    module.head.regression_head.bbox_reg.bias.fill_(2.5)
    module.namer.linear.weight.mul_(0.2)  # both looks have a say
    module.namer.mix[6:] = torch.tensor([0.5, 0.3])  # and the classifier
    made = shipped.assemble(trunk, module, NAMES, NAMES, calibration=(1.0, 0.0))
    made.aliases[range(2), range(2)] = 1  # its first two labels are the first two names
    return SmallOffline(**vars(made))


@dataclass(frozen=True, eq=False)
class Weighted(OneLook):
    """y = sum over some stages of <W, A> + bias: a head whose map can be worked out by hand."""

    trunk: ResNet50
    weights: dict[str, Tensor]
    bias: float = 0.5
    padded: tuple[int, int] = (128, 96)
    info = replace(shipped.infos()[1], name="weighted")

    def prepare(self, photo: Photo, look: int = 0) -> Tensor:
        return input_of(photo, self.trunk, (101, 75), self.padded)

    def answer(self, streams, x):
        return None

    def target(self, streams, x, row):
        parts = [(self.weights[s].to(streams[s]) * streams[s]).sum() for s in self.weights]
        return sum(parts) + self.bias

    def decode(self, raw, x, size, floor):
        box = np.array([[0.25, 0.25, 0.5, 0.75]]) * [*size, *size]
        return Detections(box, [0.9], [1], NAMES, size, "weighted"), [None]


def weighted(stages: str = "24", seed: int = 0) -> Weighted:
    """Random weights for inputs of 128 x 96 pixels, of which the photo fills 101 x 75."""
    trunk, rng = make_tiny("v1", seed), torch.Generator().manual_seed(seed)
    shapes = {s: (1, 32 * 2**k, 24 >> k, 32 >> k) for k, s in enumerate("1234")}
    return Weighted(trunk, {s: 0.01 * torch.randn(shapes[s], generator=rng) for s in stages})


def seen_by(detector, photo: Image.Image, floor: float = 0.05) -> Sighting:
    return run(detector, read_photo(photo), floor)
