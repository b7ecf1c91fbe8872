"""torchvision's detectors, cut where ours are cut: trunk, head, decoding.

Everything with weights is torchvision's own module but the trunk, which is a `ResNet50` of ours
filled from it, so that both wires of all 16 blocks are in view.  Two kinds of head:

* two-stage (Ren et al. 2015, arXiv 1506.01497; He et al. 2017, arXiv 1703.06870): a network
  proposes boxes, each is cut out of the feature pyramid and named; Mask R-CNN outlines it as well.
* one-stage (Lin et al. 2017, arXiv 1708.02002; Tian et al. 2019, arXiv 1904.01355): an answer at
  every anchor of every level.

Boxes are in pixels of the *input* (the resized photo, without padding) until the last step.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import maskrcnn_inference, paste_masks_in_image
from torchvision.ops import batched_nms, clip_boxes_to_image

from resnet.detections import Detections
from resnet.detectors.catalogue import DetectorInfo
from resnet.detectors.sighting import OneLook, Streams
from resnet.images import Photo
from resnet.network import ResNet50

MASK_SIDE = 512  # cells of the longer side of the grid that masks are given on
MASK_SHARE = 0.5  # a cell belongs to the thing if the mask head is surer than this


class Proposed(NamedTuple):
    """A two-stage head's raw answers, for p proposed boxes and k classes with the background."""

    pyramid: dict[str, Tensor]  # [1, 256, h, w] a level
    proposals: Tensor  # [p, 4], input pixels
    logits: Tensor  # [p, k]; class 0 is the background
    deltas: Tensor  # [p, 4 k], how each class would move and stretch the box


class Dense(NamedTuple):
    """A one-stage head's raw answers at all p anchors of all levels, for k classes."""

    scores: Tensor  # [p, k] in 0..1
    deltas: Tensor  # [p, 4]
    anchors: Tensor  # [p, 4], input pixels
    levels: list[int]  # anchors of each level


@dataclass(frozen=True, eq=False)
class Library(OneLook):
    """What both kinds share; see `sighting.Detector`.

    Attributes:
        info: the catalogue's entry.
        trunk: stem to stage 4, the detector's own; `fc` is not used.
        model: torchvision's module, without its trunk.
        stages: those that feed the pyramid, in order.
        names: of the classes that are shown.
        shown: int64 [k], class of the head -> index in `names`; -1 for background and gaps.
    """

    info: DetectorInfo
    trunk: ResNet50
    model: Any
    stages: tuple[str, ...]
    names: tuple[str, ...]
    shown: Tensor

    def prepare(self, photo: Photo, look: int = 0) -> Tensor:
        """[1, 3, H, W]: shorter side 800 pixels unless the longer one gets over 1333.

        The values are normalised; right and below, zeros fill up to multiples of 32.
        """
        pixels = torch.from_numpy(np.array(photo.image)).to(self.trunk.device)
        images, _ = self.model.transform([pixels.permute(2, 0, 1).float() / 255])
        return images.tensors.to(memory_format=torch.channels_last)

    def pyramid(self, streams: Streams, model: Any = None) -> dict[str, Tensor]:
        """The feature pyramid, fine to coarse, [1, 256, h, w] a level."""
        levels = OrderedDict((str(i), streams[stage]) for i, stage in enumerate(self.stages))
        return (model or self.model).backbone.fpn(levels)

    def found(
        self,
        boxes: Tensor,
        scores: Tensor,
        labels: Tensor,
        x: Tensor,
        size: tuple[int, int],
        masks: np.ndarray | None = None,
    ) -> Detections:
        """Boxes in input pixels, best first -> detections in pixels of the photo."""
        pixels = boxes * _scale(x, size).to(boxes)
        pixels = pixels.clamp_min(0).minimum(boxes.new_tensor([*size, *size]))
        return Detections(
            pixels.cpu().numpy(),
            scores.cpu().numpy(),
            self.shown[labels].cpu().numpy(),
            self.names,
            size,
            self.info.name,
            masks=masks,
        )


