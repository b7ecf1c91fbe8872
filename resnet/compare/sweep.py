"""One damage from nothing to full: how long does the answer hold?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from resnet.cam import HeatMap
from resnet.classify import Prediction, top
from resnet.compare.base import (
    BATCH,
    NO_LOCK,
    Cancelled,
    CompareError,
    Lock,
    Progress,
    forward,
    in_batches,
    never,
    percent,
)
from resnet.compare.damage import DAMAGES, copies
from resnet.images import Photo
from resnet.network import ResNet50
from resnet.residual.plain import plain
from resnet.residual.plan import Plan
from resnet.view import look, to_tensor


@dataclass(frozen=True)
class SweepStep:
    """The answer at one strength."""

    strength: float  # 0..1
    parameter: str  # the strength in words
    probability: float  # of the followed class, 0..1
    rank: int  # of the followed class, 1 = the answer
    answer: Prediction
    flips: bool  # the answer is another than at strength 0


@dataclass(frozen=True)
class Sweep:
    """One damage of one photo, weakest first."""

    damage: str  # a key of DAMAGES
    title: str
    unit: str
    seed: int
    index: int  # the followed class
    label: str
    rows: tuple[SweepStep, ...]
    flip: int | None  # the first row with another answer; None: it holds
    area: float  # mean probability of the followed class over all strengths (trapezia), 0..1
    seconds: float
    complete: bool  # False if it was cancelled; the rows measured until then are kept

    @property
    def sentence(self) -> str:
        """Until where the answer holds, and what comes after."""
        if not self.rows:
            return "Nothing was measured."
        first, last = self.rows[0], self.rows[-1]
        name = first.answer.label
        if self.flip is None:
            text = f"“{name}” stays the answer at every strength, up to {last.parameter}"
        else:
            row, before = self.rows[self.flip], self.rows[self.flip - 1]
            held = f"is the answer up to {before.parameter}" if self.flip > 1 else "does not hold"
            text = f"“{name}” {held}; at {row.parameter} it becomes “{row.answer.label}”"
            back = [r for r in self.rows[self.flip :] if not r.flips]
            if back:
                text += f", and at {back[0].parameter} it is “{name}” again"
        ends = f"{percent(first.probability)} to {percent(last.probability)}"
        text += f". The probability of “{self.label}” goes from {ends}."
        return text if self.complete else f"{text} The sweep was stopped early."

    def to_dict(self) -> dict:
        return plain(self) | {"sentence": self.sentence}


def sweep(
    net: ResNet50,
    photo: Photo,
    name: str,
    steps: int = 12,
    seed: int = 0,
    box: Sequence[float] | None = None,
    heat: HeatMap | np.ndarray | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled = never,
    *,
    index: int | None = None,
    plan: Plan | None = None,
    batch: int = BATCH,
    lock: Lock = NO_LOCK,
) -> Sweep:
    """Damage a photo at evenly spaced strengths and ask the network about each copy.

    The copies are made as their batch is due, and no activation is kept, so memory does not grow
    with the steps.  `damaged(photo, net.spec, name, row.strength, …)` gives any row's photo.

    Args:
        steps: strengths, 0 and full included, 2..100; an on/off damage has these two only.
        seed, box, heat: as `damaged`.
        progress: called with (strengths measured, strengths in all).
        cancelled: asked before each batch.
        index: class to follow; the answer at strength 0 if None.
        plan: of a changed network; as trained if None.
        batch: copies at once.
        lock: held during each pass.

    Raises:
        CompareError: as `damaged`, or steps out of range.
    """
    if not 2 <= steps <= 100:
        raise CompareError("A sweep has 2 to 100 steps.")
    started = time.perf_counter()

    def views(strengths: Sequence[float]) -> Iterator[Tensor]:
        for copy in copies(photo, net.spec, name, strengths, seed, box, heat):
            yield to_tensor(look(copy, net.spec).image, net.spec)

    switch = name in DAMAGES and DAMAGES[name].switch
    strengths = [k / (steps - 1) for k in range(steps)] if not switch else [0.0, 1.0]
    logits: list[Tensor] = []
    for x in in_batches(views(strengths), batch):
        if cancelled():
            break
        logits += forward(net, x, plan, lock)
        if progress:
            progress(len(logits), len(strengths))
    rows, followed = _rows(net, name, strengths, logits, index)
    values = [row.probability for row in rows]
    return Sweep(
        damage=name,
        title=DAMAGES[name].title,
        unit=DAMAGES[name].unit,
        seed=seed,
        index=followed,
        label=net.labels[followed] if rows or index is not None else "",
        rows=rows,
        flip=next((k for k, row in enumerate(rows) if row.flips), None),
        area=float(np.trapezoid(values, strengths[: len(rows)])) if rows else 0.0,
        seconds=time.perf_counter() - started,
        complete=len(rows) == len(strengths),
    )


def _rows(
    net: ResNet50, name: str, strengths: list[float], logits: list[Tensor], index: int | None
) -> tuple[tuple[SweepStep, ...], int]:
    rows: list[SweepStep] = []
    with torch.inference_mode():
        for strength, scores in zip(strengths, logits, strict=False):
            probabilities = scores.softmax(0)
            answer = top(probabilities, net.labels, 1)[0]
            index = answer.index if index is None else index
            rows.append(
                SweepStep(
                    strength=strength,
                    parameter=DAMAGES[name].parameter(strength),
                    probability=float(probabilities[index]),
                    # By logits: far from the answer many probabilities are the same 0 in float32.
                    rank=1 + int((scores > scores[index]).sum()),
                    answer=answer,
                    flips=bool(rows) and answer.index != rows[0].answer.index,
                )
            )
    return tuple(rows), 0 if index is None else index
