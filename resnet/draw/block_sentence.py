"""One block's numbers in one or two sentences of plain language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from resnet.draw.wiring_marks import figure, percent


def block_sentence(
    row: Mapping[str, Any],
    cuts: Sequence[Mapping[str, Any]] = (),
    *,
    projection: bool = False,
    gains: tuple[float, float] = (1.0, 1.0),
    before: tuple[str, float] | None = None,
    rewired: bool = False,
) -> str:
    """What the block adds, in which direction, and what this network says with a wire removed.

    Plain text; whoever puts it into a page escapes it.

    Args:
        row: the block's entry of `Budget.to_dict()["blocks"]`: block, norm_s, norm_f, ratio, cos.
        cuts: the entries of `LesionBoard.to_dict()["rows"]`; other blocks' are passed over.
        projection: the shortcut is a convolution of its own, not the block's input.
        gains: of shortcut and branch; a wire at 0 is named as cut, and not cut once more.
        before: (label, probability) of the answer with nothing cut on top.
        rewired: wires are changed already, and the cuts come on top.
    """
    sentences = [_adds(row, projection, gains)]
    own = {cut["wire"]: cut for cut in cuts if cut["block"] == row["block"]}
    standing = [
        (wire, own[wire])
        for wire, gain in (("branch", gains[1]), ("shortcut", gains[0]))
        if wire in own and gain != 0
    ]
    if standing:
        sentences.append(_cuts(standing, before, rewired))
    return " ".join(sentences)


def _adds(row: Mapping[str, Any], projection: bool, gains: tuple[float, float]) -> str:
    block, shortcut, branch = row["block"], row["norm_s"], row["norm_f"]
    why_s, why_f = (" (cut)" if gain == 0 else "" for gain in gains)
    if not shortcut and not branch:
        return f"Nothing arrives at the addition of block {block}: both its wires carry zero."
    if not shortcut:
        return f"The shortcut of block {block} brings nothing{why_s}; only its branch arrives."
    if not branch:
        return f"The branch of block {block} adds nothing{why_f}; only its shortcut arrives."
    times = f"{figure(row['ratio'])} times as much as"
    way = _direction(row["cos"])
    if projection:
        return (
            f"Block {block} changes the shape of the stream, so its shortcut is a projection. "
            f"Its branch adds {times} the projection brings and points {way}{_cos(row)}."
        )
    what = "it receives" if gains[0] == 1 else "arrives on its shortcut"
    return f"Block {block} adds {times} {what} and points {way}{_cos(row)}."


def _direction(cos: float | None) -> str:
    """Words for an angle; the bounds are ours, the number stands beside them."""
    size = abs(cos or 0.0)
    if size < 0.05:
        return "almost at right angles to it"
    degree = "slightly" if size < 0.3 else "partly" if size < 0.7 else "mostly"
    return f"{degree} {'the same way' if (cos or 0.0) > 0 else 'against it'}"


def _cos(row: Mapping[str, Any]) -> str:
    # Not −0.00: a sign that the digits do not bear would say too much.
    return "" if row["cos"] is None else f" (cos {_two_digits(row['cos'])})"


def _two_digits(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def _cuts(
    cuts: Sequence[tuple[str, Mapping[str, Any]]], before: tuple[str, float] | None, rewired: bool
) -> str:
    was = f", {percent(before[1])} before" if before else ""
    start = "With your changes kept, cut" if rewired else "Cut"
    answers = [cut["answer"] for _, cut in cuts]
    changed = [cut["flips"] for _, cut in cuts]
    if len(cuts) == 2 and answers[0]["index"] == answers[1]["index"]:
        label = answers[0]["label"]
        chances = f"{_chance(answers[0])} without its branch, "
        chances += f"{_chance(answers[1])} without its shortcut"
        if changed[0]:
            return f"{start} either wire and this network answers “{label}” instead: {chances}."
        return f"{start} either wire and this network still answers “{label}”: {chances}{was}."
    clauses: list[str] = []
    for (wire, _), answer, flips in zip(cuts, answers, changed, strict=True):
        first = not clauses
        cut, who = (start, "this network") if first else ("cut", "it")
        verb, then = ("answers", "") if flips else ("still answers", was)
        said = f"“{answer['label']}” ({_chance(answer)}{then})"
        clauses.append(f"{cut} its {wire} and {who} {verb} {said}")
    return "; ".join(clauses) + "."


def _chance(answer: Mapping[str, Any]) -> str:
    """A first answer may still be an unlikely one: say so."""
    probability = answer["probability"]
    return f"only {percent(probability)}" if probability < 0.1 else percent(probability)
