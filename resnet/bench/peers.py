"""Other libraries on the same photo, where they are installed: `requirements-bench.txt`."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from resnet import backends
from resnet.bench import one_pass
from resnet.bench.compare import Row, Skipped, compare
from resnet.bench.one_pass import ROUNDING
from resnet.bench.subjects import Subjects

MISSING = "not installed (pip install -r requirements-bench.txt)"


def rows(on: Subjects, runs: int, few: int) -> Iterator[Row | Skipped]:
    """One row or more a peer; one that is missing says so."""
    for name, make in PEERS.items():
        try:
            yield from make(on, runs, few)
        except ImportError:
            yield Skipped(name, MISSING)


def _openvino(on: Subjects, runs: int, few: int) -> Iterator[Row]:
    import openvino  # noqa: F401 is it there?

    for kind, way in on.ways():
        peer = backends.make("openvino", on.net, kind)
        own = way if way.name != "openvino" else backends.make("prepacked", on.net, kind)
        near = 20 * ROUNDING[kind]  # of logits
        for count in (1, 8):
            x = on.x.expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)
            yield compare(f"bare forward, batch {count}: torch ({own.name}) / OpenVINO, {kind}",
                          partial(_logits, own, x), partial(_logits, peer, x),
                          runs if count == 1 else few, near, 1 / 0.6)  # fmt: skip
        yield compare(f"all 32 wires: OpenVINO / torch ({own.name}), {kind}",
                      partial(_kept, peer, on.x), partial(_kept, own, on.x),
                      runs, near)  # fmt: skip


def _logits(way: backends.Backend, x: torch.Tensor) -> np.ndarray:
    return way.logits(x).numpy()


def _kept(way: backends.Backend, x: torch.Tensor) -> np.ndarray:
    return way.trace(x).logits.numpy()


def _onnxruntime(on: Subjects, runs: int, few: int) -> Iterator[Row]:
    import onnx  # noqa: F401 torch's exporter needs it
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "resnet.onnx"
        torch.onnx.export(on.model, (on.x.contiguous(),), path, dynamo=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    x = on.x.contiguous().numpy()
    yield compare("bare forward, batch 1: ours / ONNX Runtime fp32",
                  lambda: on.backend.logits(on.x).numpy(), lambda: session.run(None, {name: x})[0],
                  runs, 1e-3)  # fmt: skip


def _torch_cam(on: Subjects, runs: int, few: int) -> Iterator[Row]:
    from torchcam.methods import GradCAM

    model = on.model
    layers: list[nn.Module] = on.layers

    def theirs() -> one_pass.Full:
        kept: list[torch.Tensor] = []
        probabilities = model(on.x).softmax(1)[0].detach().numpy()
        maps = []
        with GradCAM(model, layers[-1]) as cam:
            for index in on.classes:
                maps.append(cam(index, model(on.x))[0][0].numpy())
        hooks = [layer.register_forward_hook(lambda m, i, o: kept.append(o)) for layer in layers]
        with torch.no_grad():
            model(on.x)
        for hook in hooks:
            hook.remove()
        return probabilities, maps

    for kind, way in on.ways():
        yield compare(f"full analysis / torchvision and torch-cam, {kind}",
                      partial(one_pass.full, on, way, on.x), theirs, few, ROUNDING[kind],
                      differ=one_pass.full_differ)  # fmt: skip


def _timm(on: Subjects, runs: int, few: int) -> Iterator[Row]:
    import timm

    model = timm.create_model("resnet50.tv_in1k", pretrained=False).eval()
    if on.net.spec.stride_in_1x1:
        for stage in (model.layer2, model.layer3, model.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = on.net.spec.eps
    model.load_state_dict(on.net.state_dict())

    def theirs() -> np.ndarray:
        with torch.inference_mode():
            return model(on.x).numpy()

    yield compare("bare forward, batch 1: ours / timm's resnet50, eager fp32",
                  lambda: on.backend.logits(on.x).numpy(), theirs, runs, 1e-3)  # fmt: skip


def _transformers(on: Subjects, runs: int, few: int) -> Iterator[Row]:
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification
    from transformers import pipeline as build

    spec = on.net.spec
    config = ResNetConfig(num_labels=spec.classes, downsample_in_bottleneck=spec.stride_in_1x1)
    model = ResNetForImageClassification(config).eval()
    model.load_state_dict(as_transformers(on.net.state_dict()))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = spec.eps
    processor = ConvNextImageProcessor(
        size={"shortest_edge": spec.crop}, crop_pct=spec.crop / spec.resize,
        resample=Image.Resampling.BILINEAR, image_mean=list(spec.mean), image_std=list(spec.std),
    )  # fmt: skip
    pipe = build("image-classification", model=model, image_processor=processor, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        path.write_bytes(on.large)

        def theirs() -> dict[int, float]:
            with Image.open(path) as image:
                found = pipe(image, top_k=5)
            return {config.label2id[each["label"]]: each["score"] for each in found}

        wanted = {"fp32": 1 / 2, "bf16": 1 / 3}
        for kind, way in on.ways():
            yield compare(f"class from a 12 MP JPEG / transformers' pipeline, {kind}",
                          partial(one_pass.class_of, on, way), theirs, few, one_pass.LARGE,
                          wanted[kind], _best_differ)  # fmt: skip


def _best_differ(ours: np.ndarray, theirs: dict[int, float]) -> float:
    """Probabilities [1, classes] against some of them by class."""
    return max(abs(float(ours[0, index]) - share) for index, share in theirs.items())


def as_transformers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """torchvision's names -> those that `transformers` has for the same tensors."""
    found = {}
    for name, tensor in state.items():
        for pattern, new in NAMES:
            name, done = re.subn(pattern, new, name)
            if done:
                break
        found[name] = tensor
    return found


_PARTS = {"conv": "convolution", "bn": "normalization"}
NAMES: list[tuple[str, Any]] = [
    (r"^(conv|bn)1\.", lambda m: f"resnet.embedder.embedder.{_PARTS[m[1]]}."),
    (r"^layer(\d)\.(\d)\.(conv|bn)(\d)\.",
     lambda m: f"{_stage(m)}.layer.{int(m[4]) - 1}.{_PARTS[m[3]]}."),
    (r"^layer(\d)\.(\d)\.downsample\.(\d)\.",
     lambda m: f"{_stage(m)}.shortcut.{list(_PARTS.values())[int(m[3])]}."),
    (r"^fc\.", "classifier.1."),
]  # fmt: skip


def _stage(found: re.Match) -> str:
    return f"resnet.encoder.stages.{int(found[1]) - 1}.layers.{found[2]}"


PEERS: dict[str, Callable[[Subjects, int, int], Iterator[Any]]] = {
    "bare forward / OpenVINO": _openvino,
    "bare forward / ONNX Runtime": _onnxruntime,
    "full analysis / torch-cam": _torch_cam,
    "bare forward / timm": _timm,
    "class from a 12 MP JPEG / transformers' pipeline": _transformers,
}
