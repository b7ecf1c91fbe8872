"""How the network looks at a photo: resize, centre crop, normalise — and the way back."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet.images import Photo
from resnet.weights import WeightSet

PhotoLike = str | os.PathLike | bytes | Image.Image | np.ndarray

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True)
class View:
    """The part of a photo that the network saw."""

    image: Image.Image  # RGB, crop x crop: exactly what went in
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 of the crop in the photo's own pixels
    size: tuple[int, int]  # width, height of the photo


def look(photo: Photo, spec: WeightSet) -> View:
    """Resize the shorter side, cut the centre square out (as torchvision's presets do)."""
    width, height = photo.image.size
    # torchvision.transforms.Resize: the longer side is truncated, not rounded.
    resized = (
        (spec.resize, int(spec.resize * height / width))
        if width <= height
        else (int(spec.resize * width / height), spec.resize)
    )
    image = photo.image.resize(resized, _RESAMPLE[spec.interpolation])
    left, top = (_crop_start(side, spec.crop) for side in resized)
    image = image.crop((left, top, left + spec.crop, top + spec.crop))
    # From the resized picture to the file's own pixels (the decoded one may be a draft of it).
    fx, fy = photo.size[0] / resized[0], photo.size[1] / resized[1]
    box = (left * fx, top * fy, (left + spec.crop) * fx, (top + spec.crop) * fy)
    return View(image, box, photo.size)


def _crop_start(side: int, crop: int) -> int:
    """Where torchvision's CenterCrop begins; negative where it pads with black."""
    return round((side - crop) / 2) if side >= crop else -((crop - side) // 2)


def to_tensor(image: Image.Image, spec: WeightSet) -> Tensor:
    """RGB image -> float32 [1, 3, H, W], normalised with the weights' mean and std."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255)  # [H, W, 3]
    pixels = (pixels - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    return pixels.permute(2, 0, 1).unsqueeze(0)
