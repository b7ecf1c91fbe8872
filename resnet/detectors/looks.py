"""Several looks at one photo, put together: the photo and its mirror image, at three sizes.

A detector that has seen few photos is unsure in another way at every size and on either side; what
all looks agree on is there.  (Test-time augmentation; boxes that mean one thing are averaged as in
weighted boxes fusion, Solovyev et al. 2019, arXiv 1910.13302.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from resnet import lazy

ops = lazy.module("torchvision.ops")  # slow to import

SAME = 0.55  # two looks' boxes with at least this IoU are one thing
UNSEEN = 0.3  # what a look that has no such box says, as a share of what the others say
EDGE = 1e-6  # chances of 0 and 1 count as this far from them, lest their logits be infinite
LEAST = 1e-3  # weight of a box that its look thinks nothing of


class Look(NamedTuple):
    """How the photo is shown to the trunk."""

    side: int  # pixels of the input's shorter side, about
    longest: int  # at most, of its longer one
    mirrored: bool = False


ONE = (Look(384, 640),)
# Chosen on held-out photos: AP 21.8 (one look 17.4); 384 and 512, both mirrored as well, 20.6.
FOUR = (*ONE, Look(288, 480, True), Look(640, 1024), Look(640, 1024, True))


class Named(NamedTuple):
    """What the dense head and the classifier's stage 4 make of one look's input."""

    at: Tensor  # int64 [n], the dense head's points
    boxes: Tensor  # float32 [n, 4], x0, y0, x1, y1 in input pixels
    logits: Tensor  # float32 [n, classes]
    everywhere: Tensor  # float32 [points, 4], the dense head's boxes at all its points


def together(
    answers: Sequence[Named], shapes: Sequence[tuple[int, int]], looks: Sequence[Look]
) -> Named:
    """One answer from those to several looks, in pixels of the first look's input.

    Every look's boxes are asked what each look says of them: the chance of a class is the mean of
    the looks' chances for the box that overlaps it most, and the place is those boxes' mean,
    weighted by how sure each look is.  So each thing is there once for every look that found it,
    nearly the same; decoding takes all but one away.

    Args:
        answers: of each look, one or more boxes.
        shapes: (height, width) of each look's input, pixels.
        looks: as they were taken; the first one is not mirrored.

    Returns:
        n = the number of all looks' boxes; `at` are points of the first look, whose boxes there
        overlap most, so that a box can be explained by that look.
    """
    placed = [
        _in_first(answer.boxes, shape, shapes[0], look)
        for answer, shape, look in zip(answers, shapes, looks, strict=True)
    ]
    boxes = torch.cat(placed)
    own = torch.cat([answer.logits for answer in answers]).sigmoid()
    chance, place = torch.zeros_like(own), torch.zeros_like(boxes)
    weight = boxes.new_zeros(len(boxes), 1)
    for theirs, answer in zip(placed, answers, strict=True):
        overlap, nearest = ops.box_iou(boxes, theirs).max(1)
        same = (overlap >= SAME)[:, None]
        said = answer.logits[nearest].sigmoid()
        chance += torch.where(same, said, UNSEEN * own)
        trust = same * (said.amax(1, keepdim=True) + LEAST)
        place += trust * theirs[nearest]
        weight += trust
    first = answers[0]
    found = place / weight.clamp_min(EDGE)
    at = ops.box_iou(found, first.everywhere).argmax(1)
    return Named(at, found, torch.logit(chance / len(answers), EDGE), first.everywhere)


def _in_first(boxes: Tensor, shape: tuple[int, int], first: tuple[int, int], look: Look) -> Tensor:
    """Boxes in a look's input pixels -> in the first look's."""
    (height, width), (high, wide) = shape, first
    if look.mirrored:
        boxes = boxes[:, [2, 1, 0, 3]] * boxes.new_tensor([-1, 1, -1, 1])
        boxes = boxes + boxes.new_tensor([width, 0, width, 0])
    return boxes * boxes.new_tensor([wide / width, high / height] * 2)
