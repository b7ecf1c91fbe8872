"""Tab *Inside*: the wiring diagram as a switchboard, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from resnet.analysis import Analysis
from resnet.draw.change import pairs_html, sentence
from resnet.draw.encode import image_uri, shrink
from resnet.draw.wiring import Answer, Style
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import messages, switchboard, wires
from resnet.ui.bench import Bench, rewire
from resnet.ui.classify import SharedPhoto
from resnet.ui.examples import example_strip, picked
from resnet.ui.html import hidden, shown
from resnet.ui.inside_figures import figures_part
from resnet.ui.inside_panel import block_panel
from resnet.ui.switchboard import PRESETS, TOUR, Setting
from resnet.ui.wiring import EMPTY, read_block, read_gains, wiring_diagram, wiring_value

_INTRO = (
    '<p class="lead">The straight line is the <b>shortcut</b>: it carries the signal from the '
    "photo to the answer. Every arch is a <b>branch</b> that adds to it. "
    "<b>Click a wire to cut it</b>, drag it or use the arrow keys to turn it up or down.</p>"
)
_NO_PHOTO = (
    '<div class="empty"><p class="empty-title">Which photo shall run through the wires?</p>'
    "<p>Pick one of the examples above, or drop your own on the tab Classify.</p></div>"
)


def diagram(engine: Engine, now: Analysis, bench: Bench, measure: str) -> str:
    """The wiring diagram's HTML for the photo as the bench has changed it."""
    path, index = bench.path, bench.index
    base = engine.open(path)
    about = index if measure in ("evidence", "gradient") else None
    trained = engine.figure(
        path, ("carried", measure, about), lambda a: wires.carried(a, measure, index)
    )
    carries = trained if now is base else wires.carried(now, measure, index)
    answer, first = now.top(1)[0], base.top(1)[0]
    before = None
    if now is not base:
        before = (first.label, first.probability, float(now.probabilities[first.index]))
    thumbnail = engine.figure(
        path, "thumbnail", lambda a: image_uri(shrink(a.view.image, 120), quality=80)
    )
    return wiring_value(
        wires.states(now, carries, trained, measure, now is not base),
        Answer(answer.label, answer.probability, before),
        Style(wires.MEASURES[measure], bench.selected, thumbnail),
    )


def outcome_html(base: Analysis, now: Analysis, bench: Bench) -> str:
    """What the change did, in a sentence; the tour's words above."""
    said = ""
    if 0 <= bench.tour < len(TOUR):
        stop = TOUR[bench.tour]
        said = (
            f'<p class="tour" role="status"><b>Step {bench.tour + 1} of {len(TOUR)}.</b> '
            f"{escape(stop.text)}</p>"
        )
    first = base.top(1)[0]
    if now is base:
        words = (
            f"As trained, this network says “{first.label}” "
            f"({100 * first.probability:.1f} %). Nothing is cut."
        )
    else:
        answer = now.top(1)[0]
        words = sentence(
            switchboard.describe(bench.setting),
            first.label,
            first.probability,
            float(now.probabilities[first.index]),
            answer.label,
            answer.probability,
        )
    return f'{said}<p class="outcome" role="status">{escape(words)}</p>'


def before_after_html(base: Analysis, now: Analysis) -> str:
    """The top answers of both as paired bars; nothing if nothing was changed."""
    if now is base:
        return ""
    indices = dict.fromkeys([p.index for p in base.top(5)] + [p.index for p in now.top(3)])
    return pairs_html(
        [
            (base.net.labels[i], float(base.probabilities[i]), float(now.probabilities[i]))
            for i in indices
        ]
    )


