"""One frame of a camera, 640 x 480, from what the browser sends to what it draws."""

from __future__ import annotations

import base64
import statistics
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from PIL import Image

from resnet.bench.compare import seconds
from resnet.bench.subjects import Subjects
from resnet.bench.users import jpeg
from resnet.device import cores
from resnet.engine import Engine
from resnet.engine.lane import Lane, threads
from resnet.ui import live

WANTED = {"classify": 15.0, "detect": 5.0}  # frames a second


@dataclass(frozen=True)
class Frames:
    """What one frame costs, the browser and the network between left out."""

    mode: str  # "classify": class and heat map; "detect": the offline detector's boxes, one look
    precision: str
    wall: float  # median seconds of a frame
    cpu: float  # median processor seconds of a frame
    cores: int
    stages: dict[str, float]  # median ms, by the clock
    wanted: float  # frames a second

    @property
    def rate(self) -> float:
        """Frames a second, one after another."""
        return 1 / self.wall

    @property
    def possible(self) -> float:
        """Frames a second if no core were idle or lent to others."""
        return self.cores / self.cpu


def frames(on: Subjects, runs: int) -> list[Frames]:
    """Both modes, as the page's server answers them."""
    image = on.photo.resize((640, 480), Image.Resampling.BICUBIC)
    data = base64.b64encode(jpeg(image)).decode()
    return [_frames(on, mode, data, runs) for mode in WANTED]


def _frames(on: Subjects, mode: str, data: str, runs: int) -> Frames:
    line = Lane()
    before, on.net.precision = on.net.precision, on.best.precision  # as the engine sets it
    try:
        with threads(1):
            engine = Engine(on.net, backend=on.best, line=line)
            times: dict[str, list[float]] = {}

            def hear(what: str, which: str, amount: float) -> None:
                if what == "stage":
                    times.setdefault(which, []).append(amount)

            event: Any = SimpleNamespace(number=1, image=data, mode=mode)
            for _ in range(2):
                answer = live.frame(engine, event)
            if ("<img" if mode == "classify" else "box") not in answer:
                raise RuntimeError(f"the camera got no answer: {answer[-200:]}")
            engine.told.listen(hear)
            taken = [seconds(lambda: live.frame(engine, event)) for _ in range(runs)]
    finally:
        line.close()
        on.net.precision = before
    return Frames(
        mode, on.best.precision, statistics.median(t[0] for t in taken),
        statistics.median(t[1] for t in taken), cores(),
        {name: 1000 * statistics.median(found) for name, found in times.items()}, WANTED[mode],
    )  # fmt: skip
