"""What the figures were measured on, in words that name no place."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import torch

from resnet.backends.prepacked import has_bf16
from resnet.device import cores


def machine() -> dict[str, object]:
    """Date, processor, cores, arithmetic, versions, and how busy others are."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": cores(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "bf16": has_bf16(),
        "amx": has_amx(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": round(load, 1),  # processes that wanted a core when the measuring began
    }


def has_amx() -> bool:
    """Whether the processor multiplies matrices in bf16 by itself (Intel's AMX)."""
    try:
        return bool(torch.cpu._is_amx_tile_supported())
    except AttributeError:  # another torch
        return False


def words(found: dict[str, object]) -> str:
    """One line."""
    busy = f"load {found['load']} at the start"
    vectors = f"{found['vectors']}{' AMX' if found['amx'] else ''}"
    return (
        f"{found['processor']}, {found['cores']} cores, {vectors}, "
        f"{found['gpu'] or 'no GPU'}, torch {found['torch']}, {found['date']}, {busy}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()