@dataclass(frozen=True, eq=False)
class TwoStage(Library):
    """Faster R-CNN and Mask R-CNN."""

    def answer(self, streams: Streams, x: Tensor) -> Proposed:
        """Propose boxes, and answer for each."""
        pyramid = self.pyramid(streams)
        proposals, _ = self.model.rpn(ImageList(x, [inside(x)]), pyramid)
        logits, deltas = self._name(pyramid, proposals[0], x)
        return Proposed(pyramid, proposals[0], logits.float(), deltas.float())

    def decode(
        self, raw: Proposed, x: Tensor, size: tuple[int, int], floor: float
    ) -> tuple[Detections, Tensor]:
        """Answers of one photo -> detections, and (box in input pixels, class) of each, [n, 5]."""
        heads = copy.copy(self.model.roi_heads)  # shares the weights; the threshold is its own
        heads.score_thresh = float(np.nextafter(np.float32(floor), np.float32(-1)))  # it takes `>`
        results = heads.postprocess_detections(raw.logits, raw.deltas, [raw.proposals], [inside(x)])
        boxes, scores, labels = (result[0] for result in results)
        known = self.shown[labels] >= 0
        boxes, scores, labels = boxes[known], scores[known], labels[known]
        masks = self._outline(raw, boxes, labels, x, size) if self.info.masks else None
        rows = torch.cat((boxes, labels[:, None].to(boxes)), 1)
        return self.found(boxes, scores, labels, x, size, masks), rows

    def target(self, streams: Streams, x: Tensor, row: Tensor) -> Tensor:
        """The class logit of a detection's own box, cut out of the pyramid again.

        The score came from the proposal that the box was moved from, so its logit may be a
        little different.
        """
        logits, _ = self._name(self.pyramid(streams), row[None, :4].to(x), x)
        return logits[0, int(row[4])]

    def _name(self, pyramid: dict[str, Tensor], boxes: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """[p, 4] boxes in input pixels -> [p, k] class logits and [p, 4 k] deltas."""
        heads = self.model.roi_heads
        cut = heads.box_roi_pool(pyramid, [boxes], [inside(x)])  # [p, 256, 7, 7]
        return heads.box_predictor(heads.box_head(cut))

    def _outline(
        self, raw: Proposed, boxes: Tensor, labels: Tensor, x: Tensor, size: tuple[int, int]
    ) -> np.ndarray:
        """bool [n, h, w] on a grid of the photo's shape, longer side at most MASK_SIDE."""
        scale = min(1.0, MASK_SIDE / max(size))
        width, height = (max(1, round(side * scale)) for side in size)
        if not len(boxes):
            return np.zeros((0, height, width), bool)
        heads = self.model.roi_heads
        pyramid = {level: features.float() for level, features in raw.pyramid.items()}
        cut = heads.mask_roi_pool(pyramid, [boxes], [inside(x)])  # [n, 256, 14, 14]
        logits = heads.mask_predictor(heads.mask_head(cut))  # [n, k, 28, 28]
        shares = maskrcnn_inference(logits, [labels])[0]
        on_grid = boxes * _scale(x, (width, height)).to(boxes)
        pasted = paste_masks_in_image(shares, on_grid, (height, width))
        return (pasted[:, 0] > MASK_SHARE).cpu().numpy()


@dataclass(frozen=True, eq=False)
class OneStage(Library):
    """RetinaNet and FCOS."""

    @cached_property
    def half(self) -> Any:
        """The head in bf16: autocast would turn every group norm to float32 and back."""
        with torch.inference_mode(False):
            return copy.deepcopy(self.model).to(torch.bfloat16)

    def answer(self, streams: Streams, x: Tensor) -> Dense:
        """Answer at every anchor."""
        half = x.device.type == "cpu" and streams[self.stages[0]].dtype == torch.bfloat16
        model = self.half if half else self.model
        with torch.autocast("cpu", enabled=False) if half else nullcontext():
            levels = list(self.pyramid(streams, model).values())
            out = model.head(levels)
        like = [x.new_empty(1, 1, 1, 1).expand(-1, -1, *f.shape[2:]) for f in levels]  # float32
        anchors = self.model.anchor_generator(ImageList(x, [inside(x)]), like)[0]
        scores = out["cls_logits"][0].float().sigmoid()
        if "bbox_ctrness" in out:  # FCOS: how central the point is to its thing counts as well
            scores = torch.sqrt(scores * out["bbox_ctrness"][0].float().sigmoid())
        return Dense(scores, out["bbox_regression"][0].float(), anchors, self._counts(levels))

    def decode(
        self, raw: Dense, x: Tensor, size: tuple[int, int], floor: float
    ) -> tuple[Detections, Tensor]:
        """Answers of one photo -> detections, and (anchor, class) of each, int64 [n, 2]."""
        model = self.model
        best: list[Tensor] = []  # of each level, places in `flat`
        first, classes = 0, raw.scores.shape[1]
        flat = raw.scores.flatten()
        for count in raw.levels:
            level = flat[first * classes : (first + count) * classes]
            places = (level >= floor).nonzero()[:, 0]
            order = level[places].topk(min(len(places), model.topk_candidates)).indices
            best.append(places[order] + first * classes)
            first += count
        place = torch.cat(best)
        score, at, label = flat[place], place // classes, place % classes
        decode = getattr(model.box_coder, "decode_single", model.box_coder.decode)
        boxes = clip_boxes_to_image(decode(raw.deltas[at], raw.anchors[at]), inside(x))
        keep = batched_nms(boxes, score, label, model.nms_thresh)[: model.detections_per_img]
        keep = keep[self.shown[label[keep]] >= 0]
        found = self.found(boxes[keep], score[keep], label[keep], x, size)
        return found, torch.stack((at[keep], label[keep]), 1)

    def target(self, streams: Streams, x: Tensor, row: Tensor) -> Tensor:
        """The class logit at a detection's anchor."""
        at, label = row.tolist()
        levels = list(self.pyramid(streams).values())
        for index, count in enumerate(self._counts(levels)):
            if at < count:
                # One cell of the other levels is cheap, and their streams get a gradient, of zero.
                cut = [f if i == index else f[..., :1, :1] for i, f in enumerate(levels)]
                at += sum(self._counts(cut)[:index])
                return self.model.head.classification_head(cut)[0, at, label]
            at -= count
        raise IndexError(f"row {row.tolist()} lies beyond the last anchor")

    def _counts(self, levels: list[Tensor]) -> list[int]:
        """Anchors of each level."""
        each = self.model.anchor_generator.num_anchors_per_location()
        return [f.shape[2] * f.shape[3] * n for f, n in zip(levels, each, strict=True)]


def inside(x: Tensor) -> tuple[int, int]:
    """Height and width of the photo in a padded input [1, 3, H, W].

    The padding is exactly 0; a row or column of a photo is not, since no 8-bit grey is the mean
    that was taken off.
    """
    filled = x[0].ne(0).any(0)
    if not filled.any():
        return x.shape[2], x.shape[3]
    height, width = (int(filled.any(axis).nonzero().max()) + 1 for axis in (1, 0))
    return height, width


def _scale(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[4]: factors from input pixels to a picture of `size` (width, height)."""
    height, width = inside(x)
    return torch.tensor([size[0] / width, size[1] / height] * 2)


def freeze(module: nn.Module, device: torch.device) -> Any:
    """Ready to run: no gradients to the weights, evaluation mode, on the device."""
    module = module.requires_grad_(False).eval()
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def settle(model: Any) -> None:
    """Let a two-stage model's cutters learn the strides of the pyramid from a square.

    torchvision works the strides out from the first picture and keeps them.  Were that a ribbon,
    whose padding is as high as itself, they would be wrong ever after.
    """
    levels = {str(i): torch.zeros(1, 1, 64 >> i, 64 >> i) for i in range(4)}
    heads = model.roi_heads
    for cut in (heads.box_roi_pool, heads.mask_roi_pool):
        if cut is not None:
            cut(levels, [torch.tensor([[0.0, 0.0, 64.0, 64.0]])], [(256, 256)])
