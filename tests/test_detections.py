"""`Detections`: what is refused, and filtering without another pass."""

from dataclasses import replace

import numpy as np
import pytest

from resnet.detections import Detections

NAMES = ("person", "dog", "kite")


def make(**changes) -> Detections:
    """Three boxes in a photo of 101 x 67."""
    given = {
        "boxes": [[0, 0, 101, 67], [10.5, 20, 30, 40], [5, 5, 5, 5]],
        "scores": [0.9, 0.5, 0.25],
        "labels": [1, 0, 1],
        "names": NAMES,
        "size": (101, 67),
        "detector": "test",
    }
    return Detections(**(given | changes))


def test_what_is_given_is_kept_in_its_types():
    found = make()
    kinds = (found.boxes.dtype, found.scores.dtype, found.labels.dtype)
    assert kinds == (np.float32, np.float32, np.int64)
    assert len(found) == 3 and found.label_names == ("dog", "person", "dog")
    assert list(found.counts.items()) == [("dog", 2), ("person", 1)]
    assert found.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"boxes": np.zeros((2, 4))}, "boxes"),
        ({"boxes": np.zeros((3, 5))}, "boxes"),
        ({"labels": [0, 1]}, "labels"),
        ({"masks": np.zeros((2, 4, 4), bool)}, "masks"),
        ({"index": np.arange(2)}, "index"),
        ({"boxes": [[0, 0, 101.5, 67], [0, 0, 1, 1], [0, 0, 1, 1]]}, "inside the photo"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, 1, 67.5], [0, 0, 1, 1]]}, "inside the photo"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, 1, 1], [-0.5, 0, 1, 1]]}, "inside the photo"),
        ({"boxes": [[0, 0, 1, 1], [9, 0, 8, 1], [0, 0, 1, 1]]}, "x0 <= x1"),
        ({"boxes": [[0, 0, 1, 1], [0, 9, 1, 8], [0, 0, 1, 1]]}, "y0 <= y1"),
        ({"boxes": [[0, 0, 1, 1], [0, 0, np.nan, 1], [0, 0, 1, 1]]}, "inside the photo"),
        ({"scores": [1.5, 0.5, 0.25]}, "0..1"),
        ({"scores": [0.9, 0.5, -0.1]}, "0..1"),
        ({"scores": [0.9, np.nan, 0.2]}, "0..1"),
        ({"scores": [0.5, 0.9, 0.25]}, "best detection"),
        ({"labels": [0, 3, 0]}, "no name"),
        ({"labels": [0, -1, 0]}, "no name"),
    ],
)
def test_what_does_not_fit_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        make(**changes)


def test_the_threshold_keeps_what_equals_it():
    found = make()
    assert len(found.above(0)) == 3
    assert found.above(0.5).scores.tolist() == [np.float32(0.9), 0.5]
    assert len(found.above(np.nextafter(0.5, 1))) == 1
    assert len(found.above(1)) == 0


def test_classes_are_filtered_by_name():
    found = make()
    assert found.above(0, ["dog"]).label_names == ("dog", "dog")
    assert found.above(0.5, {"dog", "person"}).label_names == ("dog", "person")
    assert len(found.above(0, ["kite"])) == 0  # known, and not in this photo
    assert len(found.above(0, [])) == 0
    with pytest.raises(ValueError, match="test does not know “cat”"):
        found.above(0, ["dog", "cat"])


def test_what_is_picked_knows_where_it_was():
    masks = np.arange(3 * 2 * 2).reshape(3, 2, 2) % 3 == 0
    found = replace(make(), masks=masks)
    second = found.above(0, ["person"]).above(0.1)
    assert second.index.tolist() == [1]
    assert second.boxes.tolist() == [[10.5, 20, 30, 40]]
    assert (second.masks == masks[1:2]).all()
    by_mask, by_row = found.pick(np.array([True, False, True])), found.pick(np.array([0, 2]))
    assert by_mask.index.tolist() == by_row.index.tolist() == [0, 2]
    assert by_mask.pick(np.array([1])).index.tolist() == [2]  # of the first, not of the second
    assert len(found) == 3 and found.masks is masks  # the original is as it was


def test_nothing_found_is_a_normal_answer():
    empty = make(boxes=np.zeros((0, 4)), scores=[], labels=[])
    assert len(empty) == 0 and empty.counts == {} and empty.label_names == ()
    assert len(empty.above(0.5, ["dog"])) == 0
