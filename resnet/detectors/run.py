"""Run a detector: trunk, head, decoding."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from resnet import device as devices
from resnet.detectors.packed import AnyTrunk, fast
from resnet.detectors.sighting import Detector, Sighting, Streams
from resnet.images import Photo


def stages(trunk: AnyTrunk, x: Tensor) -> Streams:
    """Input tensor [N, 3, H, W] -> the stream after each stage."""
    kept: Streams = {}
    x = trunk.stem(x)
    for name in trunk.block_names:
        x = trunk.block(name)(x)
        kept[name[0]] = x  # the stage's last block stays
    return kept


@dataclass(frozen=True, eq=False)
class Answer:
    """A pass before decoding.

    Attributes:
        input, streams: as in a `Sighting`.
        raw: what the head said, as `detector.decode` takes it.
        seconds: preparing the photo, trunk and head.
        trunk_seconds: of these, preparing and trunk.
    """

    input: Tensor
    streams: Streams
    raw: Any
    seconds: float
    trunk_seconds: float


def answer(detector: Detector, photo: Photo) -> Answer:
    """Trunk and head over one photo."""
    started = time.perf_counter()
    device = detector.trunk.device
    with torch.inference_mode(), devices.autocast(device, detector.trunk.precision):
        x = detector.prepare(photo)
        streams = stages(fast(detector.trunk), x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        trunk = time.perf_counter() - started
        raw = detector.answer(streams, x)
    return Answer(x, streams, raw, time.perf_counter() - started, trunk)


def run(detector: Detector, photo: Photo, floor: float) -> Sighting:
    """One pass over one photo.

    Args:
        floor: what scores less is not kept, 0..1.
    """
    made = answer(detector, photo)
    started = time.perf_counter()
    with torch.inference_mode():
        found, rows = detector.decode(made.raw, made.input, photo.size, floor)
    seconds = made.seconds + time.perf_counter() - started
    found = replace(found, seconds=seconds, trunk_seconds=made.trunk_seconds)
    return Sighting(detector, photo, made.input, made.streams, found, rows)
