"""Detection boxes over a photo: as a vector layer for the page, and as a picture to keep."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image, ImageDraw

from resnet.draw.box_colours import colour_of, ink_on
from resnet.draw.box_labels import (
    PAGE_FONT,
    SHOWN,
    TALL,
    Placed,
    fallback,
    font,
    percent,
    place_tags,
    plans_for,
    tag_width,
)
from resnet.draw.contact_sheet import with_caption
from resnet.draw.encode import image_uri, shrink

SIDE = 1000  # longer side of the layer's view box
PHOTO_SIDE = 1400  # pixels of the photo under it; sharp on a dense screen
SMALL = 0.05  # boxes with a side below this share of the picture's longer one get thin lines
EASY = 0.03  # a box is as easy to hit as one of this share of the longer side
LETTERS = 12.0  # in a picture to keep, pixels …
RASTER_SIDE = 950  # … when its longer side is shown as large as this; never smaller


def boxes_svg(
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float],
    size: tuple[int, int],
    *,
    selected: int | None = None,
    ids: Sequence[int] | None = None,
    masks: np.ndarray | None = None,
) -> str:
    """A layer to be laid over an `<img>` of the photo; boxes.css makes it live.

    Args:
        boxes: float [n, 4], x0, y0, x1, y1 in pixels of the photo, inside it.
        names: [n] class names, any text.
        scores: [n] 0..1.
        size: (width, height) of the photo, pixels.
        selected: the id of the box that is picked out, if any.
        ids: [n] `data-index` of each box; 0, 1, … if None.
        masks: bool [n, h, w], each over the whole photo on any grid, or None.
    """
    plans = plans_for(boxes, names, scores, size, _row(selected, ids, len(names)))
    return _layer(boxes, names, scores, size, selected, ids, masks, plans)


def boxes_figure(
    photo: Image.Image,
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float],
    caption: str = "",
    *,
    selected: int | None = None,
    ids: Sequence[int] | None = None,
    masks: np.ndarray | None = None,
) -> str:
    """The photo with its layer and a caption that says how many labels have no room, HTML.

    Args:
        photo: RGB, upright, the one that the boxes' pixels are of; shrunk for the page.
        caption: what the picture shows, also its alternative text.
        boxes, names, scores, selected, ids, masks: as `boxes_svg`.
    """
    size = photo.size
    plans = plans_for(boxes, names, scores, size, _row(selected, ids, len(names)))
    layer = _layer(boxes, names, scores, size, selected, ids, masks, plans)
    hidden = "".join(
        f'<span class="at at-{shown}">{escape(hidden_note(plan.dropped))}</span>'
        for shown, plan in plans.items()
        if plan.dropped
    )
    shape = photo.width / photo.height
    words = f"<figcaption>{escape(caption)} {hidden}</figcaption>" if caption or hidden else ""
    return (
        f'<figure class="boxes-figure" style="--shape:{shape:.4f}"><div class="boxes-stage">'
        f'<img src="{image_uri(shrink(photo, PHOTO_SIDE))}" alt="{escape(caption)}">{layer}</div>'
        f"{words}</figure>"
    )


def hidden_note(count: int) -> str:
    """What to say of labels that found no place."""
    if not count:
        return ""
    what = "1 label is hidden" if count == 1 else f"{count} labels are hidden"
    return f"{what} for want of room; point at a box, or tap it, to see its own."


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
        order = [row for row in _large_first(scaled) if row != selected]
        order += [] if selected is None else [selected]
        for row in order if masks is not None else ():
            assert masks is not None
            _paint_mask(drawn, masks[row], colour_of(names[row]), unit)
        for row in order:
            _paint_box(drawn, scaled[row], colour_of(names[row]), unit, row == selected)
        _paint_tags(drawn, scaled, names, scores, unit, selected)
    return with_caption(drawn, caption, LETTERS * unit) if caption else drawn


def _row(selected: int | None, ids: Sequence[int] | None, count: int) -> int | None:
    if selected is None:
        return None
    known = list(range(count)) if ids is None else [int(one) for one in ids]
    return known.index(selected) if selected in known else None


def _large_first(boxes: np.ndarray) -> list[int]:
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.argsort(-areas, kind="stable").tolist()


# The vector layer.


def _layer(
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float],
    size: tuple[int, int],
    selected: int | None,
    ids: Sequence[int] | None,
    masks: np.ndarray | None,
    plans: dict[int, Placed],
) -> str:
    """All lines at the bottom; above them, large boxes first, what answers to the pointer.

    So no line runs over a label, and of boxes inside each other the inner one is the one met.
    """
    ratio = SIDE / max(size)
    view = (size[0] * ratio, size[1] * ratio)
    scaled = np.asarray(boxes, float).reshape(-1, 4) * ratio
    known = [int(one) for one in (range(len(names)) if ids is None else ids)]
    lines, parts = [], []
    for row in _large_first(scaled):
        box, colour = scaled[row], colour_of(names[row])
        look = f'style="--box:{colour};--on:{ink_on(colour)}"'
        thin = " small" if min(box[2] - box[0], box[3] - box[1]) < SMALL * SIDE else ""
        picked = known[row] == selected
        outline = _outline(box, view)
        lines.append(f'<g class="line{thin}" {look}>{outline}</g>')
        x0, y0, x1, y1 = box
        parts.append(
            f'<g class="box{thin}{" selected" if picked else ""}" data-index="{known[row]}" '
            f'tabindex="0" role="button" aria-pressed="{str(picked).lower()}" '
            f'aria-label="{escape(f"{names[row]}, {percent(scores[row])}")}" {look}>'
            f'<path class="veil" d="M0 0H{view[0]:.1f}V{view[1]:.1f}H0Z'
            f'M{x0:.1f} {y0:.1f}V{y1:.1f}H{x1:.1f}V{y0:.1f}Z"/>'
            f"{'' if masks is None else _mask(masks[row], view)}{_hit(box)}"
            f'<g class="lit">{outline}</g>'
            f"{_tags(row, box, names[row], scores[row], view, plans)}</g>"
        )
    label = "1 detection" if len(names) == 1 else f"{len(names)} detections"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="boxes-svg" '
        f'viewBox="0 0 {view[0]:.1f} {view[1]:.1f}" preserveAspectRatio="none" '
        f'role="group" aria-label="{label}">'
        f'<g class="ground">{"".join(lines)}</g>{"".join(parts)}</svg>'
    )


def _outline(box: np.ndarray, view: tuple[float, float]) -> str:
    """Halo and line of one box, wholly inside the picture; their widths are the style sheet's."""
    x0, y0 = max(box[0], 2), max(box[1], 2)
    wide, high = max(min(box[2], view[0] - 2) - x0, 1), max(min(box[3], view[1] - 2) - y0, 1)
    shape = f'x="{x0:.1f}" y="{y0:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="3"'
    return f'<rect class="halo" {shape}/><rect class="core" {shape}/>'


