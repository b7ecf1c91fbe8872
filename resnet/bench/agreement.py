"""Reduced precision against float32: how often the same answer, how far apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from resnet import view
from resnet.backends import Backend, Eager
from resnet.bench.subjects import Subjects
from resnet.images import read_photo
from resnet.weights import ASSETS

SHARES = (1.0, 0.8, 0.6)  # sides of a part, of the photo's sides


@dataclass(frozen=True)
class Agreement:
    """One way of running the network against the ordinary pass in float32."""

    way: str
    photos: int
    same: int  # with the same most probable class
    difference: float  # the largest of any probability
    margin: float  # largest lead, in probability, of an answer that another one took over


def agreement(on: Subjects, most: int) -> list[Agreement]:
    """Every precision of this machine over the first `most` parts of the example photos."""
    inputs = [x for x, _ in zip(parts(on), range(most), strict=False)]
    exact = _probabilities(Eager(on.net), inputs)
    ways = [way for _, way in on.ways()]
    ways += [Eager(on.net, "bf16")]  # by autocast: any processor can, few do it fast
    return [_against(exact, _probabilities(way, inputs), way) for way in ways]


def parts(on: Subjects) -> Iterator[Tensor]:
    """The example photos whole, then their middles, then corners; the network's inputs."""
    photos = []
    for path in sorted((ASSETS / "examples").glob("*.jpg")):
        with Image.open(path) as image:
            photos.append(image.convert("RGB"))
    for share in SHARES:
        for corner in (0.5, 0.0, 1.0) if share < 1 else (0.0,):
            for photo in photos:
                width, height = (int(share * side) for side in photo.size)
                left, top = (round(corner * (1 - share) * side) for side in photo.size)
                part = photo.crop((left, top, left + width, top + height))
                seen = view.look(read_photo(part), on.net.spec)
                yield view.to_tensor(seen.image, on.net.spec)


def _probabilities(way: Backend, inputs: list[Tensor]) -> Tensor:
    """[photos, classes]"""
    return torch.cat([way.logits(x) for x in inputs]).softmax(1)


def _against(exact: Tensor, found: Tensor, way: Backend) -> Agreement:
    same = exact.argmax(1) == found.argmax(1)
    best = exact.topk(2, 1).values
    lead = (best[:, 0] - best[:, 1])[~same]
    return Agreement(
        f"{way.name} {way.precision}", len(exact), int(same.sum()),
        float((exact - found).abs().max()), float(lead.max()) if len(lead) else 0.0,
    )  # fmt: skip
