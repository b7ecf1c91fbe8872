"""The offline detector as it ships: its file, its record, and one run over a photo."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms

from resnet import weights
from resnet.detections import Detections
from resnet.detectors import offline
from resnet.detectors.catalogue import DetectorError, DetectorInfo
from resnet.detectors.offline import Dense, OfflineDetector
from resnet.detectors.sighting import Streams
from resnet.images import Photo
from resnet.network import ResNet50
from resnet.view import to_tensor

FILE = weights.ASSETS / "weights" / "detector-offline.safetensors"
RECORD = weights.ASSETS / "weights" / "detector-offline.json"
SIDE, LONGEST = 384, 640  # pixels of the input: shorter side, and the most for the longer one
OVERLAP = 0.6  # two boxes of one class with a higher IoU are one thing
MOST = 100  # detections a photo
CANDIDATES = 2000  # looked at for duplicates


@cache
def record() -> dict[str, Any]:
    """What was measured and chosen when the detector was trained; see `resnet.train.detector`."""
    return json.loads(RECORD.read_text("utf-8"))


def info() -> DetectorInfo:
    """The catalogue's entry, from the record."""
    known = record()
    return DetectorInfo(
        name="offline",
        title="Offline (ships with this page)",
        classes=len(known["shown"]),
        ap=known["measured"]["AP"],
        ap50=known["measured"]["AP50"],
        ap_from=known["measured"]["on"],
        trained_on=known["trained_on"],
        megabytes=FILE.stat().st_size / 1e6,
        url="",
        sha256=known["sha256"],
        full=False,
    )


@dataclass(frozen=True, eq=False)
class Offline:
    """The offline detector on a network's trunk; see `sighting.Detector`."""

    info: DetectorInfo
    trunk: ResNet50  # the classifier's stem to stage 3 and the detector's own stage 4
    module: OfflineDetector
    names: tuple[str, ...]  # all that it was trained on
    shown: tuple[int, ...]  # those good enough to show
    calibration: tuple[float, float]  # slope, offset; see `calibrate`

    def prepare(self, photo: Photo) -> Tensor:
        """[1, 3, H, W]: the whole photo, shorter side about SIDE, sides multiples of 32."""
        return prepare(photo, self.trunk)

    def answer(self, streams: Streams, x: Tensor) -> Dense:
        """Dense answers of the head."""
        return self.module.answer(streams)

    def target(self, streams: Streams, x: Tensor, row: Tensor) -> Tensor:
        """The class logit at a detection's point; row is (point, label)."""
        point, label = row.tolist()
        return self.module.answer(streams).logits[0, point, label]

    def decode(
        self, raw: Dense, x: Tensor, size: tuple[int, int], floor: float
    ) -> tuple[Detections, Tensor]:
        """Dense answers of one photo -> detections, and (point, label) of each, int64 [n, 2]."""
        height, width = x.shape[2:]
        places, strides = (t.to(x.device) for t in offline.points(height, width))
        score = calibrate(offline.scores(raw)[0], self.calibration)
        hidden = torch.ones(score.shape[1], dtype=torch.bool, device=x.device)
        hidden[list(self.shown)] = False
        score = score.masked_fill(hidden, 0)
        at, label = (score >= floor).nonzero(as_tuple=True)
        value = score[at, label]
        if len(value) > CANDIDATES:  # a floor of nearly 0 must not make the next step slow
            value, best = value.topk(CANDIDATES)
            at, label = at[best], label[best]
        boxes = offline.boxes_at(places, strides, raw.distances[0])[at]
        boxes = boxes.clamp_min(0).minimum(boxes.new_tensor([width, height] * 2))
        keep = batched_nms(boxes, value, label, OVERLAP)[:MOST]
        scale = boxes.new_tensor([size[0] / width, size[1] / height] * 2)
        pixels = (boxes[keep] * scale).minimum(boxes.new_tensor([*size, *size]))
        found = Detections(
            pixels.cpu().numpy(),
            value[keep].cpu().numpy(),
            label[keep].cpu().numpy(),
            self.names,
            size,
            self.info.name,
        )
        return found, torch.stack((at[keep], label[keep]), 1)


def prepare(photo: Photo, net: ResNet50) -> Tensor:
    """[1, 3, H, W]: the whole photo, shorter side about SIDE, both sides multiples of 32."""
    width, height = photo.size
    scale = min(SIDE / min(width, height), LONGEST / max(width, height))
    wanted = tuple(max(32, round(side * scale / 32) * 32) for side in (width, height))
    image = photo.image.resize(wanted, Image.Resampling.BILINEAR)
    x = to_tensor(image, net.spec)
    return x.to(net.device, memory_format=torch.channels_last)


def calibrate(score: Tensor, calibration: tuple[float, float]) -> Tensor:
    """Score -> share of such boxes that are right: sigmoid(slope * logit(score) + offset)."""
    slope, offset = calibration
    return torch.sigmoid(slope * torch.logit(score.clamp(1e-6, 1 - 1e-6)) + offset)


def load(net: ResNet50) -> Offline:
    """The shipped detector on this network's trunk.

    Raises:
        DetectorError: the network is not the one that it was trained on, or the file is damaged.
    """
    known = record()
    if net.spec.sha256 != known["trunk"]:
        raise DetectorError(
            f"The offline detector works on he2015 only, and {net.spec.name} is running. "
            "Choose another detector, or start with --weights he2015."
        )
    found = _loaded.get(id(net))
    if found is None:
        module = read(net, len(known["names"]), known["sha256"])
        found = assemble(net, module, tuple(known["names"]), tuple(known["shown"]))
        _loaded.clear()
        _loaded[id(net)] = found
    return found


_loaded: dict[int, Offline] = {}  # for the one network that the process serves


def assemble(
    net: ResNet50,
    module: OfflineDetector,
    names: tuple[str, ...],
    shown: tuple[str, ...],
    calibration: tuple[float, float] | None = None,
) -> Offline:
    """Trunk and head as one detector; the calibration is the record's unless given."""
    trunk = copy.copy(net)  # shares all parameters …
    trunk._modules = {**net._modules, "layer4": module.layer4}  # … but those of stage 4
    places = tuple(names.index(name) for name in shown)
    if calibration is None:
        slope, offset = record()["calibration"]
        calibration = (slope, offset)
    return Offline(info(), trunk, module, names, places, calibration)


def read(net: ResNet50, classes: int, expected: str, file: Any = FILE) -> OfflineDetector:
    """A detector's file (int8 or float) -> module in evaluation mode on the network's device.

    Raises:
        DetectorError: the file is missing, damaged, or of another shape.
    """
    module = OfflineDetector(net, classes).requires_grad_(False).eval()
    try:
        state = weights.read_bundle(file, expected)
        weights.check(state, module.state_dict(), f"the detector {file.name}")
    except weights.WeightsError as error:
        raise DetectorError(str(error)) from error
    module.load_state_dict(state)
    return module.to(net.device, memory_format=torch.channels_last)
