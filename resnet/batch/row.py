"""What a batch keeps of one photo: its answers and a stamp, small enough for thousands."""

from __future__ import annotations

from dataclasses import dataclass

from resnet.classify import Prediction

THUMBNAIL = 96  # pixels, longer side
THUMBNAIL_BYTES = 3_500


@dataclass(frozen=True, slots=True)
class Truth:
    """The true label of a photo, as far as the list and the weights' classes agree on it."""

    said: str  # as it stands in the list
    index: int | None = None  # of the class; None: these weights know no such class
    label: str = ""  # its name
    note: str = ""  # why there is no class, a sentence
    rank: int | None = None  # of the class among the answers, 1 = the answer
    probability: float | None = None  # 0..1, of the class


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One photo of a batch; about 4 kB with its thumbnail."""

    name: str  # unique in the batch, printable
    ok: bool
    reason: str = ""  # why not, a sentence for the visitor
    top5: tuple[Prediction, ...] = ()  # most probable first; each unpacks as label, probability
    entropy: float | None = None  # of the softmax, bits: 0 … log2(classes)
    seconds: float = 0.0  # reading it, and its share of the batch's pass
    width: int = 0  # of the upright photo, the file's own pixels
    height: int = 0
    thumbnail: bytes = b""  # JPEG, at most 96 pixels on the longer side
    digest: str = ""  # SHA-256 of the file, hex
    notes: tuple[str, ...] = ()  # what was done to the photo
    truth: Truth | None = None  # None: the list gives no label for it

    @property
    def answer(self) -> Prediction | None:
        """The most probable class; None if the photo could not be used."""
        return self.top5[0] if self.top5 else None

    @property
    def confidence(self) -> float | None:
        """The answer's probability, 0..1."""
        return self.top5[0].probability if self.top5 else None

    @property
    def margin(self) -> float | None:
        """By how much the answer leads over the second, 0..1."""
        if len(self.top5) < 2:
            return None
        return self.top5[0].probability - self.top5[1].probability

    @property
    def labelled(self) -> bool:
        """Whether the answer can be right or wrong: it is usable and its true class is known."""
        return self.ok and self.truth is not None and self.truth.index is not None

    @property
    def correct(self) -> bool | None:
        """Whether the answer is the true class; None where that cannot be said."""
        return self._within(1)

    @property
    def in_top5(self) -> bool | None:
        """Whether the true class is among the five; None where that cannot be said."""
        return self._within(5)

    def _within(self, k: int) -> bool | None:
        if not self.labelled or self.truth is None:
            return None
        return self.truth.index in [prediction.index for prediction in self.top5[:k]]

    def to_dict(self) -> dict:
        """Plain values, without the thumbnail; `truth` is None where there is no label."""
        truth = None
        if self.truth is not None:
            truth = {field: getattr(self.truth, field) for field in Truth.__slots__}
            truth |= {"correct": self.correct, "in_top5": self.in_top5}
        return {
            "file": self.name,
            "ok": self.ok,
            "reason": self.reason,
            "top": [
                {"index": p.index, "label": p.label, "probability": p.probability}
                for p in self.top5
            ],
            "entropy_bits": self.entropy,
            "margin": self.margin,
            "seconds": round(self.seconds, 4),
            "width": self.width,
            "height": self.height,
            "sha256": self.digest,
            "notes": list(self.notes),
            "truth": truth,
        }
