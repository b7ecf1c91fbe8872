"""The offline detector as it ships: its file, its record, and one run over a photo."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from resnet import lazy, weights
from resnet.detections import Detections
from resnet.detectors.aliases import aliases
from resnet.detectors.catalogue import DetectorError, DetectorInfo
from resnet.detectors.looks import EDGE, FOUR, ONE, Look, Named, together
from resnet.detectors.sighting import Streams
from resnet.images import Photo
from resnet.network import ResNet50
from resnet.view import to_tensor

if TYPE_CHECKING:
    from resnet.detectors.offline import Dense, OfflineDetector
    from resnet.detectors.second import Tail

# With torchvision, slow to import: the catalogue asks for the record alone.
fused = lazy.module("resnet.detectors.fused")
offline = lazy.module("resnet.detectors.offline")
second = lazy.module("resnet.detectors.second")
ops = lazy.module("torchvision.ops")

FILE = weights.ASSETS / "weights" / "detector-offline.safetensors"
RECORD = weights.ASSETS / "weights" / "detector-offline.json"
SAME = 0.8  # two boxes of different classes with a higher IoU are one thing with two names
MOST = 100  # detections a photo
NAME, QUICK = "offline", "offline-quick"  # at four looks, and at the first of them alone
# Boxes of a look that are read a second time.  On held-out photos one look has the same AP with 24
# as with 40; four looks lose 0.5 with 30, and gain nothing with 60.
BOXES, QUICK_BOXES = 40, 24


@cache
def record() -> dict[str, Any]:
    """What was measured and chosen for the file; made by `resnet.train.detector_bundle`."""
    return json.loads(RECORD.read_text("utf-8"))


def infos() -> tuple[DetectorInfo, DetectorInfo]:
    """The catalogue's entries, from the record: AP of the classes that are shown."""
    known = record()
    titles = {
        NAME: "Offline, four looks",
        QUICK: "Offline, one look (quick)",
    }
    measured = {NAME: known["measured"], QUICK: known["quick"]["measured"]}
    four, one = (
        DetectorInfo(
            name=name,
            title=title,
            classes=len(known["shown"]),
            ap=measured[name]["shown"]["AP"],
            ap50=measured[name]["shown"]["AP50"],
            ap_from=known["measured"]["on"],
            trained_on=known["trained_on"],
            megabytes=FILE.stat().st_size / 1e6,
            url="",
            sha256=known["sha256"],
            full=False,
        )
        for name, title in titles.items()
    )
    return four, one


@dataclass(frozen=True, eq=False)
class Offline:
    """The offline detector on a network's trunk; see `sighting.Detector`."""

    info: DetectorInfo
    trunk: ResNet50  # the classifier's stem to stage 3 and the detector's own stage 4
    module: OfflineDetector
    tail: Tail  # the classifier's stage 4, for the second look
    names: tuple[str, ...]  # all that it was trained on
    shown: tuple[int, ...]  # those good enough to show
    aliases: Tensor  # float32 [classes, labels]: what the classifier calls them
    calibration: tuple[float, float]  # slope, offset; see `calibrate`
    overlap: float = 0.6  # two boxes of one class with a higher IoU are one thing
    ways: tuple[Look, ...] = ONE  # how it looks at a photo, one after the other
    boxes: int = BOXES  # so many of a look are read a second time
    alone: Offline | None = None  # the same at its first look alone, if it takes several

    @property
    def looks(self) -> int:
        """How often it looks at a photo."""
        return len(self.ways)

    @property
    def one_look(self) -> Offline:
        """The same at its first look alone."""
        return self.alone or self

    def prepare(self, photo: Photo, look: int = 0) -> Tensor:
        """[1, 3, H, W]: the whole photo as that look wants it, sides multiples of 32."""
        return prepare(photo, self.trunk, self.ways[look])

    def together(self, raws: Sequence[Named], shapes: Sequence[tuple[int, int]]) -> Named:
        """The answers to all looks as one, in the first look's pixels; see `looks.together`."""
        return together(raws, shapes, self.ways)

    def answer(self, streams: Streams, x: Tensor) -> Named:
        """Both looks: where the dense head sees things, and what the classifier's stage 4 says."""
        dense = self.module.answer(streams)
        height, width = x.shape[2:]
        at, boxes = offline.proposals(dense, height, width, self.boxes)
        logits = self._mixed(dense, at, streams["3"], boxes)
        return Named(at, boxes, logits, offline.everywhere(dense, height, width))

    def _mixed(self, dense: Dense, at: Tensor, stage3: Tensor, boxes: Tensor) -> Tensor:
        """Logits [boxes, classes] of both looks together, float32."""
        # What is fused cannot be differentiated.
        tail = self.tail if stage3.requires_grad else fused.fast_tail(self.tail, self.trunk)
        features = tail(stage3, [boxes])
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            found = second.clues(
                dense.logits[0, at].float(),
                dense.fit[0, at].float(),
                self.module.namer(features),
                self.trunk.fc(features),
                self.aliases,
            )
            return found @ self.module.namer.mix

    def target(self, streams: Streams, x: Tensor, row: Tensor) -> Tensor:
        """The class logit of a detection; row is (point, label, box in input pixels)."""
        dense = self.module.answer(streams)
        at = row[:1].long()
        return self._mixed(dense, at, streams["3"], row[None, 2:])[0, int(row[1])]

    def decode(
        self, raw: Named, x: Tensor, size: tuple[int, int], floor: float
    ) -> tuple[Detections, Tensor]:
        """One photo's answers -> detections, and (point, label, box) of each, float32 [n, 6]."""
        height, width = x.shape[2:]
        shown = torch.tensor(self.shown, dtype=torch.long, device=raw.logits.device)
        score = calibrate(raw.logits[:, shown].sigmoid(), self.calibration)
        row, column = (score >= floor).nonzero(as_tuple=True)
        value, label, boxes = score[row, column], shown[column], raw.boxes[row]
        keep = ops.batched_nms(boxes, value, label, self.overlap)
        value = one_name(boxes[keep], value[keep], label[keep])
        value, order = value.sort(descending=True, stable=True)
        keep = keep[order][value >= floor][:MOST]
        scale = boxes.new_tensor([size[0] / width, size[1] / height] * 2)
        pixels = (boxes[keep] * scale).minimum(boxes.new_tensor([*size, *size]))
        found = Detections(
            pixels.cpu().numpy(),
            value[: len(keep)].cpu().numpy(),
            label[keep].cpu().numpy(),
            self.names,
            size,
            self.info.name,
        )
        rows = (raw.at[row[keep], None].float(), label[keep, None].float(), boxes[keep])
        return found, torch.cat(rows, 1)


