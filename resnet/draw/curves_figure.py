"""Deletion and insertion: one class's probability while pixels are taken away or shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resnet.draw import chart
from resnet.draw.chart import WIDTH, Scale

TOP, BOTTOM, HEIGHT = 46.0, 266.0, 300.0
KINDS = (
    ("deletion", "Deletion: hottest taken away first", "lower is better", 1),
    ("insertion", "Insertion: hottest shown first", "higher is better", 0),
)
WIDE, GAP, EDGE = 466.0, 70.0, 56.0


def curves_figure(found: Mapping, share: float | None = None) -> str:
    """Both curves beside each other on one scale, the area below each filled.

    Args:
        found: `Faithfulness.to_dict()`; a curve that was not finished is None.
        share: of the pixels, 0..1, marked with a line.
    """
    scale = Scale(0.0, 1.0, BOTTOM, TOP)
    parts = []
    for k, (key, name, better, i) in enumerate(KINDS):
        left = EDGE + k * (WIDE + GAP)
        across = Scale(0.0, 1.0, left, left + WIDE)
        parts.append(chart.box(left, TOP, WIDE, BOTTOM - TOP, "panel"))
        parts.append(chart.y_axis(scale, (0, 0.25, 0.5, 0.75, 1), chart.share, left, left + WIDE))
        for value in (0, 0.25, 0.5, 0.75, 1):
            parts.append(chart.text(across(value), BOTTOM + 18, chart.share(value), "tick middle"))
        curve = found[key]
        parts.append(chart.text(left, 16, name, "name"))
        if curve is None:
            parts.append(chart.text(left, 34, "not measured to its end", "muted"))
            continue
        parts.append(chart.text(left, 34, f"AUC {curve['auc']:.3f}, {better}", "muted"))
        parts.append(_curve(curve, across, scale, i))
        if share is not None:
            x = across(share)
            parts.append(chart.line(x, TOP, x, BOTTOM, "pointer"))
    parts.append(chart.text(WIDTH / 2, HEIGHT - 4, "share of the view's pixels", "muted middle"))
    return chart.frame("curves", (WIDTH, HEIGHT), _words(found), parts, [found["sentence"]])


def _curve(curve: Mapping, across: Scale, scale: Scale, i: int) -> str:
    points = list(zip(curve["shares"], curve["probabilities"], strict=True))
    way = "L".join(f"{across(x):.1f} {scale(y):.1f}" for x, y in points)
    floor = scale(0)
    dots = "".join(
        f"<g>{chart.title(f'{chart.share(x)} of the pixels: {chart.chance(y)}')}"
        f'<circle class="dot l{i}" cx="{across(x):.1f}" cy="{scale(y):.1f}" r="3.4"/></g>'
        for x, y in points
    )
    return (
        f'<path class="area l{i}" d="M{across(0):.1f} {floor:.1f}L{way}'
        f'L{across(1):.1f} {floor:.1f}Z"/><path class="stroke l{i}" d="M{way}"/>{dots}'
    )


def _words(found: Mapping) -> str:
    said = []
    for key, name, better, _ in KINDS:
        curve = found[key]
        if curve is None:
            said.append(f"{name}: not measured")
            continue
        values: Sequence[float] = curve["probabilities"]
        said.append(
            f"{name}: from {chart.chance(values[0])} to {chart.chance(values[-1])}, "
            f"AUC {curve['auc']:.3f} ({better})"
        )
    return ". ".join(said) + "."
