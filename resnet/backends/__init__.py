"""Ways to run the trunk, behind one small interface, and the choice between them by measuring."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from resnet.backends.base import Backend, BackendError, Eager
from resnet.network import ResNet50

__all__ = ["BACKENDS", "Backend", "BackendError", "Choice", "Eager", "choose", "make"]

BACKENDS = ("eager", "folded", "prepacked", "openvino", "cuda graphs")
RUNS = 4  # of each candidate; the fastest counts, others may be busy beside us
HOPELESS = 2.0  # times as slow as the fastest so far: not timed again
MARGIN = 0.95  # a candidate must be faster than the ordinary pass by this to be worth it


def make(name: str, net: ResNet50, precision: str = "fp32") -> Backend:
    """One of BACKENDS for a network.

    Raises:
        BackendError: it cannot be had here.
    """
    if name == "eager":
        return Eager(net, precision)
    if name == "folded":
        from resnet.backends.plain import Plain

        return Plain(net, precision)
    if name == "prepacked":
        from resnet.backends.prepacked import Prepacked

        return Prepacked(net, precision)
    if name == "openvino":
        from resnet.backends.openvino import OpenVino

        return OpenVino(net, precision)
    if name == "cuda graphs":
        from resnet.backends.cuda import Graphed

        return Graphed(net, precision)
    raise BackendError(f"there is no back end “{name}”; there are {', '.join(BACKENDS)}")


@dataclass(frozen=True)
class Choice:
    """The back end that runs, and why."""

    backend: Backend
    reason: str  # a sentence for the page's header
    seconds: dict[str, float]  # of one photo, by "name precision"; what was tried


def candidates(net: ResNet50, precision: str) -> list[tuple[str, str]]:
    """(name, precision) worth timing on this device; the ordinary pass first.

    Args:
        precision: `auto`, or the one that was asked for.
    """
    cpu = net.device.type == "cpu"
    from resnet.backends.prepacked import has_bf16

    wanted = [precision]
    if precision == "auto":
        wanted = ["fp32"]
        if not cpu or has_bf16():
            wanted.append("bf16")
    ways = ("prepacked", "openvino") if cpu else ("folded", "cuda graphs")
    found = [("eager", wanted[0])]
    for each in wanted:
        found += [(way, each) for way in ways]
        if cpu and each != "fp32":
            found.append(("folded", each))
    return found


def choose(
    net: ResNet50,
    precision: str = "auto",
    seconds_of: Callable[[Backend], float] | None = None,
    run: Callable[[Callable[[], Any]], Any] = lambda work: work(),
) -> Choice:
    """The fastest back end here, found by running one blank photo through each.

    Args:
        precision: `auto` or one of `device.PRECISIONS`.
        seconds_of: times a back end; by default one trace of one photo.
        run: runs one step of the work, a pass or two; others may have their turn in between.
    """
    timed = seconds_of or measure
    found: dict[tuple[str, str], Backend] = {}
    seconds: dict[tuple[str, str], float] = {}

    def begin(key: tuple[str, str]) -> None:
        try:
            found[key] = make(key[0], net, key[1])
            timed(found[key])  # once for nothing: the first pass is never the fastest
        except (BackendError, RuntimeError, MemoryError):
            found.pop(key, None)  # the ordinary pass always works

    def again(key: tuple[str, str]) -> None:
        seconds[key] = min(timed(found[key]), seconds.get(key, float("inf")))

    for key in candidates(net, precision):
        run(partial(begin, key))
    for turn in range(RUNS):  # in turn: whoever is busy beside us disturbs all alike
        for key in found:
            if not turn or seconds[key] <= HOPELESS * min(seconds.values()):
                run(partial(again, key))
    ordinary = next(iter(found))
    best = min(found, key=lambda key: seconds[key] * (MARGIN if key == ordinary else 1))
    told = {" ".join(key): value for key, value in seconds.items()}
    return Choice(found[best], reason(best, told), told)


def reason(best: tuple[str, str], seconds: dict[str, float]) -> str:
    """Why this one, with the measured times."""
    taken = " ".join(best)
    others = [f"{name} {1000 * s:.0f}" for name, s in seconds.items() if name != taken]
    against = f" against {', '.join(others)}" if others else ""
    return f"{taken}: {1000 * seconds[taken]:.0f} ms for a photo{against}, measured at the start"


def measure(backend: Backend) -> float:
    """Seconds of one photo's trace."""
    side = backend.net.spec.crop
    x = torch.zeros(1, 3, side, side)
    started = time.perf_counter()
    backend.trace(x).logits.cpu()  # waits for a GPU
    return time.perf_counter() - started
