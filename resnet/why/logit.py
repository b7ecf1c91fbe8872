"""The class logit behind one box, and its slope at the trunk's streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from resnet.detectors.run import stages
from resnet.detectors.sighting import Sighting, Streams


@dataclass(frozen=True, eq=False)
class Slope:
    """y and dy/dA at the streams A that the head reads; each [1, C, h, w], float32."""

    logit: float  # y, of the box's class
    streams: Streams
    gradient: Streams  # through the head only: the other streams are held as they are


def slope(sighting: Sighting, i: int, streams: Streams | None = None) -> Slope:
    """Differentiate one detection's class logit through the head, once.

    Args:
        i: the detection's place in `sighting.found`; `Detections.index` of a filtered copy.
        streams: where to differentiate; the sighting's own if None.

    Raises:
        IndexError: there is no such detection.
    """
    require(sighting, i)
    detector = sighting.detector
    # The pass was made in inference mode; autograd needs ordinary tensors.
    with torch.inference_mode(False), torch.enable_grad(), float32(sighting):
        inputs = {
            stage: stream.detach().float().clone().requires_grad_(True)
            for stage, stream in (streams or sighting.streams).items()
        }
        x, row = sighting.input.float().clone(), _ordinary(sighting.rows[i])
        y = detector.target(inputs, x, row)
        found = torch.autograd.grad(y, list(inputs.values()), allow_unused=True)
    gradient = {s: g for s, g in zip(inputs, found, strict=True) if g is not None}
    return Slope(float(y.detach()), {stage: inputs[stage].detach() for stage in gradient}, gradient)


def require(sighting: Sighting, i: int) -> None:
    """Raises IndexError unless the detector found a box number i, from 0."""
    if not 0 <= i < len(sighting.found):
        raise IndexError(f"There is no box {i}; {len(sighting.found)} were found.")


def exact_streams(sighting: Sighting) -> Streams:
    """The streams in float32: the sighting's, or from another pass if that was less precise."""
    trunk = sighting.detector.trunk
    if trunk.precision == "fp32":
        return sighting.streams
    with torch.inference_mode(), float32(sighting):
        return stages(trunk, sighting.input.float())


def float32(sighting: Sighting) -> torch.autocast:
    """Figures are float32 whatever the caller's context is."""
    return torch.autocast(sighting.detector.trunk.device.type, enabled=False)


def _ordinary(row: Any) -> Any:
    """A detection's row, its tensors usable by autograd."""
    if isinstance(row, Tensor):
        return row.clone()
    if isinstance(row, tuple | list):
        return type(row)(_ordinary(item) for item in row)
    return row
