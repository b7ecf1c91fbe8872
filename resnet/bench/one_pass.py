"""One photo, one user: the one pass against the libraries one by one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from resnet import cam, view
from resnet.analysis import Analysis
from resnet.backends import Backend
from resnet.bench.compare import Row, Skipped, compare, largest
from resnet.bench.subjects import Subjects
from resnet.cam import HeatMap
from resnet.images import read_photo
from resnet.residual import lesions
from resnet.residual.plan import one_lesion
from resnet.residual.rewired import with_plan

ROUNDING = {"fp32": 1e-3, "bf16": 0.1}  # of probabilities and of maps scaled to 0..1
LARGE = 0.1  # a large JPEG is decoded smaller than the libraries decode it
Full = tuple[np.ndarray, list]  # probabilities [classes] and a heat map a class


def rows(on: Subjects, runs: int, few: int) -> Iterator[Row | Skipped]:
    """All comparisons of one photo; `few` runs of what takes seconds."""
    on.library_maps(on.layers[-1:], on.x, on.classes[:1])  # imports it, which takes seconds
    wanted = {"fp32": 1 / 25, "bf16": 1 / 65}
    for kind, way in on.ways():
        yield compare(f"full analysis / libraries one by one, {kind}",
                      partial(full, on, way, on.x), partial(libraries, on, on.x),
                      few, ROUNDING[kind], wanted[kind], full_differ)  # fmt: skip
    if on.half is None:
        yield Skipped("full analysis / libraries one by one, bf16", on.why_half)
    wanted = {"fp32": float("nan"), "bf16": 1 / 18}
    for kind, way in on.ways():
        yield compare(f"the same from a 12 MP JPEG, {kind}",
                      partial(_full_from, on, way), partial(_libraries_from, on),
                      few, LARGE, wanted[kind], full_differ)  # fmt: skip
    if on.half is None:
        yield Skipped("the same from a 12 MP JPEG, bf16", on.why_half)
    wanted = {"fp32": 1 / 1.6, "bf16": 1 / 2.5}
    for kind, way in on.ways():
        yield compare(f"class from a 12 MP JPEG / torchvision's script, {kind}",
                      partial(class_of, on, way), partial(_class_script, on),
                      few, LARGE, wanted[kind])  # fmt: skip
    for kind, way in on.ways():
        yield compare(f"32 wires kept / not kept, {kind}", partial(_kept, way, on.x),
                      partial(_bare, way, on.x), runs, 20 * ROUNDING[kind], 1.15)  # fmt: skip
    yield compare("32 lesions / 32 passes", lambda: _lesions(on), lambda: _lesions_anew(on),
                  few, 1e-4, 0.35)  # fmt: skip
    yield compare("Grad-CAM at 16 blocks / 16 library calls", lambda: _all_blocks(on),
                  lambda: on.library_maps(on.layers, on.x, on.classes[:1]),
                  few, 1e-2, 1 / 18, maps_differ)  # fmt: skip
    yield compare("a cut at 3.2 / a pass of its own", lambda: _cut(on), lambda: _cut_anew(on),
                  runs, 1e-3)  # fmt: skip


def full(on: Subjects, way: Backend, x: Tensor) -> Full:
    """Everything of one photo by one pass: all classes, five heat maps, all wires."""
    trace = way.trace(x)
    analysis = Analysis(on.net, on.analysis.photo, on.analysis.view, trace, 0.0)
    return analysis.probabilities.numpy(), [analysis.cam(index) for index in on.classes]


def libraries(on: Subjects, x: Tensor) -> Full:
    """The same by torchvision, the grad-cam package and hooks, as their documents have it."""
    kept: list[Tensor] = []
    with torch.no_grad():
        probabilities = on.model(x).softmax(1)[0].numpy()
    maps = on.library_maps(on.layers[-1:], x, on.classes)
    hooks = [layer.register_forward_hook(lambda m, i, o: kept.append(o)) for layer in on.layers]
    with torch.no_grad():
        on.model(x)
    for hook in hooks:
        hook.remove()
    return probabilities, maps


def full_differ(ours: Full, theirs: Full) -> float:
    """By how much probabilities or maps differ."""
    return max(largest(ours[0], theirs[0]), maps_differ(ours[1], theirs[1]))


def maps_differ(ours: list[HeatMap], theirs: list[np.ndarray]) -> float:
    """By how much maps scaled to 0..1 differ, on the size of theirs; nobody counts a blank one."""
    found = []
    for mine, other in zip(ours, theirs, strict=True):
        large = cam.scale(cam.enlarge(mine.scaled, other.shape[::-1]))
        found.append(0.0 if mine.blank else largest(large, other))
    return max(found)


def input_of(on: Subjects) -> Tensor:
    """The large photo's file -> the network's input, by our reader."""
    seen = view.look(read_photo(on.large), on.net.spec)
    return view.to_tensor(seen.image, on.net.spec)


def _full_from(on: Subjects, way: Backend) -> Full:
    return full(on, way, input_of(on))


def _libraries_from(on: Subjects) -> Full:
    return libraries(on, on.torchvision_input(on.large))


def class_of(on: Subjects, way: Backend) -> np.ndarray:
    """The large photo's file -> probabilities [1, classes]."""
    return way.logits(input_of(on)).softmax(1).numpy()


def _class_script(on: Subjects) -> np.ndarray:
    with torch.no_grad():
        return on.model(on.torchvision_input(on.large)).softmax(1).numpy()


def _kept(way: Backend, x: Tensor) -> np.ndarray:
    return way.trace(x).logits.numpy()


def _bare(way: Backend, x: Tensor) -> np.ndarray:
    return way.logits(x).numpy()


def _lesions(on: Subjects) -> np.ndarray:
    board = lesions(on.net, on.analysis.trace, on.classes[0])
    return np.array([row.probability for row in board.rows])


def _lesions_anew(on: Subjects) -> np.ndarray:
    cuts = [(name, wire) for name in on.net.block_names for wire in ("branch", "shortcut")]
    found = []
    with torch.inference_mode():
        for cut in cuts:
            stream = on.net.stem(on.x)
            for step in one_lesion(on.net, *cut):
                stream = on.net.block(step.block)(stream, step.shortcut, step.branch)
            found.append(float(on.net.head(stream).softmax(1)[0, on.classes[0]]))
    return np.array(found)


def _all_blocks(on: Subjects) -> list[HeatMap]:
    return list(cam.at_all_blocks(on.net, on.analysis.trace, on.classes[0]).values())


def _cut(on: Subjects) -> np.ndarray:
    return with_plan(on.analysis, one_lesion(on.net, "3.2", "branch")).trace.logits.numpy()


def _cut_anew(on: Subjects) -> np.ndarray:
    with torch.inference_mode():
        stream = on.net.stem(on.x)
        for step in one_lesion(on.net, "3.2", "branch"):
            stream = on.net.block(step.block)(stream, step.shortcut, step.branch)
        return on.net.head(stream).numpy()
