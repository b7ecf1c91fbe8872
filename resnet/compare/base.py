"""What the comparisons share: one error, sentences' numbers, many views through one network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from resnet.network import ResNet50
from resnet.residual.gains import forward_only
from resnet.residual.plan import Plan, baseline

BATCH = 6  # views at once: about 100 MB at 224 pixels; on a CPU more is no faster

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the upright photo
Progress = Callable[[int, int], None]  # done, of how many
Cancelled = Callable[[], bool]
Lock = AbstractContextManager  # held during a pass, so that others have their turn in between
NO_LOCK: Lock = nullcontext()


class CompareError(ValueError):
    """Two things that cannot be compared, or a setting that does not exist; for the visitor."""


def never() -> bool:
    """Nobody cancels."""
    return False


def percent(share: float) -> str:
    """0.4312 -> "43.1 %"."""
    return f"{100 * share:.1f} %"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def check_box(box: Sequence[float], size: tuple[int, int]) -> Box:
    """A drawn box, its corners in order, cut off at the photo's edges.

    Args:
        box: two opposite corners x, y, x, y in pixels.
        size: (width, height) of what it was drawn on.

    Raises:
        CompareError: not four finite numbers, or nothing of the photo is inside.
    """
    values = [float(edge) for edge in box]
    if len(values) != 4 or not torch.tensor(values).isfinite().all():
        raise CompareError("A box is four numbers: left, top, right and bottom, in pixels.")
    (x0, x1), (y0, y1) = sorted(values[::2]), sorted(values[1::2])
    x0, x1 = (min(max(x, 0.0), float(size[0])) for x in (x0, x1))
    y0, y1 = (min(max(y, 0.0), float(size[1])) for y in (y0, y1))
    if x0 >= x1 or y0 >= y1:
        raise CompareError("The box holds nothing of the photo. Draw it on the photo.")
    return x0, y0, x1, y1


def forward(net: ResNet50, x: Tensor, plan: Plan | None = None, lock: Lock = NO_LOCK) -> Tensor:
    """Logits of a batch, float32 [N, classes] on the CPU; no activation is kept.

    Args:
        x: normalised views [N, 3, H, W].
        plan: of a changed network (`resnet.residual.plan_of`); as trained if None.
        lock: held meanwhile.
    """
    with lock, forward_only(net):
        stream = net.stem(x.to(net.device, memory_format=torch.channels_last))
        for step in baseline(net.block_names) if plan is None else plan:
            stream = net.block(step.block)(stream, step.shortcut, step.branch)
        return net.head(stream).float().cpu()


def in_batches(views: Iterable[Tensor], batch: int = BATCH) -> Iterator[Tensor]:
    """Views [1, 3, H, W], made one by one as they are needed -> [n <= batch, 3, H, W]."""
    group: list[Tensor] = []
    for view in views:
        group.append(view)
        if len(group) == batch:
            yield torch.cat(group)
            group = []
    if group:
        yield torch.cat(group)
