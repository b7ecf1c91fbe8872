"""The pieces of the evidence river: ribbons as thick as what they carry, in SVG pixels.

All lie on one bed; heights are measured up from it.  Negative ribbons carry slits.
"""

from __future__ import annotations

from dataclasses import dataclass

BEND = 5.0  # radius of a turn's inner edge
SEAM = 0.4  # pieces overlap a little: no hairline between them


@dataclass(frozen=True)
class Junction:
    """One block's three arms in pixels; `left` and `right` are the ends of the junction."""

    left: float
    right: float
    shortcut: float  # signed thickness, pixels
    branch: float
    output: float


def kind(wire: str, value: float) -> str:
    return f"flow mark {wire} {'neg' if value < 0 else 'pos'}"


def flow(d: str, wire: str, value: float, middle: str, thick: float) -> str:
    """A ribbon and, if it is negative, slits across its middle line."""
    body = f'<path class="{kind(wire, value)}" d="{d}"/>'
    if value < 0:
        body += f'<path class="slits" d="{middle}" stroke-width="{thick + 0.6:.2f}"/>'
    return body


def band(x0: float, x1: float, low: float, high: float, bed: float, wire: str, value: float) -> str:
    """A straight piece of river, from `low` to `high` pixels above the bed."""
    if high <= low:
        return ""
    d = f"M{x0 - SEAM:.2f} {bed - low:.2f}H{x1 + SEAM:.2f}V{bed - high:.2f}H{x0 - SEAM:.2f}Z"
    y = bed - (low + high) / 2
    return flow(d, wire, value, f"M{x0:.2f} {y:.2f}H{x1:.2f}", high - low)


def taper(before: Junction | None, after: Junction, room: float, bed: float) -> str:
    """From one block's output to the next one's shortcut."""
    x1, s = after.left, after.shortcut
    x0 = x1 - room if before is None else before.right
    h = s if before is None else before.output
    if h * s < 0:  # the direction turns: both ends run dry in the middle
        middle = (x0 + x1) / 2
        return wedge(x0, middle, h, 0.0, bed, h) + wedge(middle, x1, 0.0, s, bed, s)
    return wedge(x0, x1, h, s, bed, h or s)


def wedge(x0: float, x1: float, h0: float, h1: float, bed: float, value: float) -> str:
    a, b, c = bed - abs(h0), bed - abs(h1), (x0 + x1) / 2
    d = f"M{x0:.2f} {bed:.2f}V{a:.2f}C{c:.2f} {a:.2f} {c:.2f} {b:.2f} {x1:.2f} {b:.2f}V{bed:.2f}Z"
    body = f'<path class="{kind("shortcut", value)}" d="{d}"/>'
    if value < 0:
        thick = max(abs(h0), abs(h1))
        clip = f"M{c - 1.2:.2f} {(bed - (abs(h0) + abs(h1)) / 2):.2f}h2.4V{bed:.2f}h-2.4Z"
        body += f'<path class="slit" d="{clip}"/>' if thick else ""
    return body


def turn(
    foot: float,
    thick: float,
    end: float,
    low: float,
    bed: float,
    up: float,
    value: float,
    side: int,
) -> str:
    """A quarter turn from above into the river: its inner edge is `BEND` round.

    Args:
        foot: x of the arm's edge that is farther from `end`.
        end: x where the turn must arrive, on the river.
        low: where in the river it arrives, pixels above the bed.
        up: length of the straight piece above the turn.
        side: +1 if it turns right, -1 left.
    """
    if thick <= 0:
        return ""
    near, y = foot + side * thick, bed - low - thick
    out = near + side * BEND
    sweep = 0 if side > 0 else 1
    outer, inner = thick + BEND, BEND
    d = (
        f"M{foot:.2f} {y - BEND - up:.2f}V{y - BEND:.2f}"
        f"A{outer:.2f} {outer:.2f} 0 0 {sweep} {out:.2f} {y + thick:.2f}"
        f"H{end:.2f}V{y:.2f}H{out:.2f}"
        f"A{inner:.2f} {inner:.2f} 0 0 {1 - sweep} {near:.2f} {y - BEND:.2f}V{y - BEND - up:.2f}Z"
    )
    c, half = (foot + near) / 2, thick / 2
    middle = (
        f"M{c:.2f} {y - BEND - up:.2f}V{y - BEND:.2f}"
        f"A{half + BEND:.2f} {half + BEND:.2f} 0 0 {sweep} {out:.2f} {y + half:.2f}H{end:.2f}"
    )
    return flow(d, "branch", value, middle, thick)


def head(x: float, top: float, thick: float, value: float) -> str:
    """An arrow on the arm: into the river, or out of it."""
    if value == 0:
        return ""
    half = max(thick / 2, 4.0)
    high = min(10.0, 4 + half / 2)
    tip, base = (top - high, top) if value < 0 else (top, top - high)
    if value > 0:  # the arm's upper end is notched like the tail of an arrow
        d = (
            f"M{x - thick / 2:.2f} {top + 0.3:.2f}V{base:.2f}L{x:.2f} {tip:.2f}"
            f"L{x + thick / 2:.2f} {base:.2f}V{top + 0.3:.2f}Z"
        )
    else:
        d = f"M{x - half - 2:.2f} {base:.2f}L{x:.2f} {tip:.2f}L{x + half + 2:.2f} {base:.2f}Z"
    return f'<path class="{kind("branch", value)}" d="{d}"/>'


def chevrons(x: float, s: float, h: float, at: Junction, bed: float) -> str:
    """Which way the river flows here."""
    thick = min(s, h)
    if thick < 9 or at.shortcut * at.output <= 0:
        return ""
    way, size = (1 if at.shortcut > 0 else -1), min(5.0, thick / 3)
    y, c = bed - thick / 2, (at.left + at.right) / 2
    step = way * size
    d = f"M{c - step / 2:.2f} {y - size:.2f}l{step:.2f} {size:.2f}l{-step:.2f} {size:.2f}"
    return f'<path class="chevron" d="{d}"/>'
