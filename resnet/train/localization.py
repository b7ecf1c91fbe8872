"""Make `assets/reference/localization.json`: `python -m resnet.train.localization PHOTOS BOXES`.

How often does a box around the heat map fit a thing on the photo?  The network names the photo,
the strongest region of that class's heat map gets a box (`resnet.localize`), and the box is a hit
if it overlaps a true box with IoU >= 0.5.  BOXES is COCO's JSON or the compact one of
`resnet.train.scenes`.  Every method that takes one pass is measured at the last block, on the
centre crop and on the whole photo, at every threshold.  The default is the setting that is best
on the first half of the photos, in the order of their names; what is printed as its hit rate is
that of the other half.  One to three seconds a photo on a CPU.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resnet import cam, localize
from resnet.analysis import Analysis, analyze
from resnet.images import Photo, read_photo
from resnet.network import ResNet50
from resnet.train.scenes import Scene, SceneError, read_scenes
from resnet.train.tally import interval

FORMAT = 1
METHODS = tuple(name for name, method in cam.METHODS.items() if not method.slow)
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # 0.05 ... 0.95
VIEWS = ("crop", "whole")
TRUTHS = ("any", "largest")
FITS = 0.5  # IoU from which a box is a hit

Hits = dict[tuple[str, ...], np.ndarray]  # (view, method, truth) -> bool [thresholds]
# base lines: ("photo" or "crop", truth) -> bool []

EXPLAINED = {
    "hit": "the first box of localize.boxes (the region with the map's maximum) for the network's "
    "own answer has an IoU of at least 0.5 with a true box: with any of the photo's, or with its "
    "largest",
    "names": "the network names 1,000 ImageNet classes, the true boxes other ones: only the place "
    "is judged, not the name; a box around the wrong thing counts if that thing has a true box",
    "chosen": "first half of the photos in the order of their names; the default setting has the "
    "most hits (any true box) there",
    "test": "the other half; the hit rates on the page are these",
    "thresholds": "share of the map's maximum that a box's inside reaches",
    "photo, crop": "base lines: the whole photo, or the network's centre crop, taken as the box",
    "hits": "of the default setting, any true box: one digit a photo, in the order of the names",
}


def overlap(box: Sequence[float] | np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of a box with others [n, 4], x0, y0, x1, y1: float64 [n], 0 where both are empty."""
    x0, y0, x1, y1 = np.asarray(others, np.float64).reshape(-1, 4).T
    width = np.minimum(x1, box[2]) - np.maximum(x0, box[0])
    height = np.minimum(y1, box[3]) - np.maximum(y0, box[1])
    both = width.clip(0) * height.clip(0)
    either = (x1 - x0) * (y1 - y0) + (box[2] - box[0]) * (box[3] - box[1]) - both
    return both / np.maximum(either, 1e-9)


def judge(box: Sequence[float] | np.ndarray | None, truth: np.ndarray) -> dict[str, bool]:
    """Whether a box hits any true box, and whether it hits the largest; no box hits nothing.

    Args:
        truth: true boxes, [n, 4]; may be none.
    """
    if box is None or not len(truth):
        return dict.fromkeys(TRUTHS, False)
    fits = overlap(box, truth) >= FITS
    areas = (truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1])
    return {"any": bool(fits.any()), "largest": bool(fits[areas.argmax()])}


def look(net: ResNet50, photo: Photo, view: str) -> Analysis:
    """A pass over the "crop" or the "whole" photo."""
    return analyze(net, photo) if view == "crop" else localize.analyze_whole(net, photo)


def first_box(analysis: Analysis, heat: cam.HeatMap, threshold: float) -> np.ndarray | None:
    """The best box of a heat map, x0, y0, x1, y1 in pixels of the photo; None for an empty map."""
    found = localize.boxes(analysis, [heat], threshold)
    return found.boxes[0] if len(found) else None


