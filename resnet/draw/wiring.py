"""The wiring diagram: sixteen blocks as two wires each, numbers in, SVG out.

The shortcut is one straight road from photo to answer; every branch is an arch that leaves it and
comes back at a plus (He et al., arXiv 1512.03385, figure 2 laid on its side).  Width is the
measured signal on one scale for all 32 wires, colour is its sign.  Colours and fonts are classes,
so one drawing serves light and dark pages: give `css` to get a picture that stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite

from resnet.draw import wiring_marks as marks
from resnet.draw.wiring_layout import GAP, NODE, ROAD, VALVE, Kind, Layout, Place, layout
from resnet.draw.wiring_marks import figure, number, percent

HAIRLINE = 1.4  # a wire that carries nothing is still seen
RESNET50_STAGES = {  # table 1 of the paper, for a 224 x 224 input
    "1": "56×56 · 256 ch",
    "2": "28×28 · 512 ch",
    "3": "14×14 · 1024 ch",
    "4": "7×7 · 2048 ch",
}


@dataclass(frozen=True)
class WireState:
    """One wire.

    Args:
        value: signed measure of what the wire carries *before* its gain; `gain * value` arrives.
        gain: 1 as trained, 0 cut.
        baseline: what the untouched network carries here; drawn as an outline where it differs.
        tooltip: the numbers in words; plain text, lines separated by newlines.
    """

    value: float
    gain: float = 1.0
    baseline: float | None = None
    tooltip: str = ""


@dataclass(frozen=True)
class BlockState:
    """One block: its name ("3.2"), whether its shortcut is a projection, and its two wires."""

    name: str
    projection: bool
    shortcut: WireState
    branch: WireState

    @property
    def wires(self) -> tuple[tuple[str, WireState], tuple[str, WireState]]:
        return ("branch", self.branch), ("shortcut", self.shortcut)


@dataclass(frozen=True)
class Answer:
    """What the network says at the end of the road.

    Args:
        label, probability: the answer now.
        before: the untouched network's answer and its probability then and now; None at rest.
    """

    label: str
    probability: float
    before: tuple[str, float, float] | None = None


@dataclass(frozen=True)
class Style:
    """What is drawn around the numbers.

    Args:
        measure: what width means, in words ("RMS of the signal").
        selected: the block that is marked.
        photo: a small picture at the road's beginning, as a `data:image/...` address.
        stages: what stands beside "stage 1" and so on.
        css: a stylesheet to embed, for a picture outside the page.
    """

    measure: str = "signal"
    selected: str | None = None
    photo: str | None = None
    stages: Mapping[str, str] | None = None
    css: str = ""


PLAIN = Style()


def pixels_per_unit(blocks: Sequence[BlockState], thickest: tuple[float, float]) -> float:
    """One scale for all wires, now and before, so that neither kind outgrows its room."""
    room = dict(zip(("shortcut", "branch"), thickest, strict=True))
    scale = float("inf")
    for block in blocks:
        for kind, wire in block.wires:
            largest = max(abs(wire.value) * max(1.0, wire.gain), abs(wire.baseline or 0.0))
            if 0 < largest < float("inf"):
                scale = min(scale, room[kind] / largest)
    return 0.0 if scale == float("inf") else scale


def wiring_svg(
    blocks: Sequence[BlockState], answer: Answer, style: Style = PLAIN, kind: Kind = "wide"
) -> str:
    """Draw the network.

    Args:
        blocks: in order; names are "stage.index".
        answer: for the card at the end.
        kind: "wide" for a desktop (about 1300 x 324), "tall" for a phone (360 wide).

    Returns:
        One `<svg>` element.  Each wire is a group with `data-key="3.2:shortcut"`, `data-block`,
        `data-wire`, `data-gain`; the elements and their order do not depend on the numbers, so a
        page can update the drawing in place.

    Raises:
        ValueError: a photo that is not a `data:image/` address (nothing is fetched from outside).
    """
    if style.photo is not None and not style.photo.startswith("data:image/"):
        raise ValueError("The photo in a wiring diagram must be a data:image/ address.")
    plan = layout([block.name for block in blocks], kind)
    scale = pixels_per_unit(blocks, plan.measures.thickest)
    width, height = plan.size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wiring-svg {kind}" role="group"'
        f' viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        f' aria-label="{escape(wiring_text(blocks, answer, style.measure))}">',
        f"<style>{escape(style.css, quote=False)}</style>" if style.css else "",
        *marks.stages(plan, RESNET50_STAGES if style.stages is None else style.stages),
    ]
    pairs = list(zip(blocks, plan.places, strict=True))
    parts += [_ground(plan, block, place, style.selected) for block, place in pairs]
    parts += marks.road(plan, style.photo)
    for wanted in ("branch", "shortcut"):  # the road lies over the feet of the arches
        for block, place in pairs:
            for wire, state in block.wires:
                if wire == wanted:
                    parts.append(_wire(plan, place, block, wire, state, scale))
    parts += [_plus(plan, block, place, style.selected) for block, place in pairs]
    parts += marks.card(plan, answer.label, answer.probability, answer.before)
    parts += marks.legend(plan, style.measure)
    return "".join(parts) + "</svg>"


def wiring_text(blocks: Sequence[BlockState], answer: Answer, measure: str = "signal") -> str:
    """The diagram in words, for those who do not see it: every change, and the answer."""
    changes = []
    for block in blocks:
        for wire, state in reversed(block.wires):
            if state.gain == 0:
                changes.append(f"the {wire} of block {block.name} is cut")
            elif state.gain != 1:
                changes.append(f"the {wire} of block {block.name} has gain {number(state.gain)}")
    what = "; ".join(changes) if changes else "no wire is changed"
    text = (
        f"Wiring of {len(blocks)} residual blocks, width shows {measure}: {what}. "
        f"The answer is {answer.label} with {percent(answer.probability)}"
    )
    if answer.before is not None:
        label, then, now = answer.before
        if label == answer.label:
            return f"{text}; before the change {percent(then)}."
        text += f"; before the change it was {label} with {percent(then)}, now {percent(now)}"
    return text + "."


def _ground(plan: Layout, block: BlockState, place: Place, selected: str | None) -> str:
    box = plan.ground(place)
    x, y = plan.name_at(place)
    state = " selected" if block.name == selected else ""
    numbers = ""
    if plan.kind == "tall":  # a finger cannot hover: the numbers stand beside the arch
        for (wire, letter), dy in zip((("shortcut", "S"), ("branch", "F")), (-7, 8), strict=True):
            value = figure(getattr(block, wire).value * getattr(block, wire).gain)
            numbers += f'<text class="number" x="266" y="{y + dy + 4:g}">{letter} {value}</text>'
    return (
        f'<g class="block{state}" data-block="{escape(block.name)}">'
        f'<rect class="ground" {marks.rect(box)} rx="7"/>'
        f'<text class="name" x="{x:g}" y="{y + 4.5:g}">{escape(block.name)}</text>{numbers}</g>'
    )


def _plus(plan: Layout, block: BlockState, place: Place, selected: str | None) -> str:
    x, y = plan.at(place.plus)
    chosen = block.name == selected
    kind = "projection" if block.projection else "identity"
    tip = f"Block {block.name} · shortcut is {_article(kind)}\nclick to look inside"
    label = f"Block {block.name}, {kind} shortcut; press Enter to look inside"
    return (
        f'<g class="plus{" selected" if chosen else ""}" data-block="{escape(block.name)}">'
        f'<circle class="node" cx="{x:g}" cy="{y:g}" r="{NODE:g}"/>'
        f'<path class="sign" d="M{x - 5:g} {y:g}H{x + 5:g}M{x:g} {y - 5:g}V{y + 5:g}"/>'
        f'<circle class="hit" cx="{x:g}" cy="{y:g}" r="14" role="button" tabindex="0"'
        f' aria-pressed="{str(chosen).lower()}" aria-label="{escape(label)}"'
        f' data-key="{escape(block.name)}:block" data-tip="{escape(tip)}"/></g>'
    )


def _wire(
    plan: Layout, place: Place, block: BlockState, wire: str, state: WireState, scale: float
) -> str:
    """One wire: outline of before, what goes in, what comes out behind the valve, and the marks."""
    width = abs(state.value) * scale if isfinite(state.value) else 0.0
    if wire == "shortcut":
        path, valve = plan.line(place.enter, place.plus), place.plus - VALVE - place.enter
        mark = plan.at(place.plus - VALVE)
        hole = plan.line(place.plus - VALVE - GAP / 2, place.plus - VALVE + GAP / 2)
        target = plan.band(place.enter + NODE, place.plus - NODE, ROAD)
    else:
        path, valve = plan.arch(place), plan.arch_length(place) / 2
        mark, hole, target = plan.at(place.middle, plan.measures.arch), "", path
    classes = ["wire", wire, "neg" if state.value < 0 else "pos"]
    classes += ["projection"] if wire == "shortcut" and block.projection else []
    classes += ["cut"] if state.gain == 0 else ["turned"] if state.gain != 1 else []
    key = f"{block.name}:{wire}"
    # White lane marks show where a positive signal flows; wide slits make a negative one dashed.
    lane = width + 1.5 if state.value < 0 else min(1.6, width / 4)
    (gx, gy), delivered = plan.gain_at(place, wire), width * state.gain
    gap = f"--in:{valve - GAP / 2:.1f}px;--valve:{valve:.1f}px;--out:{valve + GAP / 2:.1f}px"
    return (
        f'<g class="{" ".join(classes)}" data-key="{escape(key)}" data-block="{escape(block.name)}"'
        f' data-wire="{wire}" data-gain="{state.gain:g}" data-width="{width:.2f}"'
        f' style="{gap}">'
        f'<path class="break" d="{hole}" stroke-width="{ROAD + 2:g}"/>'
        f'<path class="core" d="{path}" stroke-width="{max(width, HAIRLINE):.2f}"/>'
        f'<path class="rest" d="{path}" stroke-width="{max(delivered, HAIRLINE):.2f}"/>'
        f'<path class="lane" d="{path}" stroke-width="{lane:.2f}"/>'
        f'<path class="ghost" d="{_ghost(plan, place, wire, state, scale)}"/>'
        f"{marks.square(plan, place) if wire == 'shortcut' and block.projection else ''}"
        f"{marks.scissors(mark, turned=(plan.kind == 'tall'))}"
        f'<g class="gain"><rect x="{gx - 21:g}" y="{gy - 9:g}" width="42" height="18" rx="9"/>'
        f'<text x="{gx:g}" y="{gy + 4:g}">×{number(state.gain)}</text></g>'
        f'<path class="hit" d="{target}" role="switch" tabindex="0"'
        f' aria-checked="{str(state.gain != 0).lower()}" aria-label="{escape(_say(block, wire))}"'
        f' data-key="{escape(key)}" data-tip="{escape(_tip(block, wire))}"/></g>'
    )


def _ghost(plan: Layout, place: Place, wire: str, state: WireState, scale: float) -> str:
    """Both edges of the wire as it was, where that is at least a pixel away from now."""
    if state.baseline is None:
        return ""
    before, now = abs(state.baseline) * scale, abs(state.value * state.gain) * scale
    flipped = state.baseline * state.value * state.gain < 0
    if abs(before - now) < 1 and not flipped:
        return ""
    half = before / 2
    if wire == "branch":
        return plan.arch(place, half) + plan.arch(place, -half)
    return plan.line(place.enter, place.plus, half) + plan.line(place.enter, place.plus, -half)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _tip(block: BlockState, wire: str) -> str:
    state: WireState = getattr(block, wire)
    nature = " (projection)" if wire == "shortcut" and block.projection else ""
    then = "click to mend" if state.gain == 0 else "click to cut · drag to turn up or down"
    return "\n".join(
        filter(None, [f"{wire.capitalize()} of {block.name}{nature}", state.tooltip, then])
    )


def _say(block: BlockState, wire: str) -> str:
    state: WireState = getattr(block, wire)
    action = "mend" if state.gain == 0 else "cut"
    return (
        f"{wire.capitalize()} of block {block.name}, gain {number(state.gain)}, "
        f"carries {figure(state.value)}; press Enter to {action}, arrow keys change the gain"
    )


__all__ = ["PLAIN", "Answer", "BlockState", "Style", "WireState", "wiring_svg", "wiring_text"]
