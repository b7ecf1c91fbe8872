"""Lesion board: each of the network's wires cut, one at a time, for one photo."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from resnet.classify import Prediction, top
from resnet.network import ResNet50, Trace
from resnet.residual.gains import logits_of, plan_of
from resnet.residual.plain import plain
from resnet.residual.plan import with_gain


@dataclass(frozen=True)
class Lesion:
    """This network with one wire cut."""

    block: str
    wire: str  # "branch" or "shortcut"
    probability: float  # of the chosen class, 0 ... 1
    change: float  # of that probability, -1 ... 1
    rank: int  # of the chosen class, 1 = the answer
    answer: Prediction  # the answer now
    flips: bool  # the answer is another than the uncut network's


@dataclass(frozen=True)
class LesionBoard:
    """All single cuts of one photo: blocks in order, branch before shortcut."""

    index: int  # the chosen class
    label: str
    probability: float  # of the chosen class, uncut
    answer: Prediction  # uncut
    rows: tuple[Lesion, ...]
    precision: str = "fp32"  # in which what follows a cut ran

    def __getitem__(self, key: tuple[str, str]) -> Lesion:
        """`board["3.2", "branch"]`."""
        for row in self.rows:
            if (row.block, row.wire) == key:
                return row
        raise KeyError(key)

    def to_dict(self) -> dict:
        return plain(self)


def lesions(net: ResNet50, trace: Trace, index: int | None = None) -> LesionBoard:
    """Cut every wire once and run what follows: 32 answers for less than 16 forward passes.

    Both cuts of a block start from its stored S and F, and all cuts made so far run on as one
    batch: no pass repeats what lies before its cut.

    Args:
        trace: of one photo; of a rewired one, the cuts come on top of its changes.
        index: class whose probability is followed; the answer's own if None.
    """
    plan = plan_of(trace)
    cuts = [(i, wire) for i in range(len(plan)) for wire in ("branch", "shortcut")]
    plans = [(*plan[:i], with_gain(plan[i], wire, 0.0), *plan[i + 1 :]) for i, wire in cuts]
    logits = logits_of(net, trace, plans).cpu()
    names = list(trace.blocks)
    with torch.inference_mode():
        uncut = trace.logits[0].float().softmax(0).cpu()
        answer = top(uncut, net.labels, 1)[0]
        index = answer.index if index is None else index
        before = float(uncut[index])
        rows = []
        for (i, wire), scores in zip(cuts, logits, strict=True):
            after = scores.softmax(0)
            now, probability = top(after, net.labels, 1)[0], float(after[index])
            rows.append(
                Lesion(
                    block=names[i],
                    wire=wire,
                    probability=probability,
                    change=probability - before,
                    # By logits: far from the answer many probabilities are the same 0 in float32.
                    rank=1 + int((scores > scores[index]).sum()),
                    answer=now,
                    flips=now.index != answer.index,
                )
            )
    return LesionBoard(index, net.labels[index], before, answer, tuple(rows), net.precision)
