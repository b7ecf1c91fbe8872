"""Deletion and insertion curves of one heat map; see `resnet.compare.measures`."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from PIL import Image

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare.base import (
    BATCH,
    NO_LOCK,
    Cancelled,
    CompareError,
    Lock,
    Progress,
    never,
)
from resnet.compare.measures import STEPS, Curve, Kind, Stopped, curve_of, subject
from resnet.compare.ranking import hottest_first
from resnet.residual.plain import plain


@dataclass(frozen=True)
class Faithfulness:
    """Both curves of one heat map."""

    method: str
    block: str
    index: int  # of the class followed
    label: str
    deletion: Curve | None  # None: cancelled before
    insertion: Curve | None
    seconds: float
    complete: bool

    @property
    def sentence(self) -> str:
        """Both areas in words."""
        if self.deletion is None or self.insertion is None:
            return "The measurement was stopped early."
        title = cam.METHODS[self.method].title if self.method in cam.METHODS else self.method
        return (
            f"Taking away what {title} highlights first leaves “{self.label}” a mean probability "
            f"of {self.deletion.auc:.2f} (deletion AUC, lower is better); showing it first gives "
            f"{self.insertion.auc:.2f} (insertion AUC, higher is better)."
        )

    def to_dict(self) -> dict:
        return plain(self) | {"sentence": self.sentence}


def curves(
    analysis: Analysis,
    heat: cam.HeatMap,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress | None = None,
    cancelled: Cancelled = never,
    batch: int = BATCH,
    lock: Lock = NO_LOCK,
) -> Faithfulness:
    """Deletion and insertion of one heat map; 2 (steps + 1) views through the network.

    Args:
        heat: of this analysis; its class is followed.
        steps: into which the view's pixels are divided, 2..1000.
        seed: decides between pixels of the same heat, see `hottest_first`.
        progress: called with (views done, views in all).
        cancelled: asked between batches; a curve that is not finished is left out.
        lock: held during each pass.

    Raises:
        CompareError: steps out of range.
    """
    check_steps(steps)
    started = time.perf_counter()
    what = subject(analysis, heat.index, lock)
    order = hottest_first(heat.grid, what.size, seed)
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, 2 * (steps + 1))
        if cancelled():
            raise Stopped

    found: dict[str, Curve | None] = {"deletion": None, "insertion": None}
    try:
        for kind in found:
            found[kind] = curve_of(what, order, kind, steps, batch, tick)  # type: ignore[arg-type]
    except Stopped:
        pass
    label, seconds = analysis.net.labels[heat.index], time.perf_counter() - started
    complete = None not in found.values()
    return Faithfulness(
        heat.method, heat.block, heat.index, label, **found, seconds=seconds, complete=complete
    )


def picture_at(
    analysis: Analysis, heat: cam.HeatMap, kind: Kind, share: float, seed: int = 0
) -> Image.Image:
    """The view at one point of a curve, as a picture.

    Args:
        share: of the view's pixels taken away or shown, 0..1.
    """
    what = subject(analysis, heat.index)
    places = what.places(hottest_first(heat.grid, what.size, seed))
    x = what.at(kind, places, share)[0] * what.std + what.mean
    pixels = (255 * x).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def check_steps(steps: int) -> None:
    """Raises CompareError unless 2 <= steps <= 1000."""
    if not 2 <= steps <= 1000:
        raise CompareError("The curves have 2 to 1000 steps.")
