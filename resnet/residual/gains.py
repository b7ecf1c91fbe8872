"""Run a changed network from the first change on; everything before it is shared.

The residual step is `out = relu(g_S * S + g_F * F)`.  A rewired trace stores S and F as they
arrive *before* their gains, so a cut wire still shows what it would have carried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from resnet import device as devices
from resnet.backends import suffix
from resnet.backends.suffix import Growing
from resnet.device import PRECISIONS
from resnet.network import ResNet50, Trace, Wires, join
from resnet.residual.plan import Plan, Step, baseline, shared_prefix, step_names


@dataclass(frozen=True)
class RewiredTrace(Trace):
    """The trace of a changed network.

    `blocks` has one entry a step, in the order run: `3.1`, and `3.1#2` for a second pass.  Its
    S and F are raw, before the gains of `plan`; `output` is after them, so here
    `relu(S + F) != output` wherever a gain is not 1.
    """

    plan: Plan


def plan_of(trace: Trace) -> Plan:
    """The plan a trace was made with; of an ordinary trace the network as trained."""
    return trace.plan if isinstance(trace, RewiredTrace) else baseline(tuple(trace.blocks))


def delivered(trace: Trace) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(name, g_S * S, g_F * F) of every step in float32: what its addition really added."""
    for step, (name, wires) in zip(plan_of(trace), trace.blocks.items(), strict=True):
        yield name, step.shortcut * wires.shortcut.float(), step.branch * wires.branch.float()


@contextmanager
def forward_only(net: ResNet50) -> Iterator[None]:
    """No gradients, in the trunk's own arithmetic: a change is the cut's, not rounding's."""
    with torch.inference_mode(), devices.autocast(net.device, net.precision):
        yield


def run(net: ResNet50, trace: Trace, plan: Plan) -> Trace:
    """Run `plan`, starting from what `trace` already holds.

    The steps that both have in common are taken over as the same tensors.  If the first changed
    step differs in its gains only, its stored S and F are taken over too.

    Args:
        trace: an ordinary or a rewired trace, of any batch.

    Returns:
        `trace` itself if nothing changes, else a RewiredTrace.
    """
    before = plan_of(trace)
    start = shared_prefix(before, plan)
    if before == plan:
        return trace
    names, stored = step_names(plan), list(trace.blocks.values())
    blocks = dict(zip(names[:start], stored[:start], strict=True))
    stream = stored[start - 1].output if start else trace.stem
    with forward_only(net):
        for i in range(start, len(plan)):
            step = plan[i]
            if i == start and i < len(before) and before[i].block == step.block:
                shortcut, branch = stored[i].shortcut, stored[i].branch
            else:
                block = net.block(step.block)
                shortcut, branch = block.shortcut(stream), block.branch(stream)
            stream = join(shortcut, branch, step.shortcut, step.branch)
            blocks[names[i]] = Wires(shortcut, branch, stream)
        logits = net.head(stream).float()
    return RewiredTrace(trace.stem, blocks, logits, plan)


def logits_of(net: ResNet50, trace: Trace, plans: Sequence[Plan]) -> Tensor:
    """The logits of many changed networks for one photo, as one growing batch.

    A variant joins the batch at its first changed block, from that block's stored S and F, and
    all variants that have begun go on together, over folded convolutions.  Plans may change gains
    only.

    Args:
        trace: an ordinary trace of one photo.
        plans: one a variant; all visit the trace's blocks in the trace's order.

    Returns:
        float32 [len(plans), classes], in the order of `plans`.
    """
    base = plan_of(trace)
    starts = [_first_change(base, plan) for plan in plans]
    order = sorted(range(len(plans)), key=lambda i: starts[i])  # stable: the order they join in
    begun = [i for i in order if starts[i] < len(base)]
    logits = trace.logits.float().expand(len(plans), -1).clone()
    batch = Growing(PRECISIONS[net.precision])
    with torch.inference_mode():
        for k, (step, wires) in enumerate(zip(base, trace.blocks.values(), strict=True)):
            room = sum(start <= _last_of_its_shape(net, base, k) for start in starts)
            running = [plans[i][k] for i in order if starts[i] < k]
            if running:
                block = suffix.block(net, step.block, batch.side)
                batch.through(block, *_gains(running, batch.stream), room)
            for i in order:
                if starts[i] == k:
                    s, f = wires.shortcut.float(), wires.branch.float()
                    batch.add(join(s, f, plans[i][k].shortcut, plans[i][k].branch), room)
        if begun:
            logits[begun] = net.head(batch.stream.float())
    return logits


def _last_of_its_shape(net: ResNet50, plan: Plan, k: int) -> int:
    """The last step behind `k` before the stream's shape changes."""
    end = k + 1
    while end < len(plan) and net.block(plan[end].block).downsample is None:
        end += 1
    return end - 1


def _first_change(base: Plan, plan: Plan) -> int:
    if [step.block for step in base] != [step.block for step in plan]:
        raise ValueError("Only plans that visit the trace's blocks in its order can be batched.")
    return shared_prefix(base, plan)


def _gains(steps: Sequence[Step], like: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Gains of a batch at one block: plain 1.0 if all are as trained, else [N, 1, 1, 1] each."""
    if all(step.trained for step in steps):
        return 1.0, 1.0
    g_s = torch.tensor([step.shortcut for step in steps], dtype=like.dtype, device=like.device)
    g_f = torch.tensor([step.branch for step in steps], dtype=like.dtype, device=like.device)
    return g_s.view(-1, 1, 1, 1), g_f.view(-1, 1, 1, 1)
