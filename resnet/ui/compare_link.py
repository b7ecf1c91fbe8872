"""What of the tab *Compare* stands in a link."""

from __future__ import annotations

from collections.abc import Callable

from resnet import cam
from resnet.compare import DAMAGES, WAYS
from resnet.network import ResNet50
from resnet.ui.carried import (
    Carried,
    number,
    one_of,
    say_yes,
    whole_number,
    yes,
)
from resnet.ui.compare_controls import Controls
from resnet.ui.compare_fetch import choices
from resnet.ui.compare_source import ANSWER_OF_A, FROM_INSIDE, OWN_ANSWERS, Slots
from resnet.ui.detect_source import choices as detectors
from resnet.ui.examples import example_path
from resnet.ui.switchboard import PRESETS

FIRST = ("compare", "boxes")  # keys that decide which controls there are
_CLASSES = {"a": ANSWER_OF_A, "own": OWN_ANSWERS}


def carried_of(
    controls: Controls, net: ResNet50, example_of: Callable[[str], str]
) -> tuple[Carried, ...]:
    """Everything that a link holds; the box drawn on a photo is left out.

    Args:
        example_of: the file name of the example that a path is, "" for any other photo.
    """
    sets = [name for _, name in choices(net)]
    boxes = [name for _, name in detectors()]

    def read_photo(text: str) -> Slots:
        path = example_path(text)
        if path is None:
            raise ValueError(text)
        return Slots(other=str(path))

    def read_class(text: str) -> int:
        if text in _CLASSES:
            return _CLASSES[text]
        if (index := whole_number(text)) >= len(net.labels):
            raise ValueError(text)
        return index

    def say_class(index: int) -> str:
        return next((word for word, value in _CLASSES.items() if value == index), str(index))

    return (
        Carried("compare", controls.way, one_of(WAYS)),
        Carried("boxes", controls.boxes_too, yes, say_yes),
        Carried("photo-b", controls.slots, read_photo, lambda slots: example_of(slots.other)),
        Carried("weights-a", controls.weights_a, one_of(sets)),
        Carried("weights-b", controls.weights_b, one_of(sets)),
        Carried("method-a", controls.method_a, one_of(cam.METHODS)),
        Carried("method-b", controls.method_b, one_of(cam.METHODS)),
        Carried("explain", controls.wanted, read_class, say_class),
        Carried("damage", controls.damage, one_of(DAMAGES)),
        Carried("strength", controls.strength, number(0, 1)),
        Carried("seed", controls.seed, whole_number),
        Carried("compare-cuts", controls.cuts, one_of([FROM_INSIDE, *(p.title for p in PRESETS)])),
        Carried("detector-a", controls.detector_a, one_of(boxes)),
        Carried("detector-b", controls.detector_b, one_of(boxes)),
        Carried("compare-score", controls.score, number(0.05, 0.95)),
    )
