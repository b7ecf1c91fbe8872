"""What the comparisons work on: one network by our ways and by the libraries', one photo."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor, nn

from resnet import backends, view
from resnet.analysis import Analysis
from resnet.backends import Backend
from resnet.backends.prepacked import has_bf16
from resnet.network import ResNet50
from resnet.weights import ASSETS

NO_BF16 = "not on this machine: its processor has no fast bf16 (AMX or AVX512-BF16)"
CLASSES = 5  # heat maps of a full analysis


@dataclass(frozen=True)
class Subjects:
    """Everything that the rows share."""

    net: ResNet50
    backend: Backend  # the chosen one
    why: str  # it was chosen
    half: Backend | None = None  # the same in bf16, where that is the faster
    why_half: str = NO_BF16

    @property
    def best(self) -> Backend:
        """The pass that the server would choose."""
        return self.half or self.backend

    def ways(self) -> list[tuple[str, Backend]]:
        """(precision, back end) of every pass that is compared."""
        return [("fp32", self.backend), *([("bf16", self.half)] if self.half else [])]

    @cached_property
    def photo(self) -> Image.Image:
        """One of the examples."""
        with Image.open(ASSETS / "examples" / "cat.jpg") as image:
            return image.convert("RGB")

    @cached_property
    def large(self) -> bytes:
        """The same as a JPEG of 12 megapixels, as a telephone makes them."""
        file = io.BytesIO()
        self.photo.resize((4000, 3000), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        return file.getvalue()

    @cached_property
    def analysis(self) -> Analysis:
        """By the ordinary pass."""
        return self.net.analyze(self.photo)

    @cached_property
    def x(self) -> Tensor:
        """The network's input."""
        x = view.to_tensor(self.analysis.view.image, self.net.spec)
        return x.contiguous(memory_format=torch.channels_last)

    @cached_property
    def classes(self) -> list[int]:
        """The most probable ones."""
        return [p.index for p in self.analysis.top(CLASSES)]

    @cached_property
    def model(self) -> nn.Module:
        """torchvision's own ResNet-50 with the same weights: what the libraries are given."""
        from torchvision.models import resnet50

        model = resnet50()
        if self.net.spec.stride_in_1x1:
            for stage in (model.layer2, model.layer3, model.layer4):
                stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = self.net.spec.eps
        model.load_state_dict(self.net.state_dict())
        return model.eval()

    @cached_property
    def layers(self) -> list[nn.Module]:
        """The model's blocks, in order."""
        names = [(f"layer{name[0]}", int(name[2:])) for name in self.net.block_names]
        return [getattr(self.model, layer)[index] for layer, index in names]

    def torchvision_input(self, data: bytes) -> Tensor:
        """A photo's file as torchvision's documentation has it: open, resize, crop, normalise."""
        from torchvision.transforms import v2

        spec = self.net.spec
        steps = v2.Compose(
            [
                v2.PILToTensor(),
                v2.Resize(spec.resize, antialias=True),
                v2.CenterCrop(spec.crop),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(spec.mean, spec.std),
            ]
        )
        with Image.open(io.BytesIO(data)) as image:
            return steps(image.convert("RGB"))[None]

    def library_maps(self, layers: list[nn.Module], x: Tensor, classes: list[int]) -> list:
        """Grad-CAM by the package in its documented way, one call a layer and class."""
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        maps = []
        for layer in layers:
            for index in classes:
                with GradCAM(model=self.model, target_layers=[layer]) as cam:
                    maps.append(cam(x, [ClassifierOutputTarget(index)])[0])
        return maps


def subjects(name: str = "") -> Subjects:
    """The shipped weights on the CPU, by the back end called `name`, or the fastest."""
    net = ResNet50.load("he2015", "cpu", "fp32")
    if name:
        half = backends.make(name, net, "bf16") if has_bf16() else None
        return Subjects(net, backends.make(name, net), "asked for", half)
    choice = backends.choose(net, "fp32")
    if not has_bf16():
        return Subjects(net, choice.backend, choice.reason)
    half_choice = backends.choose(net, "bf16")
    ours, theirs = min(half_choice.seconds.values()), min(choice.seconds.values())
    slow = f"bf16 is not faster here: {1000 * ours:.0f} against {1000 * theirs:.0f} ms a photo"
    half = half_choice.backend if ours < theirs else None
    why = half_choice.reason if half else slow
    return Subjects(net, choice.backend, choice.reason, half, why)
