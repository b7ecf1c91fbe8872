"""The selected block's pictures and numbers, to take away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from resnet.analysis import Analysis
from resnet.draw.blockpanel import painted
from resnet.draw.contact_sheet import contact_sheet
from resnet.draw.encode import encode
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.report.figures import manifest, table
from resnet.residual.backward import backward
from resnet.residual.evidence import evidence_of
from resnet.residual.maps import BlockMaps, How, Scope, block_maps, colour_limit
from resnet.residual.plain import plain
from resnet.ui.bench import Bench, rewire
from resnet.ui.download import as_file, offer

WIDTH = 2000  # pixels of the picture: twice what is shown
TITLES = {"shortcut": "S", "branch": "F", "sum": "S + F", "output": "relu(S + F)"}


def panel_downloads(engine: Engine, inputs: list[Any]) -> gr.Row:
    """Build the buttons inside the current `gr.Blocks`.

    Args:
        inputs: bench, how, channel, scope and raw grid, as the panel's own.
    """
    with gr.Row(elem_classes="presets", visible=False) as row:
        png = gr.Button("Pictures (PNG)", size="sm", elem_id="panel-png", min_width=110, scale=0)
        rows = gr.Button("Points (CSV)", size="sm", elem_id="panel-csv", min_width=110, scale=0)
        numbers = gr.Button(
            "Numbers (JSON)", size="sm", elem_id="panel-json", min_width=110, scale=0
        )
    for button, make in ((png, as_png), (rows, as_csv), (numbers, as_json)):
        offer(button, _checked(engine, make), inputs)
    return row


def _checked(engine: Engine, make: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
    def made(bench: Bench, *choices) -> dict[str, str]:
        if not bench.path:
            raise gr.Error("Choose a photo first.", title="Nothing yet", print_exception=False)
        try:
            return make(engine, bench, *choices)
        except ImageError as error:
            raise gr.Error(str(error), title="No download", print_exception=False) from error

    return made


def _seen(engine: Engine, bench: Bench, how: How, channel: int) -> tuple[Analysis, Any, BlockMaps]:
    """The network as it is set, its gradients, and the block's four maps."""
    now = rewire(engine, bench)
    if bench.setting.trained:
        passed = engine.figure(
            bench.path, ("backward", bench.index), lambda a: backward(a.net, a.trace, bench.index)
        )
    else:
        passed = backward(now.net, now.trace, bench.index)
    channels = now.trace.blocks[bench.selected].shortcut.shape[1]
    channel = min(max(int(channel or 0), 0), channels - 1)
    return now, passed, block_maps(now.trace, bench.selected, how, channel, passed)


def as_png(
    engine: Engine, bench: Bench, how: How, channel: int, scope: Scope, raw: bool
) -> dict[str, str]:
    """The four pictures over the grey photo, side by side with the panel's own colours."""
    now, passed, maps = _seen(engine, bench, how, channel)
    limit = maps.limit
    if scope != "local":
        one = maps.channels[0] if how == "channel" else 0
        limit = colour_limit(now.trace, bench.selected, how, scope, one, passed)
    side = WIDTH // len(TITLES)
    photo = now.view.image.convert("L").convert("RGB").resize((side, side))
    pictures = [
        painted(photo, values, limit, maps.signed, raw) if values.any() else photo
        for values in maps.pictures.values()
    ]
    span = f"−{limit:.3g} to +{limit:.3g}" if maps.signed else f"0 to {limit:.3g}"
    captions = [f"{bench.selected}: {TITLES[name]}, {span}" for name in maps.pictures]
    sheet = contact_sheet(pictures, len(pictures), WIDTH, captions)
    return as_file(f"block-{bench.selected}.png", encode(sheet, "PNG"), "image/png")


def as_csv(
    engine: Engine, bench: Bench, how: How, channel: int, scope: Scope, raw: bool
) -> dict[str, str]:
    """A row a position: the four maps, and both wires' evidence in logits."""
    _, passed, maps = _seen(engine, bench, how, channel)
    split = evidence_of(passed, bench.index)[bench.selected]
    height, width = maps.sum.shape
    rows = [
        {"y": y, "x": x}
        | {name: float(values[y, x]) for name, values in maps.pictures.items()}
        | {"evidence_shortcut": float(split.shortcut_map[y, x]),
           "evidence_branch": float(split.branch_map[y, x])}
        for y in range(height) for x in range(width)
    ]  # fmt: skip
    return as_file(f"block-{bench.selected}.csv", table(plain(rows)), "text/csv")


def as_json(
    engine: Engine, bench: Bench, how: How, channel: int, scope: Scope, raw: bool
) -> dict[str, str]:
    """The four maps and the evidence, with what they belong to."""
    now, passed, maps = _seen(engine, bench, how, channel)
    split = evidence_of(passed, bench.index)[bench.selected]
    about = manifest(now, bench.index)
    about |= {"gains": bench.setting.gains, "swap": bench.setting.swap}
    content = {"manifest": about, "maps": maps.to_dict(), "evidence": plain(split)}
    text = json.dumps(content, indent=1, allow_nan=False)
    return as_file(f"block-{bench.selected}.json", text.encode(), "application/json")
