"""The benchmark compares answers before it times them.  Nothing here is timed."""

import numpy as np
import pytest

from resnet.bench import compare


def test_different_answers_are_not_timed():
    with pytest.raises(RuntimeError, match="differ by 2"):
        compare("a / b", lambda: np.array([1.0, 2.0]), lambda: np.array([1.0, 4.0]), 3, 0.1)


def test_both_ways_run_in_turn():
    order = []

    def way(name):
        return lambda: order.append(name) or np.zeros(1)

    row = compare("a / b", way("a"), way("b"), 3, 0.0)
    assert order == ["a", "b"] * 4  # once to compare, three times to measure
    assert row.difference == 0 and row.least <= row.ratio <= row.most
