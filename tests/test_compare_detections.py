"""Compare: boxes in both, only in A, only in B."""

import numpy as np
import pytest

from resnet.compare import CompareError, match
from resnet.compare.detections import overlaps
from resnet.detections import Detections

NAMES = ("cat", "dog")


def found(*rows, names=NAMES, size=(100, 100)):
    """Rows of (box, score, label index), best first."""
    boxes, scores, labels = zip(*rows, strict=True) if rows else ((), (), ())
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(boxes, list(scores), list(labels), names, size, "test")


def test_pairs_and_singles_exactly():
    a = found(((0, 0, 10, 10), 0.9, 0), ((50, 50, 60, 60), 0.75, 1), ((20, 0, 30, 10), 0.5, 0))
    b = found(((20, 0, 30, 5), 0.75, 0), ((0, 0, 10, 8), 0.45, 0), ((50, 50, 60, 60), 0.25, 0))
    result = match(a, b)
    assert [(p.a, p.b, p.label) for p in result.both] == [(0, 1, "cat"), (2, 0, "cat")]
    assert [p.iou for p in result.both] == [pytest.approx(0.8), pytest.approx(0.5)]
    assert [p.difference for p in result.both] == [pytest.approx(-0.45), pytest.approx(0.25)]
    assert [(s.row, s.label, s.score) for s in result.only_a] == [(1, "dog", 0.75)]
    assert [(s.row, s.label, s.score) for s in result.only_b] == [(2, "cat", 0.25)]
    assert result.agreement == 0.5
    assert result.sentence == (
        "2 things were found by both, 1 by A only, 1 by B only (same name, overlap of 0.5 or "
        "more). Where both found it, B's score is 0.10 lower on average."
    )
    assert result.to_dict()["both"][0]["iou"] == pytest.approx(0.8)


def test_just_below_the_overlap_is_no_pair():
    a, b = found(((0, 0, 10, 10), 0.9, 0)), found(((0, 0, 10, 4.99), 0.9, 0))
    assert not match(a, b).both
    assert len(match(a, b, iou=0.49).both) == 1


def test_the_best_overlap_goes_first_whoever_is_called_a():
    a = found(((0, 0, 10, 10), 0.9, 0), ((0, 0, 10, 9), 0.8, 0))
    b = found(((0, 0, 10, 9), 0.7, 0))
    assert [(p.a, p.b) for p in match(a, b).both] == [(1, 0)]
    turned = match(b, a)
    assert [(p.a, p.b) for p in turned.both] == [(0, 1)]
    assert [s.row for s in turned.only_b] == [0] and not turned.only_a


def test_of_equal_overlaps_the_higher_scores_go_first():
    box = (0, 0, 10, 10)
    result = match(found((box, 0.9, 0), (box, 0.3, 0)), found((box, 0.8, 0), (box, 0.2, 0)))
    assert [(p.a, p.b) for p in result.both] == [(0, 0), (1, 1)]


def test_labels_go_by_name_not_by_number():
    a = found(((0, 0, 10, 10), 0.9, 0))
    b = found(((0, 0, 10, 10), 0.6, 1), names=("person", "cat"))
    assert [p.label for p in match(a, b).both] == ["cat"]


def test_swapping_sides_swaps_the_result():
    rng = np.random.default_rng(0)

    def some(count):
        corners = rng.uniform(0, 60, (count, 2))
        boxes = np.hstack([corners, corners + rng.uniform(20, 40, (count, 2))])
        scores = np.sort(rng.random(count))[::-1]
        return found(*zip(boxes, scores, rng.integers(0, 2, count), strict=True))

    a, b = some(30), some(25)
    one, other = match(a, b), match(b, a)
    assert one.both and {(p.a, p.b) for p in one.both} == {(p.b, p.a) for p in other.both}
    assert one.only_a == other.only_b and one.only_b == other.only_a
    for result, n, m in ((one, 30, 25),):
        assert sorted([p.a for p in result.both] + [s.row for s in result.only_a]) == list(range(n))
        assert sorted([p.b for p in result.both] + [s.row for s in result.only_b]) == list(range(m))


def test_nothing_found():
    nothing, one = found(), found(((0, 0, 10, 10), 0.9, 0))
    assert match(nothing, nothing).agreement is None
    assert match(nothing, nothing).sentence == "Neither found anything."
    assert len(match(one, nothing).only_a) == len(match(nothing, one).only_b) == 1


def test_empty_boxes_overlap_nothing():
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert overlaps(point, point).tolist() == [[0.0]]


def test_what_cannot_be_paired():
    a = found(((0, 0, 10, 10), 0.9, 0))
    with pytest.raises(CompareError, match="100 × 100 and 90 × 100"):
        match(a, found(size=(90, 100)))
    for iou in (0, 1.1, float("nan")):
        with pytest.raises(CompareError, match="above 0"):
            match(a, a, iou)
