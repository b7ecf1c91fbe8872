"""Where the time of one upload goes, stage by stage, from the file's bytes to the page's bytes."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from resnet.bench.subjects import Subjects
from resnet.engine import Engine
from resnet.engine.lane import Lane, threads
from resnet.ui.classify_view import facts_html, rows_html, view_html


def profile(on: Subjects, data: bytes, runs: int) -> dict[str, float]:
    """Median milliseconds by stage for one photo's file; the network between is not counted."""
    line = Lane()
    times: dict[str, list[float]] = {}

    def hear(what: str, which: str, amount: float) -> None:
        if what == "stage":
            times.setdefault(which, []).append(amount)

    try:
        with tempfile.TemporaryDirectory() as folder, threads(1):
            engine = Engine(on.net, backend=on.backend, line=line)
            engine.told.listen(hear)
            path = Path(folder) / "photo.jpg"
            for run in range(runs + 1):
                _upload(engine, path, data, run)
                if run == 0:
                    times.clear()  # the first is never the fastest
    finally:
        line.close()
    return {stage: 1000 * statistics.median(found) for stage, found in times.items()}


def _upload(engine: Engine, path: Path, data: bytes, run: int) -> None:
    with engine.timed("receive"):  # from memory to the disk
        path.write_bytes(data)
    os.utime(path, ns=(run, run))
    analysis = engine.open(path)
    index = analysis.top(1)[0].index
    heat = engine.figure(path, "heat", lambda analysis: analysis.cam(index))
    with engine.timed("draw"):  # and encode: the page's text holds its pictures
        html = view_html(analysis, heat, "viridis", False)
    with engine.timed("answer"):
        html += rows_html(analysis, index) + facts_html(analysis)
    with engine.timed("send"):
        html.encode()
    engine.forget(path)
