"""Signal budget: how much of each block's sum came along the shortcut, how much the branch added.

    ||Z||^2 = ||S||^2 + ||F||^2 + 2 <S, F>,   Z = S + F

so three signed shares add to 1 exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from resnet.network import Trace
from resnet.residual.gains import delivered
from resnet.residual.plain import plain


@dataclass(frozen=True)
class BlockBudget:
    """One block's budget; a ratio whose denominator is 0 is NaN (a cut wire, a dead block)."""

    block: str
    norm_s: float  # ||S||, in the stream's own units
    norm_f: float  # ||F||
    norm_z: float  # ||S + F||
    share_s: float  # ||S||^2 / ||Z||^2
    share_f: float  # ||F||^2 / ||Z||^2
    share_cross: float  # 2 <S, F> / ||Z||^2, negative where the branch takes back
    ratio: float  # ||F|| / ||S||
    cos: float  # of the angle between S and F, -1 ... 1
    novelty: float  # 1 - cos(S, output), 0 ... 2: 0 if the block passes its input on
    zeros: float  # share of the output that the ReLU set to 0, 0 ... 1


@dataclass(frozen=True)
class Budget:
    """The signal budget of one photo through all blocks."""

    blocks: tuple[BlockBudget, ...]

    @property
    def error(self) -> float:
        """Largest distance of a block's three shares from 1: the invariant, about 1e-15."""
        sums = [b.share_s + b.share_f + b.share_cross - 1 for b in self.blocks]
        return max((abs(e) for e in sums if not math.isnan(e)), default=0.0)

    def to_dict(self) -> dict:
        return {"invariant_error": self.error, "blocks": plain(self.blocks)}


def signal_budget(trace: Trace) -> Budget:
    """The budget of every block of a trace; of a rewired one, of what its gains let through.

    Norms are taken in float64 from the stored activations, over all channels and positions.

    Args:
        trace: of one photo.
    """
    rows = []
    with torch.inference_mode():
        outputs = [wires.output for wires in trace.blocks.values()]
        for (name, s, f), output in zip(delivered(trace), outputs, strict=True):
            s, f, h = (t.double().flatten() for t in (s, f, output))
            ss, ff, sf = (float(torch.dot(a, b)) for a, b in ((s, s), (f, f), (s, f)))
            zz = float(torch.dot(s + f, s + f))  # measured by itself: the shares must find it
            hh, sh = float(torch.dot(h, h)), float(torch.dot(s, h))
            rows.append(
                BlockBudget(
                    block=name,
                    norm_s=math.sqrt(ss),
                    norm_f=math.sqrt(ff),
                    norm_z=math.sqrt(zz),
                    share_s=_divide(ss, zz),
                    share_f=_divide(ff, zz),
                    share_cross=_divide(2 * sf, zz),
                    ratio=_divide(math.sqrt(ff), math.sqrt(ss)),
                    cos=_divide(sf, math.sqrt(ss * ff)),
                    novelty=1 - _divide(sh, math.sqrt(ss * hh)),
                    zeros=float((h == 0).double().mean()),
                )
            )
    return Budget(tuple(rows))


def _divide(a: float, b: float) -> float:
    return a / b if b > 0 else math.nan
