"""The route of the stream through the blocks: which block, how often, with which two gains.

A plan is a tuple of steps.  The network as trained is one step a block, all gains 1; a lesion is
the same plan with one gain 0.  Presets of the switchboard are functions that return plans.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnet.network import ResNet50

WIRES = ("shortcut", "branch")
MAX_GAIN = 2.0

Gains = Mapping[tuple[str, str], float]  # ("3.2", "branch") -> 0 ... 2; wires left out keep 1


class PlanError(ValueError):
    """A block, wire or gain that does not exist or does not fit; the message is for the user."""


@dataclass(frozen=True)
class Step:
    """One pass of the stream through one block: `relu(shortcut * S + branch * F)`."""

    block: str  # "1.0" ... "4.2"
    shortcut: float = 1.0  # gain g_S
    branch: float = 1.0  # gain g_F

    @property
    def trained(self) -> bool:
        """Both gains as trained."""
        return self.shortcut == 1 and self.branch == 1


Plan = tuple[Step, ...]


def with_gain(step: Step, wire: str, gain: float) -> Step:
    """The same step with one wire, "shortcut" or "branch", at another gain."""
    return replace(step, shortcut=gain) if wire == "shortcut" else replace(step, branch=gain)


def baseline(names: Sequence[str]) -> Plan:
    """The network as trained."""
    return tuple(Step(name) for name in names)


def step_names(plan: Plan) -> tuple[str, ...]:
    """One name a step, all different: a block's second pass is `3.1#2`, its third `3.1#3`."""
    seen: dict[str, int] = {}
    names = []
    for step in plan:
        seen[step.block] = count = seen.get(step.block, 0) + 1
        names.append(step.block if count == 1 else f"{step.block}#{count}")
    return tuple(names)


def shared_prefix(a: Plan, b: Plan) -> int:
    """How many steps two plans have in common from the start."""
    count = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        count += 1
    return count


def plan_of_gains(names: Sequence[str], gains: Gains | Sequence[Sequence[float]]) -> Plan:
    """Gains on any wires -> a plan.

    Args:
        names: the network's blocks in order.
        gains: `{("3.2", "branch"): 0.5}`, or an array [blocks, 2] of (shortcut, branch).

    Raises:
        PlanError: no such block or wire, or a gain outside 0 ... 2.
    """
    if not isinstance(gains, Mapping):
        rows = [[float(gain) for gain in row] for row in gains]
        if len(rows) != len(names) or any(len(row) != 2 for row in rows):
            raise PlanError(f"Gains as a table need {len(names)} rows of shortcut and branch.")
        gains = {
            (name, wire): gain
            for name, row in zip(names, rows, strict=True)
            for wire, gain in zip(WIRES, row, strict=True)
        }
    steps = {name: Step(name) for name in names}
    for (block, wire), gain in gains.items():
        if block not in steps:
            raise PlanError(f"There is no block {block}; blocks are {', '.join(names)}.")
        if wire not in WIRES:
            raise PlanError(f"A block has a shortcut and a branch, no “{wire}”.")
        if not 0 <= float(gain) <= MAX_GAIN:  # also refuses NaN
            raise PlanError(f"A gain runs from 0 to {MAX_GAIN:g}, not {gain}.")
        steps[block] = with_gain(steps[block], wire, float(gain))
    return tuple(steps.values())


def gains_of(plan: Plan) -> dict[tuple[str, str], float]:
    """The gains of a plan that differ from 1; of a repeated block those of its first pass."""
    found: dict[tuple[str, str], float] = {}
    for name, step in zip(step_names(plan), plan, strict=True):
        if "#" not in name:
            found |= {
                (name, wire): getattr(step, wire) for wire in WIRES if getattr(step, wire) != 1
            }
    return found


# -- presets (design: switchboard and lesion board) ------------------------------------------


