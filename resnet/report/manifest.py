"""What made a report: enough to make it again, byte for byte on the same machine."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from resnet.cli.trace_files import PACKAGES
from resnet.detectors.catalogue import catalogue
from resnet.report.content import Report

FORMAT = 1  # of manifest.json
NAME = "manifest.json"
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)  # that a ZIP can hold


def date() -> datetime | None:
    """The moment that SOURCE_DATE_EPOCH names (reproducible-builds.org); None if it is not set.

    Without it a report carries no date: the same photo gives the same bytes.
    """
    try:
        return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def versions() -> dict[str, str]:
    """Of Python and of everything that computes or draws."""
    found = {"python": platform.python_version()}
    for package in ("resnet-view", "torchvision", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout, not installed
            continue
    return found


def manifest(report: Report, files: Mapping[str, bytes] | None = None) -> dict:
    """What made the report, and its files with their sha256.

    Args:
        files: name -> content.
    """
    net, options = report.analysis.net, report.options()
    when = date()
    detector = catalogue()[options["detector"]] if options["detector"] else None
    return {
        "format": FORMAT,
        **({"date": when.isoformat()} if when else {}),
        "photo": {
            "sha256": report.analysis.photo.digest,
            "size": list(report.analysis.photo.size),
            "format": report.analysis.photo.format,
        },
        "weights": {
            "name": net.spec.name,
            "variant": net.spec.variant,
            "source": net.spec.source,
            "sha256": net.spec.sha256,
        },
        "detector": {"name": detector.name, "sha256": detector.sha256} if detector else None,
        "device": str(net.device),
        "precision": net.precision,
        "class": {"index": report.traced.index, "label": net.labels[report.traced.index]},
        "options": {("class" if key == "wanted" else key): v for key, v in options.items()},
        "seeds": {"paths": options["seed"]} if options["paths"] else {},
        "versions": versions(),
        "command": command(report),
        "files": [
            {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted((files or {}).items())
        ],
    }


def command(report: Report, photo: str = "PHOTO") -> str:
    """The command that makes the same report of the same photo."""
    c, net = report.choices, report.analysis.net
    words = ["python", "-m", "resnet", "report", photo, "--class", str(c.wanted)]
    words += ["--method", c.method, "--block", str(c.block), "--colour-map", c.colours]
    words += ["--detector", c.detector or "none", "--score", f"{c.score:g}"]
    words += ["--paths" if c.paths else "--no-paths", "--seed", str(c.seed)]
    words += ["--weights", net.spec.name, "--device", net.device.type]
    words += ["--precision", net.precision, "--out", "DIR"]
    return shlex.join(words)
