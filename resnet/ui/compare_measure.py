"""The lower part of *Compare*: what is measured on A, one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from resnet import cam
from resnet.analysis import Analysis
from resnet.compare import (
    DAMAGES,
    CompareError,
    Faithfulness,
    Side,
    Sweep,
    curves,
    league,
    nets,
    on_one_scale,
    picture_at,
    pointing,
    sweep,
)
from resnet.draw import ab_view
from resnet.draw.answers import percent
from resnet.draw.curves_figure import curves_figure
from resnet.draw.league_table import league_table
from resnet.draw.pointing_figure import pointing_figure
from resnet.draw.sweep_figure import sweep_figure
from resnet.engine import Engine
from resnet.ui import compare_source as source
from resnet.ui import messages
from resnet.ui.background import watched
from resnet.ui.batch_run import Stops
from resnet.ui.classify import SharedPhoto
from resnet.ui.compare_box import box_html, box_input, drawn_box
from resnet.ui.compare_files import PROBLEMS, about, files_row, panel
from resnet.ui.compare_source import Asked, Slots
from resnet.ui.compare_view import Seen
from resnet.ui.html import hidden, shown

STEPS = 12  # strengths of a sweep
KINDS = {
    "sweep": "Strength sweep",
    "curves": "Deletion and insertion",
    "league": "League of all methods",
    "pointing": "Pointing game",
}
_WORDS = {
    "sweep": "One damage from nothing to full in 12 steps: how long does the answer of A hold?",
    "curves": "A's heat map decides which pixels are taken away first (deletion), or shown first "
    "(insertion). A faithful map makes the probability fall early, and rise early.",
    "league": "Every method's map of this photo, measured in four ways: which is the most "
    "faithful here? All methods, the slow ones too: it takes minutes on a CPU.",
    "pointing": "Draw a box around the thing. How much of each method's map lies inside?",
}
_BOX = {
    "sweep": "Drag a box on the photo: what is in it gets covered, from its middle on.",
    "pointing": "Drag a box around the thing on the photo, or type its edges.",
}


@dataclass(frozen=True)
class Subject:
    """What is measured: A, its analysis, the class."""

    side: Side
    analysis: Analysis
    index: int

    @property
    def label(self) -> str:
        return self.analysis.net.labels[self.index]


def subject(engine: Engine, asked: Asked) -> Subject:
    """A as the controls have it, undamaged.

    Raises:
        one of PROBLEMS.
    """
    if not asked.path:
        raise CompareError("Choose a photo for A first.")
    side, _ = source.sides(engine, asked._replace(way="weights"))
    analysis = source.look(engine, side)
    index, _ = source.explained(engine, analysis, analysis, asked.wanted)
    return Subject(side, analysis, index)


def measure_part(
    engine: Engine, shared: SharedPhoto, slots: gr.State, controls: Sequence[Any]
) -> dict[str, Any]:
    """Build the part inside the current `gr.Blocks`.

    Args:
        controls: what `Asked` holds, in its order.

    Returns:
        What an event's `success` takes, to have the part follow A.
    """
    stops = Stops()
    gr.HTML("<h2>Measure A</h2>", apply_default_css=False, elem_classes="heading")
    which = gr.Radio(
        [(title, name) for name, title in KINDS.items()], value="sweep", show_label=False,
        container=False, elem_id="compare-which",
    )  # fmt: skip
    words = gr.HTML(_hint("sweep"), apply_default_css=False)
    boxed = box_input("measure-box")
    with gr.Row(elem_classes="presets", elem_id="measure-row"):
        damage = gr.Dropdown(
            [(entry.title, name) for name, entry in DAMAGES.items()], value="noise",
            show_label=False, container=False, filterable=False, elem_id="sweep-damage",
            min_width=200, scale=0,
        )  # fmt: skip
        start = gr.Button("Measure", variant="primary", size="sm", elem_id="compare-start", scale=0)
        stop = gr.Button("Stop", size="sm", elem_id="compare-stop", scale=0, visible=False)
    figure = gr.HTML("", visible=False, elem_id="compare-measured", apply_default_css=False)
    with gr.Row(elem_classes="controls second", visible=False) as step_row:
        step = gr.Slider(
            1, STEPS, 1, step=1, label="Step", elem_id="measure-step", buttons=[], min_width=260
        )
    picture = gr.HTML("", visible=False, elem_id="measure-picture", apply_default_css=False)
    inputs = [which, damage, step, *controls]

    def name_of(kind: str, harm: str, of: Subject, asked: Asked) -> tuple:
        """Of a result and everything it depends on."""
        base = (kind, source.key(of.side))
        if kind == "sweep":
            needs = DAMAGES[harm].needs
            box = asked.slots.box if needs == "box" else None
            method = of.side.method if needs == "heat" else ""
            return (*base, harm, int(asked.seed or 0), box, method)
        method = of.side.method if kind == "curves" else ""
        return (*base, of.index, method)

    def work_of(kind: str, harm: str, of: Subject, asked: Asked) -> Callable:
        """The measurement, as `watched` runs it."""
        side, analysis = of.side, of.analysis
        if kind == "sweep":
            entry = DAMAGES[harm]
            if entry.needs == "box" and asked.slots.box is None:
                raise CompareError("Draw the box that is to be covered on the photo first.")
            answer = analysis.top(1)[0].index
            heat = source.heat_map(engine, side, answer) if entry.needs == "heat" else None
            net = nets.network(engine.net, side.weights)
            return lambda progress, cancelled: sweep(
                net, analysis.photo, harm, STEPS, int(asked.seed or 0), asked.slots.box, heat,
                progress, cancelled, lock=engine.model,
            )  # fmt: skip
        if kind == "curves":
            heat = source.heat_map(engine, side, of.index)
            if heat.blank:
                raise CompareError("The heat map is blank, so there is no order to measure.")
            return lambda progress, cancelled: curves(
                analysis, heat, progress=progress, cancelled=cancelled, lock=engine.model
            )
        return lambda progress, cancelled: league(
            analysis, of.index, progress=progress, cancelled=cancelled, lock=engine.model
        )

    def drawn(kind: str, found: Any, at: int) -> str:
        numbers = found.to_dict()
        if kind == "sweep":
            return panel(kind, sweep_figure(numbers, at))
        if kind == "curves":
            return panel(kind, curves_figure(numbers, _share(found, at)))
        if kind == "league":
            return panel(kind, league_table(numbers))
        return panel(kind, pointing_figure(numbers))

    def point(of: Subject, asked: Asked, slow: bool = False, watch=None):
        """Every method against the box; the slow ones if asked for, or if their map is known."""
        last = tuple(of.analysis.blocks)[-1]
        maps = {}
        for method, entry in cam.METHODS.items():
            one = replace(of.side, method=method)
            if entry.slow and not slow and not _known(engine, one, of, last):
                continue
            maps[entry.title] = source.heat_map(engine, one, of.index)
            if watch:
                watch(len(maps))
        assert asked.slots.box is not None
        return pointing(of.analysis, asked.slots.box, maps)

    def known(kind: str, harm: str, of: Subject, asked: Asked) -> Any:
        """A result that is there already, or at once."""
        if kind == "pointing":
            return point(of, asked) if asked.slots.box is not None else None
        return engine.known(of.side.photo, name_of(kind, harm, of, asked))

    def pictures(kind: str, found: Any, at: int, of: Subject, asked: Asked) -> str:
        """What the network saw at one step."""
        if kind == "sweep":
            return _step_html(engine, of.side, found, at, asked)
        if kind == "curves":
            heat = source.heat_map(engine, of.side, of.index)
            share = _share(found, at)
            away = picture_at(of.analysis, heat, "deletion", share)
            there = picture_at(of.analysis, heat, "insertion", share)
            said = percent(share)
            return ab_view.row_html(
                [(away, f"Deletion: {said} taken away"), (there, f"Insertion: {said} shown")]
            )
        return ""

    def refresh(kind: str, harm: str, at: float, *values) -> dict[Any, Any]:
        """The part for A as it is now: what is known of it, or what to press."""
        asked = Asked(*values)
        needs_box = kind == "pointing" or (kind == "sweep" and DAMAGES[harm].needs == "box")
        found: dict[Any, Any] = {
            words: _hint(kind),
            damage: gr.update(visible=kind == "sweep"),
            start: gr.update(value="Measure" if kind != "pointing" else "Add the slow methods",
                             visible=bool(asked.path)),
            boxed: hidden(), figure: hidden(), picture: hidden(),
            step_row: gr.update(visible=False), files: gr.update(visible=False),
        }  # fmt: skip
        if not asked.path:
            return found
        try:
            of = subject(engine, asked)
            if needs_box:
                found[boxed] = shown(box_html(of.analysis, asked.slots.box, _BOX[kind]))
            result = known(kind, harm, of, asked)
            if result is not None:
                found |= everything(kind, result, int(at) - 1, of, asked)
        except PROBLEMS as error:
            found[figure] = shown(messages.problem(str(error)))
        return found

    def everything(kind: str, result: Any, at: int, of: Subject, asked: Asked) -> dict[Any, Any]:
        """A finished measurement on the page."""
        if not getattr(result, "complete", True) and not _any(result):
            return {figure: shown(messages.notes([result.sentence]))}
        # What was stopped early is shown, not kept: there is nothing to take away.
        found: dict[Any, Any] = {files: gr.update(visible=bool(getattr(result, "complete", True)))}
        count = _steps(kind, result)
        at = min(max(at, 0), max(count - 1, 0))
        found[figure] = shown(drawn(kind, result, at))
        if count:
            found[step_row] = gr.update(visible=True)
            name = "Step of the sweep" if kind == "sweep" else "Point of the curves"
            found[step] = gr.update(maximum=count, value=at + 1, label=name)
            found[picture] = shown(pictures(kind, result, at, of, asked))
        return found

    def measure(
        kind: str, harm: str, at: float, request: gr.Request, *values
    ) -> Iterator[dict[Any, Any]]:
        """The whole measurement, as news for the page."""
        asked = Asked(*values)
        session = str(request.session_hash)
        event = stops.begin(session)
        try:
            of = subject(engine, asked)
            if kind == "pointing" and asked.slots.box is None:
                raise CompareError("Draw a box on the photo first.")
            yield {
                start: gr.update(visible=False), stop: gr.update(visible=True),
                figure: shown(_bar(0, 1)), picture: hidden(), step_row: gr.update(visible=False),
                files: gr.update(visible=False),
            }  # fmt: skip
            work = all_maps(of, asked) if kind == "pointing" else work_of(kind, harm, of, asked)
            result: Any = None
            for news in watched(lambda p, c: work(p, lambda: c() or event.is_set())):
                if isinstance(news, tuple):
                    yield {figure: shown(_bar(*news))}
                else:
                    result = news
            if getattr(result, "complete", True) and kind != "pointing":
                name = name_of(kind, harm, of, asked)
                engine.figure(of.side.photo, name, lambda _: result)
            yield everything(kind, result, int(at) - 1, of, asked) | _idle(start, stop)
        except PROBLEMS as error:
            yield {figure: shown(messages.problem(str(error)))} | _idle(start, stop)
        finally:
            stops.end(session, event)

    def all_maps(of: Subject, asked: Asked) -> Callable:
        def work(progress, cancelled):
            def watch(done: int) -> None:
                progress(done, len(cam.METHODS))

            return point(of, asked, slow=True, watch=watch)

        return work

    def on_stop(request: gr.Request):
        if stops.stop(str(request.session_hash)):
            return shown('<p class="figure-progress" role="status">Stopping …</p>')
        return gr.skip()

    def on_box(path: str, state: Slots, event: gr.EventData) -> Slots:
        try:
            return replace(state, box=drawn_box(event, engine.open(path).photo.size))
        except PROBLEMS as error:
            raise gr.Error(str(error), title="No box", print_exception=False) from error

    def numbers(kind: str, harm: str, at: float, *values) -> tuple[dict, list[dict]]:
        asked = Asked(*values)
        of = subject(engine, asked)
        found = known(kind, harm, of, asked)
        if found is None:
            raise CompareError("Measure it first, to its end.")
        plain = found.to_dict()
        told = about(Seen(of.side, of.analysis, None))
        return told | {kind: plain}, _rows(kind, plain)

    files = files_row("measured", inputs, numbers, visible=False, stem=lambda kind, *_: kind)
    outputs = [words, damage, start, boxed, figure, picture, step_row, step, files]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    following: dict[str, Any] = {
        "fn": refresh,
        "inputs": inputs,
        "outputs": outputs,
        "concurrency_id": "model",
        "concurrency_limit": 2,
        "trigger_mode": "always_last",
        **quiet,
    }
    gr.on([which.input, damage.input, step.input], **following)
    boxed.draw(on_box, [shared.source, slots], slots, **quiet).success(**following)
    start.click(
        measure, inputs, [start, stop, figure, picture, step_row, step, files],
        concurrency_id="long", concurrency_limit=2, **quiet,
    )  # fmt: skip
    stop.click(on_stop, None, figure, **quiet)
    return following


def _hint(kind: str) -> str:
    return f'<p class="figure-text">{_WORDS[kind]}</p>'


def _bar(done: int, total: int) -> str:
    bar = f'<progress value="{done}" max="{total}"></progress> {100 * done // max(total, 1)} %'
    return f'<p class="figure-progress" role="status">{bar}</p>'


def _idle(start: gr.Button, stop: gr.Button) -> dict:
    return {start: gr.update(visible=True), stop: gr.update(visible=False)}


def _steps(kind: str, result: Any) -> int:
    """How many steps the slider has; 0 for none."""
    if kind == "sweep":
        return len(result.rows)
    if kind == "curves" and result.complete:
        return len(result.deletion.shares)
    return 0


def _any(result: Any) -> bool:
    """Whether a measurement that was stopped has anything to show."""
    if isinstance(result, Faithfulness):
        return result.deletion is not None
    return bool(result.rows)


def _share(found: Faithfulness, at: int) -> float:
    """Of the pixels, at one point of the curves."""
    if found.deletion is None:
        return 0.0
    return found.deletion.shares[min(at, len(found.deletion.shares) - 1)]


def _rows(kind: str, numbers: dict) -> list[dict]:
    """What the table of a measurement lists."""
    if kind != "curves":
        return numbers["rows"]
    deletion, insertion = numbers["deletion"], numbers["insertion"]
    columns = zip(
        deletion["shares"], deletion["probabilities"], insertion["probabilities"], strict=True
    )
    return [{"share": x, "deletion": d, "insertion": i} for x, d, i in columns]


def _known(engine: Engine, one: Side, of: Subject, last: str) -> bool:
    """Whether a method's map is there already: the slow ones are not made unasked."""
    return engine.known(one.photo, source.heat_name(engine, one, of.index, last)) is not None


def _step_html(engine: Engine, side: Side, found: Sweep, at: int, asked: Asked) -> str:
    """The photo as it is, and the photo and the heat map at one step; one colour scale."""
    row = found.rows[at]
    box = asked.slots.box if DAMAGES[found.damage].needs == "box" else None
    there = replace(side, damage=found.damage, strength=row.strength, seed=found.seed, box=box)
    looks = []
    for one in (side, there):
        seen = source.look(engine, one)
        looks.append((seen, source.heat_map(engine, one, found.index)))
    pair = on_one_scale(looks[0][1], looks[1][1])
    first, now = (
        ab_view.Look(seen.view.image, patch, "", "")
        for (seen, _), patch in zip(looks, (pair.a, pair.b), strict=True)
    )
    said = f"“{row.answer.label}” {percent(row.answer.probability)}"
    return ab_view.row_html(
        [
            (ab_view.heated(first, pair.signed), f"As it is: “{found.label}” "
             f"{percent(found.rows[0].probability)}"),
            (now.image, f"{row.parameter}: {said}"),
            (ab_view.heated(now, pair.signed), f"Heat map for “{found.label}” there, one scale"),
        ]
    )  # fmt: skip
