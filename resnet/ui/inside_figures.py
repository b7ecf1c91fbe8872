"""The lower part of *Inside*: one figure at a time, with its downloads."""

from __future__ import annotations

import json

import gradio as gr

from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import figures, messages
from resnet.ui.bench import Bench, rewire
from resnet.ui.download import as_file, offer
from resnet.ui.figures import FIGURES

_BY_KEY = {figure.key: figure for figure in FIGURES}
_LONG = {"paths": "Path lengths", "depth": "Deeper than 50"}
_EMPTY = '<p class="figure-text">Figures of the photo appear here.</p>'

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


def figures_part(engine: Engine, bench: gr.State) -> gr.HTML:
    """Build the part inside the current `gr.Blocks`.

    Returns:
        the figure's component; its event `cut` says which bar of the lesion board was clicked.
    """
    gr.HTML("<h2>Figures</h2>", apply_default_css=False, elem_classes="heading")
    choices = [(figure.title, figure.key) for figure in FIGURES]
    choices += [(title, key) for key, title in _LONG.items()]
    which = gr.Radio(
        choices, value=FIGURES[0].key, show_label=False, container=False, elem_id="which-figure"
    )
    picture = gr.HTML(_EMPTY, js_on_load=_CUT, elem_id="figure", apply_default_css=False)
    with gr.Row(elem_classes="presets"):
        start = gr.Button("Measure", variant="primary", size="sm", visible=False, elem_id="start")
        stop = gr.Button("Stop", size="sm", visible=False, elem_id="stop")
        png = gr.Button("Picture (PNG)", size="sm", elem_id="figure-png")
        rows = gr.Button("Table (CSV)", size="sm", elem_id="figure-csv")
        numbers = gr.Button("Numbers (JSON)", size="sm", elem_id="figure-json")

    def numbers_of(state: Bench, key: str) -> dict:
        figure = _BY_KEY[key]
        changed = figure.follows and not state.setting.trained
        analysis = rewire(engine, state) if changed else engine.open(state.path)
        if changed:
            return figure.numbers(analysis, state.index)
        return engine.figure(
            state.path, (key, state.index), lambda a: figure.numbers(a, state.index)
        )

    def draw(state: Bench, key: str):
        long = key in _LONG
        buttons = [gr.update(visible=long)] * 2 + [gr.update(visible=not long)] * 2
        if not state.path and key != "depth":
            return [_EMPTY, *buttons]
        if long:
            words = "Takes some seconds: press Measure."
            return [f'<p class="figure-text">{words}</p>', *buttons]
        try:
            base = engine.open(state.path)
            found = numbers_of(state, key)
            partner = figures.PARTNERS.get(key) if state.setting.trained else None
            beside = numbers_of(state, partner) if partner else None
            changed = not state.setting.trained
            html = figures.drawn(_BY_KEY[key], base, state.index, changed, found, beside)
        except ImageError as error:
            return [messages.problem(str(error)), *buttons]
        return [html, *buttons]

    def measure(state: Bench, key: str):
        if key == "depth":
            yield from figures.depth_steps()
        elif state.path:
            try:
                yield from figures.paths_steps(engine.open(state.path), state.index)
            except ImageError as error:
                yield messages.problem(str(error))
        else:
            yield _EMPTY

    def parcel(state: Bench, key: str) -> tuple[dict, dict]:
        if not state.path or key in _LONG:
            raise gr.Error(
                "Choose a photo and a figure first.", title="No numbers yet", print_exception=False
            )
        try:
            about = figures.manifest(engine.open(state.path), state.index)
            about["gains"], about["swap"] = state.setting.gains, state.setting.swap
            return about, numbers_of(state, key)
        except ImageError as error:
            raise gr.Error(str(error), title="No download", print_exception=False) from error

    def as_csv(state: Bench, key: str):
        _, found = parcel(state, key)
        return as_file(f"{key}.csv", figures.table(found[_BY_KEY[key].rows]), "text/csv")

    def as_json(state: Bench, key: str):
        about, found = parcel(state, key)
        text = json.dumps({"manifest": about, key: found}, indent=1)
        return as_file(f"{key}.json", text.encode(), "application/json")

    inputs, outputs = [bench, which], [picture, start, stop, rows, numbers]
    # One listener for both: a late answer to an early change cannot overtake the last one.
    gr.on(
        [which.input, bench.change],
        draw,
        inputs,
        outputs,
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_id="model",
        concurrency_limit=2,
        api_visibility="private",
    )
    running = start.click(
        measure, inputs, picture, show_progress="hidden", concurrency_id="long",
        concurrency_limit=2, api_visibility="private",
    )  # fmt: skip
    stop.click(None, None, None, cancels=[running], api_visibility="private")
    figures.save_picture(png)
    offer(rows, as_csv, inputs)
    offer(numbers, as_json, inputs)
    return picture
