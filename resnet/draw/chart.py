"""What the figures of *Inside* share: numbers in words, one scale, bars, quartiles, the frame.

Figures are functions from plain numbers to text: a `<figure>` with an SVG and a caption that
states an invariant with its measured error.  Colours are classes (`resnet/ui/figures.css`), so
one drawing serves light and dark pages; `standalone` makes a picture for a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from resnet.draw.wiring_marks import figure, number, percent, text_width

WIDTH, LEFT, RIGHT = 1080.0, 118.0, 12.0
SMALL = 12.0  # font size of all that is not a heading; no smaller

Quartiles = tuple[float, float, float]  # 25 %, 50 %, 75 %


class Usual(Protocol):
    """What is usual for these weights; `resnet.residual.Reference` is one.

    A falsy object with a `reason` (`NoReference`) says why nothing is known.
    """

    photos: int

    def quartiles(self, figure: str) -> Mapping[str, Quartiles]: ...


# -- numbers ---------------------------------------------------------------------------------


def finite(value: object) -> float | None:
    """A number that can be drawn; None for None, NaN, an infinity or no number at all."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def known(values: Iterable[object]) -> list[float]:
    """Only the values that can be drawn."""
    return [found for value in values if (found := finite(value)) is not None]


def say(value: object) -> str:
    """A measured value in a column or a tooltip: 0.80, 12.4, −3; "–" where there is none."""
    found = finite(value)
    if found is None:
        return "–"
    return "0.00" if abs(found) < 5e-4 else figure(found) if abs(found) >= 0.01 else number(found)


def signed(value: object) -> str:
    """The same with its sign in front: +8.33, −0.46."""
    found = finite(value)
    return say(value) if found is None or found <= 0 else f"+{say(value)}"


def share(value: object) -> str:
    """0.347 -> "35 %"; −0.15 -> "−15 %"; beyond 100 % as it is."""
    found = finite(value)
    return "–" if found is None else f"{100 * found:.0f} %".replace("-0 %", "0 %").replace("-", "−")


def chance(value: object) -> str:
    """A probability, 0 ... 1 -> "93.1 %"."""
    found = finite(value)
    return "–" if found is None else percent(found)


def error(value: object) -> str:
    """A rounding error: "8e-14"; "unknown" if it could not be measured."""
    found = finite(value)
    return "unknown" if found is None else "0" if found == 0 else f"{abs(found):.0e}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that cover low ... high, both ends included."""
    if not high > low:
        return [low - 1, low, low + 1]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


@dataclass(frozen=True)
class Scale:
    """A straight line from values to pixels."""

    low: float
    high: float
    start: float  # pixel of `low`
    end: float  # pixel of `high`

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return self.start + min(max(part, -1.0), 2.0) * (self.end - self.start)


def scale_for(
    values: Iterable[object], start: float, end: float, count: int = 5
) -> tuple[Scale, list[float]]:
    """The one scale of a figure: from 0 and all its values, ending on round numbers; its ticks.

    What passes zero by less than a hundredth of the whole does not add half an axis of its own.
    """
    found = [0.0, *known(values)]
    low, high = min(found), max(found)
    low = 0.0 if -low < 0.01 * (high - low) else low
    high = 0.0 if high < 0.01 * (high - low) else high
    marks = ticks(low, high, count)
    return Scale(marks[0], marks[-1], start, end), marks


# -- marks -----------------------------------------------------------------------------------


