"""What one pass saves, measured here and now: `python -m resnet.bench [--quick] [--json FILE]`.

Each row compares two ways to the same answer.  Their answers are compared first; then they run in
turn, A B A B …, and the medians and the ratio A/B are printed.  Absolute times are of this machine
at this moment; read the ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from resnet import view
from resnet.analysis import Analysis
from resnet.network import ResNet50
from resnet.residual import lesions
from resnet.residual.plan import one_lesion
from resnet.residual.rewired import with_plan
from resnet.weights import ASSETS

CLASSES = 5  # heat maps of a full analysis


@dataclass(frozen=True)
class Row:
    """One comparison; seconds."""

    what: str
    ours: float  # median
    theirs: float  # median
    ratio: float  # median of ours / theirs, pair by pair
    least: float  # smallest and largest of these ratios
    most: float
    difference: float  # largest difference between the two answers


def compare(
    what: str,
    ours: Callable[[], np.ndarray],
    theirs: Callable[[], np.ndarray],
    runs: int,
    tolerance: float,
) -> Row:
    """Check that both give the same answer, then time them in turn.

    Raises:
        RuntimeError: the answers differ by more than `tolerance`.
    """
    difference = float(np.abs(ours() - theirs()).max())
    if difference > tolerance:
        raise RuntimeError(f"{what}: the two answers differ by {difference:g}")
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(runs)]
    ratios = [a / b for a, b in times]
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    return Row(what, a, b, statistics.median(ratios), min(ratios), max(ratios), difference)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def whole_model(net: ResNet50) -> nn.Module:
    """torchvision's own ResNet-50 with the same weights: what the libraries are given."""
    from torchvision.models import resnet50

    model = resnet50()
    if net.spec.stride_in_1x1:
        for stage in (model.layer2, model.layer3, model.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = net.spec.eps
    model.load_state_dict(net.state_dict())
    return model.eval()


def library_maps(model: nn.Module, layers: list[nn.Module], x: Tensor, classes: list[int]):
    """Grad-CAM by the package in its documented way, one call a layer and class."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    maps = []
    for layer in layers:
        for index in classes:
            with GradCAM(model=model, target_layers=[layer]) as cam:
                maps.append(cam(x, [ClassifierOutputTarget(index)])[0])
    return maps


def rows(net: ResNet50, runs: int) -> list[Row]:
    """All comparisons, on one of the example photos, on the CPU in float32."""
    with Image.open(ASSETS / "examples" / "cat.jpg") as image:
        photo = image.convert("RGB")
    base = net.analyze(photo)
    x = view.to_tensor(base.view.image, net.spec).to(memory_format=torch.channels_last)
    model = whole_model(net)
    classes = [p.index for p in base.top(CLASSES)]
    blocks = [(f"layer{n[0]}", int(n[2:])) for n in net.block_names]
    layers = [getattr(model, layer)[index] for layer, index in blocks]

    def one_pass() -> np.ndarray:
        analysis = Analysis(net, base.photo, base.view, net.trace(x), 0.0)
        maps = [analysis.cam(index) for index in classes]
        return np.append(analysis.probabilities.numpy(), [m.scaled.max() for m in maps])

    def libraries() -> np.ndarray:
        kept: list[Tensor] = []
        with torch.no_grad():
            probabilities = model(x).softmax(1)[0].numpy()
        maps = library_maps(model, layers[-1:], x, classes)
        handles = [layer.register_forward_hook(lambda m, i, o: kept.append(o)) for layer in layers]
        with torch.no_grad():
            model(x)
        for handle in handles:
            handle.remove()
        return np.append(probabilities, [m.max() for m in maps])

    def kept_wires() -> np.ndarray:
        return net.trace(x).logits.numpy()

    def bare() -> np.ndarray:
        with torch.inference_mode():
            return net(x).numpy()

    def shared_lesions() -> np.ndarray:
        return np.array([row.probability for row in lesions(net, base.trace, classes[0]).rows])

    def separate_lesions() -> np.ndarray:
        found = []
        for row in cuts:
            plan = one_lesion(net, row.block, row.wire)
            stream = net.stem(x)
            for step in plan:
                stream = net.block(step.block)(stream, step.shortcut, step.branch)
            found.append(float(net.head(stream).softmax(1)[0, classes[0]]))
        return np.array(found)

    def all_blocks() -> np.ndarray:
        return np.array([base.cam(classes[0], "gradcam", b).scaled.max() for b in net.block_names])

    def all_layers() -> np.ndarray:
        return np.array([m.max() for m in library_maps(model, layers, x, classes[:1])])

    def one_cut() -> np.ndarray:
        return with_plan(base, one_lesion(net, "3.2", "branch")).trace.logits.numpy()

    def one_cut_anew() -> np.ndarray:
        with torch.inference_mode():
            stream = net.stem(x)
            for step in one_lesion(net, "3.2", "branch"):
                stream = net.block(step.block)(stream, step.shortcut, step.branch)
            return net.head(stream).numpy()

    cuts = lesions(net, base.trace, classes[0]).rows
    few = max(3, runs // 3)
    with torch.inference_mode(False):
        return [
            compare("full analysis / libraries one by one", one_pass, libraries, few, 1e-3),
            compare("32 wires kept / not kept", kept_wires, bare, runs, 1e-4),
            compare("32 lesions / 32 passes", shared_lesions, separate_lesions, few, 1e-4),
            compare("Grad-CAM at 16 blocks / 16 library calls", all_blocks, all_layers, few, 1e-3),
            compare("a cut at 3.2 / a pass of its own", one_cut, one_cut_anew, runs, 1e-4),
        ]


def main(arguments: list[str] | None = None) -> None:
    about = "Measure what one pass saves against the libraries used one by one."
    parser = argparse.ArgumentParser(prog="python -m resnet.bench", description=about)
    parser.add_argument("--quick", action="store_true", help="fewer runs, under a minute")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args(arguments)
    net = ResNet50.load("he2015", "cpu", "fp32")
    threads = torch.get_num_threads()
    print(f"{platform.machine()}, {threads} threads, torch {torch.__version__}, he2015, fp32, CPU")
    found = rows(net, 5 if options.quick else 21)
    print(f"{'ours / theirs':44}{'ours':>10}{'theirs':>10}{'ratio':>8}{'from … to':>16}")
    for row in found:
        spread = f"{row.least:.3f} … {row.most:.3f}"
        times = f"{1000 * row.ours:7.1f} ms{1000 * row.theirs:7.1f} ms"
        print(f"{row.what:44}{times}{row.ratio:8.3f}{spread:>16}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"threads": threads, "rows": [asdict(row) for row in found]}, file, indent=1)


if __name__ == "__main__":
    main()
