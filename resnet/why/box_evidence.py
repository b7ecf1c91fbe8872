"""Evidence for one box: what each wire of the detector's trunk carried for its class logit.

The definitions are `resnet.residual.evidence`'s, with the box's class logit as y: G = dy/dH at a
block's output H, m = 1[S + F > 0], and <G m, S> + <G m, F> = <G, H> exactly, cell by cell too.
The head reads several streams, so G gains the head's own part at each of these stages' ends.

A detector's input is large, and autograd's graph of a whole trunk would take gigabytes.  So the
walk goes backward block by block: within a stage the inputs of its blocks are run again from the
stream that the sighting kept, and one block at a time is differentiated and forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from resnet.detectors.sighting import Sighting, Streams
from resnet.network import Block, ResNet50
from resnet.residual.evidence import BlockEvidence, Evidence
from resnet.residual.plain import plain
from resnet.why.frame import Box, Frame, cells_in, frame_of
from resnet.why.logit import exact_streams, float32, slope


@dataclass(frozen=True, eq=False)
class BoxEvidence:
    """The evidence for one detection through all blocks of its trunk."""

    box: Box
    label: str
    score: float  # 0..1
    logit: float  # y, of the label
    whole: Evidence  # over the whole input, padding included; its index is the detector's label
    frame: Frame

    def within(self, box: Box | None = None) -> Evidence:
        """The part in a region: maps cut to the cells that look into it, sums over these cells.

        Args:
            box: x0, y0, x1, y1 in pixels of the upright photo; the detection's own if None.
        """
        rows = []
        for block in self.whole.blocks:
            at = cells_in(self.frame, box or self.box, block.block[0])
            shortcut, branch, both = (
                values[at] for values in (block.shortcut_map, block.branch_map, block.map)
            )
            s, f, h = (float(values.sum(dtype=float)) for values in (shortcut, branch, both))
            rows.append(BlockEvidence(block.block, s, f, h, shortcut, branch))
        return Evidence(self.whole.index, tuple(rows))

    def to_dict(self, maps: bool = False) -> dict:
        """Plain values; with `maps` also the wire maps of the whole input as nested lists."""
        found = {
            "box": self.box,
            "label": self.label,
            "score": self.score,
            "logit": self.logit,
            "input": self.frame.input,
            "filled": self.frame.filled,
        }
        parts = {"whole": self.whole.to_dict(maps), "inside": self.within().to_dict()}
        return plain(found) | parts


def box_evidence(sighting: Sighting, i: int) -> BoxEvidence:
    """The evidence for one detection at every addition of the trunk.

    Args:
        i: the detection's place in `sighting.found`; `Detections.index` of a filtered copy.

    Raises:
        IndexError: there is no such detection.
    """
    trunk, found = sighting.detector.trunk, sighting.found
    streams = exact_streams(sighting)
    y = slope(sighting, i, streams)
    logit, own = y.logit, y.gradient
    del y  # its copies of the streams
    label = int(found.labels[i])
    rows: list[BlockEvidence] = []
    gradient: Tensor | None = None  # dy/d(the stream after the block in turn)
    for stage in sorted(streams, reverse=True):
        gradient = _sum(gradient, own.pop(stage, None), streams[stage])
        inputs = _inputs(trunk, stage, sighting, streams)
        while inputs:
            name, x = inputs.popitem()
            row, gradient = _through(trunk.block(name), name, x, gradient, sighting)
            rows.append(row)
    x0, y0, x1, y1 = (float(edge) for edge in found.boxes[i])
    return BoxEvidence(
        (x0, y0, x1, y1),
        found.label_names[i],
        float(found.scores[i]),
        logit,
        Evidence(label, tuple(reversed(rows))),
        frame_of(sighting),
    )


def _sum(above: Tensor | None, own: Tensor | None, like: Tensor) -> Tensor:
    """What arrives from the blocks above and from the head itself; zeros if nothing does."""
    found = [part for part in (above, own) if part is not None]
    return found[0] + found[1] if len(found) == 2 else found[0] if found else torch.zeros_like(like)


def _inputs(trunk: ResNet50, stage: str, sighting: Sighting, streams: Streams) -> dict[str, Tensor]:
    """The streams into a stage's blocks, in order, without gradients."""
    names = [name for name in trunk.block_names if name.startswith(stage)]
    kept: dict[str, Tensor] = {}
    with torch.inference_mode(False), torch.no_grad(), float32(sighting):
        before = str(int(stage) - 1)
        x = streams[before] if before in streams else trunk.stem(sighting.input.float())
        for name in names:
            kept[name] = x.clone() if x.is_inference() else x  # autograd takes ordinary tensors
            if name != names[-1]:
                x = trunk.block(name)(x)
    return kept


def _through(
    block: Block, name: str, x: Tensor, gradient: Tensor, sighting: Sighting
) -> tuple[BlockEvidence, Tensor]:
    """One block from its input x and G = dy/dH: its evidence, and dy/dx.

    The addition needs no graph: through relu(S + F) goes m G, to both wires alike.  Products are
    float32 and their sums float64: whole streams in float64 would double the memory.
    """
    with torch.inference_mode(False), torch.enable_grad(), float32(sighting):
        one, other = (x.detach().requires_grad_(True) for _ in range(2))
        shortcut, branch = block.shortcut(one), block.branch(other)
        with torch.no_grad():
            output = torch.relu_(shortcut + branch)
            gated = gradient * (output > 0)
            s, f = (_cells(gated * wire) for wire in (shortcut, branch))
            total = float(_cells(gradient * output).sum())
            del output
        (back,) = torch.autograd.grad(branch, other, gated)
        back += torch.autograd.grad(shortcut, one, gated)[0]
    maps = (values.float().cpu().numpy() for values in (s, f))
    return BlockEvidence(name, float(s.sum()), float(f.sum()), total, *maps), back


def _cells(products: Tensor) -> Tensor:
    """[1, C, h, w] -> float64 [h, w], summed over the channels."""
    return products.sum((0, 1), dtype=torch.float64)
