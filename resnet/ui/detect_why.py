"""The panel *Why this box?* of the tab *Detect*."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.events import Dependency

from resnet import why
from resnet.detections import Detections
from resnet.detectors import DetectorError
from resnet.detectors.sighting import Sighting
from resnet.draw.cuts_figure import cuts_figure
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import messages
from resnet.ui.background import watched
from resnet.ui.detect_source import HEAT
from resnet.ui.detect_view import plural
from resnet.ui.html import hidden, shown
from resnet.ui.look import Cut, Look
from resnet.ui.why_view import heat_panel_html, river_html, why_html

_WAIT = '<p class="figure-progress" role="status">Evidence through the 32 wires …</p>'
_CUT = """
const cut = (event) => {
  const bar = event.target.closest('[data-block][data-wire]');
  if (!bar) return;
  event.preventDefault();
  trigger('cut', {block: bar.dataset.block, wire: bar.dataset.wire});
};
element.addEventListener('click', cut);
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') cut(event);
});
"""


def under_cut(engine: Engine, path: str, name: str, cut: Cut) -> Detections:
    """What the detector finds with that wire cut; worked out once."""
    return engine.figure(
        path, cut, lambda s: why.under(s, {(cut.block, cut.wire): 0.0}), detector=name
    )


def why_part(
    engine: Engine, look: gr.State, name: gr.Dropdown, score: gr.Slider
) -> tuple[Callable[[Dependency], Dependency], list[Dependency]]:
    """Build the panel inside the current `gr.Blocks`.

    Returns:
        A function that has the panel follow an event; and the events that put another cut into
        `look`.
    """
    panel = gr.HTML("", visible=False, elem_id="why", apply_default_css=False)
    river = gr.HTML("", visible=False, elem_id="why-river", apply_default_css=False)
    with gr.Row(elem_classes="presets", visible=False) as row:
        start = gr.Button(
            "Cut every wire once: which boxes vanish?", size="sm", elem_id="cut-all", scale=0,
            min_width=300,
        )  # fmt: skip
        stop = gr.Button(
            "Stop", size="sm", elem_id="cut-stop", scale=0, min_width=80, visible=False
        )
        back = gr.Button(
            "Back to the network as trained", size="sm", elem_id="cut-back", scale=0,
            min_width=220, visible=False,
        )  # fmt: skip
    board = gr.HTML("", js_on_load=_CUT, visible=False, elem_id="why-cuts", apply_default_css=False)
    outputs = [panel, river, row, board, back]

    def explain(look: Look, name: str, score: float):
        """The quick part first; the evidence takes a pass forward and one back."""
        nothing = [hidden(), hidden(), gr.update(visible=False), hidden(), gr.update(visible=False)]
        if not look.path or look.detector != name:
            yield nothing
            return
        try:
            if name == HEAT:
                words = shown(heat_panel_html()) if look.selected >= 0 else hidden()
                yield [words, *nothing[1:]]
                return
            sighting = engine.sight(look.path, name)
            boxes = gr.update(visible=bool(len(sighting.found.above(score))))
            known = engine.known(look.path, ("cuts", score), name)
            figure = shown(drawn(known, sighting, look.selected)) if known else hidden()
            undo = gr.update(visible=look.cut is not None)
            if not 0 <= look.selected < len(sighting.found):
                yield [hidden(), hidden(), boxes, figure, undo]
                return
            i = look.selected
            quick = engine.figure(
                look.path, ("why", i), lambda s: why_html(engine.net, s, i), detector=name
            )
            done = engine.known(look.path, ("river", i), name)
            yield [shown(quick), shown(done or _WAIT), boxes, figure, undo]
            if not done:
                done = engine.figure(look.path, ("river", i), lambda s: river_html(s, i), name)
                yield [gr.skip(), shown(done), gr.skip(), gr.skip(), gr.skip()]
        except (ImageError, DetectorError) as error:
            yield [shown(messages.problem(str(error))), *nothing[1:]]

    def drawn(found: why.CutBoard, sighting: Sighting, selected: int) -> str:
        numbers = found.to_dict()
        places = [box["index"] for box in numbers["boxes"]]
        known = 0 <= selected < len(sighting.found)
        chosen = places.index(selected) if selected in places else None
        hint = "Click a bar to see the boxes with that wire cut, beside those as trained."
        if sighting.alone:
            hint += (
                " Cuts are compared at the detector’s first look, which by itself finds "
                f"{plural(len(places), 'box')}."
            )
            if known and chosen is None:
                hint += " The chosen box is not among them."
        return (
            f'<div class="figure-panel" data-name="cuts"><h3>What cuts do to the boxes</h3>'
            f'<p class="figure-text">{hint}</p>{cuts_figure(numbers, chosen, buttons=True)}</div>'
        )

    def buttons(running: bool) -> tuple[dict, dict]:
        """Of `start` and `stop`."""
        return gr.update(visible=not running), gr.update(visible=running)

    def measure(look: Look, name: str, score: float):
        def work(progress, cancelled):
            def tick(done: int, of: int) -> None:
                if cancelled():
                    raise InterruptedError
                progress(done, of)

            return engine.figure(
                look.path, ("cuts", score), lambda s: why.cut_board(s, score, tick), detector=name
            )

        try:
            for found in watched(work):
                if isinstance(found, tuple):
                    done, total = found
                    bar = f'<progress value="{done}" max="{total}"></progress> {done} of {total}'
                    said = f'<p class="figure-progress" role="status">{bar} cuts</p>'
                    yield shown(said), *buttons(running=True)
                else:
                    sighting = engine.sight(look.path, name)
                    yield shown(drawn(found, sighting, look.selected)), *buttons(running=False)
        except (ImageError, DetectorError) as error:
            yield shown(messages.problem(str(error))), *buttons(running=False)

    def on_cut(look: Look, event: gr.EventData) -> Look:
        block, wire = str(event.block), str(event.wire)
        if block not in engine.net.block_names or wire not in ("shortcut", "branch"):
            raise gr.Error("There is no such wire.", print_exception=False)
        cut = Cut(block, wire)
        return replace(look, cut=None if look.cut == cut else cut)

    def on_back(look: Look) -> Look:
        return replace(look, cut=None)

    inputs = [look, name, score]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    running = start.click(
        measure, inputs, [board, start, stop], concurrency_id="long", concurrency_limit=2, **quiet
    )
    stop.click(
        lambda: (hidden(), *buttons(running=False)), None, [board, start, stop],
        cancels=[running], **quiet,
    )  # fmt: skip

    def follow(event: Dependency) -> Dependency:
        return event.success(
            explain, inputs, outputs, concurrency_id="model", concurrency_limit=2,
            trigger_mode="always_last", **quiet,
        )  # fmt: skip

    changed = board.cut(on_cut, look, look, **quiet)
    return follow, [changed, back.click(on_back, look, look, **quiet)]
