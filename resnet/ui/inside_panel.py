"""The middle part of *Inside*: the selected block as an equation of pictures."""

from __future__ import annotations

import gradio as gr

from resnet.draw.block_sentence import block_sentence
from resnet.draw.blockpanel import SCALES, Look, WireCams, blockpanel_html, map_note
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.residual import lesions, signal_budget
from resnet.residual.backward import backward
from resnet.residual.evidence import evidence_of
from resnet.residual.gains import plan_of
from resnet.residual.maps import How, Scope, block_maps, colour_limit
from resnet.residual.plan import step_names
from resnet.ui import messages
from resnet.ui.bench import Bench, rewire
from resnet.ui.html import hidden, shown
from resnet.ui.panel_files import panel_downloads

HOWS = [
    ("Mean of channels", "mean"),
    ("RMS of channels", "rms"),
    ("Strongest for the class", "class"),
    ("One channel", "channel"),
]
SCOPES = [("this block", "local"), ("its stage", "stage"), ("all blocks", "global")]


def panel_html(
    engine: Engine, bench: Bench, how: How, channel: int, scope: Scope, raw: bool
) -> str:
    """The panel of the selected block for the network as it is set.

    Args:
        how, scope: as `resnet.residual.maps` has them.
        channel: for "channel"; brought into the block's range.
    """
    now = rewire(engine, bench)
    trace, name = now.trace, bench.selected
    changed = not bench.setting.trained

    def kept(key: str, make):
        """Of the network as trained kept beside the analysis, of a changed one made anew."""
        return make(now) if changed else engine.figure(bench.path, (key, bench.index), make)

    passed = kept("backward", lambda a: backward(a.net, a.trace, bench.index))
    split = evidence_of(passed, bench.index)[name]
    budget = kept("panel budget", lambda a: signal_budget(a.trace).to_dict())
    board = kept("lesions", lambda a: lesions(a.net, a.trace, bench.index).to_dict())
    channels = trace.blocks[name].shortcut.shape[1]
    channel = min(max(int(channel or 0), 0), channels - 1)
    maps = block_maps(trace, name, how, channel, passed)
    limit = maps.limit
    if scope != "local":
        limit = colour_limit(trace, name, how, scope, channel, passed)
    step = dict(zip(step_names(plan_of(trace)), plan_of(trace), strict=True))[name]
    projection = now.net.block(step.block).downsample is not None
    height, width = maps.shortcut.shape
    kind = "projected shortcut" if projection else "identity shortcut"
    label = now.net.labels[bench.index]
    first = now.top(1)[0]
    return blockpanel_html(
        now.view.image,
        maps.pictures,
        limit,
        maps.signed,
        heading=f"Block {name} · {kind} · {width} × {height} · {channels} channels",
        sentence=block_sentence(
            next(row for row in budget["blocks"] if row["block"] == name),
            board["rows"],
            projection=projection,
            gains=(step.shortcut, step.branch),
            before=(first.label, first.probability),
            rewired=changed,
        ),
        note=map_note(how, channels, maps.channels, maps.share, label),
        scale=SCALES[scope],
        adds=how != "rms",
        gains=(step.shortcut, step.branch),
        cams=WireCams(
            label,
            split.shortcut_map,
            split.branch_map,
            (split.shortcut, split.branch, split.total),
        ),
        look=Look(raw=raw),
    )


def block_panel(engine: Engine, bench: gr.State) -> None:
    """Build the part inside the current `gr.Blocks`; it follows the bench."""
    panel = gr.HTML("", visible=False, elem_id="block-panel", apply_default_css=False)
    with gr.Row(elem_classes="controls second", visible=False) as controls:
        how = gr.Radio(HOWS, value="mean", label="A point shows", elem_id="how", scale=5)
        scope = gr.Radio(
            SCOPES, value="local", label="Colour scale", elem_id="scope", min_width=240, scale=3
        )
        channel = gr.Number(
            0, label="Channel", precision=0, minimum=0, visible=False, min_width=90, scale=1
        )
        raw = gr.Checkbox(False, label="Raw grid", elem_id="panel-raw", min_width=110, scale=1)
    downloads = panel_downloads(engine, [bench, how, channel, scope, raw])

    def draw(state: Bench, how, channel, scope, raw):
        if not state.path:
            return hidden(), *[gr.update(visible=False)] * 3
        try:
            html = panel_html(engine, state, how, channel, scope, raw)
        except ImageError as error:
            html = messages.problem(str(error))
        seen = gr.update(visible=True)
        return shown(html), seen, gr.update(visible=how == "channel"), seen

    gr.on(
        [bench.change, how.input, channel.input, scope.input, raw.input],
        draw,
        [bench, how, channel, scope, raw],
        [panel, controls, channel, downloads],
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_id="model",
        concurrency_limit=2,
        api_visibility="private",
    )
