"""A detector's trunk in bf16 over packed weights, where they can be had: streams, much sooner.

Nothing but the streams after the stages comes out; whoever explains a box by blocks runs the
ordinary trunk.  In float32 that one is used here too: it takes a little longer, but a cut that
changes nothing must leave the same boxes to the bit.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from resnet.backends.base import BackendError
from resnet.backends.prepacked import Prepacked
from resnet.detectors.sighting import Streams
from resnet.network import ResNet50

_packed: WeakKeyDictionary[ResNet50, tuple[tuple, Prepacked | None]] = WeakKeyDictionary()


def streams(trunk: ResNet50, x: Tensor) -> Streams | None:
    """The stream after each stage in bf16; None if the trunk's precision is another, or not here.

    Args:
        x: input tensor [N, 3, H, W].
    """
    if trunk.precision != "bf16":
        return None
    state = _state(trunk)
    known = _packed.get(trunk)
    if known is None or known[0] != state:  # new, or its weights have changed
        known = _packed[trunk] = state, _pack(trunk)
    return None if known[1] is None else known[1].streams(x)


def _pack(trunk: ResNet50) -> Prepacked | None:
    try:
        with torch.autocast("cpu", enabled=False):
            return Prepacked(trunk, "bf16")
    except BackendError:
        return None


def _state(trunk: ResNet50) -> tuple:
    """Differs after any change of the weights."""
    tensors = [*trunk.parameters(), *trunk.buffers()]
    return tuple((id(t), -1 if t.is_inference() else t._version) for t in tensors)
