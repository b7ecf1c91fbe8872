"""A small chart of one figure over the last hour, a bar a minute."""

from __future__ import annotations

from collections.abc import Sequence

from resnet.draw import chart

WIDTH, HEIGHT = 340.0, 132.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 8.0, 28.0, 104.0
MINUTES = 60


def trend_figure(title: str, values: Sequence[float], unit: str = "") -> str:
    """The bars, the newest at the right.

    Args:
        title: what is counted.
        values: one a minute, the oldest first; the last hour is drawn.
        unit: behind the newest value.
    """
    values = list(values)[-MINUTES:]
    scale, marks = chart.scale_for([*values, 1], BOTTOM, TOP + 4, 2)
    wide = (WIDTH - LEFT - RIGHT) / MINUTES
    first = WIDTH - RIGHT - wide * len(values)
    parts = [
        chart.box(LEFT, TOP, WIDTH - LEFT - RIGHT, BOTTOM - TOP, "panel", ' rx="6"'),
        chart.y_axis(scale, marks, _whole, LEFT, WIDTH - RIGHT),
        chart.text(LEFT, 16, title, "name"),
    ]
    for i, value in enumerate(values):
        x, ago = first + wide * i, len(values) - 1 - i
        said = f"{'now' if not ago else f'{ago} minutes ago'}: {value:,.0f} {unit}".strip()
        drawn = chart.bar(x + 0.5, wide - 1, scale, value, "mark shortcut", slits=False)
        hit = chart.box(x, TOP, wide, BOTTOM - TOP, "hit")
        parts.append(f'<g class="column">{chart.title(said)}{hit}{drawn}</g>')
    if values:
        now = f"{values[-1]:,.0f} {unit}".strip()
        parts.append(chart.text(WIDTH - RIGHT, 16, now, "strong end"))
    else:
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(chart.text(middle, (TOP + BOTTOM) / 2, "nothing yet", "muted middle"))
    parts.append(chart.text(LEFT, BOTTOM + 18, "an hour ago", "tick"))
    parts.append(chart.text(WIDTH - RIGHT, BOTTOM + 18, "now", "tick end"))
    words = f"{title} by minute, the oldest first: " + (
        ", ".join(f"{value:,.0f}" for value in values) or "nothing yet"
    )
    return chart.frame("trend", (WIDTH, HEIGHT), words, parts, [])


def _whole(mark: float) -> str:
    """Only whole numbers are counted."""
    return f"{mark:,.0f}" if mark == int(mark) else ""
