"""A photo's analysis under changed gains: the same questions, the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import cast

from torch import Tensor, nn

from resnet import cam, classify
from resnet.analysis import Analysis
from resnet.network import Block, ResNet50, Trace
from resnet.residual.gains import plan_of, run
from resnet.residual.plan import Gains, Plan, Step, gains_of, plan_of_gains, step_names


@dataclass(frozen=True)
class Rewired(Analysis):
    """An analysis whose trace was made by a changed network; `top`, `cam`, `heatmap` follow it."""

    @property
    def plan(self) -> Plan:
        """The steps the stream took."""
        return plan_of(self.trace)

    @property
    def gains(self) -> dict[tuple[str, str], float]:
        """Gains that differ from 1: `{("3.2", "branch"): 0.0}`."""
        return gains_of(self.plan)

    def cam(
        self,
        wanted: classify.ClassLike | None = None,
        method: str = "gradcam",
        block: str | None = None,
        progress: cam.Progress | None = None,
    ) -> cam.HeatMap:
        """The heat map of the changed network: what follows `block` keeps its gains."""
        net = cast(ResNet50, as_network(self.net, self.trace))
        return cam.heatmap(net, self.trace, self.find(wanted), method, block, progress)


def with_gains(analysis: Analysis, gains: Gains | Sequence[Sequence[float]]) -> Analysis:
    """This network with its wires turned up or down, on the same photo.

    What lies before the first change is shared with `analysis`: the very same tensors.  Gains
    are the whole setting, not a change to the last one, so `{}` is the network as trained.

    Args:
        analysis: ordinary or rewired.
        gains: `{("3.2", "branch"): 0.0}` with gains 0 ... 2, wires left out are 1; or an array
            [blocks, 2] of (shortcut, branch).

    Returns:
        `analysis` itself if nothing changes.

    Raises:
        PlanError: no such block or wire, or a gain out of range.
    """
    return with_plan(analysis, plan_of_gains(analysis.net.block_names, gains))


def with_plan(analysis: Analysis, plan: Plan) -> Analysis:
    """The same for any plan: the presets, repeats and swaps of `resnet.residual.plan`."""
    trace = run(analysis.net, analysis.trace, plan)
    if trace is analysis.trace:
        return analysis
    values = {field.name: getattr(analysis, field.name) for field in fields(Analysis)}
    return Rewired(**(values | {"trace": trace}))


def as_network(net: ResNet50, trace: Trace) -> SimpleNamespace:
    """What `resnet.cam` needs of a network, for the network that made `trace`."""
    plan = plan_of(trace)
    steps = dict(zip(step_names(plan), plan, strict=True))
    return SimpleNamespace(
        block_names=tuple(steps),
        block=lambda name: _GainedBlock(net.block(steps[name].block), steps[name]),
        fc=net.fc,
    )


class _GainedBlock(nn.Module):
    """A block with its gains set, as the tail of `resnet.cam` runs it."""

    def __init__(self, block: Block, step: Step):
        super().__init__()
        self.block, self.step = block, step

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, self.step.shortcut, self.step.branch)
