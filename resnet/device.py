"""Where the network runs and in which arithmetic."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class DeviceError(ValueError):
    """The device or precision asked for cannot be had here; the message says what can."""


def choose_device(name: str) -> torch.device:
    """`auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N` -> device.

    Raises:
        DeviceError: an unknown name, or no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise DeviceError(f"Unknown device “{name}”. Use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"Device {name} is not there: this machine has {count} CUDA GPUs.")
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """`auto`, `fp32`, `bf16` or `fp16` -> one of the last three.

    Raises:
        DeviceError: an unknown name, or one that the device cannot do well.
    """
    if name == "auto":
        return "fp32"  # exact by default; reduced precision is asked for
    if name not in PRECISIONS:
        raise DeviceError(f"Unknown precision “{name}”. Use auto, fp32, bf16 or fp16.")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 needs a GPU; on a CPU use fp32 or bf16.")
    return name


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context in which the trunk runs; nothing at all for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, PRECISIONS[precision])


def describe(device: torch.device) -> str:
    """A device in words: `CPU` or the GPU's name."""
    return "CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)


def cores() -> int:
    """Processor cores that this process may really use: its affinity and its container's quota."""
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        have = min(have, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no quota, or no such file
        pass
    return max(1, have)
