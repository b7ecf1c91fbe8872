"""A trace as a folder: numbers, maps, figures, and a manifest that says what made them."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from resnet.cli.trace import FORMAT, MANIFEST, Traced, numbers, unwritable
from resnet.cli.trace_figures import figures

if TYPE_CHECKING:
    import numpy as np

PACKAGES = ("torch", "numpy", "pillow")


def maps(traced: Traced) -> dict[str, np.ndarray]:
    """File name -> float32 array of evidence or ledger, in logits."""
    import numpy as np  # here: `--help` imports every command and should not wait for it

    found = {
        f"maps/evidence-{row.block}.npy": np.stack([row.shortcut_map, row.branch_map])
        for row in traced.evidence.blocks
    }
    written = [entry.map for entry in traced.ledger.entries if entry.map is not None]
    return found | {"maps/ledger.npy": np.stack(written)}


def save(traced: Traced, out: Path, options: argparse.Namespace) -> int:
    """Write every file, the manifest last: where there is one, the folder is complete.

    Returns:
        the number of files.

    Raises:
        UsageError: the folder cannot be written.
    """
    drawn = figures(traced)
    files = {"numbers.json": _json(numbers(traced))}
    files |= {name: _npy(values) for name, values in maps(traced).items()}
    files |= {name: figure.data for name, figure in drawn.items()}
    captions = {name: figure.caption for name, figure in drawn.items() if figure.caption}
    manifest = _json(_manifest(traced, files, captions, options))
    try:
        for name, data in {**files, MANIFEST: manifest}.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise unwritable(out, error) from error
    return len(files) + 1


def _manifest(
    traced: Traced, files: dict[str, bytes], captions: dict[str, str], options: argparse.Namespace
) -> dict:
    """What made the files, and what they are."""
    net = traced.analysis.net
    chosen = {("class" if k == "wanted" else k): v for k, v in vars(options).items()}
    return {
        "format": FORMAT,
        "photo": {"file": options.photo, "sha256": traced.analysis.photo.digest},
        "weights": {"name": net.spec.name, "variant": net.spec.variant, "sha256": net.spec.sha256},
        "device": str(net.device),
        "precision": net.precision,
        "class": {"index": traced.index, "label": net.labels[traced.index]},
        "options": {k: chosen[k] for k in sorted(chosen) if k not in ("run", "json")},
        "seeds": {"paths": options.seed} if traced.paths else {},
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "seconds": round(traced.seconds, 4),
        "captions": captions,
        "files": [
            {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        ],
    }


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _npy(values: np.ndarray) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
