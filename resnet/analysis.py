"""Everything known about one photo after one forward pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from resnet import cam, classify, view
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
    def blocks(self) -> dict[str, Wires]:
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
