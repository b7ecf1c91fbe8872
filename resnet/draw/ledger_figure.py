"""Logit ledger: the waterfall from the bias to the logit, one row for each part that wrote."""

from __future__ import annotations

from collections.abc import Mapping

from resnet.draw import chart
from resnet.draw.chart import Scale, Usual

WIDTH = 812.0
NAMES = 178.0  # where the bars begin
NUMBERS = 560.0  # where they end
COLUMNS = (630.0, 690.0, 806.0)  # right edges of the numbers
TOP, ROW, THICK = 58.0, 38.0, 20.0


def ledger_figure(
    ledger: Mapping, reference: Usual | None = None, against_mean: Mapping | None = None
) -> str:
    """What the bias, the projected shortcut and each branch of stage 4 wrote into a logit.

    Args:
        ledger: `Ledger.to_dict()`.
        reference: quartiles of each part's share of the lead over the mean of all classes, of
            each photo's own answer; give None for another class.
        against_mean: the ledger of the same class with `against="mean"`, for a second column.
    """
    entries, total = ledger["entries"], chart.finite(ledger["logit"])
    shares = chart.usual_of(reference, "ledger.share") if total else {}
    steps, running = [], 0.0
    for entry in entries:
        steps.append(running)
        running += chart.finite(entry["logit"]) or 0.0
    edges = [*steps, running, ledger["logit"]]
    for entry, start in zip(entries, steps, strict=True):
        edges += [start + q * total for q in shares.get(entry["part"], ())] if total else []
    scale, marks = chart.scale_for(edges, NAMES + 12, NUMBERS - 12, 5)
    bottom = TOP + ROW * (len(entries) + 1)

    parts = [chart.box(NAMES - 6, 24, NUMBERS - NAMES + 12, bottom - 24, "panel", ' rx="8"')]
    for value in marks:
        kind = "zero" if value == 0 else "grid"
        parts.append(chart.line(scale(value), 46, scale(value), bottom, kind))
        parts.append(chart.text(scale(value), 40, chart.number(value), "tick middle"))
    heads = [("logit", COLUMNS[0])] + ([("share", COLUMNS[1])] if total else [])
    heads += [("less class mean", COLUMNS[2])] if against_mean else []
    parts += [chart.text(x, 40, head, "muted end") for head, x in heads]
    parts.append(chart.text(6, 40, "who wrote it", "muted"))
    minus = {e["part"]: e["logit"] for e in against_mean["entries"]} if against_mean else {}
    for i, (entry, start) in enumerate(zip(entries, steps, strict=True)):
        y, part = TOP + ROW * i, entry["part"]
        usual = chart.three(shares.get(part))
        of_total = chart.share((chart.finite(entry["logit"]) or 0) / total) if total else "–"
        hint = f"{part_name(part)}: {chart.signed(entry['logit'])} logits, {of_total}"
        if usual:
            hint += f"\nmiddle half of photos: {chart.share(usual[0])} to {chart.share(usual[2])}"
        row = [chart.title(hint), chart.box(0, y, WIDTH, ROW, "hit")]
        if usual and total:
            ends = [scale(start + q * total) for q in usual]
            left, right = min(ends[0], ends[2]), max(ends[0], ends[2])
            row.append(chart.box(left, y + 3, max(right - left, 1), ROW - 6, "usual"))
            row.append(chart.line(ends[1], y + 3, ends[1], y + ROW - 3, "median"))
        row.append(_bar(scale, start, entry["logit"], y, part))
        end = scale(start + (chart.finite(entry["logit"]) or 0.0))
        middle = y + (ROW + THICK) / 2
        row.append(chart.line(end, middle, end, middle + ROW - THICK, "join"))
        row.append(chart.text(6, y + 23, part_name(part)))
        row.append(chart.text(COLUMNS[0], y + 23, _logits(entry["logit"]), "end"))
        row.append(chart.text(COLUMNS[1], y + 23, of_total, "muted end"))
        if against_mean:
            row.append(chart.text(COLUMNS[2], y + 23, _logits(minus.get(part)), "muted end"))
        parts.append(f'<g class="column" data-part="{chart.escape(part)}">{"".join(row)}</g>')
    y = TOP + ROW * len(entries)
    parts.append(_bar(scale, 0.0, ledger["logit"], y, "total"))
    parts.append(chart.text(6, y + 23, f"= {_goal(ledger)}", "strong"))
    parts.append(chart.text(COLUMNS[0], y + 23, _logits(ledger["logit"]), "strong end"))
    if against_mean:
        parts.append(chart.text(COLUMNS[2], y + 23, _logits(against_mean["logit"]), "strong end"))
    return chart.frame(
        "ledger",
        (WIDTH, bottom + 8),
        _words(ledger),
        parts,
        [
            f"The parts add to the {_goal(ledger)}: error {chart.error(ledger.get('error'))}.",
            _usual(reference) if shares else chart.usual_line(reference),
        ],
    )


def _logits(value: object) -> str:
    """Two decimals in every row, so that the column can be added up by eye."""
    found = chart.finite(value)
    return "–" if found is None else f"{found:+.2f}".replace("-", "−")


def part_name(part: str) -> str:
    """ "P" and "F4.1" in words."""
    if part == "P":
        return "projected shortcut P"
    return f"branch F of {part[1:]}" if part.startswith("F") else part


def _bar(scale: Scale, start: float, value: object, y: float, part: str) -> str:
    """A bar that lies: from `start` by `value`."""
    found, top = chart.finite(value), y + (ROW - THICK) / 2
    if found is None:
        return chart.missing(scale(start), y + ROW / 2)
    x0, x1 = scale(start), scale(start + found)
    kind = {"bias": "bias", "total": "whole-bar", "P": "shortcut"}.get(part, "branch")
    sign = "neg" if found < 0 else "pos"
    body = chart.box(min(x0, x1), top, max(abs(x1 - x0), 1.5), THICK, f"mark {kind} {sign}")
    if found < 0:
        body += chart.slit_line(x0, y + ROW / 2, x1, y + ROW / 2, THICK)
    return body


def _usual(reference) -> str:
    return (
        f"Grey: where a part ends at its usual share, the middle half of {reference.photos} photos."
    )


def _goal(ledger: Mapping) -> str:
    against = ledger.get("against")
    if against is None:
        return "logit"
    return "lead over the mean" if against == "mean" else f"lead over class {against}"


def _words(ledger: Mapping) -> str:
    rows = ", ".join(
        f"{part_name(entry['part'])} {chart.signed(entry['logit'])}" for entry in ledger["entries"]
    )
    return f"Waterfall: {rows}; together the {_goal(ledger)}, {chart.say(ledger['logit'])}."
