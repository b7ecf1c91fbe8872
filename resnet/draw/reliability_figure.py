"""Reliability diagram: accuracy against confidence, with the gap that calibration error sums up.

Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, figure 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from resnet.draw import chart
from resnet.draw.chart import Scale
from resnet.draw.confidence_figure import photos

WIDTH, HEIGHT = 600.0, 470.0
LEFT, RIGHT, TOP, BOTTOM = 54.0, 14.0, 30.0, 376.0


def reliability_figure(calibration: Mapping) -> str:
    """Bars of accuracy, the gap to the mean confidence of each bin, counts, and the ECE.

    Args:
        calibration: `Calibration.to_dict()`.
    """
    bins = calibration["bins"]
    across = Scale(0.0, 1.0, LEFT, WIDTH - RIGHT)
    up = Scale(0.0, 1.0, BOTTOM, TOP + 8)
    samples = [
        ("mark shortcut pos", "accuracy"),
        ("mark branch neg", "gap: too sure"),
        ("mark third pos", "gap: too unsure"),
        ("stroke join", "calibrated"),
    ]
    parts = [
        chart.legend(LEFT, 13, samples),
        chart.box(LEFT, TOP, WIDTH - LEFT - RIGHT, BOTTOM - TOP, "panel", ' rx="8"'),
        chart.y_axis(up, [0, 0.2, 0.4, 0.6, 0.8, 1], chart.share, LEFT, WIDTH - RIGHT),
    ]
    for one in bins:
        parts.append(_column(one, across, up))
    parts.append(chart.line(across(0), up(0), across(1), up(1), "join"))
    for k in range(0, 11, 2):
        kind = "tick end" if k == 10 else "tick middle"
        parts.append(chart.text(across(k / 10), BOTTOM + 18, chart.share(k / 10), kind))
    parts.append(chart.text(LEFT - 8, BOTTOM + 42, "photos", "muted end"))
    parts.append(chart.text(WIDTH / 2, HEIGHT - 12, "confidence of the answer", "middle"))
    lines = [
        f"ECE {chart.chance(calibration['ece'])}",
        f"accuracy {chart.chance(calibration['accuracy'])}",
        f"mean confidence {chart.chance(calibration['confidence'])}",
    ]
    for i, words in enumerate(lines):
        kind = "muted halo" if i else "strong halo"
        parts.append(chart.text(LEFT + 14, TOP + 26 + 18 * i, words, kind))
    return chart.frame(
        "reliability", (WIDTH, HEIGHT), _words(calibration), parts, _notes(calibration)
    )


def _column(one: Mapping, across: Scale, up: Scale) -> str:
    x0, x1 = across(one["low"]) + 1.5, across(one["high"]) - 1.5
    inner = [chart.box(x0, TOP, x1 - x0, BOTTOM - TOP, "hit")]
    hint = f"Confidence over {chart.chance(one['low'])} to {chart.chance(one['high'])}"
    accuracy, confidence = chart.finite(one["accuracy"]), chart.finite(one["confidence"])
    if accuracy is not None and confidence is not None:
        y, target, middle = up(accuracy), up(confidence), (x0 + x1) / 2
        inner.append(chart.box(x0, y, x1 - x0, up(0) - y, "mark shortcut pos"))
        if y > target:
            inner.append(chart.box(x0, target, x1 - x0, y - target, "mark branch neg"))
            inner.append(chart.slit_line(middle, y, middle, target, x1 - x0))
        else:
            inner.append(chart.box(x0 + 5, y, x1 - x0 - 10, target - y, "mark third pos"))
        hint += f"\n{photos(one['photos'])}, {chart.chance(accuracy)} right"
        hint += f"\nmean confidence {chart.chance(confidence)}"
        hint += f", gap {100 * (accuracy - confidence):+.1f} points".replace("-", "−")
    else:
        hint += "\nno photo"
    kind = "middle" if one["photos"] else "muted middle"
    inner.append(chart.text((x0 + x1) / 2, BOTTOM + 42, f"{one['photos']}", kind))
    return f'<g class="column">{chart.title(hint)}{"".join(inner)}</g>'


def _notes(calibration: Mapping) -> list[str]:
    bins, total = calibration["bins"], calibration["photos"]
    counted = sum(one["photos"] for one in bins)
    again = sum(
        one["photos"] * abs(one["accuracy"] - one["confidence"]) for one in bins if one["photos"]
    )
    error = again / total - calibration["ece"] if total else None
    return [
        f"The bins add to {photos(counted)}; the gaps, weighted by photos, add to the ECE: "
        f"error {chart.error(error)}.",
        f"ECE: expected calibration error, {len(bins)} bins of equal width (Guo et al. 2017, "
        f"eq. 3). The largest gap is {100 * calibration['mce']:.1f} points; a bin of few photos "
        "says little.",
    ]


def _words(calibration: Mapping) -> str:
    rows = ", ".join(
        f"{chart.share(one['low'])} to {chart.share(one['high'])}: {chart.share(one['accuracy'])} "
        f"of {one['photos']}"
        for one in calibration["bins"]
        if one["photos"]
    )
    return (
        f"Reliability diagram. Accuracy in bins of confidence: {rows}. Expected calibration error "
        f"{chart.chance(calibration['ece'])}."
    )
