"""Which of the classifier's classes are one of the detector's.

The detector has learned "toaster" from five boxes and "bear" from nine; the classifier has seen a
thousand photos of each.  What `fc` makes of a region is therefore a clue of its own, as soon as it
is known that its `brown bear` and `ice bear` are COCO's "bear".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resnet.detectors.convert import canonical
from resnet.weights import imagenet_labels

# COCO's name -> places in ImageNet's 1,000 (ILSVRC 2012, in the order of `imagenet_labels`), chosen
# by name, never by result.  COCO's classes that ImageNet does not have are not here.
IMAGENET = {
    "bicycle": "444 671",
    "car": "407 436 468 511 609 627 656 661 751 817",
    "motorcycle": "665 670",
    "airplane": "404 895",
    "bus": "654 779 874",
    "train": "466 547 705 820 829",
    "truck": "555 569 675 717 734 864 867",
    "boat": "472 484 510 554 576 625 628 780 814 871 914",
    "traffic light": "920",
    "stop sign": "919",
    "parking meter": "704",
    "bench": "703",
    "bird": "7-24 80-100 127-146",
    "cat": "281-285",
    "dog": "151-268",
    "horse": "339",
    "sheep": "348-349",
    "cow": "345-347",
    "elephant": "101 385-386",
    "bear": "294-297",
    "zebra": "340",
    "backpack": "414",
    "umbrella": "879",
    "handbag": "636 748",
    "tie": "906",
    "skis": "795",
    "sports ball": "429 430 574 722 768 805 852 890",
    "tennis racket": "752",
    "bottle": "440 737 898 907",
    "wine glass": "441 572 966",
    "cup": "504 647 967 968",
    "knife": "499",
    "spoon": "618 910",
    "bowl": "659 809",
    "banana": "954",
    "apple": "948",
    "sandwich": "933",
    "orange": "950",
    "broccoli": "937",
    "hot dog": "934",
    "pizza": "963",
    "donut": "931",
    "cake": "927",
    "chair": "423 559 765",
    "couch": "831",
    "potted plant": "738",
    "bed": "520 564",
    "dining table": "532",
    "toilet": "861",
    "tv": "527 664 782 851",
    "laptop": "620 681",
    "mouse": "673",
    "remote": "761",
    "keyboard": "508 878",
    "cell phone": "487 590 605",
    "microwave": "651",
    "oven": "827",
    "toaster": "859",
    "sink": "896",
    "refrigerator": "760",
    "book": "917 921",
    "clock": "409 530 892",
    "vase": "883",
    "teddy bear": "850",
    "hair drier": "589",
}


def aliases(names: Sequence[str], labels: Sequence[str]) -> Tensor:
    """What the classifier calls each of the detector's classes.

    Args:
        names: the detector's classes.
        labels: the classifier's.  Only ImageNet's 1,000 are known; of others, nothing is.

    Returns:
        float32 [classes, labels], 1 where the label is such a thing, else 0.
    """
    found = torch.zeros(len(names), len(labels))
    if tuple(labels) == imagenet_labels():
        for row, name in enumerate(names):
            found[row, _places(IMAGENET.get(canonical(name), ""))] = 1
    return found


def _places(text: str) -> list[int]:
    """`"7-9 12"` -> 7, 8, 9, 12."""
    ends = [[int(end) for end in part.split("-")] for part in text.split()]
    return [place for end in ends for place in range(end[0], end[-1] + 1)]
