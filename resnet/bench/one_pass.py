"""One photo, one user: the one pass against the libraries one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from resnet import cam, view
from resnet.analysis import Analysis
from resnet.backends.prepacked import has_bf16
from resnet.bench.compare import Row, Skipped, compare
from resnet.bench.subjects import Subjects
from resnet.images import read_photo
from resnet.residual import lesions
from resnet.residual.plan import one_lesion
from resnet.residual.rewired import with_plan

NO_BF16 = "not on this machine: its processor has no fast bf16 (AMX or AVX512-BF16)"


def rows(on: Subjects, runs: int) -> Iterator[Row | Skipped]:
    """All comparisons of one photo."""
    few = max(2, runs // 3)
    yield compare("full analysis / libraries one by one, fp32", lambda: _ours(on, on.x),
                  lambda: _libraries(on, on.x), few, 1e-3, 1 / 25)  # fmt: skip
    if not has_bf16():
        yield Skipped("full analysis / libraries one by one, bf16", NO_BF16)
    yield compare("the same from a 12 MP JPEG, fp32",
                  lambda: _ours_from(on), lambda: _libraries_from(on), few, 0.1)  # fmt: skip
    if not has_bf16():
        yield Skipped("the same from a 12 MP JPEG, bf16", NO_BF16)
    yield compare("class from a 12 MP JPEG / torchvision's script, fp32",
                  lambda: _class(on), lambda: _class_script(on), few, 0.1, 1 / 1.6)  # fmt: skip
    yield compare("32 wires kept / not kept", lambda: on.backend.trace(on.x).logits.numpy(),
                  lambda: on.backend.logits(on.x).numpy(), runs, 1e-3, 1.15)  # fmt: skip
    yield compare("32 lesions / 32 passes", lambda: _lesions(on), lambda: _lesions_anew(on),
                  few, 1e-4, 0.35)  # fmt: skip
    yield compare("Grad-CAM at 16 blocks / 16 library calls", lambda: _all_blocks(on),
                  lambda: _all_layers(on), few, 1e-3, 1 / 18)  # fmt: skip
    yield compare("a cut at 3.2 / a pass of its own", lambda: _cut(on), lambda: _cut_anew(on),
                  runs, 1e-3)  # fmt: skip


def _ours(on: Subjects, x: Tensor) -> np.ndarray:
    analysis = Analysis(on.net, on.analysis.photo, on.analysis.view, on.backend.trace(x), 0.0)
    maps = [analysis.cam(index) for index in on.classes]
    return np.append(analysis.probabilities.numpy(), [m.scaled.max() for m in maps])


def _libraries(on: Subjects, x: Tensor) -> np.ndarray:
    kept: list[Tensor] = []
    with torch.no_grad():
        probabilities = on.model(x).softmax(1)[0].numpy()
    maps = on.library_maps(on.layers[-1:], x, on.classes)
    hooks = [layer.register_forward_hook(lambda m, i, o: kept.append(o)) for layer in on.layers]
    with torch.no_grad():
        on.model(x)
    for hook in hooks:
        hook.remove()
    return np.append(probabilities, [m.max() for m in maps])


def _input(on: Subjects) -> Tensor:
    seen = view.look(read_photo(on.large), on.net.spec)
    return view.to_tensor(seen.image, on.net.spec)


def _ours_from(on: Subjects) -> np.ndarray:
    return _ours(on, _input(on))


def _libraries_from(on: Subjects) -> np.ndarray:
    return _libraries(on, on.torchvision_input(on.large))


def _class(on: Subjects) -> np.ndarray:
    return on.backend.logits(_input(on)).softmax(1).numpy()


def _class_script(on: Subjects) -> np.ndarray:
    with torch.no_grad():
        return on.model(on.torchvision_input(on.large)).softmax(1).numpy()


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


def _all_blocks(on: Subjects) -> np.ndarray:
    maps = cam.at_all_blocks(on.net, on.analysis.trace, on.classes[0])
    return np.array([heat.scaled.max() for heat in maps.values()])


def _all_layers(on: Subjects) -> np.ndarray:
    return np.array([m.max() for m in on.library_maps(on.layers, on.x, on.classes[:1])])


def _cut(on: Subjects) -> np.ndarray:
    return with_plan(on.analysis, one_lesion(on.net, "3.2", "branch")).trace.logits.numpy()


def _cut_anew(on: Subjects) -> np.ndarray:
    with torch.inference_mode():
        stream = on.net.stem(on.x)
        for step in one_lesion(on.net, "3.2", "branch"):
            stream = on.net.block(step.block)(stream, step.shortcut, step.branch)
        return on.net.head(stream).numpy()
