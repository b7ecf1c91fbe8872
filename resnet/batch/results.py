"""All rows of a batch, and what they add up to."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import IO, Any

from resnet.batch.calibration import BINS, Calibration, calibration
from resnet.batch.confusion import Confusion, confusion
from resnet.batch.row import BatchRow
from resnet.network import ResNet50

FORMAT = 1  # of results.json and manifest.json
PACKAGES = ("torch", "numpy", "pillow")


@dataclass(frozen=True)
class Accuracy:
    """How often the true class is the answer, and among the first five."""

    photos: int  # that could be used and have a class of these weights as true label
    top1: int  # photos
    top5: int  # photos

    def to_dict(self) -> dict:
        """Counts, and shares 0..1; None where there is no photo."""
        shares = {
            name: count / self.photos if self.photos else None
            for name, count in (("top1", self.top1), ("top5", self.top5))
        }
        return {"photos": self.photos, "right_top1": self.top1, "right_top5": self.top5} | shares


@dataclass(frozen=True)
class BatchResult:
    """A batch that ran, to its end or not.

    Attributes:
        rows: in the order of the photos.
        labels: names of the network's classes.
        planned: photos there were; more than rows if the batch was stopped.
        seconds: from start to end.
        made: what made it, `facts_of`.
        notes: sentences about the files, `Collection.notes`.
    """

    rows: tuple[BatchRow, ...]
    labels: Sequence[str] = field(repr=False)
    planned: int
    seconds: float
    made: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> tuple[BatchRow, ...]:
        """The photos that could be used."""
        return tuple(row for row in self.rows if row.ok)

    @property
    def failed(self) -> tuple[BatchRow, ...]:
        """The files that could not, each with its reason."""
        return tuple(row for row in self.rows if not row.ok)

    @property
    def stopped(self) -> bool:
        """Whether it ended before its last photo."""
        return len(self.rows) < self.planned

    @property
    def counts(self) -> dict[str, int]:
        """Photos: planned, seen, usable, failed, and with a true label that counts."""
        usable, labelled = len(self.done), sum(row.labelled for row in self.rows)
        return {
            "planned": self.planned,
            "seen": len(self.rows),
            "usable": usable,
            "failed": len(self.rows) - usable,
            "labelled": labelled,
        }

    @property
    def accuracy(self) -> Accuracy | None:
        """None where no usable photo has a true label."""
        told = [row for row in self.rows if row.labelled]
        if not told:
            return None
        return Accuracy(len(told), sum(map(_right, told)), sum(bool(row.in_top5) for row in told))

    @property
    def confidences(self) -> tuple[float, ...]:
        """The answer's probability of each usable photo, 0..1, in the rows' order."""
        return tuple(row.top5[0].probability for row in self.done)

    def calibration(self, bins: int = BINS) -> Calibration | None:
        """ECE and the bins of the reliability diagram; None where nothing is labelled."""
        told = [row for row in self.rows if row.labelled]
        return calibration([row.top5[0].probability for row in told], list(map(_right, told)), bins)

    def confusion(self, rows: int = 16, most: int = 12) -> Confusion | None:
        """What was taken for what; None where nothing is labelled."""
        pairs = [
            (row.truth.index, row.top5[0].index)
            for row in self.rows
            if row.labelled and row.truth is not None and row.truth.index is not None
        ]
        return confusion(pairs, self.labels, rows, most)

    def least_certain(self, n: int | None = None) -> tuple[BatchRow, ...]:
        """The usable photos, lowest confidence first; all of them, or the first `n`."""
        ordered = sorted(self.done, key=lambda row: row.top5[0].probability)
        return tuple(ordered[:n])

    def summary(self) -> dict:
        """Everything but the rows, as plain values."""
        accuracy, reliability, confused = self.accuracy, self.calibration(), self.confusion()
        return {
            "format": FORMAT,
            **self.made,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "photos": self.counts,
            "accuracy": accuracy.to_dict() if accuracy else None,
            "calibration": reliability.to_dict() if reliability else None,
            "confusion": confused.to_dict() if confused else None,
            "notes": list(self.notes),
        }

    def to_dict(self) -> dict:
        """Everything but the thumbnails, as plain values; the shape of results.json."""
        return self.summary() | {"rows": [row.to_dict() for row in self.rows]}

    to_json = to_dict

    def to_csv(self) -> str:
        """A table with a head, one photo a line; safe to open in a spreadsheet."""
        from resnet.batch.table import to_csv  # it stands above this module

        return to_csv(self)

    def to_zip(self, file: IO[bytes]) -> None:
        """Everything: table, numbers, contact sheets, figures, manifest.

        Args:
            file: written from front to back, one part at a time; it need not be seekable.
        """
        from resnet.batch.export import to_zip  # it stands above this module

        to_zip(self, file)


def facts_of(net: ResNet50, **options: Any) -> dict[str, Any]:
    """What makes a batch: weights with their hash, device, precision, versions, options."""
    return {
        "weights": {
            "name": net.spec.name,
            "variant": net.spec.variant,
            "sha256": net.spec.sha256,
        },
        "device": str(net.device),
        "precision": net.precision,
        "options": options,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }


def _right(row: BatchRow) -> bool:
    return bool(row.correct)
