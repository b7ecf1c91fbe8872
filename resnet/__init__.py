"""See what a ResNet-50 sees: where, why, and what its shortcuts do.

>>> from resnet import ResNet50
>>> net = ResNet50.load("he2015")
>>> net.analyze("cat.jpg").top(5)
"""

import os
from typing import TYPE_CHECKING

# Idle OpenMP threads spin by default, and on a busy machine that costs the model more than the
# work itself; a short spin is free when quiet.  Read by OpenMP when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__all__ = ["ResNet50"]

if TYPE_CHECKING:
    from resnet.network import ResNet50


def __getattr__(name: str):
    # torch costs a second or two; `python -m resnet --help` should not wait for it.
    if name == "ResNet50":
        from resnet.network import ResNet50

        return ResNet50
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
