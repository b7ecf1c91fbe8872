"""A second set of weights beside the page's own: loaded once, and one at a time."""

from __future__ import annotations

import threading

from resnet import weights
from resnet.network import ResNet50
from resnet.weights import WeightsError

_lock = threading.Lock()  # two visitors who ask at once load it once
_kept: dict[tuple[str, str, str], ResNet50] = {}  # at most one: it takes about 100 MB


def names(own: ResNet50) -> list[str]:
    """The sets that can stand on either side: the page's own first, then those known by name."""
    return list(dict.fromkeys([own.spec.name, *weights.named()]))


def is_here(own: ResNet50, name: str) -> bool:
    """Whether a set can be used without fetching it."""
    return name == own.spec.name or (
        name in weights.named() and weights.is_here(weights.named()[name])
    )


def network(own: ResNet50, name: str) -> ResNet50:
    """The network with a set of weights, on the own one's device; nothing is fetched.

    Args:
        own: the network that everybody shares; given back for its own name.

    Raises:
        WeightsError: no such set, not on this machine, or damaged.
    """
    if name == own.spec.name:
        return own
    if name not in weights.named():
        raise WeightsError(f"There are no weights “{name}”. Use one of {', '.join(names(own))}.")
    if not is_here(own, name):
        raise WeightsError(
            f"The weights {name} are not on this machine. Get them first, or use another set."
        )
    key = (name, str(own.device), own.precision)
    with _lock:
        if key not in _kept:
            _kept.clear()  # before the next is loaded, so that there are never two
            _kept[key] = ResNet50.load(*key)
        return _kept[key]
