"""The figures as a table for the terminal and as a chart for the README."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from resnet.bench.agreement import Agreement
from resnet.bench.camera import Frames
from resnet.bench.compare import Row, Skipped
from resnet.bench.growth import Step
from resnet.bench.users import Load

WIDE = 72


def heading() -> str:
    """Of the table of `line`s."""
    names = f"{'ours':>11}{'theirs':>11}{'ratio':>8}{'from … to':>16}"
    return f"{'ours / theirs':{WIDE}}{names}{'cpu':>8}{'wanted':>9}{'differ':>9}"


def line(row: Row | Skipped) -> str:
    """One comparison."""
    if isinstance(row, Skipped):
        return f"{row.what:{WIDE}}  {row.why}"
    spread = f"{row.least:.3f} … {row.most:.3f}"
    times = f"{1000 * row.ours:8.1f} ms{1000 * row.theirs:8.1f} ms"
    cpu = f"{row.cpu:8.3f}" if math.isfinite(row.cpu) else f"{'–':>8}"
    wanted = " " * 9 if row.met is None else f"{row.wanted:8.3f}{'✓' if row.met else '✗'}"
    numbers = f"{row.ratio:8.3f}{spread:>16}{cpu}{wanted}{row.difference:9.1g}"
    return f"{row.what:{WIDE}}{times}{numbers}"


def load_lines(loads: dict[str, Load]) -> Iterator[str]:
    """Users through two ways."""
    for name, load in loads.items():
        yield (
            f"  {name:12}{load.users:3} users {load.rate:7.1f} photos/s   median "
            f"{1000 * load.median:7.0f} ms   p95 {1000 * load.p95:7.0f} ms   "
            f"{1000 * load.cpu:6.0f} ms of processor a photo"
        )


def step_lines(steps: Iterable[Step]) -> Iterator[str]:
    """How the cost grows."""
    for step in steps:
        yield (
            f"  {step.count:5} {step.what:20}{1000 * step.cpu:9.1f} ms in all "
            f"{1000 * step.each:8.2f} ms each (processor)"
        )


def stage_line(stages: dict[str, float]) -> str:
    """The stages of one upload."""
    return "  " + ", ".join(f"{name} {ms:.1f}" for name, ms in stages.items()) + " ms"


def frame_lines(found: Iterable[Frames]) -> Iterator[str]:
    """A camera's frames."""
    for each in found:
        met = "✓" if max(each.rate, each.possible) >= each.wanted else "✗"
        yield (
            f"  {each.mode:9} {each.precision}: {each.rate:.1f} a second one after another, "
            f"{each.possible:.1f} by processor time (wanted {each.wanted:g} {met}); "
            f"{1000 * each.wall:.0f} ms, {1000 * each.cpu:.0f} ms of processor:{_stages(each)}"
        )


def _stages(each: Frames) -> str:
    return stage_line(each.stages).replace("  ", " ", 1)


def agreement_lines(found: Iterable[Agreement]) -> Iterator[str]:
    """Precisions against float32."""
    for each in found:
        other = f", all with a lead of at most {each.margin:.3f}" if each.same < each.photos else ""
        yield (
            f"  {each.way:15} the same answer for {each.same} of {each.photos} photos{other}; "
            f"largest difference of a probability {each.difference:.1g}"
        )


def chart(rows: list[Row], title: str, path: Path) -> None:
    """How many times faster, a bar a row, logarithmic; PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.ratio > 0]
    figure = Figure(figsize=(9, 0.45 * len(shown) + 1.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = range(len(shown))[::-1]
    gains = [1 / row.ratio - 1 for row in shown]
    axes.barh(places, gains, left=1, color="#3b6ea5", height=0.6)
    for place, row in zip(places, shown, strict=True):
        right = max(1, 1 / row.ratio, 0 if row.met is None else 1 / row.wanted)
        axes.text(1.08 * right, place, f"{1 / row.ratio:.2g} ×", va="center", fontsize=9)
        if row.met is not None:
            axes.plot([1 / row.wanted] * 2, [place - 0.4, place + 0.4], color="#c2541b", lw=2)
    axes.set_yticks(list(places), [row.what for row in shown], fontsize=9)
    axes.set_ylim(-0.8, len(shown) - 0.2)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.6)
    axes.axvline(1, color="#888", lw=0.8)
    axes.set_xlabel("times faster (orange: what was asked for)", fontsize=9)
    axes.set_title(title, fontsize=9, loc="left", wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
