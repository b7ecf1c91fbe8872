"""torchvision's ResNet-50 detectors: what is known of each, fetching, adding, loading.

Their weights are not part of the project.  They are fetched when somebody asks for them, into
torch's own cache, where torchvision finds them as well.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resnet import downloads, weights
from resnet.detectors.catalogue import DetectorError, DetectorInfo
from resnet.network import ResNet50

if TYPE_CHECKING:
    from resnet.detectors.library_heads import OneStage, TwoStage

LICENCE = "BSD-3-Clause"  # torchvision's
AP_FROM = "COCO val2017 (5,000 photos), as torchvision publishes it"
CLASSES = 80  # of COCO
TRAINED_ON = "COCO train2017 (118,287 photos)"
KEPT = 2  # detectors in memory; each takes about 180 MB


@dataclass(frozen=True)
class Recipe:
    """How torchvision builds a detector, and what loading its published weights changes.

    Attributes:
        title: for people.
        builder: name of torchvision's function.
        stages: those that feed the pyramid.
        two_stage: proposes boxes first.
        ap, mib, file: what torchvision publishes of its weights: AP in percent, 2**20 bytes, and
            their name; written down here because torchvision is slow to import.
        eps: of the trunk's batch norms; torchvision sets the oldest model's to 0.
        masks: it outlines things as well.
    """

    title: str
    builder: str
    stages: tuple[str, ...]
    two_stage: bool
    ap: float
    mib: float
    file: str
    eps: float = 1e-5
    masks: bool = False


ALL, FROM_2 = ("1", "2", "3", "4"), ("2", "3", "4")
RECIPES = {
    "maskrcnn-v2": Recipe(
        "Mask R-CNN v2 (with outlines)", "maskrcnn_resnet50_fpn_v2", ALL, True,
        47.4, 177.219, "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", masks=True,
    ),
    "fasterrcnn-v2": Recipe(
        "Faster R-CNN v2", "fasterrcnn_resnet50_fpn_v2", ALL, True,
        46.7, 167.104, "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
    ),
    "retinanet-v2": Recipe(
        "RetinaNet v2", "retinanet_resnet50_fpn_v2", FROM_2, False,
        41.5, 146.037, "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth",
    ),
    "fcos": Recipe(
        "FCOS", "fcos_resnet50_fpn", FROM_2, False,
        39.2, 123.608, "fcos_resnet50_fpn_coco-99b0c9b7.pth",
    ),
    "fasterrcnn": Recipe(
        "Faster R-CNN", "fasterrcnn_resnet50_fpn", ALL, True,
        37.0, 159.743, "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", eps=0.0,
    ),
}  # fmt: skip


@cache
def infos() -> tuple[DetectorInfo, ...]:
    """The catalogue's entries, from the most to the least precise box; torchvision's own figures.

    torchvision publishes AP alone, so `ap50` is None.
    """
    found = [_info(name, recipe) for name, recipe in RECIPES.items()]
    return tuple(sorted(found, key=lambda info: -info.ap))


def _published(name: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(RECIPES[name].builder).COCO_V1


def _info(name: str, recipe: Recipe) -> DetectorInfo:
    return DetectorInfo(
        name=name,
        title=recipe.title,
        classes=CLASSES,
        ap=recipe.ap,
        ap50=None,
        ap_from=AP_FROM,
        trained_on=TRAINED_ON,
        megabytes=recipe.mib * 2**20 / 1e6,
        url=f"https://download.pytorch.org/models/{recipe.file}",
        sha256=Path(recipe.file).stem.rsplit("-", 1)[1],
        full=True,
        masks=recipe.masks,
    )


def class_names(categories: list[str]) -> tuple[str, ...]:
    """COCO's 80 things, without the background and the numbers that COCO never gave out."""
    return tuple(name for name in categories if name not in ("__background__", "N/A"))


def info_of(name: str) -> DetectorInfo:
    """One entry.

    Raises:
        DetectorError: torchvision has no such detector.
    """
    for info in infos():
        if info.name == name:
            return info
    raise DetectorError(f"torchvision's detectors are {', '.join(RECIPES)}; not “{name}”.")


def source_of(name: str) -> str:
    """Where the weights are from, as torchvision names them."""
    return f"torchvision {_published(name)}"


def file_of(name: str) -> Path:
    """Where the weights are, or would be once fetched."""
    return downloads.path_of(info_of(name).url)


def is_here(name: str) -> bool:
    """Whether the weights are on this machine; whether they are whole is seen when they load."""
    return file_of(name).is_file()


def fetch(name: str, progress: downloads.Progress | None = None) -> Path:
    """Fetch the weights unless they are here; a broken download goes on where it stopped.

    Args:
        progress: called with the bytes here and in all (None: not known).

    Raises:
        DetectorError: with a sentence that says why it cannot be had.
    """
    info = info_of(name)
    try:
        return downloads.fetch(info.url, info.sha256, progress)
    except downloads.DownloadError as error:
        raise DetectorError(f"{name} could not be fetched. {error}") from error


