"""Class activation maps from the stored activation of any block.

Every method of the `grad-cam` package runs on a small model, *the tail of the network after the
chosen block*, fed with the activation that the one forward pass left behind.  So the trunk is not
run again, no hook touches the shared network, and no `.grad` is left on it.

Sources: CAM, Zhou et al. 2016 (1512.04150); Grad-CAM, Selvaraju et al. 2017 (1610.02391);
Grad-CAM++, Chattopadhay et al. 2018 (1710.11063); HiResCAM, Draelos & Carin 2020 (2011.08891);
XGrad-CAM, Fu et al. 2020 (2008.02312); LayerCAM, Jiang et al. 2021; Eigen-CAM, Muhammad & Yeasin
2020 (2008.00299); Ablation-CAM, Ramaswamy & Desai 2020; Score-CAM, Wang et al. 2020 (1910.01279).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from resnet.network import ResNet50, Trace

Progress = Callable[[range], Iterable[int]]


@dataclass(frozen=True)
class Method:
    """A way to make a heat map, described for the people who pick it."""

    title: str
    note: str  # one line: what it does, when it is slow
    library: str = ""  # class in pytorch_grad_cam; "" = ours
    uses_class: bool = True
    slow: bool = False  # hundreds of passes through the tail


METHODS: dict[str, Method] = {
    "gradcam": Method("Grad-CAM", "Channels weighted by their mean gradient.", "GradCAM"),
    "cam": Method(
        "CAM (exact, signed)",
        "What each position adds to the class's logit; last block only. Blue for, orange against.",
    ),
    "hirescam": Method("HiResCAM", "Gradient times activation at every position.", "HiResCAM"),
    "gradcam++": Method(
        "Grad-CAM++", "Weights that favour several small objects.", "GradCAMPlusPlus"
    ),
    "xgradcam": Method("XGrad-CAM", "Gradients scaled by the share of activation.", "XGradCAM"),
    "layercam": Method(
        "LayerCAM", "Positive gradients at every position; sharp in early blocks.", "LayerCAM"
    ),
    "eigencam": Method(
        "Eigen-CAM",
        "First principal component of the activation; the same for every class.",
        "EigenCAM",
        uses_class=False,
    ),
    "ablationcam": Method(
        "Ablation-CAM",
        "Switches channels off one by one; no gradients; takes seconds.",
        "AblationCAM",
        slow=True,
    ),
    "scorecam": Method(
        "Score-CAM (on the activation)",
        "Masks the stored activation with each channel; takes seconds.",
        "ScoreCAM",
        slow=True,
    ),
}

# At the last block every position's gradient is the class's row of `fc` over h w: these are the
# positive part of the exact CAM, with no backward pass and without the package, slow to import.
CLOSED = ("gradcam", "hirescam")


class CamError(ValueError):
    """A method or block that does not exist or does not go together."""


@dataclass(frozen=True)
class HeatMap:
    """One heat map on the grid of its block."""

    grid: np.ndarray  # float32 [h, w], raw units of the method; signed only if `signed`
    index: int  # of the class explained
    method: str
    block: str
    signed: bool

    @property
    def blank(self) -> bool:
        """Nothing to see: no position stands out at all."""
        return not bool(np.ptp(self.grid) > 1e-12 and (self.signed or self.grid.max() > 1e-12))

    @property
    def scaled(self) -> np.ndarray:
        """The grid for drawing: 0..1, or -1..1 about zero if signed; all zeros if blank."""
        return scale(self.grid, self.signed)


def scale(values: np.ndarray, signed: bool = False) -> np.ndarray:
    """Min-max to 0..1 as the grad-cam package does, or by the largest magnitude if signed."""
    if signed:
        return (values / max(float(np.abs(values).max()), 1e-12)).astype(np.float32)
    low = values - values.min()
    return (low / (1e-7 + low.max())).astype(np.float32)


def enlarge(grid: np.ndarray, size: tuple[int, int], smooth: bool = True) -> np.ndarray:
    """[h, w] -> float32 [height, width]; bilinear, or the bare grid cells.

    Args:
        size: (width, height) in pixels.
    """
    values = torch.from_numpy(np.ascontiguousarray(grid, np.float32))[None, None]
    how = {"mode": "bilinear", "align_corners": False} if smooth else {"mode": "nearest-exact"}
    return nn.functional.interpolate(values, size=size[::-1], **how)[0, 0].numpy()


def heatmap(
    net: ResNet50,
    trace: Trace,
    index: int,
    method: str = "gradcam",
    block: str | None = None,
    progress: Progress | None = None,
) -> HeatMap:
    """The heat map of one class at one block, from a stored trace of one photo.

    The target is the class's logit, not its probability: softmax gives other maps.

    Args:
        trace: of a batch of one.
        index: class index.
        method: a key of METHODS.
        block: "1.0" ... "4.2"; the last block if None.
        progress: wraps the loop of the slow methods, as `tqdm` does.

    Raises:
        CamError: unknown method or block, or exact CAM anywhere but at the last block.
    """
    last = net.block_names[-1]
    block = block or last
    if method not in METHODS:
        raise CamError(f"There is no method “{method}”. Use one of {', '.join(METHODS)}.")
    if block not in net.block_names:
        raise CamError(f"There is no block “{block}”. Use one of {', '.join(net.block_names)}.")
    # The trace was made in inference mode; autograd needs an ordinary tensor, in float32.
    with torch.inference_mode(False):  # the caller may be in that mode too
        activation = trace.blocks[block].output.detach().float().clone()
    if method == "cam":
        if block != last:
            raise CamError(f"The exact CAM exists at the last block, {last}, only; try HiResCAM.")
        return HeatMap(exact_cam(activation, net.fc.weight[index]), index, method, block, True)
    if block == last and method in CLOSED:
        grid = np.maximum(exact_cam(activation, net.fc.weight[index]), 0)
        return HeatMap(grid, index, method, block, signed=False)
    grid = library_cam(Tail(net, block), activation, index, METHODS[method], progress)
    return HeatMap(grid, index, method, block, signed=False)


def at_all_blocks(net: ResNet50, trace: Trace, index: int) -> dict[str, HeatMap]:
    """Grad-CAM of one class at every block, by one forward and one backward pass for all.

    Args:
        trace: of one photo, as the network was trained.
        index: class index.
    """
    with torch.inference_mode(False), torch.enable_grad():
        stream = trace.stem.detach().float().clone().requires_grad_()
        outputs = []
        for name in net.block_names:
            stream = net.block(name)(stream)
            outputs.append(stream)
        gradients = torch.autograd.grad(net.head(stream)[0, index], outputs)
    maps = {}
    for name, output, gradient in zip(net.block_names, outputs, gradients, strict=True):
        weights = gradient[0].mean((1, 2))  # Selvaraju et al. 2017, eq. 1
        grid = torch.einsum("c,chw->hw", weights, output.detach()[0]).relu().cpu().numpy()
        maps[name] = HeatMap(grid, index, "gradcam", name, signed=False)
    return maps


def exact_cam(activation: Tensor, weight: Tensor) -> np.ndarray:
    """Zhou et al. 2016, eq. 2: M(x, y) = sum_c w_c A_c(x, y) / (h w), so that sum M + b = logit.

    Args:
        activation: [1, C, h, w] after the last block.
        weight: the class's row of `fc`, [C].

    Returns:
        float32 [h, w], signed, in logits.
    """
    height, width = activation.shape[2:]
    return (torch.einsum("c,chw->hw", weight, activation[0]) / (height * width)).cpu().numpy()


class Tail(nn.Module):
    """The network after a block.  `start` is a private place for the library's hooks."""

    def __init__(self, net: ResNet50, block: str):
        super().__init__()
        following = net.block_names[net.block_names.index(block) + 1 :]
        self.start = nn.Identity()
        self.blocks = nn.Sequential(*(net.block(name) for name in following))
        self.fc = net.fc

    def train(self, mode: bool = True) -> Tail:
        """Nothing: the library calls `eval()`, but the shared blocks' flags are not ours to set."""
        return self

    def forward(self, stream: Tensor) -> Tensor:
        return self.fc(self.blocks(self.start(stream)).mean((2, 3)))


