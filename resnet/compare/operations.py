"""What each damage does to the pixels: uint8 [3, H, W], a strength above 0 -> the same shape.

Operations are torchvision's (transforms.v2.functional).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from resnet import lazy
from resnet.compare.base import Box

ops = lazy.module("torchvision.transforms.v2.functional")

FILL = (124, 116, 104)  # the mean colour of the weights: 0 for the network
NOISE = 0.5  # full: standard deviation, brightness 0..1
BLUR = 10.0  # full: standard deviation, pixels where the shorter side has BLUR_SIDE
BLUR_SIDE = 256
BRIGHT = 5.0  # full: factor
TURN = 180.0  # full: degrees, counter-clockwise


@dataclass(frozen=True)
class Extra:
    """What some damages need besides the picture and the strength."""

    seed: int
    box: Box | None = None  # pixels of the picture
    order: np.ndarray | None = None  # the picture's pixels, hottest first: flat indices


def noise(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Gaussian, of standard deviation NOISE * strength, cut off at black and white."""
    # ops.gaussian_noise draws from the one generator of the process: two visitors at a time would
    # get each other's noise.  The same field at every strength, so a sweep is one noise turned up.
    rng = torch.Generator().manual_seed(extra.seed)
    field = torch.randn(image.shape, generator=rng)
    noisy = ops.to_dtype(image, torch.float32, scale=True) + NOISE * strength * field
    return ops.to_dtype(noisy.clamp(0, 1), torch.uint8, scale=True)


def blurred(image: Tensor, sigma: float, radius: int | None = None) -> Tensor:
    """Gaussian blur of a float picture [..., 3, H, W], rows and columns one after the other.

    Args:
        sigma: pixels, > 0.
        radius: of the kernel, pixels; three sigma if None.
    """
    radius = math.ceil(3 * sigma) if radius is None else radius
    # Reflection at the edge needs a side longer than the radius.
    high, wide = (2 * min(radius, side - 1) + 1 for side in image.shape[-2:])
    rows = ops.gaussian_blur(image, [wide, 1], [sigma, sigma])
    return ops.gaussian_blur(rows, [1, high], [sigma, sigma])


def blur(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Gaussian, of standard deviation BLUR * strength where the shorter side is BLUR_SIDE."""
    sigma = BLUR * strength * min(image.shape[1:]) / BLUR_SIDE
    smooth = blurred(image.float(), sigma)
    return smooth.round().clamp(0, 255).to(torch.uint8)


def quality(strength: float) -> int:
    """100 ... 1, by equal factors: what is visible happens below 20."""
    return max(1, round(100 ** (1 - strength)))


def rotate(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Counter-clockwise about the middle, in the same frame."""
    fill = [float(value) for value in FILL]
    return ops.rotate(image, TURN * strength, ops.InterpolationMode.BILINEAR, fill=fill)


def cover(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """The box grows about its centre; its area is `strength` of the whole box."""
    assert extra.box is not None
    x0, y0, x1, y1 = extra.box
    half = math.sqrt(strength) / 2
    x, y, w, h = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) * half, (y1 - y0) * half
    left, right, top, bottom = (round(edge) for edge in (x - w, x + w, y - h, y + h))
    return ops.erase(image, top, left, bottom - top, right - left, _fill())


def _hide(image: Tensor, hidden: np.ndarray) -> Tensor:
    """Fill the pixels with these flat indices."""
    flat = image.flatten(1).clone()
    flat[:, torch.from_numpy(hidden)] = _fill().view(3, 1)
    return flat.view_as(image)


def hide_hottest(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """The first `strength` of all pixels in the order of heat."""
    assert extra.order is not None
    return _hide(image, extra.order[: round(strength * len(extra.order))])


def hide_rest(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """The last `strength` of all pixels in the order of heat."""
    assert extra.order is not None
    return _hide(image, extra.order[len(extra.order) - round(strength * len(extra.order)) :])


def _fill() -> Tensor:
    return torch.tensor(FILL, dtype=torch.uint8).view(3, 1, 1)


def jpeg(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Saved as JPEG and read again."""
    return ops.jpeg(image, quality(strength))


def darken(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Times 1 - strength."""
    return ops.adjust_brightness(image, 1 - strength)


def brighten(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Times 1 to BRIGHT, cut off at white."""
    return ops.adjust_brightness(image, 1 + (BRIGHT - 1) * strength)


def contrast(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Blended with the mean grey."""
    return ops.adjust_contrast(image, 1 - strength)


def flip(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Left and right exchanged, at any strength."""
    return ops.horizontal_flip(image)


def grey(image: Tensor, strength: float, extra: Extra) -> Tensor:
    """Blended with its own brightness."""
    return ops.adjust_saturation(image, 1 - strength)
