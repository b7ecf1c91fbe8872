"""What the tab *Compare* shows of A and B: cards, pictures, signals; no controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare import Likeness, MapPair, Side, likeness, on_one_scale
from resnet.draw import ab_view
from resnet.draw.answers import percent
from resnet.draw.blockpanel import Look, blockpanel_html, map_note
from resnet.draw.encode import image_uri
from resnet.residual.backward import backward
from resnet.residual.gains import plan_of
from resnet.residual.maps import How, block_maps
from resnet.residual.plan import step_names

EMPTY = (
    '<div class="empty"><p class="empty-title">Which two shall be compared?</p>'
    "<p>Pick an example for A, or send your own photo. B is filled with one click above.</p></div>"
)


@dataclass(frozen=True)
class Seen:
    """One side, looked at."""

    side: Side
    analysis: Analysis
    heat: cam.HeatMap | None  # None: the side does not know the class

    @property
    def answer(self) -> str:
        """What it says, with its probability."""
        first = self.analysis.top(1)[0]
        return f"“{first.label}” {percent(first.probability)}"


def differs(a: Side, b: Side) -> tuple[str, str]:
    """What tells A from B, in a few words each."""
    if a.photo != b.photo:
        titles = [Path(side.photo).stem for side in (a, b)]
    elif a.method != b.method:
        titles = [cam.METHODS[side.method].title for side in (a, b)]
    elif (a.plan, a.damage) != (b.plan, b.damage):
        titles = [a.title, b.title]
    else:
        titles = [side.weights for side in (a, b)]
    if a.weights != b.weights and titles[0] != a.weights:
        titles = [f"{t}, {side.weights}" for t, side in zip(titles, (a, b), strict=True)]
    return titles[0], titles[1]


def card_html(letter: str, seen: Seen | None, title: str, note: str = "") -> str:
    """A slot: thumbnail, what it is, what the network says.

    Args:
        note: in place of the answer.
    """
    if seen is None:
        words = escape(note or "Empty")
        return f'<div class="slot empty-slot"><b class="slot-name">{letter}</b><p>{words}</p></div>'
    picture = image_uri(seen.analysis.view.image.resize((112, 112)), quality=85)
    name = Path(seen.side.photo).name
    return (
        f'<div class="slot"><b class="slot-name">{letter}</b><img src="{picture}" '
        f'width="56" height="56" alt="What the network saw of {letter}"><p><b>{escape(title)}</b>'
        f"<span>{escape(note or seen.answer)}</span><span>{escape(name)}</span></p></div>"
    )


def maps_of(a: Seen, b: Seen) -> tuple[MapPair, Likeness | None]:
    """Both heat maps for drawing, and how alike they are where they cover one view."""
    same = a.side.method == b.side.method and a.side.weights == b.side.weights
    pair = on_one_scale(a.heat, b.heat, same)
    if a.heat is None or b.heat is None or a.side.photo != b.side.photo:
        return pair, None
    return pair, likeness(a.heat, b.heat)


def scale_words(pair: MapPair) -> str:
    """What the ends of the colour scale are."""
    if not pair.common:
        return "each map to its own maximum"
    return f"one scale, up to {pair.high:.3g}"


def looks(a: Seen, b: Seen, pair: MapPair) -> tuple[ab_view.Look, ab_view.Look]:
    """Both sides as pictures.

    A damaged copy exists only as large as the network is about to see it: then A is shown so too.
    """
    titles = differs(a.side, b.side)
    small = bool(a.side.damage or b.side.damage)
    made = []
    for seen, patch, title in zip((a, b), (pair.a, pair.b), titles, strict=True):
        note = ""
        if seen.heat is None:
            note = "this set of weights does not know the class, so there is no map."
        elif patch is None:
            note = "the map is blank: nothing there speaks for the class."
        picture = seen.analysis.view.image if small else crop(seen.analysis)
        made.append(ab_view.Look(picture, patch, title, seen.answer, note))
    return made[0], made[1]


def crop(analysis: Analysis) -> Image.Image:
    """What the network saw, from the photo's own pixels, square."""
    photo, view = analysis.photo.image, analysis.view
    fx, fy = photo.width / view.size[0], photo.height / view.size[1]
    x0, y0, x1, y1 = view.box
    side = min(ab_view.SIDE, max(view.image.width, round((x1 - x0) * fx)))
    return photo.transform(
        (side, side),
        Image.Transform.EXTENT,
        (x0 * fx, y0 * fy, x1 * fx, y1 * fy),
        Image.Resampling.BICUBIC,
    )


def pictures_html(a: Seen, b: Seen, words: Sequence[str]) -> str:
    """The divider between A and B, or both side by side.

    Args:
        words: sentences beside them, the first stands out.
    """
    pair, alike = maps_of(a, b)
    more = []
    if a.heat is not None:
        labels = [None if s.heat is None else s.analysis.net.labels[s.heat.index] for s in (a, b)]
        method = cam.METHODS[a.side.method].title
        if a.side.method != b.side.method:
            method += f" (A) and {cam.METHODS[b.side.method].title} (B)"
        if labels[1] in (None, labels[0]):
            more.append(f"{method} for “{labels[0]}” at the last block.")
        else:
            more.append(f"{method} for “{labels[0]}” in A and “{labels[1]}” in B, last block.")
    if alike is not None:
        more.append(alike.sentence)
    if not pair.common and pair.a is not None and pair.b is not None:
        more.append(
            "The colours are one scale from nothing to each map's own maximum: raw values of two "
            "methods, or of two sets of weights, have different units."
        )
    left, right = looks(a, b, pair)
    return ab_view.ab_html(left, right, pair.signed, scale_words(pair), [*words, *more])


def signals_html(a: Seen, b: Seen, block: str, how: How, channel: int, raw: bool) -> str:
    """One block's S, F, sum and output for A and for B, all eight on one scale."""
    drawn = []
    for seen in (a, b):
        passed = None
        if how == "class":
            index = seen.heat.index if seen.heat else seen.analysis.top(1)[0].index
            passed = backward(seen.analysis.net, seen.analysis.trace, index)
        trace = seen.analysis.trace
        count = trace.blocks[block].shortcut.shape[1]
        drawn.append(block_maps(trace, block, how, min(max(channel, 0), count - 1), passed))
    limit = max(maps.limit for maps in drawn)
    signed = any(maps.signed for maps in drawn)
    parts = []
    for letter, seen, maps in zip("AB", (a, b), drawn, strict=True):
        step = dict(zip(step_names(plan_of(seen.analysis.trace)), plan_of(seen.analysis.trace),
                        strict=True))[block]  # fmt: skip
        index = seen.heat.index if seen.heat else seen.analysis.top(1)[0].index
        height, width = maps.shortcut.shape
        label = seen.analysis.net.labels[index]
        parts.append(
            blockpanel_html(
                seen.analysis.view.image,
                maps.pictures,
                limit,
                signed,
                heading=f"{letter} · block {block} · {width} × {height} · {maps.count} channels",
                note=map_note(how, maps.count, maps.channels, maps.share, label),
                scale="the largest value in A and B",
                adds=how != "rms",
                gains=(step.shortcut, step.branch),
                look=Look(raw=raw),
            )
        )
    return f'<div class="ab-signals">{"".join(parts)}</div>'
