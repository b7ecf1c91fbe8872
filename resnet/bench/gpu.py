"""A GPU's rows: latency of one photo, throughput of many.  Without one they say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet import backends, view
from resnet.analysis import Analysis
from resnet.backends import Backend
from resnet.bench.compare import Row, Skipped, compare
from resnet.bench.subjects import Subjects
from resnet.bench.users import jpeg
from resnet.images import read_photo
from resnet.network import ResNet50

BATCH = 256
ROUNDING = 0.1  # of probabilities, in bf16
NO_GPU = "no GPU on this machine"
TITLES = (
    "GPU: one photo, file to heat map / eager fp32",
    f"GPU: {BATCH} photos / torch.compile(max-autotune), bf16",
)


def rows(on: Subjects, runs: int) -> Iterator[Row | Skipped]:
    """Latency against eager float32 and throughput against torch.compile, on the first GPU."""
    if not torch.cuda.is_available():
        yield from (Skipped(title, NO_GPU) for title in TITLES)
        return
    device = torch.device("cuda")
    net = ResNet50.load("he2015", "cuda", "bf16")
    yield latency(on, backends.choose(net, "auto").backend, device, runs)
    batch = on.x.expand(BATCH, -1, -1, -1).to(device, torch.bfloat16)
    batch = batch.contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(_model(on, device, torch.bfloat16), mode="max-autotune")
    yield throughput(backends.choose(net, "bf16").backend, compiled, batch, max(5, runs))


def latency(on: Subjects, way: Backend, device: torch.device, runs: int) -> Row:
    """A photo's file -> probabilities and the answer's heat map, on the CPU again."""
    data = jpeg(on.photo)
    model = _model(on, device, torch.float32)

    def ours() -> np.ndarray:
        photo = read_photo(data)
        seen = view.look(photo, way.net.spec)
        trace = way.trace(view.to_tensor(seen.image, way.net.spec))
        analysis = Analysis(way.net, photo, seen, trace, 0.0)
        heat = analysis.cam(on.classes[0]).scaled
        return np.append(analysis.probabilities.numpy(), heat)

    def theirs() -> np.ndarray:
        kept: list[Tensor] = []
        hook = model.layer4[-1].register_forward_hook(lambda part, given, out: kept.append(out))
        with torch.inference_mode():
            probabilities = model(on.torchvision_input(data).to(device)).softmax(1)[0].cpu()
            grid = torch.einsum("c,chw->hw", model.fc.weight[on.classes[0]], kept[0][0]).relu()
        hook.remove()
        low = grid.cpu() - grid.cpu().min()
        return np.append(probabilities.numpy(), (low / low.max()).numpy())

    return compare(TITLES[0], ours, theirs, runs, ROUNDING, 0.5)


def throughput(way: Backend, compiled: Callable[[Tensor], Tensor], x: Tensor, runs: int) -> Row:
    """A batch that lies on the device -> logits on the CPU."""

    def theirs() -> np.ndarray:
        with torch.inference_mode():
            return _shares(compiled(x))

    return compare(TITLES[1], lambda: _shares(way.logits(x)), theirs, runs, ROUNDING, 1 / 0.95)


def _shares(logits: Tensor) -> np.ndarray:
    """Probabilities; the copy waits for the device."""
    return logits.float().softmax(1).cpu().numpy()


def _model(on: Subjects, device: torch.device, type: torch.dtype) -> Any:
    """torchvision's network with our weights, on the device."""
    model: Any = deepcopy(on.model)
    return model.to(device, type, memory_format=torch.channels_last)
