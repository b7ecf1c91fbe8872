"""A link that brings the page back as it is: weights, options, example photo; never an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from resnet import cam, weights
from resnet.draw.overlay import COLOUR_MAPS
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import mosaic
from resnet.ui.bench import Bench
from resnet.ui.carried import Carried, cuts, say_cuts, taken, written
from resnet.ui.classify import SharedPhoto, note_html
from resnet.ui.compare import ComparePart
from resnet.ui.compare_link import FIRST, carried_of
from resnet.ui.detect import DetectPart
from resnet.ui.examples import FOLDER, example_path, examples
from resnet.ui.look import Look

TABS = ("classify", "detect", "inside", "compare", "batch", "about")

# The tab is the browser's own affair; without a clipboard (plain http) the link is shown instead.
_COPY = """
(parcel) => {
  if (!parcel) return;
  const tabs = [...document.querySelectorAll('button[role=tab]')];
  const open = tabs.find(e => e.getAttribute('aria-selected') === 'true');
  const tab = open ? open.textContent.trim().toLowerCase() : '';
  const query = parcel.query + (tab ? '&tab=' + tab : '');
  const link = location.origin + location.pathname + '?' + query;
  const button = document.querySelector('#header .copy-link');
  const done = () => {
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy link'; }, 2000);
  };
  const shown = () => { window.prompt('Copy this link:', link); };
  if (navigator.clipboard) navigator.clipboard.writeText(link).then(done, shown); else shown();
}
"""
CLICK = """
element.addEventListener('click', (event) => {
  if (event.target.closest('.copy-link')) trigger('copy', {});
});
"""
BUTTON = (
    '<button type="button" class="chip copy-link" title="The settings and the example photo; '
    'never a photo of yours">Copy link</button>'
)


@dataclass(frozen=True)
class Asked:
    """What a link asks for; None, and "" for the photo, where it does not say.

    Attributes:
        photo: file name of an example.
        index: of a class.
        given: (key, value) of what the other tabs carry.
        notes: what of the link could not be used, a sentence each.
    """

    photo: str = ""
    index: int | None = None
    method: str | None = None
    block: str | None = None
    colours: str | None = None
    raw: bool | None = None
    tab: str | None = None
    given: tuple[tuple[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


def query_of(engine: Engine, path: str, index: int | None, method: str, block: str, colours: str,
             raw: bool, more: Mapping[str, str] | None = None) -> str:  # fmt: skip
    """The query string for a page that shows this.

    Args:
        path: of the photo; named only if the photo is one of the examples.
        more: what the other tabs carry.
    """
    said = {"weights": engine.net.spec.name, "method": method, "block": block, "colours": colours}
    if raw:
        said["raw"] = "1"
    if path and (name := example_of(engine, path)):
        said["photo"] = name
        if index is not None:
            said["class"] = str(index)
    return urlencode({**said, **(more or {})})


def asked_of(
    engine: Engine, query: Mapping[str, str], carried: Sequence[Carried] = ()
) -> Asked | None:
    """What a query string asks for, everything checked; None if it asks for nothing of ours.

    Args:
        carried: of the other tabs.
    """
    net, notes, lost = engine.net, [], []

    def known(key: str, values: Mapping | tuple | list) -> str | None:
        value = query.get(key)
        if value is None or value in values:
            return value
        lost.append(key)
        return None

    photo = known("photo", [*examples(), mosaic.NAME])
    labels = [str(index) for index in range(len(net.labels))]
    index, raw = known("class", labels), known("raw", ["0", "1"])
    found = Asked(
        photo=photo or "",
        index=int(index) if index and photo else None,
        method=known("method", cam.METHODS),
        block=known("block", net.block_names),
        colours=known("colours", COLOUR_MAPS),
        raw=raw == "1" if raw else None,
        tab=known("tab", TABS),
    )
    given, unknown = taken(carried, query)
    lost += unknown
    made_with = known("weights", [net.spec.name, *weights.named()])
    if made_with and made_with != net.spec.name:
        notes.append(f"This link was made with {made_with}; this page runs {net.spec.name}.")
    if lost:
        notes.append(f"What the link says of {', '.join(lost)} is not known here, and left out.")
    if not notes and not given and found == Asked():
        return None
    return replace(found, given=given, notes=tuple(notes))


def example_of(engine: Engine, path: str) -> str:
    """The example's file name if the photo is one of them, whatever its file is called."""
    try:
        return _digests().get(engine.open(path).photo.digest, "")
    except ImageError:  # deleted meanwhile
        return ""


