"""What the verbs answer: small frozen dataclasses of plain values; `to_dict` makes JSON of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resnet.residual.plain import plain


@dataclass(frozen=True)
class Class:
    """One class in an answer."""

    index: int
    label: str
    probability: float  # 0..1, softmax over all classes


@dataclass(frozen=True)
class Answer:
    """What every answer carries."""

    weights: str  # name of the set
    device: str
    precision: str  # of the forward pass
    seconds: float  # this answer took; little where the photo's pass was kept
    photo_sha256: str  # of the file
    size: tuple[int, int]  # width, height of the upright photo, pixels
    notes: tuple[str, ...]  # what was done to the photo, a sentence each

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return plain(self)


@dataclass(frozen=True)
class Classified(Answer):
    """What is in a photo."""

    crop: tuple[float, float, float, float]  # x0, y0, x1, y1 of what was seen, photo's pixels
    top: tuple[Class, ...]  # most probable first


@dataclass(frozen=True)
class Explained(Answer):
    """Where in a photo a class is."""

    crop: tuple[float, float, float, float]  # that the grid covers, photo's pixels
    target: Class  # the class explained
    method: str
    block: str
    signed: bool  # for and against; else 0 and up
    blank: bool  # no place stands out
    grid: list[list[float]]  # [h][w], raw units of the method
    picture: str | None = None  # data: address of a PNG, where it was asked for


@dataclass(frozen=True)
class Box:
    """One thing in a photo."""

    label: str
    score: float  # 0..1
    box: tuple[float, float, float, float]  # x0, y0, x1, y1, photo's pixels


@dataclass(frozen=True)
class Detected(Answer):
    """Which things are in a photo, and where.  `weights` are the classifier's."""

    detector: str
    score: float  # the lowest that was asked for
    boxes: tuple[Box, ...]  # best first
    picture: str | None = None  # data: address of a PNG, where it was asked for


@dataclass(frozen=True)
class Block:
    """What both wires of one block carry; as `resnet.report.rows.block_rows`, which has units."""

    block: str
    rms_shortcut: float
    rms_branch: float
    ratio: float | None
    cos: float | None
    share_shortcut: float | None
    share_branch: float | None
    share_both: float | None
    novelty: float | None
    evidence_shortcut: float
    evidence_branch: float
    cut_shortcut: float
    cut_branch: float
    flips_shortcut: bool
    flips_branch: bool


@dataclass(frozen=True)
class Traced(Answer):
    """What happened inside, block by block."""

    target: Class
    blocks: tuple[Block, ...]
    numbers: dict  # all of it, as `python -m resnet trace --json` without the maps and the paths


@dataclass(frozen=True)
class Cut:
    """The answer with one wire cut."""

    block: str
    wire: str  # "shortcut" or "branch"
    probability: float  # of the target, 0..1
    change: float  # of that, -1..1
    rank: int  # of the target, 1 = the answer
    answer: Class  # the answer then
    flips: bool  # another answer than with nothing cut


@dataclass(frozen=True)
class Lesions(Answer):
    """Every wire cut, one at a time."""

    target: Class  # with nothing cut
    answer: Class  # with nothing cut
    cuts: tuple[Cut, ...]  # blocks in order, branch before shortcut


@dataclass(frozen=True)
class Row:
    """One class in both answers; None where a side does not know it."""

    label: str
    p_a: float | None  # probability, 0..1
    p_b: float | None
    difference: float | None  # p_b - p_a
    rank_a: int | None  # 1 = the answer
    rank_b: int | None
    rank_change: int | None  # positive if it stands higher in B


@dataclass(frozen=True)
class Stream:
    """How alike the two streams are after one block."""

    block: str
    cosine: float | None  # None between different weights
    cka: float | None  # linear, over positions, 0..1
    chance: float | None  # CKA with B's positions shuffled


@dataclass(frozen=True)
class Compared:
    """Two answers side by side."""

    a: Classified
    b: Classified
    same_answer: bool
    overlap: int  # classes in both top lists
    divergence: float  # Jensen-Shannon, bits, 0..1
    logit_cosine: float | None
    answers: tuple[Row, ...]  # the union of both top lists
    answers_sentence: str
    parts_at: str | None  # the block where the streams part most
    measure: str  # that `parts_at` goes by: "cosine" or "cka"
    streams: tuple[Stream, ...]
    streams_sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return plain(self)
