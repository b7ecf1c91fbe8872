"""Run a detector: trunk, head, decoding."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from resnet import device as devices
from resnet.detectors.fused import AnyTrunk, fast
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


def answer(detector: Detector, photo: Photo, look: int = 0) -> Answer:
    """Trunk and head over one photo, once.

    Args:
        look: which of the detector's looks, from 0.
    """
    started = time.perf_counter()
    device = detector.trunk.device
    with torch.inference_mode(), devices.autocast(device, detector.trunk.precision):
        x = detector.prepare(photo, look)
        streams = stages(fast(detector.trunk), x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        trunk = time.perf_counter() - started
        raw = detector.answer(streams, x)
    return Answer(x, streams, raw, time.perf_counter() - started, trunk)


def finish(detector: Detector, photo: Photo, made: Sequence[Answer], floor: float) -> Sighting:
    """The answers to all of the detector's looks, decoded.

    Args:
        made: in order, `detector.looks` of them.
        floor: what scores less is not kept, 0..1.
    """
    if len(made) == 1:
        return _decoded(detector, photo, made[0], floor)
    first, started = made[0], time.perf_counter()
    with torch.inference_mode():
        shapes = [(each.input.shape[2], each.input.shape[3]) for each in made]
        raw = detector.together([each.raw for each in made], shapes)
    whole = replace(
        first,
        raw=raw,
        seconds=sum(each.seconds for each in made) + time.perf_counter() - started,
        trunk_seconds=sum(each.trunk_seconds for each in made),
    )
    alone = _decoded(detector.one_look, photo, first, floor)
    return replace(_decoded(detector, photo, whole, floor), alone=alone)


def _decoded(detector: Detector, photo: Photo, made: Answer, floor: float) -> Sighting:
    started = time.perf_counter()
    with torch.inference_mode():
        found, rows = detector.decode(made.raw, made.input, photo.size, floor)
    seconds = made.seconds + time.perf_counter() - started
    found = replace(found, seconds=seconds, trunk_seconds=made.trunk_seconds)
    return Sighting(detector, photo, made.input, made.streams, found, rows)


def run(detector: Detector, photo: Photo, floor: float) -> Sighting:
    """All of a detector's looks at one photo.

    Args:
        floor: what scores less is not kept, 0..1.
    """
    made = [answer(detector, photo, look) for look in range(detector.looks)]
    return finish(detector, photo, made, floor)
