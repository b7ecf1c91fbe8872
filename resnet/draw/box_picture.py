"""Detection boxes over a photo, as a picture to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from resnet.draw.box_colours import colour_of, ink_on
from resnet.draw.box_labels import TALL, font, percent, place_tags, tag_width
from resnet.draw.boxes import SMALL, large_first
from resnet.draw.contact_sheet import with_caption
from resnet.draw.encode import shrink
from resnet.draw.mask_outline import mask_outlines

LETTERS = 12.0  # pixels …
RASTER_SIDE = 950  # … when the picture's longer side is shown as large as this; never smaller


def draw_boxes(
    image: Image.Image,
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float],
    *,
    longest: int = 1600,
    selected: int | None = None,
    masks: np.ndarray | None = None,
    caption: str | None = None,
) -> Image.Image:
    """The photo with its boxes as a picture to keep, RGB.

    Args:
        image: RGB; shrunk so that its longer side is at most `longest`, never enlarged.
        boxes, names, scores, masks: as `boxes_svg`, in pixels of `image`.
        selected: a row, drawn thicker.
        caption: a line under the photo, which grows by its height.
    """
    photo = shrink(image, longest).convert("RGB")
    drawn = photo.copy()
    unit = max(1.0, max(photo.size) / RASTER_SIDE)  # pixels of the picture to one of the layout
    if len(names):
        scaled = np.asarray(boxes, float).reshape(-1, 4) * (
            np.array(photo.size * 2) / (image.size * 2)
        )
        order = [row for row in large_first(scaled) if row != selected]
        order += [] if selected is None else [selected]
        for row in order if masks is not None else ():
            assert masks is not None
            _paint_mask(drawn, masks[row], colour_of(names[row]), unit)
        for row in order:
            _paint_box(drawn, scaled[row], colour_of(names[row]), unit, row == selected)
        _paint_tags(drawn, scaled, names, scores, unit, selected)
    return with_caption(drawn, caption, LETTERS * unit) if caption else drawn


def _paint_box(
    picture: Image.Image, box: np.ndarray, colour: str, unit: float, selected: bool
) -> None:
    """Halo and line of one box, on whole pixels and inside the picture."""
    small = min(box[2] - box[0], box[3] - box[1]) < SMALL * max(picture.size)
    line = max(1, round((4 if selected else 1.8 if small else 2.6) * unit))
    halo = max(1, round((1.6 if selected else 0.8) * unit))
    whole = line + 2 * halo
    x0, y0 = (max(0, round(float(edge) - whole / 2)) for edge in box[:2])
    x1, y1 = (
        min(side, round(float(edge) + whole / 2))
        for edge, side in zip(box[2:], picture.size, strict=True)
    )
    radius = round(3 * unit)
    for paint, inset, thick, share in ((ink_on(colour), 0, whole, 0.7), (colour, halo, line, 1)):
        wide, high = x1 - x0 - 2 * inset, y1 - y0 - 2 * inset
        if wide > 0 and high > 0:
            ring = _rounded(wide, high, radius)
            if wide > 2 * thick and high > 2 * thick:
                hole = _rounded(wide - 2 * thick, high - 2 * thick, max(0, radius - thick))
                ring.paste(0, (thick, thick), hole)
            picture.paste(paint, (x0 + inset, y0 + inset), _faded(ring, share))


def _rounded(wide: int, high: int, radius: int) -> Image.Image:
    """A filled rectangle with smooth round corners, L."""
    shape = Image.new("L", (wide, high), 255)
    radius = min(radius, wide // 2, high // 2)
    if radius < 1:
        return shape
    disc = Image.new("L", (8 * radius, 8 * radius), 0)
    ImageDraw.Draw(disc).ellipse((0, 0, 8 * radius - 1, 8 * radius - 1), fill=255)
    disc = disc.reduce(4)
    for left in (True, False):
        for top in (True, False):
            x, y = (0 if left else radius), (0 if top else radius)
            corner = disc.crop((x, y, x + radius, y + radius))
            shape.paste(corner, (0 if left else wide - radius, 0 if top else high - radius))
    return shape


def _faded(shape: Image.Image, share: float) -> Image.Image:
    return shape.point([round(share * value) for value in range(256)])


def _paint_mask(picture: Image.Image, mask: np.ndarray, colour: str, unit: float) -> None:
    """A translucent ground and a smooth edge."""
    soft = Image.fromarray(np.asarray(mask, np.uint8) * 255).resize(picture.size)
    picture.paste(colour, (0, 0), _faded(soft, 0.34))
    for line in mask_outlines(mask, *picture.size):
        _paint_line(picture, np.vstack((line, line[:1])), colour, 1.4 * unit)


def _paint_line(picture: Image.Image, points: np.ndarray, colour: str, thick: float) -> None:
    """A smooth line through points [n, 2], drawn four times as large and shrunk."""
    low = np.floor(points.min(0) - thick - 1).astype(int)
    wide, high = (np.ceil(points.max(0) + thick + 1).astype(int) - low).tolist()
    stroke = Image.new("L", (4 * wide, 4 * high), 0)
    way = [(float(x), float(y)) for x, y in (points - low) * 4]
    ImageDraw.Draw(stroke).line(way, fill=255, width=max(1, round(4 * thick)), joint="curve")
    picture.paste(colour, (int(low[0]), int(low[1])), stroke.reduce(4))


def _paint_tags(
    picture: Image.Image,
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float],
    unit: float,
    first: int | None,
) -> None:
    letters = LETTERS
    widths = [tag_width(n, s, letters) for n, s in zip(names, scores, strict=True)]
    room = (picture.width / unit, picture.height / unit)
    tags = place_tags(boxes / unit, widths, letters * TALL, room, scores, first).tags
    for name, tag in zip(names, tags, strict=True):
        if tag is not None and tag.leader is not None:
            ends = np.array(tag.leader).reshape(2, 2) * unit
            _paint_line(picture, ends, ink_on(colour_of(name)), 3 * unit)
            _paint_line(picture, ends, colour_of(name), 1.6 * unit)
    bold, plain = (font(kind, round(letters * unit)) for kind in ("-Bold", ""))
    pen = ImageDraw.Draw(picture)
    for name, score, tag in zip(names, scores, tags, strict=True):
        if tag is None:
            continue
        colour = colour_of(name)
        x0, y0, x1, y1 = (
            round(edge * unit) for edge in (tag.x, tag.y, tag.x + tag.width, tag.y + tag.height)
        )
        radius = round(3 * unit)
        edge = _rounded(x1 - x0, y1 - y0, radius)
        picture.paste(ink_on(colour), (x0, y0), _faded(edge, 0.6))
        rim = max(1, round(0.6 * unit))
        inner = _rounded(x1 - x0 - 2 * rim, y1 - y0 - 2 * rim, max(1, radius - rim))
        picture.paste(colour, (x0 + rim, y0 + rim), inner)
        said = f" {percent(score)}"
        text = bold.getlength(name) + plain.getlength(said)
        x, y = (x0 + x1 - text) / 2, (y0 + y1) / 2 + 0.36 * letters * unit
        pen.text((x, y), name, ink_on(colour), bold, anchor="ls")
        pen.text((x + bold.getlength(name), y), said, ink_on(colour), plain, anchor="ls")
