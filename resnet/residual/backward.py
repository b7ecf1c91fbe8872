"""One backward pass for all additions at once, with both wires' gradients kept apart.

Each block's input x enters its two wires as two separate nodes of the graph, so one call of
autograd gives `J_S^T (m G)` and `J_F^T (m G)` side by side.  Parameters are frozen and gradients
are returned, not accumulated: no `.grad`, no hook, nothing is left on the shared network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet.network import ResNet50, Trace, join
from resnet.residual.gains import plan_of

Target = Literal["logit", "loss"]


@dataclass(frozen=True)
class Passed:
    """One step's activations and gradients, float32, [1, C, H, W] each, detached."""

    shortcut: Tensor  # g_S * S, what the addition received
    branch: Tensor  # g_F * F
    output: Tensor  # H = relu(Z)
    gradient: Tensor  # G = dy/dH
    via_shortcut: Tensor  # J_S^T (m G): dy/dx along the shortcut, of the shape of the input x
    via_branch: Tensor  # J_F^T (m G)

    @property
    def gate(self) -> Tensor:
        """m = 1[Z > 0], float32 [1, C, H, W]."""
        return (self.output > 0).float()


def backward(
    net: ResNet50, trace: Trace, index: int, target: Target = "logit"
) -> dict[str, Passed]:
    """Rebuild the pass from the stored stem in float32 and differentiate it once.

    Args:
        trace: ordinary or rewired, of one photo.
        index: class whose logit y is differentiated.
        target: "logit": y itself; "loss": the cross-entropy -log softmax(y).

    Returns:
        one entry a step, in the order run.
    """
    rows = []
    # The trace was made in inference mode; autograd needs ordinary tensors.
    with torch.inference_mode(False), torch.enable_grad(), _float32(net):
        stream = trace.stem.float().clone().requires_grad_(True)
        for step in plan_of(trace):
            block = net.block(step.block)
            one, other = stream.view_as(stream), stream.view_as(stream)
            shortcut, branch = block.shortcut(one), block.branch(other)
            stream = join(shortcut, branch, step.shortcut, step.branch)
            rows.append((one, other, shortcut, branch, stream))
        logits = net.head(stream)
        y = logits[0, index] if target == "logit" else -F.log_softmax(logits[0], 0)[index]
        wanted = [tensor for one, other, _, _, output in rows for tensor in (one, other, output)]
        grads = torch.autograd.grad(y, wanted)
    passed = {}
    for i, (step, name) in enumerate(zip(plan_of(trace), trace.blocks, strict=True)):
        _, _, shortcut, branch, output = rows[i]
        via_shortcut, via_branch, gradient = grads[3 * i : 3 * i + 3]
        passed[name] = Passed(
            step.shortcut * shortcut.detach(),
            step.branch * branch.detach(),
            output.detach(),
            gradient,
            via_shortcut,
            via_branch,
        )
    return passed


def _float32(net: ResNet50) -> torch.autocast:
    """Figures are float32 whatever the caller's context is."""
    return torch.autocast(net.device.type, enabled=False)
