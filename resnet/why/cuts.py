"""What happens to the boxes when wires of the trunk are cut or turned up or down.

"This network with the part removed": everything else stays as trained, the head included.  Of a
detector that looks several times, the first look is cut, and compared with the first look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from resnet import lazy
from resnet.detect import FLOOR
from resnet.detections import Detections
from resnet.detectors.fused import fast
from resnet.detectors.sighting import Sighting, Streams
from resnet.network import join
from resnet.residual.gains import forward_only
from resnet.residual.plain import plain
from resnet.residual.plan import Gains, Plan, Step, baseline, plan_of_gains, shared_prefix

ops = lazy.module("torchvision.ops")

SAME = 0.5  # IoU from which a box counts as the same place
CUTS = {"branch": (1.0, 0.0), "shortcut": (0.0, 1.0)}  # wire -> gains g_S, g_F without it

Progress = Callable[[int, int], None]  # cuts done, of how many


@dataclass(frozen=True)
class Fate:
    """One box after a cut."""

    what: Literal["stays", "renamed", "vanishes"]
    label: str  # of the box that is there now; "" if it vanishes
    score: float | None  # of its own label at its own place; None: below what the pass keeps


@dataclass(frozen=True)
class Cut:
    """This network with one wire cut, against the uncut one."""

    block: str
    wire: str  # "branch" or "shortcut"
    stay: int  # same label, IoU >= SAME, score at least the threshold
    renamed: int  # the place stays, another label
    vanish: int
    new: int  # boxes where none was
    fates: tuple[Fate, ...]  # of each uncut box, best first

    @property
    def share(self) -> float:
        """Of the uncut boxes, those that stay, 0..1; NaN without boxes."""
        return self.stay / len(self.fates) if self.fates else float("nan")

    @property
    def sentence(self) -> str:
        """ "Cut the shortcut of 2.1 and 6 of 7 boxes vanish." """
        count = len(self.fates)
        boxes = "the only box" if count == 1 else f"{self.vanish} of {count} boxes"
        if self.vanish:
            happens = f"{boxes} vanish{'es' if count == 1 or self.vanish == 1 else ''}"
        elif self.renamed:
            happens = "no box vanishes"
        else:
            happens = "the only box stays" if count == 1 else f"all {count} boxes stay"
        more = []
        if self.renamed:
            more.append(f"{self.renamed} {'gets' if self.renamed == 1 else 'get'} another name")
        if self.new:
            more.append(f"{self.new} new {'one appears' if self.new == 1 else 'ones appear'}")
        return ", ".join([f"Cut the {self.wire} of {self.block} and {happens}", *more]) + "."


@dataclass(frozen=True, eq=False)
class CutBoard:
    """All single cuts for one photo: blocks in order, branch before shortcut."""

    threshold: float  # lowest score that counts, 0..1
    boxes: Detections  # uncut, at least the threshold: `first_look`
    rows: tuple[Cut, ...]  # none if there are no boxes: nothing could be lost

    def __getitem__(self, key: tuple[str, str]) -> Cut:
        """`board["3.2", "branch"]`."""
        for row in self.rows:
            if (row.block, row.wire) == key:
                return row
        raise KeyError(key)

    @property
    def worst(self) -> Cut | None:
        """The cut that loses most boxes; of several the earliest, None without boxes."""
        return max(self.rows, key=lambda row: (row.vanish, row.renamed), default=None)

    @property
    def sentence(self) -> str:
        """What the worst cut does."""
        worst = self.worst
        return worst.sentence if worst else "Nothing was found, so no cut can take a box away."

    def scores(self, i: int) -> dict[tuple[str, str], float | None]:
        """Box i's own score under every cut; None where it is below what the pass keeps.

        Args:
            i: place in `boxes`.
        """
        return {(row.block, row.wire): row.fates[i].score for row in self.rows}

    def to_dict(self) -> dict:
        rows = [plain(row) | {"share": row.share, "sentence": row.sentence} for row in self.rows]
        boxes = self.boxes
        return {
            "detector": boxes.detector,
            "threshold": self.threshold,
            "floor": FLOOR,
            "same_iou": SAME,
            "sentence": self.sentence,
            "boxes": [
                {"box": box, "label": label, "score": score, "index": index}
                for box, label, score, index in zip(
                    boxes.boxes.tolist(),
                    boxes.label_names,
                    boxes.scores.tolist(),
                    np.asarray(boxes.index).tolist(),
                    strict=True,
                )
            ],
            "rows": rows,
        }


def cut_board(sighting: Sighting, score: float = 0.5, progress: Progress | None = None) -> CutBoard:
    """Cut every wire once and run what follows: about 16 passes through the trunk, 32 heads.

    Both cuts of a block start from its S and F, and one variant runs after another: a batch of
    them would need gigabytes.

    Args:
        score: lowest score that counts, 0..1.
        progress: called after every cut; what it raises ends the work.
    """
    boxes = first_look(sighting).above(score)
    sighting = sighting.one_look
    trunk = sighting.detector.trunk
    rows: list[Cut] = []
    names = trunk.block_names if len(boxes) else ()
    ran = fast(trunk)
    with forward_only(trunk):
        stream = ran.stem(sighting.input) if names else sighting.input
    for i, name in enumerate(names):
        with forward_only(trunk):
            shortcut, branch, output = ran.block(name).wires(stream)
        for wire, gains in CUTS.items():
            with forward_only(trunk):
                cut = join(shortcut, branch, *gains)
            after = _finish(sighting, baseline(names[i + 1 :]), name, cut)
            rows.append(compare(name, wire, boxes, after, score))
            if progress:
                progress(len(rows), len(CUTS) * len(names))
        stream = output
    return CutBoard(score, boxes, tuple(rows))


def under(sighting: Sighting, gains: Gains | Sequence[Sequence[float]]) -> Detections:
    """What the detector finds with its trunk's wires at other gains, above the same floor.

    Args:
        gains: `{("3.2", "branch"): 0.0}`, 0..2, wires left out are at 1; or an array [blocks, 2]
            of (shortcut, branch).

    Returns:
        the first look's own detections if nothing changes.

    Raises:
        resnet.residual.PlanError: no such block or wire, or a gain out of range.
    """
    return under_plan(sighting, plan_of_gains(sighting.detector.trunk.block_names, gains))


def under_plan(sighting: Sighting, plan: Plan) -> Detections:
    """The same for any plan: the presets, repeats and swaps of `resnet.residual.plan`."""
    sighting = sighting.one_look
    trained = baseline(sighting.detector.trunk.block_names)
    if plan == trained:
        return sighting.found
    changed = plan[shared_prefix(trained, plan)].block[0]
    return _from_stage(sighting, plan, changed)


def first_look(sighting: Sighting) -> Detections:
    """What the first look finds by itself, each box with the number of the one it stands for.

    Returns:
        `index` is the place in `sighting.found` of the box of that label that overlaps most, each
        given once, the best first; -2 and less where there is none.
    """
    alone, found = sighting.one_look.found, sighting.found
    if alone is found:
        return found
    overlap = ops.box_iou(torch.from_numpy(found.boxes), torch.from_numpy(alone.boxes)).numpy()
    own = (overlap >= SAME) & (found.labels[:, None] == alone.labels)
    stands = {there: i for i, there in _pairs(np.where(own, overlap, 0)).items()}
    number = [stands.get(there, -2 - there) for there in range(len(alone))]
    return replace(alone, index=np.array(number, np.int64))


def compare(block: str, wire: str, before: Detections, after: Detections, score: float) -> Cut:
    """Who is still there?

    Pairs are made by the highest overlap first, each box once: with boxes of its own label that
    still count, then with boxes of another label.

    Args:
        before: the uncut network's boxes.
        after: the cut network's, down to a low floor.
        score: lowest score that counts.
    """
    overlap = ops.box_iou(torch.from_numpy(before.boxes), torch.from_numpy(after.boxes)).numpy()
    near = overlap >= SAME
    own = near & (before.labels[:, None] == after.labels)
    counts = after.scores >= score
    stays = _pairs(np.where(own & counts, overlap, 0))
    left = near & counts
    left[list(stays)], left[:, list(stays.values())] = False, False
    renamed = _pairs(np.where(left, overlap, 0))
    weak = own & ~counts
    weak[list(stays)] = False
    faint = _pairs(np.where(weak, overlap, 0))
    fates = []
    for i in range(len(before)):
        partner = stays.get(i, faint.get(i))
        own_score = None if partner is None else float(after.scores[partner])
        if i in stays:
            fates.append(Fate("stays", before.label_names[i], own_score))
        elif i in renamed:
            fates.append(Fate("renamed", after.label_names[renamed[i]], own_score))
        else:
            fates.append(Fate("vanishes", "", own_score))
    matched = len(stays) + len(renamed)
    return Cut(
        block,
        wire,
        stay=len(stays),
        renamed=len(renamed),
        vanish=len(before) - matched,
        new=int(counts.sum()) - matched,
        fates=tuple(fates),
    )


def _pairs(overlap: np.ndarray) -> dict[int, int]:
    """Rows to columns, the largest overlap first, each once; 0 is no pair."""
    found: dict[int, int] = {}
    if not overlap.size:
        return found
    for place in np.argsort(-overlap, axis=None, kind="stable"):
        row, column = (int(k) for k in np.unravel_index(place, overlap.shape))
        if not overlap[row, column]:
            break
        if row not in found and column not in found.values():
            found[row] = column
    return found


def _from_stage(sighting: Sighting, plan: Plan, stage: str) -> Detections:
    """Run a plan from the start of a stage, on the stream that the sighting kept."""
    trunk, before = sighting.detector.trunk, str(int(stage) - 1)
    steps = tuple(step for step in plan if step.block[0] >= stage)
    with forward_only(trunk):
        first = before not in sighting.streams
        stream = fast(trunk).stem(sighting.input) if first else sighting.streams[before]
    return _finish(sighting, steps, f"{before}.", stream)


def _finish(sighting: Sighting, steps: Sequence[Step], last: str, stream: Tensor) -> Detections:
    """Run the steps that are left, the head and the decoding.

    Args:
        last: the block that `stream` comes out of; streams of earlier stages are the sighting's.
    """
    started = time.perf_counter()
    detector, x = sighting.detector, sighting.input
    streams: Streams = {s: kept for s, kept in sighting.streams.items() if s < last[0]}
    ran = fast(detector.trunk)
    with forward_only(detector.trunk):
        if last[0] != "0":
            streams[last[0]] = stream
        for step in steps:
            block = ran.block(step.block)
            streams[step.block[0]] = stream = block(stream, step.shortcut, step.branch)
        trunk = time.perf_counter() - started
        raw = detector.answer(streams, x)
    with torch.inference_mode():
        found, _ = detector.decode(raw, x, sighting.photo.size, FLOOR)
    seconds = time.perf_counter() - started
    return replace(found, seconds=seconds, trunk_seconds=trunk)
