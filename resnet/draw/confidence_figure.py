"""Histogram of confidences: how sure the answers of a batch are, right and wrong ones apart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

from resnet.draw import chart

WIDTH, HEIGHT = 600.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 54.0, 14.0, 30.0, 276.0
BINS = 20  # of 5 points each
EDGES = [k / BINS for k in range(BINS + 1)]
KINDS = (  # which rows, class, in words; drawn from the axis up
    (True, "mark shortcut pos", "right"),
    (False, "mark branch neg", "wrong"),
    (None, "count", "no true label"),
)


def confidence_figure(
    confidences: Sequence[float], correct: Sequence[bool | None] | None = None
) -> str:
    """How many photos were answered with which probability, in bins (low, high] of 5 points.

    Args:
        confidences: the answer's probability a photo, 0..1.
        correct: whether it is right; None where that is not known.  None for all if left out.

    Raises:
        ValueError: `correct` has another length.
    """
    told = [None] * len(confidences) if correct is None else list(correct)
    counts = {kind: [0] * BINS for kind, *_ in KINDS}
    for value, right in zip(confidences, told, strict=True):
        counts[right][min(bisect_left(EDGES[1:], value), BINS - 1)] += 1
    used = [kind for kind in KINDS if any(counts[kind[0]])] or [KINDS[2]]
    totals = [sum(column) for column in zip(*counts.values(), strict=True)]
    scale, marks = chart.scale_for(totals, BOTTOM, TOP + 12)
    marks = [mark for mark in marks if mark == int(mark)]

    wide = (WIDTH - LEFT - RIGHT) / BINS
    words = [(kind, f"{name} ({sum(counts[key]):,})") for key, kind, name in used]
    parts = [
        chart.legend(LEFT, 13, [("", "photos by confidence:"), *words]),
        chart.box(LEFT, TOP, WIDTH - LEFT - RIGHT, BOTTOM - TOP, "panel", ' rx="8"'),
        chart.y_axis(scale, marks, lambda value: f"{value:,.0f}", LEFT, WIDTH - RIGHT),
        chart.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "confidence of the answer", "middle"),
    ]
    for k in range(BINS):
        x = LEFT + wide * k
        hint = [f"Confidence over {chart.share(EDGES[k])} to {chart.share(EDGES[k + 1])}"]
        inner = [chart.box(x, TOP, wide, BOTTOM - TOP, "hit")]
        below = 0
        for key, kind, name in used:
            count = counts[key][k]
            if not count:
                continue
            y0, y1 = scale(below), scale(below + count)
            inner.append(chart.box(x + 2, y1, wide - 4, y0 - y1, kind))
            if "neg" in kind:
                inner.append(chart.slit_line(x + wide / 2, y0, x + wide / 2, y1, wide - 4))
            hint.append(f"{name}: {count:,}")
            below += count
        if below:
            inner.append(chart.text(x + wide / 2, scale(below) - 5, f"{below}", "tick middle"))
        parts.append(f'<g class="column">{chart.title(chr(10).join(hint))}{"".join(inner)}</g>')
        if k % 4 == 0:
            parts.append(chart.text(x, BOTTOM + 18, chart.share(EDGES[k]), "tick middle"))
    parts.append(chart.text(WIDTH - RIGHT, BOTTOM + 18, "100 %", "tick end"))
    kinds = [f"{sum(counts[key]):,} {name}" for key, _, name in used]
    notes = _notes(confidences, totals, kinds)
    return chart.frame("confidences", (WIDTH, HEIGHT), _words(totals), parts, notes)


def photos(count: int) -> str:
    """ "1 photo", "1,200 photos"."""
    return f"{count:,} photo{'' if count == 1 else 's'}"


def _notes(confidences: Sequence[float], totals: Sequence[int], kinds: Sequence[str]) -> list[str]:
    added = f" ({' + '.join(kinds)})" if len(kinds) > 1 else ""
    lost = len(confidences) - sum(totals)
    first = f"The bars add to {photos(sum(totals))}{added}; left out: {lost}."
    if not confidences:
        return [first]
    unsure = sum(value < 0.5 for value in confidences)
    middle = chart.chance(median(confidences))
    return [first, f"Median confidence {middle}; below 50 %: {photos(unsure)}."]


def _words(totals: Sequence[int]) -> str:
    rows = ", ".join(
        f"{chart.share(EDGES[k])} to {chart.share(EDGES[k + 1])}: {count}"
        for k, count in enumerate(totals)
        if count
    )
    return f"Histogram of the answers' confidence, photos in each bin: {rows or 'none'}."
