"""Which point answers for which object, and the loss that follows.

Task-aligned assignment (Feng et al. 2021, TOOD, arXiv 2108.07755, section 3.2): the points whose
class score and box already agree best with an object learn it.  Their class target is how well
their box fits, so that scores rank boxes (quality focal loss, Li et al. 2020, arXiv 2006.04388).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou_loss

from resnet.detectors.offline import Dense, boxes_at

ALPHA, BETA, TOP = 1.0, 4.0, 10  # t = score^ALPHA x IoU^BETA; points an object may have


@dataclass(frozen=True)
class Assignment:
    """For one photo: the points that answer for an object."""

    points: Tensor  # [k] indices
    objects: Tensor  # [k] index of each one's object
    quality: Tensor  # [k] in 0..1, the class target


def assign(
    probability: Tensor, found: Tensor, places: Tensor, boxes: Tensor, labels: Tensor
) -> Assignment:
    """Choose at most TOP points for every object.

    Args:
        probability: [points, classes] in 0..1, as predicted now.
        found: [points, 4] boxes as predicted now, pixels.
        places: [points, 2] x, y in pixels.
        boxes, labels: [objects, 4] in pixels and [objects], the truth; at least one.
    """
    iou = box_iou(boxes, found)  # [objects, points]
    x, y = places[:, 0], places[:, 1]
    edges = torch.stack(
        (x - boxes[:, :1], y - boxes[:, 1:2], boxes[:, 2:3] - x, boxes[:, 3:] - y), -1
    )
    inside = edges.amin(-1) > 0
    # An object smaller than a cell holds no point: the nearest one stands in for it.
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    nearest = torch.cdist(centre, places).argmin(1)
    inside[torch.arange(len(boxes)), nearest] |= ~inside.any(1)
    fit = probability[:, labels].T ** ALPHA * (iou + 1e-3) ** BETA * inside
    best = fit.topk(min(TOP, fit.shape[1]), dim=1)
    chosen = torch.zeros_like(inside).scatter_(1, best.indices, best.values > 0)
    # A point claimed by several objects goes to the one its box fits best.
    several = chosen.sum(0) > 1
    winner = (iou * chosen).argmax(0)
    chosen[:, several] = False
    chosen[winner[several], several.nonzero().squeeze(1)] = True
    objects, taken = chosen.nonzero(as_tuple=True)
    fit = fit * chosen
    share = fit / fit.amax(1, keepdim=True).clamp_min(1e-12)  # the best point of an object: 1
    quality = share * (iou * chosen).amax(1, keepdim=True)
    return Assignment(taken, objects, quality[objects, taken])


def loss(
    dense: Dense, places: Tensor, strides: Tensor, boxes: list[Tensor], labels: list[Tensor]
) -> dict[str, Tensor]:
    """Losses of a batch: `class` (quality focal), `box` (GIoU) and `fit` (predicted IoU).

    Args:
        dense: the head's answers.
        places, strides: of `points`.
        boxes, labels: the truth of every photo, possibly none.
    """
    probability = dense.logits.detach().sigmoid()
    found = boxes_at(places, strides, dense.distances)
    target = torch.zeros_like(dense.logits)
    box_losses, fits, weights = [], [], []
    for i, (truth, kind) in enumerate(zip(boxes, labels, strict=True)):
        if not len(truth):
            continue
        a = assign(probability[i], found[i].detach(), places, truth, kind)
        quality = a.quality.clamp_min(0.05)  # in the first steps no box fits at all
        target[i, a.points, kind[a.objects]] = quality
        mine, theirs = found[i, a.points], truth[a.objects]
        box_losses.append(generalized_box_iou_loss(mine, theirs) * quality)
        iou = torch.diagonal(box_iou(mine.detach(), theirs)) if len(mine) else mine.sum(1)
        fits.append(F.binary_cross_entropy_with_logits(dense.fit[i, a.points], iou, quality))
        weights.append(quality.sum())
    total = torch.stack(weights).sum().clamp_min(1) if weights else dense.logits.new_ones(())
    entropy = F.binary_cross_entropy_with_logits(dense.logits, target, reduction="none")
    focus = (dense.logits.detach().sigmoid() - target).square()
    nothing = dense.distances.sum() * 0
    return {
        "class": (entropy * focus).sum() / total,
        "box": (torch.cat(box_losses).sum() if box_losses else nothing) / total,
        "fit": torch.stack(fits).mean() if fits else nothing,
    }
