"""What each of the 32 wires carries, for the wiring diagram."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from resnet.analysis import Analysis
from resnet.draw.wiring import BlockState, WireState
from resnet.residual import evidence, gradient_highway
from resnet.residual.gains import plan_of
from resnet.residual.plan import step_names

MEASURES = {
    "signal": "strength of the signal (RMS)",
    "norm": "norm of the signal",
    "evidence": "evidence for the class (logits)",
    "gradient": "gradient of the class's logit",
}
Carried = dict[str, dict[str, float]]  # "3.2" -> {"shortcut": 1.2, "branch": -0.4}


def carried(analysis: Analysis, measure: str, index: int) -> Carried:
    """What every wire carries before its gain.

    Args:
        measure: a key of MEASURES.  `signal` is the root mean square over channels and positions;
            `norm` the root of the sum, which shrinks with the grid; `evidence` is <G m, S> and
            <G m, F> in logits; `gradient` the norm that comes back.
        index: the class of evidence and gradient.
    """
    net, trace = analysis.net, analysis.trace
    if measure in ("signal", "norm"):
        return {
            name: {which: _size(getattr(wires, which), measure) for which in ("shortcut", "branch")}
            for name, wires in trace.blocks.items()
        }
    gains = dict(zip(step_names(plan_of(trace)), plan_of(trace), strict=True))

    def before(value: float, gain: float) -> float:
        return value / gain if gain else 0.0  # the figures measure what arrives, g_S S and g_F F

    if measure == "evidence":
        found = {b.block: (b.shortcut, b.branch) for b in evidence(net, trace, index).blocks}
    else:
        rows = gradient_highway(net, trace, index).blocks
        found = {b.block: (b.norm_shortcut, b.norm_branch) for b in rows}
    return {
        name: {
            "shortcut": before(s, gains[name].shortcut),
            "branch": before(f, gains[name].branch),
        }
        for name, (s, f) in found.items()
    }


def _size(signal: Tensor, measure: str) -> float:
    norm = signal.float().norm().item()
    return norm if measure == "norm" else norm / math.sqrt(signal.numel())


def states(
    now: Analysis, carries: Carried, baseline: Carried, measure: str, changed: bool
) -> list[BlockState]:
    """The diagram's blocks, in the order in which the stream meets them.

    Args:
        carries: of the network as it is set now; `baseline` as trained.
        changed: draw the baseline as an outline.
    """
    plan = plan_of(now.trace)
    unit = MEASURES[measure]
    drawn = []
    for name, step in zip(step_names(plan), plan, strict=True):
        before: Mapping[str, float] = baseline.get(name, {})

        def wire(which: str, gain: float, name=name, before=before) -> WireState:
            value = carries[name][which]
            was = before.get(which) if changed else None
            words = f"{unit}: {value:.3g}"
            if was is not None and not math.isclose(was, value, rel_tol=1e-4):
                words += f"\nas trained: {was:.3g}"
            return WireState(value, gain, was, words)

        projection = now.net.block(step.block).downsample is not None
        shortcut, branch = wire("shortcut", step.shortcut), wire("branch", step.branch)
        drawn.append(BlockState(name, projection, shortcut, branch))
    return drawn