def library_cam(
    tail: Tail,
    activation: Tensor,
    index: int,
    method: Method,
    progress: Progress | None = None,
) -> np.ndarray:
    """Run one class of the grad-cam package on the tail; the raw map, rectified, [h, w].

    Args:
        progress: wraps the batches of the slow methods, as `tqdm` does.
    """
    package = _grad_cam_package()
    own_parts = {}
    if method.library == "AblationCAM":  # the package's default layer is shared between threads
        own_parts["ablation_layer"] = package.ablation_layer.AblationLayer()
    raw: list[np.ndarray] = []
    _watch.progress = progress
    with torch.inference_mode(False), torch.set_grad_enabled(not method.slow):
        cam = getattr(package, method.library)(tail, [tail.start], **own_parts)
        own = cam.get_cam_image

        def keep(*args, **kwargs) -> np.ndarray:
            raw.append(own(*args, **kwargs))
            return raw[-1]

        if method.library == "ScoreCAM":  # the package masks all channels at once: 800 MB
            cam.get_cam_weights = lambda *_: score_weights(tail, activation, index, progress)
        cam.get_cam_image = keep  # the package returns a normalised map; keep the magnitudes too
        target = package.utils.model_targets.ClassifierOutputTarget(index)
        try:
            cam(activation.requires_grad_(not method.slow), [target])
        finally:
            cam.activations_and_grads.release()
            # A reference cycle: the graph would stay until the garbage collector runs.
            vars(cam).pop("get_cam_image")
            vars(cam).pop("get_cam_weights", None)
            _watch.progress = None
    # Ablation-CAM divides by the logit; where that is 0 there is nothing to show.
    grid = np.nan_to_num(np.asarray(raw[0][0], np.float32), nan=0, posinf=0, neginf=0)
    return np.maximum(grid, 0)


