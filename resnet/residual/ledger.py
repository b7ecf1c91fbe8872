"""Logit ledger: the exact split of a class logit into what each part of the last stage wrote.

In the last stage the first shortcut is a projection P and the others are identities, so with the
ReLU masks m_i as gates

    logit = bias + fc(gap(m0 m1 m2 P)) + fc(gap(m0 m1 m2 F0)) + fc(gap(m1 m2 F1)) + fc(gap(m2 F2))

Each term is a sum over positions, so each has a signed map, and the maps add up to the exact CAM.
No pass through the network: stored activations and one row of `fc` are enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from resnet.network import ResNet50, Trace
from resnet.residual.gains import plan_of
from resnet.residual.plain import plain

Against = int | Literal["mean"] | None


@dataclass(frozen=True)
class Entry:
    """What one part wrote into the logit."""

    part: str  # "bias", "P" (the projected shortcut), "F4.0", "F4.1", "F4.2"
    logit: float  # signed
    map: np.ndarray | None  # float32 [h, w], its sum is `logit`; None for the bias


@dataclass(frozen=True)
class Ledger:
    """The waterfall of one class logit."""

    index: int  # class
    against: Against  # what is subtracted: nothing, the mean of all classes, or another class
    logit: float  # as the network gave it, less what is subtracted
    entries: tuple[Entry, ...]  # the bias first, then in the order written

    @property
    def total(self) -> float:
        """The sum of the entries."""
        return sum(entry.logit for entry in self.entries)

    @property
    def error(self) -> float:
        """total - logit: rounding, about 1e-6 in float32."""
        return self.total - self.logit

    @property
    def map(self) -> np.ndarray:
        """The maps' sum, float32 [h, w]: the exact CAM of the last block."""
        return sum((e.map for e in self.entries if e.map is not None), np.zeros((), np.float32))

    def to_dict(self, maps: bool = False) -> dict:
        """Plain values; with `maps` also the maps as nested lists."""
        entries = [
            {"part": e.part, "logit": e.logit} | ({"map": plain(e.map)} if maps else {})
            for e in self.entries
        ]
        return {
            "index": self.index,
            "against": self.against,
            "logit": self.logit,
            "total": self.total,
            "error": self.error,
            "entries": entries,
        }


def logit_ledger(net: ResNet50, trace: Trace, index: int, against: Against = None) -> Ledger:
    """Who wrote the logit: bias, projected shortcut, and each branch of the last stage.

    Args:
        trace: of one photo, ordinary or rewired (gains scale what they let through).
        index: class.
        against: None for the logit itself; "mean" for its lead over the mean of all classes
            (softmax does not see a constant added to all logits); a class index for its lead
            over that class.
    """
    with torch.inference_mode():
        weight, bias = net.fc.weight.double(), net.fc.bias.double()
        logits = trace.logits[0].double()
        row, offset, logit = (_contrast(t, index, against) for t in (weight, bias, logits))
        entries = [
            Entry(part, float(values.sum()), values.to("cpu", torch.float32).numpy())
            for part, written in _parts(net, trace)
            for values in [torch.einsum("c,chw->hw", row, written) / written[0].numel()]
        ]
    return Ledger(index, against, float(logit), (Entry("bias", float(offset), None), *entries))


def _contrast(values: Tensor, index: int, against: Against) -> Tensor:
    """The row of a class, less the mean row or another class's row."""
    if against is None:
        return values[index]
    return values[index] - (values.mean(0) if against == "mean" else values[against])


def _parts(net: ResNet50, trace: Trace) -> list[tuple[str, Tensor]]:
    """What each part of the last stage wrote into the final stream, float64 [C, h, w] each."""
    parts: list[tuple[str, Tensor]] = []
    for step, name in zip(plan_of(trace), trace.blocks, strict=True):
        if step.block not in net.last_stage:
            continue
        wires = trace.blocks[name]
        gate = (wires.output[0] > 0).double()
        if net.block(step.block).downsample is not None:
            parts = [("P", step.shortcut * gate * wires.shortcut[0].double())]
        else:  # an identity passes on all that was written so far, gated and scaled
            parts = [(part, step.shortcut * gate * written) for part, written in parts]
        parts.append((f"F{name}", step.branch * gate * wires.branch[0].double()))
    return parts
