"""Evidence: what each wire carried for a class, by gradient x activation at the 16 additions.

With y a class logit, H = relu(S + F), G = dy/dH and m = 1[S + F > 0]:

    <G, H> = <G m, S> + <G m, F>         exactly, since H = m (S + F)

and the same position by position: CAM of the shortcut + CAM of the branch = CAM of the block.
At the last block that is the exact CAM of Zhou et al. 2016 (1512.04150).  Earlier blocks' totals
differ from the logit: the network is not linear in its stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from resnet.network import ResNet50, Trace
from resnet.residual.backward import Passed, backward
from resnet.residual.plain import plain


@dataclass(frozen=True)
class BlockEvidence:
    """One block's evidence in logits, signed."""

    block: str
    shortcut: float  # <G m, S>
    branch: float  # <G m, F>
    total: float  # <G, H>
    shortcut_map: np.ndarray  # float32 [h, w]: the shortcut's evidence at each position
    branch_map: np.ndarray  # float32 [h, w]

    @property
    def map(self) -> np.ndarray:
        """The block's signed CAM, float32 [h, w]; its sum is `total`."""
        return self.shortcut_map + self.branch_map

    @property
    def share(self) -> float:
        """Of the total, through the shortcut; may be below 0 or above 1; NaN if the total is 0."""
        return self.shortcut / self.total if self.total else float("nan")


@dataclass(frozen=True)
class Evidence:
    """The evidence for one class through all blocks."""

    index: int  # class
    blocks: tuple[BlockEvidence, ...]

    @property
    def error(self) -> float:
        """Largest |shortcut + branch - total| over the blocks, in logits: the invariant."""
        return max(abs(b.shortcut + b.branch - b.total) for b in self.blocks)

    def __getitem__(self, block: str) -> BlockEvidence:
        for row in self.blocks:
            if row.block == block:
                return row
        raise KeyError(block)

    def to_dict(self, maps: bool = False) -> dict:
        """Plain values; with `maps` also the wire CAMs as nested lists."""
        rows = []
        for block in self.blocks:
            row = plain(block) | {"share": plain(block.share)}
            if not maps:
                del row["shortcut_map"], row["branch_map"]
            rows.append(row)
        return {"index": self.index, "invariant_error": self.error, "blocks": rows}


def evidence(net: ResNet50, trace: Trace, index: int) -> Evidence:
    """The evidence for a class at every addition, from one backward pass.

    Args:
        trace: of one photo; of a rewired one, S and F count as its gains let them through.
        index: class.
    """
    return evidence_of(backward(net, trace, index), index)


def evidence_of(passed: dict[str, Passed], index: int) -> Evidence:
    """The same from a backward pass that was already made (of the class's logit)."""
    return Evidence(index, tuple(_split(name, step) for name, step in passed.items()))


def _split(block: str, step: Passed) -> BlockEvidence:
    gated = (step.gradient * step.gate).double()
    shortcut, branch = (
        (gated * wire).sum((0, 1)) for wire in (step.shortcut, step.branch)
    )  # [h, w] in float64
    total = (step.gradient.double() * step.output).sum()
    return BlockEvidence(
        block,
        float(shortcut.sum()),
        float(branch.sum()),
        float(total),
        _array(shortcut),
        _array(branch),
    )


def _array(values: Tensor) -> np.ndarray:
    return values.to("cpu", torch.float32).numpy()
