"""The offline detector's second look: the classifier's own stage 4 names what is in each box.

The dense head says where things are, but has seen few photos; the classifier has seen a million
and knows the names.  So the best boxes are read again: RoIAlign (He et al. 2017, arXiv 1703.06870)
takes 7 x 7 cells of the stage-3 stream inside the box, the classifier's frozen stage 4 runs over
them without its stride (in v1 it sits in a 1 x 1 convolution, so this is exactly what stage 4 does
to 14 x 14 cells), and a small head that was trained on boxes names the mean.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from resnet.network import ResNet50

CELLS = 7  # a side of what is cut out
SCALE = 16  # input pixels a cell of stage 3
SHIFT = (
    SCALE / 2 - 0.5
)  # cell i looks at pixel 16 i (see `offline.points`), RoIAlign expects 16 i + 8


class Tail(nn.Module):
    """A network's stage 4 at stride 1; its weights are shared with the network, not copied."""

    def __init__(self, net: ResNet50):
        super().__init__()
        self.blocks = [_unstrided(net.block(n)) for n in net.block_names if n.startswith("4.")]

    def forward(self, stage3: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """Mean features of regions, [boxes, 2048].

        Args:
            stage3: [N, 1024, H/16, W/16].
            boxes: of each photo [n, 4], x0, y0, x1, y1 in input pixels.
        """
        moved = [box.to(stage3.dtype) + SHIFT for box in boxes]
        x = roi_align(stage3, moved, CELLS, 1 / SCALE, sampling_ratio=2, aligned=True)
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


def _unstrided(block: nn.Module) -> nn.Module:
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

    mix: Tensor  # [6], how much each of `clues` counts

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.linear = nn.Linear(features, classes + 1)
        self.register_buffer("mix", torch.tensor(UNMIXED))

    def forward(self, features: Tensor) -> Tensor:
        """[boxes, features], >= 0 -> [boxes, classes + 1]."""
        return self.linear((features + 1e-6).sqrt())  # a slope at 0, too


# Weights of `mixed`: constant, dense logit, fit, log p of the class, log p of anything, best logit.
UNMIXED = (0.0, 1.0, 0.5, 0.5, 0.5, 0.0)


def clues(dense: Tensor, fit: Tensor, named: Tensor) -> Tensor:
    """What both looks say of each box and class, [boxes, classes, 6], as `Namer.mix` weighs it.

    Args:
        dense: [boxes, classes] logits of the dense head at each box's point.
        fit: [boxes] logit of the predicted IoU.
        named: [boxes, classes + 1] of the `Namer`.
    """
    log = named.log_softmax(1)
    anything = (1 - log[:, -1:].exp()).clamp_min(1e-4).log()
    best = dense.amax(1, keepdim=True)
    parts = (
        torch.ones_like(dense),
        dense.clamp(-8, 3),
        fit[:, None].expand_as(dense),
        log[:, :-1].clamp_min(-10),
        anything.expand_as(dense),
        best.expand_as(dense),
    )
    return torch.stack(parts, 2)
