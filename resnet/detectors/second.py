"""The offline detector's second look: the classifier's own stage 4 names what is in each box.

The dense head says where things are, but has seen few photos; the classifier has seen a million
and knows the names.  So the best boxes are read again: RoIAlign (He et al. 2017, arXiv 1703.06870)
takes 7 x 7 cells of the stage-3 stream inside the box, the classifier's frozen stage 4 runs over
them without its stride (in v1 it sits in a 1 x 1 convolution, so this is exactly what stage 4 does
to 14 x 14 cells), and a small head that was trained on boxes names the mean.  The classifier's own
`fc` names it as well, where its 1,000 classes are things that the detector looks for.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from resnet.network import Block, ResNet50

LEAST = 1e-4  # chances below this are one: the softmax is not that sure
CELLS = 7  # a side of what is cut out
SCALE = 16  # input pixels a cell of stage 3
SHIFT = (
    SCALE / 2 - 0.5
)  # cell i looks at pixel 16 i (see `offline.points`), RoIAlign expects 16 i + 8


class Tail(nn.Module):
    """A network's stage 4 at stride 1; its weights are shared with the network, not copied."""

    def __init__(self, net: ResNet50):
        super().__init__()
        self.blocks = [_unstrided(net.block(name)) for name in net.last_stage]

    def forward(self, stage3: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """Mean features of regions, [boxes, 2048].

        Args:
            stage3: [N, 1024, H/16, W/16].
            boxes: of each photo [n, 4], x0, y0, x1, y1 in input pixels.
        """
        x = regions(stage3, boxes)
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


def regions(stage3: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    """What is cut out of the stream, [boxes, 1024, 7, 7], in its type; arguments as of `Tail`."""
    # In bf16 a place beyond pixel 256 would be rounded to a multiple of 2.
    exact = torch.promote_types(stage3.dtype, torch.float32)
    moved = [box.to(exact) + SHIFT for box in boxes]
    x = roi_align(stage3.to(exact), moved, CELLS, 1 / SCALE, sampling_ratio=2, aligned=True)
    return x.to(stage3.dtype, memory_format=torch.channels_last)


def _unstrided(block: Block) -> Block:
    """The block without its stride, on the same parameters."""
    found = copy.copy(block)
    found._modules = dict(block._modules)
    for name, part in block.named_children():
        if isinstance(part, nn.Conv2d) and part.stride != (1, 1):
            found._modules[name] = _at_every_cell(part)
        elif isinstance(part, nn.Sequential):
            inner = copy.copy(part)
            inner._modules = {
                key: _at_every_cell(sub) if isinstance(sub, nn.Conv2d) else sub
                for key, sub in part.named_children()
            }
            found._modules[name] = inner
    return found


def _at_every_cell(conv: nn.Conv2d) -> nn.Conv2d:
    found = copy.copy(conv)  # the same parameters
    found.stride = (1, 1)
    return found


class Namer(nn.Module):
    """Features of a region -> logits of the classes and, last, of "nothing here".

    Linear on the square root of the features, which are >= 0 and heavy-tailed; a hidden layer was
    tried and fitted the training photos alone.
    """

    mix: Tensor  # [8], how much each of `clues` counts

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.linear = nn.Linear(features, classes + 1)
        self.register_buffer("mix", torch.tensor(UNMIXED))

    def forward(self, features: Tensor) -> Tensor:
        """[boxes, features], >= 0 -> [boxes, classes + 1]."""
        return self.linear((features + 1e-6).sqrt())  # a slope at 0, too


# How much each of `clues` counts before `resnet.train.namer` has fitted it.
UNMIXED = (0.0, 1.0, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0)


def clues(dense: Tensor, fit: Tensor, named: Tensor, said: Tensor, aliases: Tensor) -> Tensor:
    """What is said of each box and class, [boxes, classes, 8], as `Namer.mix` weighs it.

    A constant, the dense logit, the predicted fit, log p of the class and of anything at all by the
    `Namer`, the box's best dense logit, log p of the class by the classifier, and whether the
    classifier knows such a thing; where it does not, the last two are 0.

    Args:
        dense: [boxes, classes] logits of the dense head at each box's point.
        fit: [boxes] logit of the predicted IoU.
        named: [boxes, classes + 1] of the `Namer`.
        said: [boxes, labels] logits of the classifier's `fc`.
        aliases: [classes, labels], 1 where a label is such a thing; see `detectors.aliases`.
    """
    log = named.log_softmax(1)
    anything = (1 - log[:, -1:].exp()).clamp_min(1e-4).log()
    best = dense.amax(1, keepdim=True)
    knows = aliases.any(1).to(dense.dtype)
    recognised = (said.softmax(1) @ aliases.to(said.dtype).T).clamp_min(LEAST).log()
    parts = (
        torch.ones_like(dense),
        dense.clamp(-8, 3),
        fit[:, None].expand_as(dense),
        log[:, :-1].clamp_min(-10),
        anything.expand_as(dense),
        best.expand_as(dense),
        recognised * knows,
        knows.expand_as(dense),
    )
    return torch.stack(parts, 2)
