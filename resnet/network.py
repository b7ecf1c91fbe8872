"""ResNet-50 with both wires of every residual block in view.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv 1512.03385, table 1 and
figure 5.  Parameter names are torchvision's, so any checkpoint with those names loads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet import device as devices
from resnet import view, weights
from resnet.images import Photo, read_photo

if TYPE_CHECKING:
    from resnet.analysis import Analysis
    from resnet.classify import ClassLike
    from resnet.detections import Detections
    from resnet.residual import Gains, LesionBoard

Gain = float | Tensor  # a Tensor of shape [N, 1, 1, 1] gives every photo of a batch its own gain


class Wires(NamedTuple):
    """What one block's two wires delivered to its addition, each [N, C, H, W]."""

    shortcut: Tensor  # S: the block's input, or its projection in x.0
    branch: Tensor  # F: the three convolutions, after the third batch norm
    output: Tensor  # relu(S + F)

    @property
    def sum(self) -> Tensor:
        """Z = S + F, before the ReLU, [N, C, H, W]."""
        return self.shortcut + self.branch


@dataclass(frozen=True)
class Trace:
    """Everything one forward pass leaves behind."""

    stem: Tensor  # [N, 64, H/4, W/4], the stream into block 1.0
    blocks: Mapping[str, Wires]  # "1.0" ... "4.2", in order
    logits: Tensor  # [N, classes]

    def input_of(self, block: str) -> Tensor:
        """The stream into `block`: the output of the block before it, or of the stem."""
        names = list(self.blocks)
        position = names.index(block)
        return self.blocks[names[position - 1]].output if position else self.stem


class Block(nn.Module):
    """A bottleneck block: 1x1 reduce, 3x3, 1x1 expand beside a shortcut (figure 5, right).

    Args:
        inputs: channels of the stream that comes in.
        width: channels inside the bottleneck; 4 x width come out.
        stride: 2 in the first block of stages 2-4.
        stride_in_1x1: v1 of the paper puts the stride in the first 1x1, v1.5 in the 3x3.
        eps: of the batch norms.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, stride_in_1x1: bool, eps: float):
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps=eps)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps=eps)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=eps)
        self.downsample = None
        if stride != 1 or inputs != outputs:  # the dimensions change: projection shortcut (eq. 2)
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs, eps=eps))

    def shortcut(self, x: Tensor) -> Tensor:
        """S: [N, inputs, H, W] -> [N, 4 width, H/stride, W/stride]; x itself if identity."""
        return x if self.downsample is None else self.downsample(x)

    def branch(self, x: Tensor) -> Tensor:
        """F: [N, inputs, H, W] -> [N, 4 width, H/stride, W/stride]."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))

    def wires(self, x: Tensor, g_s: Gain = 1.0, g_f: Gain = 1.0) -> Wires:
        """Both wires and their gated sum, [N, 4 width, H/stride, W/stride] each (eq. 1)."""
        shortcut, branch = self.shortcut(x), self.branch(x)
        return Wires(shortcut, branch, join(shortcut, branch, g_s, g_f))

    def forward(self, x: Tensor, g_s: Gain = 1.0, g_f: Gain = 1.0) -> Tensor:
        return self.wires(x, g_s, g_f).output


def join(shortcut: Tensor, branch: Tensor, g_s: Gain = 1.0, g_f: Gain = 1.0) -> Tensor:
    """The residual step: `relu(g_s * S + g_f * F)`; gains of 1 change nothing, bit for bit."""
    return F.relu(g_s * shortcut + g_f * branch)