@cache
def _digests() -> dict[str, str]:
    files = {name: (FOLDER / name).read_bytes() for name in examples()}
    files[mosaic.NAME] = mosaic.picture()
    return {hashlib.sha256(data).hexdigest(): name for name, data in files.items()}


def _path_of(name: str) -> str:
    return str(mosaic.path() if name == mosaic.NAME else example_path(name))


def follow_links(
    engine: Engine,
    shared: SharedPhoto,
    header: gr.HTML,
    page: gr.Blocks,
    tabs: gr.Tabs,
    bench: gr.State,
    detect: DetectPart,
    compare: ComparePart,
) -> None:
    """Copy a link on the header's event `copy`; restore the page when it is opened by one.

    Args:
        header: with BUTTON in it, and CLICK for its behaviour.
        bench: what is set on *Inside*.
    """
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    parcel = gr.JSON(visible=False)
    asked = gr.State(None)
    wires = cuts(engine.net)
    carried = (
        Carried("cuts", bench, lambda text: Bench(setting=wires(text)),
                lambda now: say_cuts(now.setting)),
        *detect.carried,
        *carried_of(compare.controls, engine.net, lambda path: example_of(engine, path)),
    )  # fmt: skip
    # Which controls Compare has, and the things that Detect finds, are known once these are put.
    later = [one for one in carried if one.component is detect.only]
    later += [one for one in carried[1 + len(detect.carried) :] if one.key not in FIRST]
    first = [one for one in carried if one not in later]

    def copy(path, index, method, block, colours, raw, *values):
        more = written(carried, values)
        return {"query": query_of(engine, path, index, method, block, colours, raw, more)}

    header.copy(
        copy, [shared.source, *shared.options, *(one.component for one in carried)], parcel, **quiet
    ).success(None, parcel, None, js=_COPY)

    def read(request: gr.Request) -> Asked | None:
        return asked_of(engine, dict(request.query_params), carried)

    def values_of(asked: Asked | None, wanted: Sequence[Carried]) -> list[Any]:
        given = dict(asked.given) if asked else {}
        return [given.get(one.key, gr.skip()) for one in wanted]

    def put(asked: Asked | None):
        if asked is None:
            return [gr.skip()] * (6 + len(first))
        for sentence in asked.notes:
            gr.Info(sentence, duration=12, title="About this link")
        photo = _path_of(asked.photo) if asked.photo else gr.skip()
        given = (asked.method, asked.block, asked.colours, asked.raw)
        note = gr.skip() if asked.method is None else note_html(asked.method)
        options = [gr.skip() if value is None else value for value in given]
        return [photo, *options, note, *values_of(asked, first)]

    def put_later(asked: Asked | None, path: str, detector: str):
        things, *others = values_of(asked, later)
        if not isinstance(things, tuple):
            return [gr.skip(), gr.skip(), *others]
        chosen = gr.update(choices=list(things), value=list(things))
        return [Look(path, detector), chosen, *others]

    def turn(asked: Asked | None):
        tab = asked.tab if asked else None
        return gr.Tabs(selected=tab) if tab else gr.skip()

    page.load(read, None, asked, **quiet)
    outputs = [shared.photo, *shared.options[1:], shared.note, *(one.component for one in first)]
    filled = asked.change(put, asked, outputs, **quiet)
    index = gr.State(None)
    filled = filled.success(lambda asked: asked and asked.index, asked, index, **quiet)
    arranged = shared.follow(filled, index).success(**compare.arranging)
    arranged.success(
        put_later, [asked, shared.source, detect.carried[0].component],
        [detect.look, *(one.component for one in later)], **quiet,
    ).success(turn, asked, tabs, **quiet)  # fmt: skip
