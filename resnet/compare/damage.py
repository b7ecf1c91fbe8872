"""Seeded damages of a photo with one strength each, 0 (identical pixels) to 1 (full).

A photo is damaged as the network is about to see it: upright, its shorter side scaled to the
weights' resize (`scene`).  So a strength means the same for a phone's photo and a thumbnail, and
what lies outside the crop is damaged too.  Only the two that follow a heat map act on the crop
alone, where the map is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet.cam import HeatMap
from resnet.compare import operations as do
from resnet.compare.base import CompareError, check_box, percent
from resnet.compare.ranking import hottest_first
from resnet.images import Photo
from resnet.view import look
from resnet.weights import WeightSet


@dataclass(frozen=True)
class Damage:
    """One way to damage a photo, described for the people who pick it."""

    title: str
    note: str  # one line
    unit: str  # of the strength's meaning
    parameter: Callable[[float], str]  # a strength 0..1 in words
    run: Callable[[Tensor, float, do.Extra], Tensor]  # uint8 [3, H, W], strength > 0 -> the same
    needs: Literal["", "box", "heat"] = ""
    switch: bool = False  # on or off: every strength above 0 is full


DAMAGES: dict[str, Damage] = {
    "noise": Damage(
        "Gaussian noise",
        "Each pixel and colour brighter or darker by chance.",
        "σ in levels of 255",
        lambda s: f"σ = {255 * do.NOISE * s:.0f} of 255",
        do.noise,
    ),
    "blur": Damage(
        "Blur",
        "Gaussian blur.",
        f"σ in pixels of a shorter side of {do.BLUR_SIDE}",
        lambda s: f"σ = {do.BLUR * s:.1f} px",
        do.blur,
    ),
    "jpeg": Damage(
        "JPEG",
        "Saved as JPEG at a lower and lower quality.",
        "quality 100 … 1",
        lambda s: f"quality {do.quality(s)}" if s else "not saved again",
        do.jpeg,
    ),
    "darken": Damage(
        "Brightness: darker",
        "All values multiplied, down to black.",
        "factor 1 … 0",
        lambda s: f"× {1 - s:.2f}",
        do.darken,
    ),
    "brighten": Damage(
        "Brightness: brighter",
        "All values multiplied and cut off at white.",
        f"factor 1 … {do.BRIGHT:g}",
        lambda s: f"× {1 + (do.BRIGHT - 1) * s:.2f}",
        do.brighten,
    ),
    "contrast": Damage(
        "Contrast",
        "Faded towards the mean brightness, down to flat grey.",
        "factor 1 … 0",
        lambda s: f"× {1 - s:.2f}",
        do.contrast,
    ),
    "rotate": Damage(
        "Rotation",
        "Turned counter-clockwise about the middle; corners get the mean colour.",
        f"degrees 0 … {do.TURN:g}",
        lambda s: f"{do.TURN * s:.0f}°",
        do.rotate,
    ),
    "flip": Damage(
        "Flip",
        "Left and right exchanged; on or off.",
        "off / on",
        lambda s: "flipped" if s else "as it is",
        do.flip,
        switch=True,
    ),
    "grey": Damage(
        "Grey",
        "Colours faded until only brightness is left.",
        "share of the colour taken away",
        lambda s: f"{percent(s)} grey",
        do.grey,
    ),
    "box": Damage(
        "Cover a box",
        "The box you draw is covered with the mean colour, from its centre on.",
        "share of the box that is covered",
        lambda s: f"{percent(s)} of the box covered",
        do.cover,
        needs="box",
    ),
    "hottest": Damage(
        "Cover the hottest part",
        "What the heat map highlights is covered first (deletion).",
        "share of the view that is covered",
        lambda s: f"{percent(s)} covered, the hottest first",
        do.hide_hottest,
        needs="heat",
    ),
    "rest": Damage(
        "Cover everything else",
        "What the heat map highlights least is covered first; the hottest stays (insertion).",
        "share of the view that is covered",
        lambda s: f"{percent(1 - s)} left, the hottest",
        do.hide_rest,
        needs="heat",
    ),
}


def apply(
    image: Image.Image,
    name: str,
    strength: float,
    seed: int = 0,
    box: Sequence[float] | None = None,
    heat: np.ndarray | None = None,
) -> Image.Image:
    """Damage a picture of any size; the same arguments give the same pixels.

    Args:
        image: RGB.
        name: a key of DAMAGES.
        strength: 0 (a copy) to 1 (full).
        seed: of the noise, a whole number; the others have no chance in them.
        box: for "box": two corners x, y, x, y in pixels of this picture.
        heat: for "hottest" and "rest": float [h, w] over this picture, on a grid of any size.

    Raises:
        CompareError: no such damage, a strength outside 0..1, or the box or map is missing.
    """
    damage = _checked(name, [strength], box, heat)
    corners = check_box(box, image.size) if box is not None and damage.needs == "box" else None
    order = hottest_first(heat, image.size) if heat is not None and damage.needs == "heat" else None
    return _apply(image, damage, strength, do.Extra(int(seed) % 2**63, corners, order))


def scene(photo: Photo, spec: WeightSet) -> Image.Image:
    """The whole upright photo scaled as `resnet.view.look` scales it, before the crop."""
    width, height = photo.image.size
    if width <= height:
        size = (spec.resize, int(spec.resize * height / width))
    else:
        size = (int(spec.resize * width / height), spec.resize)
    return photo.image.resize(size, Image.Resampling[spec.interpolation.upper()])


def damaged(
    photo: Photo,
    spec: WeightSet,
    name: str,
    strength: float,
    seed: int = 0,
    box: Sequence[float] | None = None,
    heat: HeatMap | np.ndarray | None = None,
) -> Photo:
    """A photo's damaged copy, for the network whose weights `spec` belongs to.

    Its `size` is still the photo's, so boxes and views are in the same pixels; its image is the
    damaged `scene`.  At strength 0 the network's view is the photo's own, bit for bit.

    Args:
        box: two corners x, y, x, y in pixels of the photo (`photo.size`).
        heat: a heat map over the photo's view, or its grid.

    Raises:
        CompareError: as `apply`.
    """
    return next(copies(photo, spec, name, [strength], seed, box, heat))


def copies(
    photo: Photo,
    spec: WeightSet,
    name: str,
    strengths: Sequence[float],
    seed: int = 0,
    box: Sequence[float] | None = None,
    heat: HeatMap | np.ndarray | None = None,
) -> Iterator[Photo]:
    """`damaged` at several strengths; each copy is made when it is asked for.

    Raises:
        CompareError: as `apply`, at the first copy.
    """
    damage = _checked(name, strengths, box, heat)
    whole = scene(photo, spec)
    fx, fy = whole.width / photo.size[0], whole.height / photo.size[1]
    corners, order, seen, corner = None, None, None, (0, 0)
    if box is not None and damage.needs == "box":
        x0, y0, x1, y1 = check_box(box, photo.size)
        corners = (x0 * fx, y0 * fy, x1 * fx, y1 * fy)
    if heat is not None and damage.needs == "heat":
        view = look(photo, spec)
        seen, corner = view.image, (round(view.box[0] * fx), round(view.box[1] * fy))
        order = hottest_first(heat.grid if isinstance(heat, HeatMap) else heat, seen.size)
    extra = do.Extra(int(seed) % 2**63, corners, order)
    for strength in strengths:
        if seen is None:
            image = _apply(whole, damage, strength, extra)
        else:
            image = whole.copy()
            image.paste(_apply(seen, damage, strength, extra), corner)
        yield _photo(photo, image, damage, strength)


def _apply(image: Image.Image, damage: Damage, strength: float, extra: do.Extra) -> Image.Image:
    if strength == 0:
        return image.copy()
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
    with torch.inference_mode():
        done = damage.run(pixels, 1.0 if damage.switch else float(strength), extra)
    return Image.fromarray(done.permute(1, 2, 0).contiguous().numpy())


def _photo(photo: Photo, image: Image.Image, damage: Damage, strength: float) -> Photo:
    digest = hashlib.sha256(f"RGB {photo.size} {image.size}".encode() + image.tobytes())
    notes = (f"Damaged: {damage.title}, {damage.parameter(strength)}.",) if strength else ()
    return Photo(image, photo.size, photo.format, photo.notes + notes, digest.hexdigest())


def _checked(name: str, strengths: Sequence[float], box: object, heat: object) -> Damage:
    if name not in DAMAGES:
        raise CompareError(f"There is no damage “{name}”. Use one of {', '.join(DAMAGES)}.")
    damage = DAMAGES[name]
    for strength in strengths:
        if not 0 <= strength <= 1:  # also refuses NaN
            raise CompareError(f"A strength runs from 0 to 1, not {strength}.")
    if damage.needs == "box" and box is None:
        raise CompareError("Draw the box that is to be covered first.")
    if damage.needs == "heat" and heat is None:
        raise CompareError(f"“{damage.title}” needs a heat map of the photo.")
    return damage
