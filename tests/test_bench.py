"""The benchmark compares answers before it times them.  Nothing here is timed."""

import numpy as np
import pytest

from resnet.backends import Eager
from resnet.bench import Skipped, compare, growth, machine, shown, stages, users
from resnet.bench.subjects import Subjects


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


def test_a_wanted_ratio_counts_by_wall_or_processor_time():
    row = compare("a / b", lambda: np.zeros(1), lambda: np.zeros(1), 3, 0.0, wanted=1e9)
    assert row.met and "✓" in shown.line(row)
    row = compare("a / b", lambda: np.zeros(1), lambda: np.zeros(1), 3, 0.0, wanted=1e-9)
    assert row.met is False and "✗" in shown.line(row)
    assert "not here" in shown.line(Skipped("a / b", "not here"))


def test_no_number_is_a_difference():
    with pytest.raises(RuntimeError, match="differ by nan"):
        compare("a / b", lambda: np.array([np.nan]), lambda: np.zeros(1), 1, 0.1)


def test_the_machine_is_named_without_a_place():
    said = machine.words(machine.machine())
    assert "cores" in said and "/" not in said.replace("CUDA/", "")


def test_users_growth_and_stages_run_on_a_tiny_network(tiny_v1, tmp_path):
    on = Subjects(tiny_v1, Eager(tiny_v1), "asked for")
    loads = users.many(on, 20, 1)
    assert {load.users for load in loads.values()} == {16}
    assert all(load.rate > 0 and load.p95 >= load.median for load in loads.values())
    (row,) = users.rows(on, 3)
    assert row.difference < 1e-3
    steps = growth.steps(on, 4, 1)
    assert [(step.what, step.count) for step in steps][:2] == [("photos", 1), ("photos", 4)]
    profile = stages.profile(on, users.jpeg(on.photo), 1)
    assert {"receive", "decode", "resize", "queue", "forward", "tail", "send"} <= set(profile)
    shown.chart([row], "a title", tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
