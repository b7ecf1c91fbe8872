"""Many photos in one go: collect them, run them, add them up, take them away.

with collect(paths) as photos:
    rows = tuple(run_batch(net, photos))
result = BatchResult(rows, net.labels, len(photos), seconds, facts_of(net), photos.notes)
"""

from resnet.batch.archive import Archive
from resnet.batch.calibration import Bin, Calibration, calibration
from resnet.batch.collect import Collection, collect
from resnet.batch.confusion import Confusion, Mistake, confusion
from resnet.batch.item import MAX_PHOTOS, MAX_TOTAL, BatchError, Item, Limits
from resnet.batch.pace import BatchProgress
from resnet.batch.results import Accuracy, BatchResult, facts_of
from resnet.batch.row import BatchRow, Truth
from resnet.batch.run import run_batch
from resnet.batch.table import choose

__all__ = [
    "MAX_PHOTOS",
    "MAX_TOTAL",
    "Accuracy",
    "Archive",
    "BatchError",
    "BatchProgress",
    "BatchResult",
    "BatchRow",
    "Bin",
    "Calibration",
    "Collection",
    "Confusion",
    "Item",
    "Limits",
    "Mistake",
    "Truth",
    "calibration",
    "choose",
    "collect",
    "confusion",
    "facts_of",
    "run_batch",
]
