"""The detector that ships: a dense, anchor-free head on the classifier's own trunk.

Stem to stage 3 are the classifier's, frozen.  What belongs to the detector is its own copy of
stage 4, a feature pyramid over stages 2 to 4 (Lin et al. 2017, arXiv 1612.03144) and torchvision's
FCOS head (Tian et al. 2019, arXiv 1904.01355), whose third output is trained to say how well the
box fits (its IoU) instead of how central the point is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork, nms

from resnet.detectors.second import Namer
from resnet.network import Block, ResNet50

STRIDES = (8, 16, 32)  # input pixels a cell of stages 2, 3, 4
CHANNELS = 128
CONVS = 2  # in each tower of the head
CANDIDATES = 2000  # looked at for proposals
OVERLAP = 0.65  # two proposals with a higher IoU are one


class Dense(NamedTuple):
    """The head's raw answers at all points of all levels, float32."""

    logits: Tensor  # [N, points, classes]
    distances: Tensor  # [N, points, 4]: left, top, right, bottom, in strides, >= 0
    fit: Tensor  # [N, points]: logit of the predicted IoU


class OfflineDetector(nn.Module):
    """Stage 4, pyramid and head; `forward` goes from the trunk's streams to dense answers.

    Args:
        trunk: gives stage 4's first weights and the shapes.
        classes: how many kinds of thing.
    """

    def __init__(self, trunk: ResNet50, classes: int):
        super().__init__()
        last = trunk.last_stage
        self.layer4 = nn.Sequential()
        for name in last:
            original = trunk.block(name)
            conv = original.conv1
            first = name == last[0]
            block = Block(
                conv.in_channels,
                conv.out_channels,
                2 if first else 1,
                trunk.spec.stride_in_1x1,
                trunk.spec.eps,
            )
            block.load_state_dict(original.state_dict())
            self.layer4.append(block)
            stage4 = block.conv3.out_channels
        self.pyramid = FeaturePyramidNetwork([stage4 // 4, stage4 // 2, stage4], CHANNELS)
        self.head = FCOSHead(CHANNELS, 1, classes, CONVS)
        self.namer = Namer(stage4, classes)  # trained afterwards: resnet.train.namer
        nn.init.constant_(self.head.regression_head.bbox_reg.bias, 4.0)  # begin with boxes 8 wide
        self.eval()

    def forward(self, stage2: Tensor, stage3: Tensor) -> Dense:
        """The shared trunk's streams, at strides 8 and 16 -> answers at every point."""
        return self.answer({"2": stage2, "3": stage3, "4": self.layer4(stage3)})

    def answer(self, streams: dict[str, Tensor]) -> Dense:
        """The streams after stages "2", "3" and "4" -> answers at every point, float32."""
        levels = {stage: streams[stage] for stage in ("2", "3", "4")}
        out = self.head(list(self.pyramid(levels).values()))
        return Dense(
            out["cls_logits"].float(),
            out["bbox_regression"].float(),
            out["bbox_ctrness"].float().squeeze(-1),
        )


def points(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the dense answers sit on an input of height x width pixels (multiples of 32).

    Returns:
        [points, 2] x and y in pixels, and [points] the stride of each point's level.  Cell i of
        stride s looks at pixel s * i: all convolutions of the trunk are centred there.
    """
    places, strides = [], []
    for stride in STRIDES:
        ys = torch.arange(-(-height // stride)) * stride + 0.5
        xs = torch.arange(-(-width // stride)) * stride + 0.5
        grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
        places.append(torch.stack((grid_x.flatten(), grid_y.flatten()), 1))
        strides.append(torch.full((len(places[-1]),), float(stride)))
    return torch.cat(places), torch.cat(strides)


def boxes_at(places: Tensor, strides: Tensor, distances: Tensor) -> Tensor:
    """Distances in strides [..., points, 4] -> boxes x0, y0, x1, y1 in pixels."""
    reach = distances * strides[:, None]
    return torch.cat((places - reach[..., :2], places + reach[..., 2:]), -1)


def everywhere(dense: Dense, height: int, width: int) -> Tensor:
    """The boxes of one photo at all points, [points, 4] in input pixels, float32."""
    places, strides = (t.to(dense.logits.device) for t in points(height, width))
    boxes = boxes_at(places, strides, dense.distances[0].float())
    return boxes.clamp_min(0).minimum(boxes.new_tensor([width, height] * 2))


def proposals(dense: Dense, height: int, width: int, most: int) -> tuple[Tensor, Tensor]:
    """The boxes of one photo that deserve a second look, whatever their class, best first.

    Args:
        dense: of one photo; its first row counts.
        height, width: of the input, pixels.

    Returns:
        [n] points, [n, 4] boxes in input pixels, n <= `most`.
    """
    best = dense.logits[0].float().amax(1).sigmoid() ** 0.6 * dense.fit[0].float().sigmoid() ** 0.4
    value, at = best.topk(min(CANDIDATES, len(best)))
    boxes = everywhere(dense, height, width)[at]
    keep = nms(boxes, value.float(), OVERLAP)[:most]
    return at[keep], boxes[keep]