def prepare(photo: Photo, net: ResNet50, look: Look = ONE[0]) -> Tensor:
    """[1, 3, H, W]: the whole photo, shorter side about `look.side`, sides multiples of 32."""
    width, height = photo.size
    scale = min(look.side / min(width, height), look.longest / max(width, height))
    wide, high = (max(32, round(side * scale / 32) * 32) for side in (width, height))
    image = photo.image.resize((wide, high), Image.Resampling.BILINEAR)
    if look.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    x = to_tensor(image, net.spec)
    return x.to(net.device, memory_format=torch.channels_last)


def calibrate(score: Tensor, calibration: tuple[float, float]) -> Tensor:
    """Score -> share of such boxes that are right: sigmoid(slope * logit(score) + offset)."""
    slope, offset = calibration
    return torch.sigmoid(slope * torch.logit(score, EDGE) + offset)


def one_name(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
    """Scores [n] in which the names of one thing share a probability of 1.

    A thing is not a cat and a dog.  Where two boxes of different classes have an IoU above SAME,
    the less sure one gets at most 1 - the other's score: never are both surer than one half.

    Args:
        boxes, scores, labels: [n, 4], [n] in 0..1 and [n], best first, without duplicates.
    """
    rivals = (ops.box_iou(boxes, boxes) > SAME) & (labels[:, None] != labels)
    surer = (scores[:, None] * rivals.triu(1)).amax(0) if len(scores) else scores
    return scores.minimum(1 - surer)


def load(net: ResNet50, name: str = NAME) -> Offline:
    """The shipped detector on this network's trunk.

    Args:
        name: NAME, or QUICK.

    Raises:
        DetectorError: the network is not the one that it was trained on, or the file is damaged.
    """
    known = record()
    if net.spec.sha256 != known["trunk"]:
        raise DetectorError(
            f"The offline detector works on he2015 only, and {net.spec.name} is running. "
            "Choose another detector, or start with --weights he2015."
        )
    found = _loaded.get(name)
    if found is None or found.trunk.conv1 is not net.conv1:
        module = read(net, len(known["names"]), known["sha256"])
        _loaded.update(zip((NAME, QUICK), from_record(net, module, known), strict=True))
    return _loaded[name]


_loaded: dict[str, Offline] = {}  # for the one network that the process serves


def from_record(
    net: ResNet50, module: OfflineDetector, known: dict[str, Any]
) -> tuple[Offline, Offline]:
    """Trunk and head at four looks and, with fewer boxes, at one; set as the record says."""
    info, info_quick = infos()
    names, shown = tuple(known["names"]), tuple(known["shown"])
    made = assemble(net, module, names, shown)
    alone = replace(
        made,
        info=info_quick,
        calibration=tuple(known["quick"]["calibration"]),
        overlap=known["quick"]["overlap"],
    )
    four = replace(
        made,
        info=info,
        calibration=tuple(known["calibration"]),
        overlap=known["overlap"],
        ways=FOUR,
        alone=alone,
    )
    return four, replace(alone, boxes=QUICK_BOXES)


def assemble(
    net: ResNet50,
    module: OfflineDetector,
    names: tuple[str, ...],
    shown: tuple[str, ...],
    calibration: tuple[float, float] = (1.0, 0.0),
    overlap: float = 0.6,
) -> Offline:
    """Trunk and head as one detector that looks once."""
    trunk = copy.copy(net)  # shares all parameters …
    trunk._modules = {**net._modules, "layer4": module.layer4}  # … but those of stage 4
    places = tuple(names.index(name) for name in shown)
    _, info = infos()
    tail, called = second.Tail(net), aliases(names, net.labels).to(net.device)
    return Offline(info, trunk, module, tail, names, places, called, calibration, overlap)


def read(net: ResNet50, classes: int, expected: str, file: Any = FILE) -> OfflineDetector:
    """A detector's file (int8 or float) -> module in evaluation mode on the network's device.

    Raises:
        DetectorError: the file is missing, damaged, or of another shape.
    """
    module = offline.OfflineDetector(net, classes).requires_grad_(False).eval()
    try:
        state = weights.read_bundle(file, expected)
        weights.check(state, module.state_dict(), file.name, "the offline detector")
    except weights.WeightsError as error:
        raise DetectorError(str(error)) from error
    module.load_state_dict(state)
    return module.to(net.device).to(memory_format=torch.channels_last)
