"""What one visitor has on the bench: photo, class, setting; and the network made from it."""

from __future__ import annotations

from dataclasses import dataclass

from resnet.analysis import Analysis
from resnet.engine import Engine
from resnet.residual import with_plan
from resnet.ui.switchboard import Setting, plan_of

AS_TRAINED = Setting()


@dataclass(frozen=True)
class Bench:
    """The state of the tab *Inside* for one visitor."""

    path: str = ""  # of the photo; "" for none
    index: int = -1  # of the class that is followed
    setting: Setting = AS_TRAINED
    selected: str = "3.2"  # block
    seed: int = 0  # of the dice
    tour: int = -1  # the tour's step; -1 when it is not running


def rewire(engine: Engine, bench: Bench) -> Analysis:
    """The photo's analysis under the visitor's setting; the part before the change is shared.

    Raises:
        resnet.images.ImageError: the photo's file is gone or not a photo.
    """
    if bench.setting.trained:
        return engine.open(bench.path)
    plan = plan_of(engine.net, bench.setting)
    # By the plan, not by the words for it: diagram, panel and figure ask for the same network.
    return engine.variant(bench.path, plan, lambda base: with_plan(base, plan))