def inside_tab(engine: Engine, shared: SharedPhoto, tab: gr.Tab) -> gr.State:
    """Build the tab inside the current `gr.Blocks`.

    Args:
        shared: the page's photo, which the tab *Classify* owns.
        tab: this tab; its figures are worked out when it is opened.

    Returns:
        the visitor's `Bench`: what they have set.
    """
    net = engine.net
    bench = gr.State(Bench())
    gr.HTML(_INTRO, apply_default_css=False)
    strip = example_strip("inside-examples")
    problem = gr.HTML("", visible=False, apply_default_css=False, elem_id="inside-message")
    with gr.Row(elem_classes="controls switch"):
        measure = gr.Radio(
            [
                ("Signal (RMS)", "signal"),
                ("Norm", "norm"),
                ("Evidence for the class", "evidence"),
                ("Gradient", "gradient"),
            ],
            value="signal",
            label="Width of the wires",
            elem_id="measure",
            min_width=320,
            scale=3,
        )
        chosen = gr.Dropdown(
            [(label, index) for index, label in enumerate(net.labels)],
            value=None,
            label="Class",
            elem_id="inside-class",
            min_width=180,
            scale=2,
        )
        tour = gr.Button("Guided tour", elem_id="tour", min_width=120, scale=1)
        reset = gr.Button(
            "Reset", variant="primary", elem_id="reset", min_width=90, scale=1, visible=False
        )
    with gr.Row(elem_classes="presets"):
        buttons = [gr.Button(p.title, size="sm", min_width=110) for p in PRESETS]
    outcome = gr.HTML(_NO_PHOTO, elem_id="outcome", apply_default_css=False)
    picture = wiring_diagram(elem_id="wiring")
    pairs = gr.HTML("", visible=False, elem_id="pairs", apply_default_css=False)

    block_panel(engine, bench)
    figure = figures_part(engine, bench)
    everything = [bench, picture, outcome, pairs, chosen, problem]

    def show(path: str, state: Bench, measure: str, index: int | None) -> dict:
        """Draw the whole tab for a photo and a bench."""
        if not path:
            return {
                bench: Bench(setting=state.setting), picture: EMPTY, outcome: _NO_PHOTO,
                pairs: hidden(), chosen: None, problem: hidden(),
            }  # fmt: skip
        try:
            base = engine.open(path)
            index = base.top(1)[0].index if index is None else int(index)
            state = replace(state, path=path, index=index)
            now = rewire(engine, state)
            return {
                bench: state,
                picture: diagram(engine, now, state, measure),
                outcome: outcome_html(base, now, state),
                pairs: shown(before_after_html(base, now)),
                chosen: index,
                problem: hidden(),
            }
        except ImageError as error:  # also of wires that did not get their turn
            return {problem: shown(messages.problem(str(error)))}

    def on_open(path, state, measure):
        return show(path, state, measure, None)

    def on_wire(path, state, measure, index, event: gr.EventData):
        setting = Setting(read_gains(event, net.block_names), state.setting.swap)
        return show(path, replace(state, setting=setting), measure, index)

    def on_bar(path, state, measure, index, event: gr.EventData):
        block, wire = str(event.block), str(event.wire)
        if block not in net.block_names or wire not in ("shortcut", "branch"):
            raise gr.Error("There is no such wire.", print_exception=False)
        setting = switchboard.toggled(state.setting, block, wire)
        return show(path, replace(state, setting=setting, selected=block), measure, index)

    def on_select(state, event: gr.EventData):
        return replace(state, selected=read_block(event, net.block_names))

    def on_reset(path, state, measure, index):
        return show(path, replace(state, setting=Setting(), tour=-1), measure, index)

    def on_tour(path, state, measure, index):
        step = state.tour + 1
        if step >= len(TOUR):
            return show(path, replace(state, setting=Setting(), tour=-1), measure, index)
        stop = TOUR[step]
        state = replace(state, tour=step, setting=stop.setting, selected=stop.selected)
        return show(path, state, measure, index)

    def preset_of(number: int):
        def on_preset(path, state, measure, index):
            setting = PRESETS[number].make(net, state.seed)
            state = replace(state, setting=setting, seed=state.seed + 1, tour=-1)
            return show(path, state, measure, index)

        return on_preset

    def on_bench(state: Bench) -> tuple[str, dict]:
        """What the tour's button says, and whether there is anything to go back from."""
        back = gr.update(visible=state.tour >= 0 or not state.setting.trained)
        if state.tour < 0:
            return "Guided tour", back
        return "Next step" if state.tour + 1 < len(TOUR) else "End the tour", back

    inputs = [shared.source, bench, measure, chosen]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    model: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2, **quiet}
    tab.select(on_open, inputs[:3], everything, **model)
    shared.follow(strip.pick(picked, None, shared.photo, **quiet)).success(
        on_open, inputs[:3], everything, **model
    )
    for event in (picture.cut, picture.gain):
        event(on_wire, inputs, everything, trigger_mode="always_last", **model)
    picture.select(on_select, bench, bench, **quiet)
    figure.cut(on_bar, inputs, everything, **model)
    reset.click(on_reset, inputs, everything, **model)
    tour.click(on_tour, inputs, everything, **model)
    for number, button in enumerate(buttons):
        button.click(preset_of(number), inputs, everything, **model)
    gr.on(
        [measure.input, chosen.input], show, inputs, everything, trigger_mode="always_last", **model
    )
    bench.change(on_bench, bench, [tour, reset], **quiet)
    return bench
