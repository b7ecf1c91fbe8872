"""What the visitor has set: gains, presets and the tour's steps, as plain values and sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from resnet.network import ResNet50
from resnet.residual import plan as plans
from resnet.residual.plan import Plan

Wiring = dict[str, dict[str, float]]  # {"3.2": {"shortcut": 0.0}}: wires that are not at 1


@dataclass(frozen=True)
class Setting:
    """The network the visitor has made; `{}` and no swap is the network as trained."""

    gains: Wiring = field(default_factory=dict)
    swap: tuple[str, str] | None = None
    words: str = ""  # how it was made, "With every shortcut cut"; "" = said from the gains

    def __hash__(self) -> int:  # gradio tells by the hash whether a visitor's state has changed
        return hash((repr(self.gains), self.swap, self.words))

    @property
    def trained(self) -> bool:
        """Is this the network as it was trained?"""
        return not self.gains and self.swap is None


def plan_of(net: ResNet50, setting: Setting) -> Plan:
    """The setting as the steps that the stream takes."""
    flat = {(block, wire): g for block, wires in setting.gains.items() for wire, g in wires.items()}
    planned = plans.plan_of_gains(net.block_names, flat)
    if setting.swap is None:
        return planned
    order = [step.block for step in plans.swapped(net, *setting.swap)]
    return tuple(sorted(planned, key=lambda step: order.index(step.block)))


def toggled(setting: Setting, block: str, wire: str) -> Setting:
    """The setting with one more wire cut, or mended if it was not at gain 1."""
    wires = dict(setting.gains.get(block, {}))
    if wires.pop(wire, 1.0) == 1.0:
        wires[wire] = 0.0
    gains = {name: kept for name, kept in setting.gains.items() if name != block}
    return Setting(gains | ({block: wires} if wires else {}), setting.swap)


def from_plan(plan: Plan, words: str) -> Setting:
    """A plan of gains alone as a setting."""
    gains: Wiring = {}
    for (block, wire), gain in plans.gains_of(plan).items():
        gains.setdefault(block, {})[wire] = gain
    return Setting(gains, words=words)


def describe(setting: Setting) -> str:
    """The setting in words, to begin a sentence: "With the shortcut of 2.1 cut"."""
    if setting.words:
        return setting.words
    parts = []
    for block, wires in setting.gains.items():
        for wire, gain in wires.items():
            state = "cut" if gain == 0 else f"at gain {gain:g}"
            parts.append(f"the {wire} of {block} {state}")
    if setting.swap:
        parts.append(f"{setting.swap[0]} and {setting.swap[1]} swapped")
    if len(parts) > 4:
        return f"With {len(parts)} wires changed"
    return "With " + ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]


@dataclass(frozen=True)
class Preset:
    """A button that makes a setting; `seed` grows with every throw of the dice."""

    title: str
    make: Callable[[ResNet50, int], Setting]


def _random(net: ResNet50, seed: int) -> Setting:
    plan = plans.random_blocks_cut(net, 3, seed)
    blocks = ", ".join(block for block, _ in plans.gains_of(plan))
    return from_plan(plan, f"With the branches of {blocks} cut (drawn with seed {seed})")


PRESETS: tuple[Preset, ...] = (
    Preset(
        "Cut branch 3.2",
        lambda net, seed: Setting({"3.2": {"branch": 0.0}}),
    ),
    Preset(
        "Cut shortcut 2.1",
        lambda net, seed: Setting({"2.1": {"shortcut": 0.0}}),
    ),
    Preset(
        "Cut 1.1",
        lambda net, seed: Setting({"1.1": {"branch": 0.0}}),
    ),
    Preset(
        "Cut every shortcut",
        lambda net, seed: from_plan(plans.all_shortcuts_off(net), "With every shortcut cut"),
    ),
    Preset(
        "Shortcuts only after 3.0",
        lambda net, seed: from_plan(
            plans.branches_off_after(net, "3.0"), "With every branch after 3.0 cut"
        ),
    ),
    Preset("Three random blocks ⚂", _random),
    Preset(
        "Swap 3.2 and 3.3",
        lambda net, seed: Setting(swap=("3.2", "3.3")),
    ),
)


@dataclass(frozen=True)
class Stop:
    """One step of the guided tour: what is set, and what to look at."""

    text: str
    setting: Setting
    selected: str


TOUR: tuple[Stop, ...] = (
    Stop(
        "One road runs from the photo to the answer: the shortcut. Each arch is a branch that "
        "leaves it and adds something at the plus. Width is the measured signal of this photo.",
        Setting(),
        "3.2",
    ),
    Stop(
        "One branch is cut. The road still carries the signal past it.",
        Setting({"3.2": {"branch": 0.0}}),
        "3.2",
    ),
    Stop(
        "Now one shortcut is cut instead: everything that came before must squeeze through a "
        "single branch.",
        Setting({"2.1": {"shortcut": 0.0}}),
        "2.1",
    ),
    Stop(
        "Not all branches are alike. Now the early 1.1 is cut: compare it with 3.2, and with the "
        "lesion board below.",
        Setting({"1.1": {"branch": 0.0}}),
        "1.1",
    ),
    Stop(
        "From 4.0 on only the shortcuts carry the signal. Is the answer already on the road?",
        Setting(
            {b: {"branch": 0.0} for b in ("4.1", "4.2")},
            words="With the branches of 4.1 and 4.2 cut",
        ),
        "4.0",
    ),
    Stop(
        "Two neighbouring blocks trade places. A chain of layers that each replace their input "
        "would not forgive that.",
        Setting(swap=("3.2", "3.3")),
        "3.2",
    ),
)
