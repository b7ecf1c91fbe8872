"""Block maps: what arrives at one addition, and what leaves it, as four pictures.

A block's signal has hundreds of channels; a picture has one value a position.  `how` says which:

- "mean": mean over the channels, sign kept.  Linear, so shortcut + branch = sum, point by point.
- "rms": root mean square over the channels: size without sign.  Does not add up.
- "class": the mean over the k channels that count most for a class: those with the largest |e_c|,
      e_c = sum over positions of G m (S + F),   G = dy/dH,  m = 1[S + F > 0],
  the channel's share of the evidence (`resnet.residual.evidence`), for the class or against it.
- "channel": one channel by its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from resnet.network import Trace
from resnet.residual.backward import Passed
from resnet.residual.gains import delivered
from resnet.residual.plain import plain

How = Literal["mean", "rms", "class", "channel"]
Scope = Literal["local", "stage", "global"]
PICTURES = ("shortcut", "branch", "sum", "output")
STRONGEST = 8  # channels of "class": enough to show more than one part, few enough to name


class MapError(ValueError):
    """A block, channel or choice that does not exist; the message is for the user."""


@dataclass(frozen=True)
class BlockMaps:
    """Four pictures of one block, float32 [h, w] each, in the stream's own units."""

    block: str
    how: How
    channels: tuple[int, ...]  # those pictured, strongest first; empty: all
    count: int  # channels that the block has
    share: float | None  # of all |e_c|, held by `channels`, 0 ... 1; None unless "class"
    shortcut: np.ndarray  # g_S * S as it arrives at the addition
    branch: np.ndarray  # g_F * F
    sum: np.ndarray  # Z = g_S * S + g_F * F
    output: np.ndarray  # H = relu(Z)

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """The four by name, in the order of the equation."""
        return {name: getattr(self, name) for name in PICTURES}

    @property
    def blank(self) -> tuple[str, ...]:
        """Names of the pictures that are zero everywhere."""
        return tuple(name for name, values in self.pictures.items() if not values.any())

    @property
    def signed(self) -> bool:
        """Whether anything in the four is negative."""
        return any(bool((values < 0).any()) for values in self.pictures.values())

    @property
    def limit(self) -> float:
        """Largest magnitude in the four; 0 if all are blank."""
        return max(float(np.abs(values).max()) for values in self.pictures.values())

    def to_dict(self) -> dict:
        return plain(self)


def block_maps(
    trace: Trace,
    block: str,
    how: How = "mean",
    channel: int | None = None,
    passed: Mapping[str, Passed] | None = None,
    k: int = STRONGEST,
) -> BlockMaps:
    """The four pictures of one block.

    Args:
        trace: of one photo; of a rewired one, what its gains let through.
        block: a name in `trace.blocks`.
        how: which value a position gets, see above.
        channel: for "channel".
        passed: for "class": `backward(net, trace, index)` of this very trace.
        k: for "class": how many channels, 1 ... all.

    Raises:
        MapError: no such block, channel or choice; or the one that `how` needs is missing.
    """
    _check(trace, block, how, channel, passed, k)
    for name, shortcut, branch, output in _arriving(trace):
        if name == block:
            return _draw(name, shortcut, branch, output, how, channel, passed, k)
    raise AssertionError("checked above")


def colour_limit(
    trace: Trace,
    block: str,
    how: How = "mean",
    scope: Scope = "local",
    channel: int | None = None,
    passed: Mapping[str, Passed] | None = None,
    k: int = STRONGEST,
) -> float:
    """The magnitude that gets the strongest colour: one scale for all pictures in scope.

    Only one block's signal is held at a time.  With "channel", blocks without a channel of that
    number do not count; with "class", each block is pictured by its own k strongest.

    Args:
        scope: "local": this block's four pictures; "stage": those of its stage, where all blocks
            share their channels; "global": those of all blocks.

    Returns:
        largest |value|, in the stream's units; 0 if everything is blank.

    Raises:
        MapError: as `block_maps`.
    """
    _check(trace, block, how, channel, passed, k)
    if scope not in get_args(Scope):
        raise MapError(f"There is no colour scale {scope!r}; scales are local, stage, global.")
    largest = 0.0
    for name, shortcut, branch, output in _arriving(trace):
        missing = how == "channel" and (channel or 0) >= output.shape[1]
        if missing or not _in_scope(name, block, scope):
            continue
        maps = _draw(name, shortcut, branch, output, how, channel, passed, k)
        largest = max(largest, maps.limit)
    return largest


def strongest_channels(step: Passed, k: int = STRONGEST) -> tuple[tuple[int, ...], float]:
    """The k channels with the largest |e_c|, strongest first, and their share of the sum of |e_c|.

    Equal ones come in order of their numbers; the share is 0 where no channel carries evidence.
    """
    total = step.shortcut.double() + step.branch.double()
    sizes = (step.gradient * step.gate * total).sum((0, 2, 3)).abs()  # |e_c|: float64 [C]
    order = sizes.argsort(descending=True, stable=True)[:k]
    whole = float(sizes.sum())
    share = float(sizes[order].sum()) / whole if whole else 0.0
    return tuple(order.tolist()), share


def _arriving(trace: Trace) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """(name, g_S * S, g_F * F, H) of every block, one at a time, float32 [1, C, h, w]."""
    with torch.inference_mode():
        outputs = [wires.output for wires in trace.blocks.values()]
        for (name, shortcut, branch), output in zip(delivered(trace), outputs, strict=True):
            yield name, shortcut, branch, output.float()


def _draw(
    name: str,
    shortcut: Tensor,
    branch: Tensor,
    output: Tensor,
    how: How,
    channel: int | None,
    passed: Mapping[str, Passed] | None,
    k: int,
) -> BlockMaps:
    count, share = output.shape[1], None
    channels: tuple[int, ...] = ()
    if how == "class" and passed is not None:
        channels, share = strongest_channels(passed[name], k)
    elif how == "channel" and channel is not None:
        channels = (channel,)
    if channels:
        chosen = list(channels)
        shortcut, branch, output = (t[:, chosen] for t in (shortcut, branch, output))
    pictures = [_flat(t, how) for t in (shortcut, branch, shortcut + branch, output)]
    return BlockMaps(name, how, channels, count, share, *pictures)


def _flat(signal: Tensor, how: How) -> np.ndarray:
    """[1, C, h, w] -> float32 [h, w]."""
    values = signal.square().mean(1).sqrt() if how == "rms" else signal.mean(1)
    return values[0].cpu().numpy()


def _in_scope(name: str, block: str, scope: Scope) -> bool:
    if scope == "local":
        return name == block
    return scope == "global" or name.split(".")[0] == block.split(".")[0]


def _check(
    trace: Trace,
    block: str,
    how: How,
    channel: int | None,
    passed: Mapping[str, Passed] | None,
    k: int,
) -> None:
    if block not in trace.blocks:
        raise MapError(f"There is no block {block}; blocks are {', '.join(trace.blocks)}.")
    if how not in get_args(How):
        raise MapError(f"There is no map {how!r}; maps are {', '.join(get_args(How))}.")
    count = trace.blocks[block].output.shape[1]
    if how == "channel" and (channel is None or not 0 <= channel < count):
        raise MapError(f"Block {block} has channels 0 to {count - 1}.")
    if how == "class" and (passed is None or set(passed) != set(trace.blocks)):
        raise MapError("The strongest channels need a class and a backward pass of this trace.")
    if k < 1:
        raise MapError("At least one channel is needed.")
