"""Answer timeline: the answer if, from block k on, only the shortcuts carry the signal.

In the last stage that is the network's own `fc` on the stream itself (early exit); before, the
projections of the following stages still apply, and the ReLU of every block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from resnet.classify import Prediction, top
from resnet.network import ResNet50, Trace, join
from resnet.residual.gains import forward_only, plan_of
from resnet.residual.plain import plain


@dataclass(frozen=True)
class Readout:
    """The answer with the branches of `block` and of all blocks after it cut."""

    block: str
    top: tuple[Prediction, ...]  # most probable first
    probability: float  # of the chosen class, 0 ... 1
    rank: int  # of the chosen class, 1 = the answer
    agrees: bool  # same answer as the whole network


@dataclass(frozen=True)
class Timeline:
    """One read-out a block, in order, and the whole network's answer."""

    index: int  # the chosen class
    label: str
    rows: tuple[Readout, ...]
    final: tuple[Prediction, ...]  # with nothing cut
    probability: float  # of the chosen class, with nothing cut

    def to_dict(self) -> dict:
        return plain(self)


def shortcut_readouts(
    net: ResNet50, trace: Trace, index: int | None = None, k: int = 5
) -> Timeline:
    """All read-outs in one batch that grows block by block; no branch is ever computed.

    Args:
        trace: of one photo; of a rewired one, its shortcut gains still apply.
        index: class to follow; the answer's own if None.
        k: predictions kept at each read-out.
    """
    streams: list[torch.Tensor] = []
    with forward_only(net):
        for step, wires in zip(plan_of(trace), trace.blocks.values(), strict=True):
            if streams:  # those cut earlier: on along the shortcut alone
                batch = net.block(step.block).shortcut(torch.cat(streams))
                streams = [join(batch, torch.zeros_like(batch), step.shortcut)]
            streams.append(join(wires.shortcut, torch.zeros_like(wires.branch), step.shortcut))
        logits = net.head(torch.cat(streams)).float()
        logits = logits.cpu()
        whole = trace.logits[0].float().softmax(0).cpu()
    final = tuple(top(whole, net.labels, k))
    index = final[0].index if index is None else index
    rows = []
    for name, scores in zip(trace.blocks, logits, strict=True):
        probabilities = scores.softmax(0)
        best = tuple(top(probabilities, net.labels, k))
        probability = float(probabilities[index])
        rank = 1 + int((scores > scores[index]).sum())  # probabilities may tie at 0
        rows.append(Readout(name, best, probability, rank, best[0].index == final[0].index))
    return Timeline(index, net.labels[index], tuple(rows), final, float(whole[index]))
