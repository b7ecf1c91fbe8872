"""Everything known about one photo after one forward pass."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from torch import Tensor

from resnet import cam, classify, residual, view
from resnet.images import Photo
from resnet.network import ResNet50, Trace, Wires


@dataclass(frozen=True)
class Analysis:
    """One photo, seen by one network, once.  Everything else is worked out from the trace."""

    net: ResNet50
    photo: Photo
    view: view.View
    trace: Trace
    seconds: float  # preparing the photo and the forward pass

    @cached_property
    def probabilities(self) -> Tensor:
        """Softmax over all classes, float32 [classes]."""
        return self.trace.logits[0].softmax(0).cpu()

    @property
    def blocks(self) -> Mapping[str, Wires]:
        """`blocks["3.2"].shortcut`, `.branch`, `.output`: each [1, C, H, W]."""
        return self.trace.blocks

    def top(self, k: int = 5) -> list[classify.Prediction]:
        """The k most probable classes; each unpacks as `label, probability`."""
        return classify.top(self.probabilities, self.net.labels, k)

    def find(self, wanted: classify.ClassLike | None) -> int:
        """Class index from a name or index; the answer's own class if None.

        Raises:
            classify.UnknownClass: nothing fits, or several do.
        """
        if wanted is None:
            return self.top(1)[0].index
        return classify.find_class(wanted, self.net.labels)

    def cam(
        self,
        wanted: classify.ClassLike | None = None,
        method: str = "gradcam",
        block: str | None = None,
        progress: cam.Progress | None = None,
    ) -> cam.HeatMap:
        """The heat map on its block's own grid, in the method's raw units; see `cam.heatmap`."""
        return cam.heatmap(self.net, self.trace, self.find(wanted), method, block, progress)

    def heatmap(
        self,
        wanted: classify.ClassLike | None = None,
        method: str = "gradcam",
        block: str | None = None,
        smooth: bool = True,
        size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """The heat map on the photo's own pixels.

        Args:
            wanted: class name or index; the network's answer if None.
            method: a key of `cam.METHODS`.
            block: "1.0" ... "4.2"; the last if None.
            smooth: interpolate between the grid's cells; False shows their bare squares.
            size: (width, height) of the map if not the photo's own.

        Returns:
            float32 [height, width] of the upright photo: 0..1, or -1..1 for the signed CAM.
            Outside the crop that the network saw (`view.box`) it is 0.

        Raises:
            classify.UnknownClass, cam.CamError: with a sentence for the user.
        """
        found = self.cam(wanted, method, block)
        return place(found.scaled, self.view, size or self.photo.size, smooth)

    def budget(self) -> residual.Budget:
        """Per block the three signed shares of ||S + F||^2, ratios and angles; no pass needed."""
        return residual.signal_budget(self.trace)

    def evidence(self, wanted: classify.ClassLike | None = None) -> residual.Evidence:
        """What each wire carried for a class: logits, and float32 [h, w] a wire; one backward pass.

        Args:
            wanted: class name or index; the network's answer if None.

        Raises:
            classify.UnknownClass: with a sentence for the user.
        """
        return residual.evidence(self.net, self.trace, self.find(wanted))

    def ledger(
        self,
        wanted: classify.ClassLike | None = None,
        against: classify.ClassLike | None = None,
    ) -> residual.Ledger:
        """The exact split of a class logit into what each part of the last stage wrote.

        Args:
            wanted: class name or index; the network's answer if None.
            against: None for the logit itself, "mean" for its lead over the mean of all classes,
                a class name or index for its lead over that class.

        Raises:
            classify.UnknownClass: with a sentence for the user.
        """
        index = self.find(wanted)
        if against is None:
            return residual.logit_ledger(self.net, self.trace, index)
        other: Literal["mean"] | int = "mean" if against == "mean" else self.find(against)
        return residual.logit_ledger(self.net, self.trace, index, other)

    def lesions(self, wanted: classify.ClassLike | None = None) -> residual.LesionBoard:
        """Every wire cut, one at a time: a row a cut, two a block; less than 16 forward passes.

        Args:
            wanted: class whose probability (0..1) is followed; the network's answer if None.

        Raises:
            classify.UnknownClass: with a sentence for the user.
        """
        return residual.lesions(self.net, self.trace, self.find(wanted))

    def readouts(self, wanted: classify.ClassLike | None = None) -> residual.Timeline:
        """The answer if, from each block on, only the shortcuts carry the signal.

        Args:
            wanted: class whose probability (0..1) is followed; the network's answer if None.

        Raises:
            classify.UnknownClass: with a sentence for the user.
        """
        return residual.shortcut_readouts(self.net, self.trace, self.find(wanted))

    def with_gains(self, gains: residual.Gains | Sequence[Sequence[float]]) -> Analysis:
        """The same photo with wires turned up or down, run from the first change on.

        Args:
            gains: `{("3.2", "branch"): 0.0}`, 0..2, the whole setting: wires left out are at 1;
                or an array [blocks, 2] of (shortcut, branch).

        Returns:
            This very analysis if nothing changes.

        Raises:
            residual.PlanError: no such block or wire, or a gain out of range.
        """
        from resnet.residual.rewired import with_gains  # it stands above this module

        return with_gains(self, gains)


def place(
    grid: np.ndarray, seen: view.View, size: tuple[int, int], smooth: bool = True
) -> np.ndarray:
    """A grid over the crop -> float32 [height, width] over the whole photo, 0 outside the crop.

    Args:
        size: (width, height) wanted; the photo's own, or smaller for display.
    """
    width, height = size
    fx, fy = width / seen.size[0], height / seen.size[1]
    x0, y0, x1, y1 = (round(edge * f) for edge, f in zip(seen.box, (fx, fy, fx, fy), strict=True))
    whole = np.zeros((height, width), np.float32)
    patch = cam.enlarge(grid, (max(1, x1 - x0), max(1, y1 - y0)), smooth)
    # A crop larger than the photo (resize smaller than crop) hangs over; keep what is inside.
    left, top, right, bottom = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    whole[top:bottom, left:right] = patch[top - y0 : bottom - y0, left - x0 : right - x0]
    return whole


def analyze(net: ResNet50, photo: Photo) -> Analysis:
    """Crop, normalise, run the trunk once."""
    started = time.perf_counter()
    seen = view.look(photo, net.spec)
    trace = net.trace(view.to_tensor(seen.image, net.spec))
    return Analysis(net, photo, seen, trace, time.perf_counter() - started)
