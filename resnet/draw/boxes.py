"""Detection boxes over a photo, as a vector layer for the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from resnet.draw.box_colours import colour_of, ink_on
from resnet.draw.box_labels import (
    PAGE_FONT,
    SHOWN,
    TALL,
    Placed,
    fallback,
    percent,
    plans_for,
    tag_width,
)
from resnet.draw.encode import image_uri, shrink
from resnet.draw.mask_outline import mask_outlines

SIDE = 1000  # longer side of the layer's view box
PHOTO_SIDE = 1400  # pixels of the photo under it; sharp on a dense screen
SMALL = 0.05  # boxes with a side below this share of the picture's longer one get thin lines
EASY = 0.03  # a box is as easy to hit as one of this share of the longer side


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


def large_first(boxes: np.ndarray) -> list[int]:
    """Rows of boxes [n, 4] in the order in which they are drawn: a small one stays in sight."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.argsort(-areas, kind="stable").tolist()


def _row(selected: int | None, ids: Sequence[int] | None, count: int) -> int | None:
    if selected is None:
        return None
    known = list(range(count)) if ids is None else [int(one) for one in ids]
    return known.index(selected) if selected in known else None


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
    for row in large_first(scaled):
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