def text(x: float, y: float, content: str, kind: str = "", more: str = "") -> str:
    """One escaped line of text; classes say where it is anchored (end, middle)."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{escape(content)}</text>'


def title(content: str) -> str:
    """What hovering shows."""
    return f"<title>{escape(content)}</title>"


def line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x0:.2f} {y0:.2f}L{x1:.2f} {y1:.2f}"/>'


def box(x: float, y: float, width: float, height: float, kind: str, more: str = "") -> str:
    size = f'width="{max(width, 0):.2f}" height="{max(height, 0):.2f}"'
    return f'<rect class="{kind}" x="{x:.2f}" y="{y:.2f}" {size}{more}/>'


def bar(x: float, width: float, scale: Scale, value: object, kind: str, slits: bool = True) -> str:
    """An upright bar from 0; a negative one has the other hue, and slits if wanted.

    A value that is not finite gets a small cross on the line instead of a bar.
    """
    found = finite(value)
    if found is None:
        return missing(x + width / 2, scale(0))
    y0, y1 = scale(0), scale(found)
    sign = "neg" if found < 0 else "pos"
    body = box(x, min(y0, y1), width, abs(y1 - y0), f"mark {kind} {sign}")
    if found < 0 and slits:
        body += slit_line(x + width / 2, y0, x + width / 2, y1, width)
    return body


def slit_line(x0: float, y0: float, x1: float, y1: float, thick: float) -> str:
    """Slits across a bar from one end to the other: the sign, for those who do not see hue."""
    d = f"M{x0:.2f} {y0:.2f}L{x1:.2f} {y1:.2f}"
    return f'<path class="slits" d="{d}" stroke-width="{thick:.2f}"/>'


def missing(x: float, y: float) -> str:
    """There is no number here."""
    return f'<path class="missing" d="M{x - 3:.2f} {y - 3:.2f}l6 6m0 -6l-6 6"/>'


def quartile_band(x: float, width: float, scale: Scale, quartiles: object) -> str:
    """The middle half of the reference photos as a grey band, its median as a line."""
    if (found := three(quartiles)) is None:
        return ""
    low, middle, high = (scale(value) for value in found)
    band = box(x, min(low, high), width, max(abs(high - low), 1.0), "usual")
    return band + line(x, middle, x + width, middle, "median")


def three(quartiles: object) -> Quartiles | None:
    """Quartiles that can be drawn, or None."""
    if not isinstance(quartiles, Sequence) or len(quartiles) != 3:
        return None
    found = known(quartiles)
    return (found[0], found[1], found[2]) if len(found) == 3 else None


def legend(x: float, y: float, items: Sequence[tuple[str, str]]) -> str:
    """A row of samples: (class of the sample, what it means)."""
    parts = ['<g class="key" aria-hidden="true">']
    for kind, meaning in items:
        if kind == "cross":
            parts.append(cross(x + 7, y))
        elif kind.startswith("stroke"):
            parts.append(line(x, y, x + 18, y, kind))
        elif kind:
            parts.append(box(x, y - 6, 14, 12, kind))
            if "neg" in kind.split() and "solid" not in kind:
                parts.append(slit_line(x + 7, y - 6, x + 7, y + 6, 14))
        room = 24 if kind.startswith("stroke") else 20 if kind else 0
        parts.append(text(x + room, y + 4.3, meaning, "muted"))
        x += room + text_width(meaning, SMALL) + 18
    return "".join(parts) + "</g>"


def cross(x: float, y: float, size: float = 4.2) -> str:
    """The answer changes here."""
    d = f"M{x - size:.2f} {y - size:.2f}l{2 * size} {2 * size}m0 {-2 * size}l{-2 * size} {2 * size}"
    return f'<path class="flip-halo" d="{d}"/><path class="flip" d="{d}"/>'


def y_axis(
    scale: Scale, marks: Sequence[float], label: Callable[[float], str], x0: float, x1: float
) -> str:
    """Grid lines with their numbers at the left; zero is drawn stronger."""
    parts = []
    for value in marks:
        y = scale(value)
        parts.append(line(x0, y, x1, y, "zero" if value == 0 else "grid"))
        parts.append(text(x0 - 8, y + 4.2, label(value), "tick end"))
    return "".join(parts)


def axis_name(x: float, y: float, rows: Sequence[str]) -> str:
    """What an axis measures, in short lines at its left."""
    return "".join(text(x, y + 15 * i, row, "muted") for i, row in enumerate(rows))


# -- the frame -------------------------------------------------------------------------------


def usual_of(reference: Usual | None, name: str) -> Mapping[str, Quartiles]:
    """Quartiles of a figure by block; {} where nothing is known."""
    return reference.quartiles(name) if reference else {}


def usual_line(reference: Usual | None, shown: str = "Grey bands") -> str:
    """The sentence about the reference: whose middle half it is, or why there is none."""
    if reference:
        return f"{shown}: the middle half of {reference.photos} photos."
    return str(getattr(reference, "reason", "") or "")


def frame(
    name: str,
    size: tuple[float, float],
    alternative: str,
    parts: Iterable[str],
    notes: Sequence[str],
    interactive: bool = False,
) -> str:
    """The `<figure>` around a drawing.

    Args:
        name: of the figure, for styles and tests.
        size: natural width and height in pixels; narrow screens scroll, the page does not.
        alternative: the figure in words.
        parts: SVG elements.
        notes: lines below; the first states the invariant with its error.
        interactive: it holds buttons, so it is a group rather than a picture to screen readers.
    """
    width, height = size
    role = "group" if interactive else "img"
    first, *others = [note for note in notes if note] or [""]
    lines = f'<span class="invariant">{escape(first)}</span>' + "".join(
        f" <span>{escape(note)}</span>" for note in others
    )
    return (
        f'<figure class="chart-figure {name}" style="--natural:{width:g}px">'
        f'<div class="chart-scroll" tabindex="0" role="region" aria-label="{name} figure">'
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="{role}"'
        f' viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        f' aria-label="{escape(alternative)}">{"".join(parts)}</svg></div>'
        f"<figcaption>{lines}</figcaption></figure>"
    )


def standalone(markup: str, css: str, dark: bool = False) -> str:
    """The SVG of a figure with its styles inside, for a file.

    Raises:
        ValueError: there is no drawing in `markup`.
    """
    found = re.search(r"<svg.*</svg>", markup, re.DOTALL)
    if found is None:
        raise ValueError("There is no drawing in this figure.")
    styles = f"<style>{escape(css, quote=False)}</style>"
    svg = re.sub(r"^(<svg[^>]*>)", lambda m: m[1] + styles, found[0], count=1)
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="dark">{svg}</svg>' if dark else svg