def _hit(box: np.ndarray) -> str:
    """What a pointer or a finger meets: the whole box, tiny ones grown."""
    wide, high = (max(box[axis + 2] - box[axis], EASY * SIDE) for axis in (0, 1))
    x, y = (box[0] + box[2] - wide) / 2, (box[1] + box[3] - high) / 2
    return f'<rect class="hit" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"/>'


def _tags(
    row: int,
    box: np.ndarray,
    name: str,
    score: float,
    view: tuple[float, float],
    plans: dict[int, Placed],
) -> str:
    """One label for each width in SHOWN, drawn in that width's pixels."""
    found = []
    for shown, plan in plans.items():
        letters, tag, extra, line = SHOWN[shown], plan.tags[row], "", ""
        scale = view[0] / shown
        if tag is None:  # shown only while the box is pointed at or selected
            wide, room = tag_width(name, score, letters * PAGE_FONT), (shown, view[1] / scale)
            tag, extra = fallback(box / scale, wide, letters * TALL, room), " unplaced"
        if tag.leader is not None:
            x, y, to_x, to_y = tag.leader
            way = f'd="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"'
            line = f'<path class="thread halo" {way}/><path class="thread core" {way}/>'
            line += f'<circle cx="{to_x:.1f}" cy="{to_y:.1f}" r="2.2"/>'
        x, y = tag.x + tag.width / 2, tag.y + tag.height / 2 + 0.36 * letters
        found.append(
            f'<g class="tag at at-{shown}{extra}" transform="scale({scale:.4f})">{line}'
            f'<rect x="{tag.x:.1f}" y="{tag.y:.1f}" width="{tag.width:.1f}" '
            f'height="{tag.height:.1f}" rx="3"/>'
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{letters:g}">{escape(name)}'
            f" <tspan>{escape(percent(score))}</tspan></text></g>"
        )
    return "".join(found)


def _mask(mask: np.ndarray, view: tuple[float, float]) -> str:
    lines = (" ".join(f"{x:.1f} {y:.1f}" for x, y in line) for line in mask_outlines(mask, *view))
    return f'<path class="mask" d="{"".join(f"M{line}Z" for line in lines)}"/>'


def mask_outlines(mask: np.ndarray, width: float, height: float) -> list[np.ndarray]:
    """Bool [h, w] over a picture of width x height -> closed polygons, each float [k, 2] (x, y)."""
    from contourpy import contour_generator  # matplotlib's own; only Mask R-CNN needs it

    padded = np.pad(np.asarray(mask, float), 2)
    smooth = sum(np.roll(padded, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
    rows, columns = mask.shape
    scale = np.array([width / columns, height / rows])
    found = []
    for line in contour_generator(z=smooth).lines(0.5):
        points = (np.asarray(line) - 1.5) * scale  # pixel centres, and the padding of 2
        points = _fewer(np.clip(points, 0, (width, height)), 0.8)[:-1]
        if len(points) >= 3:
            found.append(points)
    return found


def _fewer(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Douglas & Peucker 1973: leave out points that lie this close to the line without them."""
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:
        start, end = spans.pop()
        if end - start < 2:
            continue
        way = points[end] - points[start]
        off = points[start + 1 : end] - points[start]
        length = float(np.hypot(*way))
        if length > 0:
            away = np.abs(off[:, 0] * way[1] - off[:, 1] * way[0]) / length
        else:  # a closed line's two ends
            away = np.hypot(*off.T)
        if away.max() > tolerance:
            middle = start + 1 + int(away.argmax())
            keep[middle] = True
            spans += [(start, middle), (middle, end)]
    return points[keep]


# The picture to keep.


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
