"""What stands around the wires in the wiring diagram: stages, road, marks, answer, legend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from resnet.draw.wiring_layout import NODE, ROAD, VALVE, Box, Layout, Place

Before = tuple[str, float, float] | None  # label, probability then, probability now


def number(value: float) -> str:
    """Three significant digits at most, with a real minus sign: 0.82, −1.5, 1670."""
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return text.replace("-", "−")


def figure(value: float) -> str:
    """A measured value for a column: two decimals where they say something, 0.80, 12.4, 1670."""
    size = abs(value)
    if size != 0 and not 0.01 <= size < 1000:
        return number(value)
    return f"{value:.{2 if size < 10 else 1 if size < 100 else 0}f}".replace("-", "−")


def percent(probability: float) -> str:
    """0..1 -> "93.1 %"; never rounds to a certainty that is not there."""
    if 0 < probability < 0.0005:
        return "<0.1 %"
    if 0.9995 <= probability < 1:
        return ">99.9 %"
    return f"{100 * probability:.1f} %"


def text_width(text: str, size: float, bold: bool = False) -> float:
    """A careful guess at the width of sans-serif text in pixels; there is no font to ask here."""
    return (0.62 if bold else 0.53) * size * len(text)


def rect(box: Box) -> str:
    """The four attributes of a `<rect>` or `<image>`."""
    return f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'


def lines(text: str, room: int, most: int = 2) -> list[str]:
    """Break a label into at most `most` lines of `room` letters; an ellipsis ends a cut one."""
    found = [""]
    for word in text.split():
        joined = f"{found[-1]} {word}".strip()
        if len(joined) <= room or not found[-1]:
            found[-1] = joined
        else:
            found.append(word)
    if len(found) > most:
        found = [*found[: most - 1], " ".join(found[most - 1 :])]
    return [line if len(line) <= room else line[: room - 1].rstrip() + "…" for line in found]


def stages(plan: Layout, notes: Mapping[str, str]) -> Iterator[str]:
    """The ground of each stage with its title: "stage 1 · 56×56 · 256 ch"."""
    for stage, box in plan.stages.items():
        note = f" · {notes[stage]}" if stage in notes else ""
        wide = plan.kind == "wide"
        x, y = (
            (box.x + box.width / 2, box.y + 19) if wide else (plan.road + ROAD / 2 + 9, box.y + 18)
        )
        yield (
            f'<rect class="stage" {rect(box)} rx="10"/><text class="title" x="{x:g}" y="{y:g}">'
            f'<tspan class="strong">stage {escape(stage)}</tspan>{escape(note)}</text>'
        )


def road(plan: Layout, photo: str | None) -> Iterator[str]:
    """The bed of the shortcut from photo to answer, and what is not a block: stem, pool, fc."""
    wide = plan.kind == "wide"
    first, last = plan.places[0], plan.places[-1]
    begin = plan.photo.x + plan.photo.width if wide else plan.photo.y + plan.photo.height
    end = (plan.card.x if wide else plan.card.y) - 2
    yield f'<path class="road" d="{plan.line(begin, end)}" stroke-width="{ROAD:g}"/>'
    yield f'<path class="plain" d="{plan.line(begin, first.enter)}"/>'
    yield f'<path class="plain" d="{plan.line(last.plus, end - 9)}"/>'
    (x0, y0), (x1, y1), (x2, y2) = (
        plan.at(end - 12, 8),
        plan.at(end, 0),
        plan.at(end - 12, -8),
    )
    yield f'<path class="tip" d="M{x0:g} {y0:g}L{x1:g} {y1:g}L{x2:g} {y2:g}Z"/>'
    rest = end - last.end
    gates = (("stem", (begin + first.enter) / 2), ("pool", last.end + rest * 0.3))
    for name, along in (*gates, ("fc", last.end + rest * 0.66)):
        x, y = plan.at(along)
        size = (8, ROAD + 8) if wide else (ROAD + 8, 8)
        box = Box(x - size[0] / 2, y - size[1] / 2, *size)
        tx, ty = (x, box.y - 8) if wide else (box.x + box.width + 8, y + 4.5)
        yield f'<rect class="gate" {rect(box)} rx="3"/>'
        yield f'<text class="place" x="{tx:g}" y="{ty:g}">{name}</text>'
    if photo is None:
        x, y = plan.photo.x + plan.photo.width / 2, plan.photo.y + plan.photo.height / 2
        yield f'<rect class="photo" {rect(plan.photo)} rx="8"/>'
        yield f'<text class="caption" x="{x:g}" y="{y + 4:g}">photo</text>'
    else:
        fit = 'preserveAspectRatio="xMidYMid slice"'
        yield f'<image class="photo" {rect(plan.photo)} {fit} href="{escape(photo)}"/>'
        yield f'<rect class="frame" {rect(plan.photo)} rx="8"/>'


def square(plan: Layout, place: Place) -> str:
    """The mark of a projection: a square on the shortcut, and a dashed kerb up to the plus."""
    x, y = plan.at(place.plus - 2 * VALVE + 1)
    start, end = place.split, place.plus - NODE
    kerbs = plan.line(start, end, ROAD / 2) + plan.line(start, end, -ROAD / 2)
    return (
        f'<path class="kerb" d="{kerbs}"/>'
        f'<rect class="square" x="{x - 6:g}" y="{y - 6:g}" width="12" height="12" rx="1.5"/>'
    )


def scissors(at: tuple[float, float], turned: bool = False, extra: str = "") -> str:
    """A pair of scissors, drawn because the glyph is an emoji on some phones."""
    turn = " scale(1.25)" if turned else " rotate(90) scale(1.25)"
    return (
        f'<g class="scissors{extra}" transform="translate({at[0]:g} {at[1]:g}){turn}">'
        '<circle cx="7" cy="-4.2" r="3"/><circle cx="7" cy="4.2" r="3"/>'
        '<path d="M4.4 -2.7L-9 4.6M4.4 2.7L-9 -4.6"/></g>'
    )


def card(plan: Layout, label: str, probability: float, before: Before) -> Iterator[str]:
    """The answer at the end of the road, with a bar; what it was before stays beside it."""
    box, wide = plan.card, plan.kind == "wide"
    changed = before is not None and before[0] != label
    state = " changed" if changed else ""
    yield f'<g class="answer{state}"><rect class="card" {rect(box)} rx="10"/>'
    pad = 12
    left, right = box.x + pad, box.x + box.width - pad
    said = lines(label, 16 if wide else 26)
    said += [""] * (2 - len(said))
    for row, line in enumerate(said):
        yield (
            f'<text class="label" x="{left:g}" y="{box.y + 23 + 16 * row:g}">{escape(line)}</text>'
        )
    x, y = (left, box.y + 66) if wide else (right, box.y + 32)
    yield f'<text class="percent" x="{x:g}" y="{y:g}">{escape(percent(probability))}</text>'
    y, full = box.y + (75 if wide else 50), right - left
    bar = Box(left, y, full, 6)
    yield f'<rect class="track" {rect(bar)} rx="3"/>'
    bar = Box(left, y, max(1.0, full * min(1.0, probability)), 6)
    yield f'<rect class="fill" {rect(bar)} rx="3"/>'
    then = before[1] if before is not None else 0.0
    tick = f"M{left + full * then:g} {y - 3:g}v12" if before is not None else ""
    yield f'<path class="tick" d="{tick}"/>'
    first, second = "network as trained", ""
    if before is not None:
        first = f"before: {before[0]}" if changed else f"before: {percent(before[1])}"
        second = f"{percent(before[1])} → {percent(before[2])}" if changed else ""
    room = 23 if wide else 34
    for row, line in enumerate((lines(first, room, 1)[0], second)):
        x, y = left, box.y + (94 if wide else 76) + (14 * row if wide else 0)
        side = ""
        if not wide and row:
            x, side = right, " end"
        yield f'<text class="before{side}" x="{x:g}" y="{y:g}">{escape(line)}</text>'
    yield "</g>"


def legend_items(plan: Layout, measure: str) -> list[tuple[str, str, float, float, float]]:
    """(sample, text, x, y, width of the sample): where each line of the legend stands."""
    items = [
        ("", f"width = {measure}", 0),
        ("shortcut", "shortcut S carries", 30),
        ("branch", "branch F adds", 28),
        ("projection", "projection", 30),
        ("negative", "negative", 30),
        ("before", "before the change", 30),
        ("cut", "cut", 24),
    ]
    box = plan.legend
    found = []
    if plan.kind == "wide":
        x = box.x
        for sample, text, room in items:
            found.append((sample, text, x, box.y + 14.0, float(room)))
            x += room + (7 if room else 0) + text_width(text, 12.5, bold=not room) + 10
        return found
    for row, (sample, text, room) in enumerate(items):
        column, line = ((row - 1) % 2, (row + 1) // 2) if row else (0, 0)
        x, y = box.x + 8 + column * 178, box.y + 14.0 + line * 24
        found.append((sample, text, x, y, float(max(room, 30) if room else 0)))
    return found


def legend(plan: Layout, measure: str) -> Iterator[str]:
    """One sample of every mark."""
    yield '<g class="legend" aria-hidden="true">'
    for sample, text, x, y, room in legend_items(plan, measure):
        yield _sample(sample, x, y)
        shift = room + 7 if room else 0
        strong = "" if room else " strong"
        yield f'<text class="key{strong}" x="{x + shift:g}" y="{y + 4.5:g}">{escape(text)}</text>'
    yield "</g>"


def _sample(kind: str, x: float, y: float) -> str:
    bed = f'<path class="road" d="M{x:g} {y:g}h30" stroke-width="18"/>'
    line = f'd="M{x:g} {y:g}h30" stroke-width="10"'
    if kind == "shortcut":
        return f'{bed}<g class="wire shortcut pos"><path class="core" {line}/></g>'
    if kind == "branch":
        arch = f"M{x + 4:g} {y + 10:g}v-8a9 9 0 0 1 18 0v8"
        return f'<g class="wire branch pos"><path class="core" d="{arch}" stroke-width="6.5"/></g>'
    if kind == "projection":
        kerb = f"M{x:g} {y - 9:g}h30M{x:g} {y + 9:g}h30"
        return (
            f'{bed}<g class="wire shortcut pos"><path class="core" {line}/>'
            f'<path class="kerb" d="{kerb}"/><rect class="square" x="{x + 9:g}" y="{y - 6:g}"'
            ' width="12" height="12" rx="1.5"/></g>'
        )
    if kind == "negative":
        slits = f'<path class="lane" d="M{x:g} {y:g}h30" stroke-width="11.5"/>'
        return f'{bed}<g class="wire shortcut neg"><path class="core" {line}/>{slits}</g>'
    if kind == "before":
        edges = f"M{x:g} {y - 8:g}h30M{x:g} {y + 8:g}h30"
        core = f'<path class="core" {line}/>'
        return f'<g class="wire branch pos">{core}<path class="ghost" d="{edges}"/></g>'
    if kind == "cut":
        return scissors((x + 12, y), turned=True, extra=" always")
    return ""