def identity_blocks(net: ResNet50) -> tuple[str, ...]:
    """Blocks whose shortcut is the input itself: all but the first of each stage."""
    return tuple(name for name in net.block_names if net.block(name).downsample is None)


def one_lesion(net: ResNet50, block: str, wire: str) -> Plan:
    """One wire of one block cut."""
    return plan_of_gains(net.block_names, {(block, wire): 0.0})


def branches_off_after(net: ResNet50, block: str | None) -> Plan:
    """Every branch after `block` cut: what arrives on the shortcuts alone.  None: all branches."""
    start = 0 if block is None else _position(net, block) + 1
    off = {(name, "branch"): 0.0 for name in net.block_names[start:]}
    return plan_of_gains(net.block_names, off)


def all_shortcuts_off(net: ResNet50) -> Plan:
    """Every shortcut cut: a plain network with weights that were trained for a residual one."""
    return plan_of_gains(net.block_names, {(name, "shortcut"): 0.0 for name in net.block_names})


def identity_branch_gain(net: ResNet50, gain: float) -> Plan:
    """The branches of all identity blocks at one gain."""
    return plan_of_gains(net.block_names, {(name, "branch"): gain for name in identity_blocks(net)})


def repeated(net: ResNet50, blocks: Sequence[str], times: int = 2, scaled: bool = True) -> Plan:
    """Each of `blocks` applied `times` times, the branch at gain 1/times (half-steps) or at 1.

    An identity block as one Euler step of an ordinary differential equation: R steps of 1/R
    should arrive near the same place, R un-scaled steps should not.

    Raises:
        PlanError: a block that changes the stream's shape, or fewer than one pass.
    """
    for block in blocks:
        _require_identity(net, block)
    if not 1 <= times <= 16:
        raise PlanError(f"A block can be repeated 1 to 16 times, not {times}.")
    gain = 1.0 / times if scaled else 1.0
    steps: list[Step] = []
    for name in net.block_names:
        steps += [Step(name, 1.0, gain)] * times if name in blocks else [Step(name)]
    return tuple(steps)


def random_blocks_cut(net: ResNet50, count: int, seed: int) -> Plan:
    """The branches of `count` identity blocks cut, drawn by seed; the same seed, the same blocks.

    Raises:
        PlanError: more blocks than there are identity blocks.
    """
    blocks = identity_blocks(net)
    if not 0 <= count <= len(blocks):
        raise PlanError(f"There are {len(blocks)} identity blocks to draw from, not {count}.")
    drawn = random.Random(seed).sample(blocks, count)
    return plan_of_gains(net.block_names, {(name, "branch"): 0.0 for name in drawn})


def swap_pairs(net: ResNet50) -> tuple[tuple[str, str], ...]:
    """Neighbouring identity blocks, which can trade places."""
    free = set(identity_blocks(net))
    pairs = zip(net.block_names, net.block_names[1:], strict=False)
    return tuple((a, b) for a, b in pairs if a in free and b in free)


def swapped(net: ResNet50, first: str, second: str) -> Plan:
    """Two neighbouring identity blocks exchanged.

    Raises:
        PlanError: not neighbours, or one changes the stream's shape.
    """
    if (first, second) not in swap_pairs(net):
        first, second = second, first
    if (first, second) not in swap_pairs(net):
        pairs = ", ".join(f"{a} and {b}" for a, b in swap_pairs(net))
        raise PlanError(f"{second} and {first} cannot trade places; these can: {pairs}.")
    names = list(net.block_names)
    i = names.index(first)
    names[i], names[i + 1] = second, first
    return baseline(names)


def _position(net: ResNet50, block: str) -> int:
    if block not in net.block_names:
        raise PlanError(f"There is no block {block}; blocks are {', '.join(net.block_names)}.")
    return net.block_names.index(block)


def _require_identity(net: ResNet50, block: str) -> None:
    _position(net, block)
    if block not in identity_blocks(net):
        raise PlanError(f"{block} changes the stream's shape and cannot be applied again.")
