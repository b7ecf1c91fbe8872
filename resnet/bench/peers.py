"""Other libraries on the same photo, where they are installed: `requirements-bench.txt`."""

from __future__ import annotations

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
from resnet.analysis import Analysis
from resnet.bench.compare import Row, Skipped, compare
from resnet.bench.subjects import Subjects

MISSING = "not installed (pip install -r requirements-bench.txt)"


def rows(on: Subjects, runs: int) -> Iterator[Row | Skipped]:
    """One row or more a peer; one that is missing says so."""
    few = max(2, runs // 3)
    for name, make in PEERS.items():
        try:
            yield from make(on, runs, few)
        except ImportError:
            yield Skipped(name, MISSING)


def _openvino(on: Subjects, runs: int, few: int) -> Iterator[Row]:
    import openvino  # noqa: F401 is it there?

    peer = backends.make("openvino", on.net)
    own = on.backend if on.backend.name != "openvino" else backends.make("prepacked", on.net)
    for count in (1, 8):
        x = on.x.expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)
        yield compare(f"bare forward, batch {count}: torch ({own.name}) / OpenVINO fp32",
                      partial(_logits, own, x), partial(_logits, peer, x),
                      runs if count == 1 else few, 1e-3, 1 / 0.6)  # fmt: skip
    yield compare("all 32 wires: OpenVINO / ours",
                  lambda: peer.trace(on.x).logits.numpy(), lambda: own.trace(on.x).logits.numpy(),
                  runs, 1e-3)  # fmt: skip


def _logits(way: backends.Backend, x: torch.Tensor) -> np.ndarray:
    return way.logits(x).numpy()


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

    def theirs() -> np.ndarray:
        kept: list[torch.Tensor] = []
        probabilities = model(on.x).softmax(1)[0].detach().numpy()
        maps = []
        with GradCAM(model, layers[-1]) as cam:
            for index in on.classes:
                maps.append(cam(index, model(on.x))[0])
        hooks = [layer.register_forward_hook(lambda m, i, o: kept.append(o)) for layer in layers]
        with torch.no_grad():
            model(on.x)
        for hook in hooks:
            hook.remove()
        return np.append(probabilities, [float(m.max()) for m in maps])

    def ours() -> np.ndarray:
        base = on.analysis
        analysis = Analysis(on.net, base.photo, base.view, on.backend.trace(on.x), 0.0)
        maps = [analysis.cam(index) for index in on.classes]
        return np.append(analysis.probabilities.numpy(), [m.scaled.max() for m in maps])

    yield compare("full analysis / torchvision and torch-cam, fp32", ours, theirs, few, 1e-3)


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

    from resnet import view
    from resnet.images import read_photo

    # Its own shape of ResNet-50, without weights of its own: the work is the same, the answer is
    # not, so the tolerance is none and the row counts as speed alone.
    config = ResNetConfig(num_labels=on.net.spec.classes)
    processor = ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875)
    pipe = build("image-classification", model=ResNetForImageClassification(config).eval(),
                 image_processor=processor, device="cpu")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        path.write_bytes(on.large)

        def theirs() -> np.ndarray:
            with Image.open(path) as image:
                pipe(image, top_k=5)
            return np.zeros(1)

        def ours() -> np.ndarray:
            seen = view.look(read_photo(path), on.net.spec)
            on.backend.logits(view.to_tensor(seen.image, on.net.spec))
            return np.zeros(1)

        yield compare("class from a 12 MP JPEG / transformers' pipeline, fp32 (speed alone)",
                      ours, theirs, few, 0.0, 1 / 2)  # fmt: skip


PEERS: dict[str, Callable[[Subjects, int, int], Iterator[Any]]] = {
    "bare forward / OpenVINO": _openvino,
    "bare forward / ONNX Runtime": _onnxruntime,
    "full analysis / torch-cam": _torch_cam,
    "bare forward / timm": _timm,
    "class from a 12 MP JPEG / transformers' pipeline": _transformers,
}