class ResNet50(nn.Module):
    """The network, and the way in: `ResNet50.load("he2015").analyze("cat.jpg").top(5)`.

    Args:
        spec: everything that belongs to the weights; gives stride variant, eps and class count.
        depths: blocks in each stage; (3, 4, 6, 3) is ResNet-50, smaller ones serve tests.
        width: channels inside the first stage's bottlenecks.
    """

    def __init__(
        self,
        spec: weights.WeightSet,
        depths: tuple[int, ...] = (3, 4, 6, 3),
        width: int = 64,
    ):
        super().__init__()
        self.spec = spec
        self.precision = "fp32"
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps=spec.eps)
        self.block_names: tuple[str, ...] = ()
        channels = width
        for stage, depth in enumerate(depths, start=1):
            inner = width * 2 ** (stage - 1)
            layer = nn.Sequential()
            for index in range(depth):
                stride = 2 if stage > 1 and index == 0 else 1
                layer.append(Block(channels, inner, stride, spec.stride_in_1x1, spec.eps))
                channels = inner * Block.expansion
                self.block_names += (f"{stage}.{index}",)
            self.add_module(f"layer{stage}", layer)
        self.fc = nn.Linear(channels, spec.classes)
        self.requires_grad_(False).eval()

    @classmethod
    def load(
        cls,
        name_or_path: str = "he2015",
        device: str = "auto",
        precision: str = "auto",
        labels: str | None = None,
    ) -> ResNet50:
        """Load a named set of weights or a user's own file.

        Args:
            name_or_path: `he2015`, `imagenet1k-v1`, `imagenet1k-v2`, or a `.safetensors`/`.pth`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `auto`, `fp32`, `bf16` or `fp16`; of the trunk, figures stay float32.
            labels: a file with one class name a line, for a user's own weights.

        Raises:
            weights.WeightsError: unknown name, no network, wrong keys or shapes, damaged file.
            devices.DeviceError: the device or the precision cannot be had on this machine.
        """
        chosen = devices.choose_device(device)
        precision = devices.choose_precision(precision, chosen)
        spec, state = weights.load(name_or_path, labels=labels)
        net = cls(spec)
        weights.check(state, net.state_dict(), spec.name)
        net.load_state_dict(state)
        net.precision = precision
        return net.to(chosen).to(memory_format=torch.channels_last)

    @property
    def device(self) -> torch.device:
        return self.fc.weight.device

    @property
    def labels(self) -> tuple[str, ...]:
        return self.spec.labels

    def block(self, name: str) -> Block:
        """The module of block `name`.  Raises KeyError with the valid names otherwise."""
        if name not in self.block_names:
            raise KeyError(f"There is no block {name}; blocks are {', '.join(self.block_names)}.")
        stage, index = name.split(".")
        return getattr(self, f"layer{stage}")[int(index)]

    def stem(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, width, H/4, W/4]: 7x7 convolution and max pool."""
        return F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)

    def head(self, stream: Tensor) -> Tensor:
        """The stream after the last block [N, C, h, w] -> logits [N, classes]."""
        return self.fc(stream.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Input tensor [N, 3, H, W] -> logits [N, classes]."""
        x = self.stem(x)
        for name in self.block_names:
            x = self.block(name)(x)
        return self.head(x)

    @property
    def last_stage(self) -> tuple[str, ...]:
        """Its blocks: "4.0" ... "4.2"."""
        stage = self.block_names[-1].split(".")[0]
        return tuple(name for name in self.block_names if name.split(".")[0] == stage)

    def trace(self, x: Tensor, precision: str = "", brief: bool = False) -> Trace:
        """The same forward pass with all 16 (S, F, output) kept; no gradients.

        Args:
            x: input tensor [N, 3, H, W], normalised as `spec` says.
            precision: of this pass, if not the network's own.
            brief: keep the last stage's blocks alone, which the answer and its heat map need.
        """
        kept = self.last_stage if brief else self.block_names
        with torch.inference_mode(), devices.autocast(self.device, precision or self.precision):
            x = x.to(self.device, memory_format=torch.channels_last)
            stem = x = self.stem(x)
            blocks: dict[str, Wires] = {}
            for name in self.block_names:
                wires = self.block(name).wires(x)
                x = wires.output
                if name in kept:
                    blocks[name] = wires
            return Trace(stem, blocks, self.head(x).float())

    def analyze(self, photo: view.PhotoLike | Photo) -> Analysis:
        """Run the trunk once on a photo (path, bytes, PIL image or uint8 RGB [H, W, 3]).

        Raises:
            resnet.images.ImageError: the photo cannot be used; the message is for the visitor.
        """
        from resnet.analysis import analyze  # analysis stands above this module

        return analyze(self, photo if isinstance(photo, Photo) else read_photo(photo))

    def detect(
        self,
        photo: view.PhotoLike | Photo,
        detector: str = "auto",
        score: float = 0.5,
        classes: Collection[str] | None = None,
    ) -> Detections:
        """Find things in a photo, and where: boxes in pixels of the upright photo, best first.

        Args:
            detector: `offline` (four looks at the photo) and `offline-quick` (one) work on this
                network's trunk; `auto` is the best that is here.
            score: lowest score to report, 0..1; detectors keep nothing below 0.05.
            classes: names to report; all if None.

        Raises:
            resnet.images.ImageError: the photo cannot be used.
            resnet.detectors.DetectorError: no such detector, or its weights cannot be had.
            ValueError: the detector does not know a class, or the score is outside 0..1.
        """
        from resnet.detect import detect  # detect stands above this module

        return detect(self, photo, detector, score, classes)

    def lesions(self, analysis: Analysis, wanted: ClassLike | None = None) -> LesionBoard:
        """Every wire cut, one at a time, for one of this network's analyses: 16 x 2 rows.

        Args:
            wanted: class whose probability (0..1) is followed; the network's answer if None.

        Raises:
            resnet.classify.UnknownClass: with a sentence for the user.
        """
        return analysis.lesions(wanted)

    def with_gains(self, analysis: Analysis, gains: Gains | Sequence[Sequence[float]]) -> Analysis:
        """One of this network's analyses with wires at other gains; its weights stay as they are.

        Args:
            gains: `{("3.2", "branch"): 0.0}`, 0..2, wires left out are at 1; or an array
                [blocks, 2] of (shortcut, branch).

        Raises:
            resnet.residual.PlanError: no such block or wire, or a gain out of range.
        """
        return analysis.with_gains(gains)