def measure(
    net: ResNet50,
    scene: Scene,
    views: Sequence[str] = VIEWS,
    methods: Sequence[str] = METHODS,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Hits:
    """All outcomes of one photo; each view takes one pass, each method one map.

    Raises:
        resnet.images.ImageError: the photo cannot be read.
    """
    photo = read_photo(scene.path)
    truth = np.array(scene.boxes, np.float64).reshape(-1, 4)
    hits: Hits = {}
    for view in views:
        analysis = look(net, photo, view)
        for kind, hit in judge(_base(analysis), truth).items():
            hits["photo" if view == "whole" else "crop", kind] = np.array(hit)
        for method in methods:
            heat = analysis.cam(None, method)
            judged = [judge(first_box(analysis, heat, each), truth) for each in thresholds]
            for kind in TRUTHS:
                hits[view, method, kind] = np.array([each[kind] for each in judged])
    return hits


def _base(analysis: Analysis) -> tuple[float, float, float, float]:
    return localize.on_photo((0, 0, 1, 1), (1, 1), analysis.view)


def localization(net: ResNet50, folder: Path, annotations: Path, limit: int | None = None) -> dict:
    """The content of the shipped file.

    Args:
        limit: no more photos than this.

    Raises:
        SceneError: the annotations cannot be used, or name fewer than two photos.
        resnet.images.ImageError: a photo cannot be read.
    """
    scenes = read_scenes(folder, annotations)[1][:limit]
    if len(scenes) < 2:
        raise SceneError("Two photos are the least: one to choose the default, one to test it.")
    every = list(_with_progress(net, scenes))
    table = {key: np.stack([hits[key] for hits in every]) for key in every[0]}
    half = len(scenes) // 2
    best = {view: choose(table, half, [view]) for view in VIEWS}
    default = choose(table, half, VIEWS)
    of_default = _outcomes(table, default)
    return {
        "format": FORMAT,
        "weights": {"name": net.spec.name, "sha256": net.spec.sha256},
        "date": datetime.date.today().isoformat(),
        "photos": len(scenes),
        "halves": {"chosen": half, "test": len(scenes) - half},
        "annotations": {
            "file": annotations.name,
            "sha256": hashlib.sha256(annotations.read_bytes()).hexdigest(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "explained": EXPLAINED,
        "default": _setting(table, half, default),
        "best": {view: _setting(table, half, chosen) for view, chosen in best.items()},
        "base lines": {
            name: {kind: _with_intervals(table[name, kind], half) for kind in TRUTHS}
            for name in ("photo", "crop")
        },
        "thresholds": list(THRESHOLDS),
        "rates": {
            view: {
                method: {kind: _rates(table[view, method, kind], half) for kind in TRUTHS}
                for method in METHODS
            }
            for view in VIEWS
        },
        "hits": "".join("1" if hit else "0" for hit in of_default),
    }


def choose(table: Hits, half: int, views: Sequence[str]) -> tuple[str, str, int]:
    """View, method, and index of the threshold with the most hits of any true box.

    Of equal ones the earlier in VIEWS and METHODS, and the middle of equal thresholds.

    Args:
        table: (view, method, truth) -> bool [photos, thresholds].
        half: so many photos, the first, decide.
        views: to choose from.
    """
    sums = {
        (view, method): table[view, method, "any"][:half].sum(0)
        for view in views
        for method in METHODS
    }
    most = max(int(each.max()) for each in sums.values())
    view, method = next(key for key, each in sums.items() if each.max() == most)
    best = np.flatnonzero(sums[view, method] == most)
    return view, method, int(best[len(best) // 2])


def _outcomes(table: Hits, chosen: tuple[str, str, int]) -> np.ndarray:
    view, method, place = chosen
    return table[view, method, "any"][:, place]


def _setting(table: Hits, half: int, chosen: tuple[str, str, int]) -> dict[str, Any]:
    view, method, place = chosen
    told = {"view": view, "method": method, "threshold": THRESHOLDS[place]}
    return told | _with_intervals(_outcomes(table, chosen), half)


def _halves(hits: np.ndarray, half: int) -> dict[str, np.ndarray]:
    return {"chosen": hits[:half], "test": hits[half:], "all": hits}


def _rates(hits: np.ndarray, half: int) -> dict[str, list[float]]:
    """Hit rates a threshold, on each half and on all; hits are bool [photos, thresholds]."""
    return {k: [round(float(x), 4) for x in v.mean(0)] for k, v in _halves(hits, half).items()}


def _with_intervals(hits: np.ndarray, half: int) -> dict[str, list[float]]:
    """[rate, 95 % Wilson interval low, high] on each half and on all; hits are bool [photos]."""
    return {
        k: [round(x, 4) for x in (float(v.mean()), *interval(int(v.sum()), len(v)))]
        for k, v in _halves(hits, half).items()
    }


def _with_progress(net: ResNet50, scenes: list[Scene]) -> Iterator[Hits]:
    started = time.monotonic()
    for number, scene in enumerate(scenes, start=1):
        yield measure(net, scene)
        left = (time.monotonic() - started) / number * (len(scenes) - number)
        print(f"\r{number}/{len(scenes)}, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def report(content: dict[str, Any]) -> str:
    """The table of hit rates in percent, over all photos and any true box."""
    lines = ["threshold      " + "".join(f"{t:6.2f}" for t in content["thresholds"])]
    for view, methods in content["rates"].items():
        for method, rates in methods.items():
            shown = "".join(f"{100 * rate:6.1f}" for rate in rates["any"]["all"])
            lines.append(f"{view:6}{method:9}{shown}")
    for name, kinds in content["base lines"].items():
        shown = ", ".join(f"{kind} true box {100 * r['all'][0]:.1f} %" for kind, r in kinds.items())
        lines.append(f"the {name}'s own box: {shown}")
    halves = content["halves"]
    for best in content["best"].values():
        lines.append(
            f"best on the {best['view']}: {best['method']} at {best['threshold']:g}: "
            f"{100 * best['chosen'][0]:.1f} % of the {halves['chosen']} photos it was chosen on, "
            f"{100 * best['test'][0]:.1f} % of the {halves['test']} others"
        )
    lines.append(f"default: the {content['default']['view']}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m resnet.train.localization")
    parser.description = __doc__
    parser.add_argument("photos", type=Path, help="a folder")
    parser.add_argument("annotations", type=Path, help="COCO-style JSON with the true boxes")
    parser.add_argument("--out", type=Path, default=localize.FILE)
    parser.add_argument("--weights", default="he2015")
    parser.add_argument("--limit", type=int, help="no more photos than this")
    chosen = parser.parse_args(arguments)
    net = ResNet50.load(chosen.weights)
    try:
        content = localization(net, chosen.photos, chosen.annotations, chosen.limit)
    except ValueError as error:  # annotations or a photo that cannot be used
        parser.error(str(error))
    text = json.dumps(content, indent=1, allow_nan=False)
    # One line a list of numbers: easy to read and to compare.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(text + "\n", "utf-8")
    print(report(content))


if __name__ == "__main__":
    main()
