"""Compare: the table of both top lists, and the figures of agreement, with exact values."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from compare_toys import unsure

from resnet.compare import CompareError, compare_answers
from resnet.compare.answers import jensen_shannon


def said(logits, labels="abcdef"):
    """An analysis as far as its answer goes."""
    return SimpleNamespace(
        net=SimpleNamespace(labels=tuple(labels)),
        trace=SimpleNamespace(logits=torch.tensor([logits], dtype=torch.float32)),
    )


def softmax(logits):
    powers = np.exp(np.asarray(logits, np.float64))
    return powers / powers.sum()


def test_the_union_in_order_with_ranks_and_differences():
    a, b = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [0.0, 4.0, 1.0, 5.0, 2.0, 3.0]
    found = compare_answers(said(a), said(b), k=3)
    p, q = softmax(a), softmax(b)
    assert [row.label for row in found.rows] == ["a", "b", "c", "d", "f"]
    assert [row.rank_a for row in found.rows] == [1, 2, 3, 4, 6]
    assert [row.rank_b for row in found.rows] == [6, 2, 5, 1, 3]
    assert [row.rank_change for row in found.rows] == [-5, 0, -2, 3, 3]
    assert (
        [row.index for row in found.rows] == [row.index_b for row in found.rows] == [0, 1, 2, 3, 5]
    )
    for row in found.rows:
        assert row.p_a == pytest.approx(p[row.index], abs=1e-12)
        assert row.p_b == pytest.approx(q[row.index], abs=1e-12)
        assert row.difference == pytest.approx(q[row.index] - p[row.index], abs=1e-12)
    assert (found.same_answer, found.overlap, found.shared, found.same_classes) == (
        False,
        1,
        6,
        True,
    )
    assert found.logit_cosine == pytest.approx(
        np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    )
    middle = (p + q) / 2
    bits = (np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))) / 2
    assert found.divergence == pytest.approx(bits, abs=1e-12)
    assert "A says “a” (63.4 %), B “d” (63.4 %); 1 of the top 3" in found.sentence


@pytest.mark.parametrize(
    ("p", "q", "bits"),
    [
        ([1, 0], [0, 1], 1.0),
        ([0.25, 0.75], [0.25, 0.75], 0.0),
        ([1, 0], [0.5, 0.5], -0.75 * math.log2(0.75) - 0.25 * math.log2(0.25) - 0.5),
    ],
)
def test_divergence_of_known_distributions(p, q, bits):
    p, q = torch.tensor(p), torch.tensor(q)
    assert jensen_shannon(p, q) == pytest.approx(bits, abs=1e-12)
    assert jensen_shannon(q, p) == pytest.approx(bits, abs=1e-12)


def test_an_answer_agrees_with_itself():
    found = compare_answers(said([3.0, 1.0, 2.0], "abc"), said([3.0, 1.0, 2.0], "abc"))
    assert found.k == 3 and found.overlap == 3 and found.same_answer
    assert found.divergence == 0 and found.logit_cosine == pytest.approx(1)
    assert {row.rank_change for row in found.rows} == {0}
    assert found.sentence.startswith("Both say “a” (A 66.5 %, B 66.5 %); 3 of the top 3")


def test_other_lists_of_classes_are_paired_by_name():
    """Of x, crane, crane and y, B knows the cranes, in another place, and z."""
    a = said([1.0, 4.0, 3.0, 2.0], ["x", "crane", "crane", "y"])
    b = said([5.0, 1.0, 2.0], ["z", "crane", "crane"])
    found = compare_answers(a, b, k=2)
    rows = {(row.index, row.index_b): row for row in found.rows}
    assert set(rows) == {(1, 1), (2, 2), (None, 0)}
    alone = rows[None, 0]
    assert (alone.label, alone.p_a, alone.difference, alone.rank_change) == ("z", None, None, None)
    assert alone.p_b == pytest.approx(softmax([5, 1, 2])[0])
    assert rows[2, 2].rank_change == 2 - 2 and rows[1, 1].rank_change == 1 - 3
    assert (found.shared, found.same_classes) == (2, False)
    assert found.logit_cosine == pytest.approx(10 / (5 * math.sqrt(5)))
    p = np.array([*softmax([1, 4, 3, 2]), 0])
    q = np.array([0, *softmax([5, 1, 2])[1:], 0, softmax([5, 1, 2])[0]])
    middle = (p + q) / 2
    terms = [x[x > 0] * np.log2(x[x > 0] / middle[x > 0]) for x in (p, q)]
    assert found.divergence == pytest.approx(sum(t.sum() for t in terms) / 2, abs=1e-12)
    assert "different lists of classes: the 2 that both know" in found.sentence


def test_nothing_in_common():
    found = compare_answers(said([1.0, 2.0], "ab"), said([1.0, 2.0], "cd"))
    assert found.divergence == pytest.approx(1) and found.logit_cosine is None
    assert found.shared == found.overlap == 0 and len(found.rows) == 4


def test_upper_and_lower_case_are_two_classes():
    found = compare_answers(
        said([2.0, 1.0], ["Cardigan", "x"]), said([2.0, 1.0], ["cardigan", "x"])
    )
    assert not found.same_answer and found.shared == 1


def test_no_list_is_refused():
    with pytest.raises(CompareError, match="At least one"):
        compare_answers(said([1.0, 2.0], "ab"), said([1.0, 2.0], "ab"), k=0)


def test_real_analyses_and_plain_values(photo):
    a, b = (unsure("v1", seed).analyze(photo) for seed in (0, 1))
    found = compare_answers(a, b)
    values = found.to_dict()
    assert values["sentence"] == found.sentence and len(values["rows"]) == len(found.rows)
    assert [(row.label, row.p_a) for row in found.rows[:5]] == [
        (p.label, pytest.approx(p.probability, abs=1e-6)) for p in a.top(5)
    ]
