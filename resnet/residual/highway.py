"""Gradient highway: how much of the gradient into each block came back along which wire."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resnet.network import ResNet50, Trace
from resnet.residual.backward import Passed, Target, backward
from resnet.residual.plain import plain


@dataclass(frozen=True)
class BlockGradient:
    """The gradient into one block's input x, dy/dx = via shortcut + via branch."""

    block: str
    norm: float  # ||dy/dx||
    norm_shortcut: float  # ||J_S^T (m G)||
    norm_branch: float  # ||J_F^T (m G)||
    cos: float  # between the two, -1 ... 1; NaN if one of them is 0
    ratio: float  # branch / shortcut
    cos_branch_output: float  # cos(F, dy/dH): does the branch step along the gradient?


@dataclass(frozen=True)
class Highway:
    """The gradient of one target through all blocks."""

    index: int  # class
    target: Target
    blocks: tuple[BlockGradient, ...]

    def to_dict(self) -> dict:
        return plain(self)


def gradient_highway(net: ResNet50, trace: Trace, index: int, target: Target = "logit") -> Highway:
    """Gradient norms into every block, split by wire; one backward pass.

    Args:
        trace: of one photo.
        index: class.
        target: "logit", or "loss" for the cross-entropy: then `cos_branch_output` is the cosine
            of Jastrzebski et al. 2018 (1710.04773, section 4), negative where the branch
            descends the loss.
    """
    return highway_of(backward(net, trace, index, target), index, target)


def highway_of(passed: dict[str, Passed], index: int, target: Target) -> Highway:
    """The same from a backward pass that was already made, of that class and target."""
    rows = []
    for name, step in passed.items():
        s, f = step.via_shortcut.double().flatten(), step.via_branch.double().flatten()
        branch, gradient = step.branch.double().flatten(), step.gradient.double().flatten()
        norm_s, norm_f = float(s.norm()), float(f.norm())
        rows.append(
            BlockGradient(
                block=name,
                norm=float((s + f).norm()),
                norm_shortcut=norm_s,
                norm_branch=norm_f,
                cos=_divide(float(s @ f), norm_s * norm_f),
                ratio=_divide(norm_f, norm_s),
                cos_branch_output=_divide(
                    float(branch @ gradient), float(branch.norm() * gradient.norm())
                ),
            )
        )
    return Highway(index, target, tuple(rows))


def _divide(a: float, b: float) -> float:
    return a / b if b > 0 else math.nan
