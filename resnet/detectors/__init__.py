"""Networks that put boxes around things, all on a ResNet-50 trunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resnet.detectors.catalogue import DetectorError, DetectorInfo, catalogue

if TYPE_CHECKING:
    from resnet.detectors.sighting import Detector
    from resnet.network import ResNet50

__all__ = ["DetectorError", "DetectorInfo", "catalogue", "choose", "load", "ships"]

AUTO = "fasterrcnn-v2"  # what `auto` means once its weights are on this machine


def choose(name: str = "auto") -> str:
    """A detector's name; `auto` is fasterrcnn-v2 if its weights are here, else `offline`.

    Raises:
        DetectorError: there is no such detector.
    """
    from resnet.detectors import library

    if name == "auto":
        return AUTO if library.is_here(AUTO) else "offline"
    if name not in catalogue():
        raise DetectorError(f"There is no detector “{name}”. Use auto, {', '.join(catalogue())}.")
    return name


def ships(name: str) -> bool:
    """Whether the detector comes with the project: its weights are always here."""
    return not catalogue()[name].url


def load(name: str, net: ResNet50) -> Detector:
    """A detector, ready to run on the network's device; loaded once per process and kept.

    Raises:
        DetectorError: no such detector, or its weights cannot be had.
    """
    from resnet.detectors import library, shipped

    name = choose(name)
    if ships(name):
        return shipped.load(net, name)
    return library.load(name, net.device, net.precision)
