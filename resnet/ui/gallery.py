"""The photos that a visitor has looked at in this session, as a strip above the tabs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from resnet.analysis import Analysis
from resnet.draw.answers import percent
from resnet.draw.encode import image_uri, shrink
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui.classify import SharedPhoto
from resnet.ui.compare import ComparePart
from resnet.ui.compare_source import Slots
from resnet.ui.html import shown

MOST = 24  # photos; the oldest goes
SIDE = 96  # pixels of a thumbnail's longer side: twice what is shown
KEEP = 3600  # seconds, as long as gradio keeps the photos themselves
_JS = (Path(__file__).parent / "gallery.js").read_text("utf-8")

# The tab that was asked for shows the photo, or the open one; a tab without a photo gives way to
# Classify.  A tab draws when it is opened, so one that is open is left and opened again before the
# browser paints.
_REOPEN = """
() => {
  const tabs = [...document.querySelectorAll('button[role=tab]')].filter(e => e.offsetParent);
  const named = (name) => tabs.find(e => e.textContent.trim() === name);
  const open = tabs.find(e => e.getAttribute('aria-selected') === 'true');
  const classify = named('Classify');
  if (!open || !classify) return;
  const strip = document.querySelector('#gallery')?.dataset || {};
  const asked = named(strip.once || strip.to || '');
  delete strip.once;
  const plain = ['Batch', 'About'].includes(open.textContent.trim());
  const to = asked || (plain ? classify : open);
  if (to === open && open === classify) return;
  classify.click();
  if (to !== classify) to.click();
}
"""
SLOTS = ("A", "B")  # of Compare
TARGETS = ("Classify", "Detect", "Inside", "Compare")  # tabs by the names on them


@dataclass(frozen=True)
class Seen:
    """One photo of the session."""

    key: str  # begin of the photo's SHA-256: the same photo is listed once
    path: str = field(repr=False)
    said: str  # answer and probability, for people
    thumbnail: str = field(repr=False)  # data address


def noted(seen: tuple[Seen, ...], new: Seen) -> tuple[Seen, ...]:
    """The list with a photo in front, newest first, each once, at most MOST."""
    return (new, *(one for one in seen if one.key != new.key))[:MOST]


def find(seen: tuple[Seen, ...], key: str) -> Seen | None:
    """The photo of this session with a key; None for any other."""
    return next((one for one in seen if one.key == key), None)


def gallery_html(seen: tuple[Seen, ...], path: str) -> str:
    """Thumbnails as buttons; "" while there is no other photo to go back to.

    Args:
        path: of the page's photo, which is marked; "" for none.
    """
    if not any(one.path != path for one in seen):
        return ""
    buttons = "".join(_photo_html(one, one.path == path) for one in seen)
    options = "".join(f"<option>{name}</option>" for name in TARGETS)
    return (
        '<div class="gallery"><button type="button" class="gallery-toggle" aria-expanded="true" '
        f'aria-controls="gallery-photos">Seen in this session <b>{len(seen)}</b>'
        "<small>A, B: put into Compare</small></button>"
        '<div class="gallery-photos" id="gallery-photos" role="group" '
        f'aria-label="Photos of this session, newest first">{buttons}</div>'
        '<label class="gallery-to">open in <select><option value="">this tab</option>'
        f"{options}</select></label></div>"
    )


def _photo_html(one: Seen, current: bool) -> str:
    """The photo as a button, and under it two small ones that put it into Compare."""
    said = escape(one.said, quote=True)
    slots = "".join(
        f'<button type="button" data-slot="{slot}" data-of="{one.key}" title="Compare as {slot}" '
        f'aria-label="Compare as {slot}: {said}">{slot}</button>'
        for slot in SLOTS
    )
    return (
        f'<div class="gallery-photo"><button type="button" data-key="{one.key}" title="{said}"'
        f"{' aria-current=true' if current else ''}>"
        f'<img src="{one.thumbnail}" alt="{said}"></button>'
        f'<span class="gallery-slots">{slots}</span></div>'
    )


def gallery_strip() -> gr.HTML:
    """The component; put it where the strip shall be, and call `follow_photos` later."""
    return gr.HTML("", js_on_load=_JS, visible=False, elem_id="gallery", apply_default_css=False)


def follow_photos(
    engine: Engine, shared: SharedPhoto, strip: gr.HTML, compare: ComparePart
) -> None:
    """Have the strip note every photo of the page, and bring back the one that is clicked.

    Args:
        compare: where a photo can be put beside the page's own.
    """
    controls = compare.controls
    seen = gr.State((), time_to_live=KEEP)

    def on_photo(path: str, seen: tuple[Seen, ...]):
        if path:
            with suppress(ImageError):  # deleted meanwhile
                seen = noted(seen, _seen(engine, path))
        return seen, shown(gallery_html(seen, path))

    def path_of(seen: tuple[Seen, ...], event: gr.EventData) -> str:
        one = find(seen, str(event.key))
        if one is None or not Path(one.path).is_file():
            raise gr.Error(
                "This photo is no longer on the server. Send it again.",
                title="Not opened", print_exception=False,
            )  # fmt: skip
        return one.path

    def on_beside(
        seen: tuple[Seen, ...], slots: Slots, way: str, event: gr.EventData, *values
    ) -> dict[Any, Any]:
        """The photo stands in B.  The controls of "two photos" may be there already, as set."""
        found = {controls.slots: replace(slots, other=path_of(seen, event)), controls.way: "photos"}
        return found if way == "photos" else found | compare.arranging["fn"]("photos", *values)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    shared.source.change(
        on_photo, [shared.source, seen], [seen, strip],
        concurrency_id="model", concurrency_limit=2, **quiet,
    )  # fmt: skip
    shared.follow(strip.pick(path_of, seen, shared.photo, **quiet)).success(
        None, None, None, js=_REOPEN
    )
    way, *others = compare.arranging["inputs"]
    strip.beside(
        on_beside, [seen, controls.slots, way, *others],
        [controls.slots, way, *compare.arranging["outputs"]], **quiet,
    ).success(None, None, None, js=_REOPEN)  # fmt: skip


def _seen(engine: Engine, path: str) -> Seen:
    def make(analysis: Analysis) -> tuple[str, str, str]:
        answer = analysis.top(1)[0]
        stamp = image_uri(shrink(analysis.photo.image, SIDE), quality=75)
        said = f"{answer.label}, {percent(answer.probability)}"
        return analysis.photo.digest[:16], said, stamp

    # What is kept belongs to the photo's content; the path is this visitor's own.
    key, said, stamp = engine.figure(path, "gallery", make)
    return Seen(key, path, said, stamp)