def score_weights(
    tail: Tail, activation: Tensor, index: int, progress: Progress | None, batch: int = 16
) -> np.ndarray:
    """Score-CAM's channel weights (1910.01279, eq. 5), as the package has them, in small batches.

    Args:
        activation: [1, C, h, w]; masked with each of its channels scaled to 0..1.

    Returns:
        softmax over channels of the class's logit under each mask, float32 [1, C].
    """
    channels = activation[0]  # [C, h, w]
    low = channels.amin((1, 2), keepdim=True)
    masks = (channels - low) / (channels.amax((1, 2), keepdim=True) - low + 1e-8)
    batches: Iterable[int] = range(0, len(masks), batch)
    with torch.no_grad():
        scores = [
            tail(activation * masks[start : start + batch, None])[:, index]
            for start in (progress(batches) if progress else batches)  # type: ignore[arg-type]
        ]
        return torch.cat(scores).softmax(0)[None].cpu().numpy()


_watch = threading.local()


@cache
def _grad_cam_package() -> ModuleType:
    """The package, imported when the first map is asked for: it takes seconds."""
    import pytorch_grad_cam
    import pytorch_grad_cam.ablation_cam

    def loop(batches: range) -> Iterable[int]:
        progress = getattr(_watch, "progress", None)
        return batches if progress is None else progress(batches)

    # Ablation-CAM prints a bar to stderr for every map; send the loop to whoever watches.
    pytorch_grad_cam.ablation_cam.tqdm = SimpleNamespace(tqdm=loop)
    return pytorch_grad_cam
