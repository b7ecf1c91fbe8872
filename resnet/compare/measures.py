"""How well does a heat map say what the answer rests on?  Four measures, on one photo.

- Deletion and insertion (Petsiuk et al. 2018, RISE, 1806.07421, section 4.1): take the pixels
  away hottest first, or show them hottest first, and follow the class's probability; AUC is the
  area below it over the share of pixels, by trapezia.  A faithful map has a low deletion AUC and a
  high insertion AUC.  Deleted pixels get the weights' mean colour (0 for the network); insertion
  starts from the photo blurred by a Gaussian with sigma = 10 pixels, not RISE's 5: that left many
  photos readable.
- Average drop and increase in confidence (Chattopadhay et al. 2018, Grad-CAM++, 1710.11063,
  section 4.1): the photo times the map scaled to 0..1, so cold parts fade to the mean colour;
  drop = max(0, Y - O) / Y, and whether O > Y.
- ROAD (Rong et al. 2022, 2202.00449): as deletion, but removed pixels are filled in from their
  neighbours, so that the mask's shape gives nothing away; (mean over percentiles with the least
  relevant removed - mean with the most relevant removed) / 2.  Higher is better.

They measure the order in which a map puts the pixels of *this* photo, with this network and these
fillings; another filling gives other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare.base import BATCH, NO_LOCK, Lock, forward, in_batches
from resnet.compare.fill import filled
from resnet.compare.operations import blurred
from resnet.compare.ranking import ranks
from resnet.residual.gains import plan_of
from resnet.view import to_tensor

Kind = Literal["deletion", "insertion"]
Score = Callable[[Tensor], Tensor]  # normalised views [n, 3, H, W] -> one number each, [n]
Tick = Callable[[int], None]  # so many views more are done; raises Stopped to end the work

STEPS = 24
SIGMA, RADIUS = 10.0, 30  # of insertion's blur, pixels of the view
PERCENTILES = (20, 40, 60, 80)  # of ROAD: the package's nine take twice as long


class Stopped(Exception):
    """Somebody cancelled."""


@dataclass(frozen=True)
class Curve:
    """One class's probability while pixels are taken away or shown."""

    kind: Kind
    shares: tuple[float, ...]  # of the view's pixels, 0..1, taken away or shown
    probabilities: tuple[float, ...]  # 0..1
    auc: float  # 0..1


@dataclass(frozen=True, eq=False)
class Subject:
    """What the measures need of an analysis: its view, its class, its network as a function."""

    view: Tensor  # normalised [1, 3, H, W]
    blur: Tensor  # the same, blurred
    score: Score  # the class's probability
    mean: Tensor  # [3, 1, 1] of the weights, of RGB in 0..1
    std: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.view.shape[3], self.view.shape[2]

    @property
    def pixels(self) -> Tensor:
        """The view as it was before it was normalised, [3, H, W], 0..1."""
        return (self.view[0] * self.std + self.mean).clamp(0, 1)

    def ends(self, kind: Kind) -> tuple[Tensor, Tensor]:
        """What the view is at share 0 and at share 1, normalised [1, 3, H, W] each."""
        if kind == "deletion":
            return self.view, torch.zeros_like(self.view)
        return self.blur, self.view

    def at(self, kind: Kind, places: Tensor, share: float) -> Tensor:
        """The view with a share of its pixels taken away or shown.

        Args:
            places: [H, W], each pixel's place in the order of heat, 0 for the first.
        """
        start, end = self.ends(kind)
        return torch.where(places < round(share * places.numel()), end, start)

    def places(self, order: np.ndarray) -> Tensor:
        """An order of flat pixel indices -> each pixel's place in it, int64 [H, W]."""
        return torch.from_numpy(ranks(order)).view(self.view.shape[2:])


def subject(analysis: Analysis, index: int, lock: Lock = NO_LOCK) -> Subject:
    """Of one class; of the changed network where the analysis is of one.

    Args:
        lock: held during each pass.
    """
    net, plan = analysis.net, plan_of(analysis.trace)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (net.spec.mean, net.spec.std))
    view = to_tensor(analysis.view.image, net.spec)

    def score(x: Tensor) -> Tensor:
        return forward(net, x, plan, lock).softmax(1)[:, index]

    return Subject(view, blurred(view, SIGMA, RADIUS), score, mean, std)


def curve_of(
    what: Subject,
    order: np.ndarray,
    kind: Kind,
    steps: int = STEPS,
    batch: int = BATCH,
    tick: Tick | None = None,
    ends: tuple[float, float] | None = None,
) -> Curve:
    """One curve.

    Args:
        order: pixels, hottest first, from `hottest_first`.
        ends: the probabilities at share 0 and 1 where known: no map changes them.
    """
    places = what.places(order)
    shares = [k / steps for k in range(steps + 1)]
    asked = shares[1:-1] if ends else shares

    views = (what.at(kind, places, share) for share in asked)
    values = scores_of(what.score, views, batch, tick)
    values = [ends[0], *values, ends[1]] if ends else values
    return Curve(kind, tuple(shares), tuple(values), auc(values))


def auc(values: Sequence[float]) -> float:
    """Area by trapezia below evenly spaced values over 0..1."""
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))


def ends_of(what: Subject) -> dict[Kind, tuple[float, float]]:
    """The first and last probability of both curves, which all maps of a photo share."""
    views = [what.view, what.blur, torch.zeros_like(what.view)]
    full, blur, empty = scores_of(what.score, views, len(views))
    return {"deletion": (full, empty), "insertion": (blur, full)}


def drop(what: Subject, heat: cam.HeatMap, before: float) -> tuple[float, bool]:
    """(drop, increase): relative loss of the probability, 0..1, and whether it rose.

    Args:
        before: the probability Y of the photo as it is.
    """
    mask = torch.from_numpy(cam.enlarge(np.maximum(heat.scaled, 0), what.size))
    after = scores_of(what.score, [what.view * mask], 1)[0]
    return (max(0.0, before - after) / before if before > 0 else 0.0), after > before


def road(
    what: Subject,
    order: np.ndarray,
    percentiles: Sequence[int] = PERCENTILES,
    batch: int = BATCH,
    tick: Tick | None = None,
) -> float:
    """ROAD, combined: -1..1, higher is better.

    The pixels are split by their place in the order: a map with many equal values would be removed
    all at once.  The noise of the paper's imputer is left out: one photo has one answer.

    Args:
        percentiles: at which pixels are split, 1..99.
    """
    places = what.places(order).numpy()
    last = places.size - 1

    def views() -> Iterator[Tensor]:
        for percentile in percentiles:
            # So many stay: the hottest as the least relevant go first, the coldest as the most do.
            kept = percentile / 100 * last
            for missing in (places >= kept, last - places >= kept):
                picture = filled(what.pixels, missing)
                yield ((picture.clamp(0, 1) - what.mean) / what.std)[None]

    values = scores_of(what.score, views(), batch, tick)
    return float(np.mean(values[::2]) - np.mean(values[1::2])) / 2


def scores_of(
    score: Score, views: Iterable[Tensor], batch: int, tick: Tick | None = None
) -> list[float]:
    """The score of each view [1, 3, H, W], in batches."""
    values: list[float] = []
    for x in in_batches(views, batch):
        values += score(x).tolist()
        if tick:
            tick(len(x))
    return values