def add(name: str, file: Path) -> Path:
    """Put a file of these weights, which somebody brought, where `load` finds it.

    Returns:
        Where it is now.

    Raises:
        DetectorError: other names or shapes, another hash, or no room.
    """
    info = info_of(name)
    if not file.is_file():
        raise DetectorError(f"There is no file at {file}.")
    _fill(name, _read(file), file.name)
    target = downloads.path_of(info.url)
    try:
        downloads.adopt(file, target, info.sha256)
    except downloads.DownloadError as error:
        raise DetectorError(str(error)) from error
    return target


def load(name: str, device: torch.device, precision: str = "fp32") -> TwoStage | OneStage:
    """A detector on a device, ready to run.  The last two are kept; nothing is fetched.

    Args:
        precision: of the pass; figures stay float32.

    Raises:
        DetectorError: the weights are not here (the message says how to get them) or damaged.
    """
    info = info_of(name)
    key = (name, str(device), precision)
    with _lock, torch.inference_mode(False):  # the weights serve gradients later on
        if key not in _loaded:
            _loaded[key] = made = assemble(info, _verified(info), device)
            if precision != "fp32":
                made.trunk.precision = precision
        _loaded.move_to_end(key)
        while len(_loaded) > KEPT:
            _loaded.popitem(last=False)
        return _loaded[key]


_loaded: OrderedDict[tuple[str, ...], Any] = OrderedDict()
_lock = threading.Lock()


def _verified(info: DetectorInfo) -> dict[str, Tensor]:
    file = file_of(info.name)
    if not file.is_file():
        raise DetectorError(
            f"The weights of {info.name} ({info.megabytes:.0f} MB) are not on this machine. "
            f"Fetch them with: python -m resnet weights fetch {info.name} – or add a file with: "
            f"python -m resnet weights add {info.name} FILE. The offline detector needs neither."
        )
    if not downloads.matches(file, info.sha256):
        raise DetectorError(
            f"The weights of {info.name} in torch's cache ({file.name}) are damaged. "
            f"Fetch them again with: python -m resnet weights fetch {info.name}"
        )
    return _read(file)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return weights.read_pth(file)
    except weights.WeightsError as error:
        raise DetectorError(str(error)) from error


def _fill(name: str, state: dict[str, Tensor], source: str) -> Any:
    """torchvision's module with these weights.

    Raises:
        DetectorError: naming the first entry that is missing, superfluous or of another shape.
    """
    from torchvision.models import get_model_builder

    with torch.random.fork_rng(devices=[]):  # building draws random weights; nobody asked for it
        model = get_model_builder(RECIPES[name].builder)(weights=None, weights_backbone=None)
    try:
        missing, superfluous = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        found = re.search(r"size mismatch for ([\w.]+)", str(error))
        what = f"{found[1]} has another shape" if found else "its tensors do not fit"
        raise DetectorError(f"{source} is not {name}: {what}.") from error
    if missing:
        raise DetectorError(f"{source} is not {name}: {missing[0]} is missing.")
    if superfluous:
        raise DetectorError(f"{source} is not {name}: {superfluous[0]} is not part of it.")
    return model


def assemble(
    info: DetectorInfo, state: dict[str, Tensor], device: torch.device
) -> TwoStage | OneStage:
    """A detector from the entries of torchvision's file.

    Raises:
        DetectorError: names or shapes do not fit.
    """
    from resnet.detectors.library_heads import OneStage, TwoStage, freeze, settle

    recipe = RECIPES[info.name]
    model = _fill(info.name, state, info.name)
    categories = _published(info.name).meta["categories"]
    names = class_names(categories)
    spec = replace(
        weights.named()["imagenet1k-v1"],  # v1.5, and normalised alike
        name=info.name,
        eps=recipe.eps,
        labels=names,
        licence=LICENCE,
        source=source_of(info.name),
        sha256=info.sha256,
    )
    with torch.random.fork_rng(devices=[]):
        trunk = ResNet50(spec)
    for part in (trunk.fc.weight, trunk.fc.bias):
        torch.nn.init.zeros_(part)  # not used
    body = model.backbone.body.state_dict()
    trunk.load_state_dict(body | {f"fc.{k}": v for k, v in trunk.fc.state_dict().items()})
    del model.backbone.body  # the trunk has taken its place
    places = {name: index for index, name in enumerate(names)}
    shown = torch.tensor([places.get(name, -1) for name in categories], device=device)
    if recipe.two_stage:
        settle(model)
    kind = TwoStage if recipe.two_stage else OneStage
    return kind(info, freeze(trunk, device), freeze(model, device), recipe.stages, names, shown)
