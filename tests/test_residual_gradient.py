"""Gradient highway, path lengths, depth study."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch

from resnet import view
from resnet.images import read_photo
from resnet.residual import (
    depth_study,
    evidence,
    gradient_highway,
    one_lesion,
    path_lengths,
    plan_of_gains,
    run,
)
from resnet.residual.backward import backward
from resnet.residual.depth import autocorrelation, batch_norm
from resnet.residual.paths import Linearised, draw, path_gradients


@pytest.fixture
def tiny_trace(tiny, photo):
    return tiny.trace(view.to_tensor(view.look(read_photo(photo), tiny.spec).image, tiny.spec))


def by_hand(net, trace, index: int, target: str, gains: dict) -> list[torch.Tensor]:
    """dy/dx into each block, by autograd on the plain loop."""
    streams = [trace.stem.clone().requires_grad_(True)]
    for name in net.block_names:
        g_s, g_f = (gains.get((name, wire), 1.0) for wire in ("shortcut", "branch"))
        streams.append(net.block(name)(streams[-1], g_s, g_f))
    y = net.head(streams[-1])[0]
    y = y[index] if target == "logit" else -y.log_softmax(0)[index]
    return list(torch.autograd.grad(y, streams[:-1]))


@pytest.mark.parametrize("target", ["logit", "loss"])
@pytest.mark.parametrize("gains", [{}, {("2.1", "branch"): 0.5, ("3.0", "shortcut"): 0.0}])
def test_both_ways_back_add_to_the_gradient(tiny, tiny_trace, target, gains):
    trace = run(tiny, tiny_trace, plan_of_gains(tiny.block_names, gains))
    wanted = by_hand(tiny, trace, 3, target, gains)
    rows = gradient_highway(tiny, trace, 3, target).blocks
    passed = backward(tiny, trace, 3, target)
    for row, step, gradient in zip(rows, passed.values(), wanted, strict=True):
        scale = float(gradient.abs().max())
        found = step.via_shortcut + step.via_branch
        torch.testing.assert_close(found, gradient, atol=1e-5 * scale, rtol=1e-4)
        assert row.norm == pytest.approx(float(gradient.norm()), rel=1e-4)
        squares = row.norm_shortcut**2 + row.norm_branch**2
        if row.norm_shortcut and row.norm_branch:
            squares += 2 * row.cos * row.norm_shortcut * row.norm_branch
        assert squares == pytest.approx(row.norm**2, rel=1e-6)
    cut = {row.block: row for row in rows}["3.0"]
    assert (cut.norm_shortcut == 0) == (gains.get(("3.0", "shortcut")) == 0)


def test_an_identity_passes_the_gated_gradient_on(tiny, tiny_trace):
    passed = backward(tiny, tiny_trace, 1)
    for name in ("2.1", "4.1"):
        step = passed[name]
        torch.testing.assert_close(step.via_shortcut, step.gate * step.gradient)


def test_highway_of_the_shipped_weights(net, photo):
    trace = net.analyze(photo).trace
    highway = gradient_highway(net, trace, 281)
    assert [row.block for row in highway.blocks] == list(net.block_names)
    after = [row.norm for row in highway.blocks[1:]]
    passed = list(backward(net, trace, 281).values())
    for norm, step in zip(after, passed, strict=False):  # into a block = out of the one before
        assert norm == pytest.approx(float(step.gradient.norm()), rel=1e-4)
    json.dumps(highway.to_dict(), allow_nan=False)


def test_a_linearised_block_is_autograds(tiny, tiny_trace):
    for name in tiny.block_names:
        block = tiny.block(name)
        linear = Linearised.of(block, tiny_trace, name)
        x = tiny_trace.input_of(name).clone().requires_grad_(True)
        for wire in ("branch", "shortcut"):
            out = getattr(block, wire)(x)
            v = torch.randn_like(out)
            (wanted,) = torch.autograd.grad(out, x, v)
            with torch.inference_mode():
                found = getattr(linear, wire)(v)
            torch.testing.assert_close(found.clone(), wanted, atol=1e-5, rtol=1e-4)


def test_all_paths_together_are_the_gradient(tiny, tiny_trace):
    linear = [Linearised.of(tiny.block(n), tiny_trace, n) for n in tiny.block_names]
    paths = list(product((False, True), repeat=len(linear)))
    every = path_gradients(tiny, tiny_trace, 2, linear, paths)
    wanted = by_hand(tiny, tiny_trace, 2, "logit", {})[0].flatten()
    scale = float(wanted.abs().max())
    torch.testing.assert_close(every.sum(0).clone(), wanted, atol=1e-4 * scale, rtol=1e-3)
    # In any order, alone or together, a path's gradient is the same.
    torch.testing.assert_close(
        path_gradients(tiny, tiny_trace, 2, linear, [paths[37]])[0], every[37], rtol=1e-4, atol=1e-6
    )


def test_path_lengths_with_every_path_measured(tiny, tiny_trace):
    seen = []
    found = path_lengths(tiny, tiny_trace, 2, samples=100, progress=lambda *a: seen.append(a))
    assert [row.count for row in found.rows] == [math.comb(6, n) for n in range(7)]
    assert [row.samples for row in found.rows] == [math.comb(6, n) for n in range(7)]
    assert all(row.error == 0 for row in found.rows)
    assert sum(row.share_count for row in found.rows) == pytest.approx(1)
    assert sum(row.share_gradient for row in found.rows) == pytest.approx(1)
    assert found.mean_count == 3 and found.complete
    assert seen[-1] == (64, 64)
    # Length 0 is the way along the shortcuts alone: all branches detached.
    x = tiny_trace.stem.clone().requires_grad_(True)
    stream = x
    for name in tiny.block_names:
        block = tiny.block(name)
        stream = torch.relu(block.shortcut(stream) + block.branch(stream).detach())
    (alone,) = torch.autograd.grad(tiny.head(stream)[0, 2], x)
    assert found.rows[0].gradient == pytest.approx(float(alone.norm()), rel=1e-4)


def test_path_lengths_by_sampling(tiny, tiny_trace):
    every = {r.length: r.gradient for r in path_lengths(tiny, tiny_trace, 2, samples=100).rows}
    found = path_lengths(tiny, tiny_trace, 2, samples=8, seed=5)
    assert found == path_lengths(tiny, tiny_trace, 2, samples=8, seed=5)
    assert found != path_lengths(tiny, tiny_trace, 2, samples=8, seed=6)
    for row in found.rows:
        assert row.samples == min(8, row.count)
        assert (row.error > 0) == (row.samples < row.count)
        assert abs(row.gradient - every[row.length]) <= 5 * row.error + 1e-5 * every[row.length]
    json.dumps(path_lengths(tiny, tiny_trace, 2, samples=1).to_dict(), allow_nan=False)


def test_paths_are_drawn_without_repeats():
    assert len(draw(16, 0, 8, 0)) == 1
    assert len(draw(16, 1, 99, 0)) == 16
    drawn = draw(16, 8, 50, 0)
    assert len(set(drawn)) == 50 and {sum(path) for path in drawn} == {8}


def test_path_lengths_can_be_cancelled_and_refuse_a_changed_network(tiny, tiny_trace):
    stopped = path_lengths(tiny, tiny_trace, 0, cancelled=lambda: True)
    assert stopped.rows == () and not stopped.complete
    json.dumps(stopped.to_dict(), allow_nan=False)
    changed = run(tiny, tiny_trace, one_lesion(tiny, "2.1", "branch"))
    with pytest.raises(ValueError):
        path_lengths(tiny, changed, 0)


def test_evidence_and_highway_agree_on_the_gradient(tiny, tiny_trace):
    passed = backward(tiny, tiny_trace, 4)
    for row in evidence(tiny, tiny_trace, 4).blocks:
        step = passed[row.block]
        assert row.total == pytest.approx(float((step.gradient * step.output).sum()), abs=1e-4)


# Depth study


def test_autocorrelation_by_hand():
    waves = torch.tensor([[1.0, -1.0, 1.0, -1.0], [3.0, 3.0, 1.0, 1.0]]).double()
    np.testing.assert_allclose(autocorrelation(waves, 3), [[1, -0.75, 0.5], [1, 0.25, -0.5]])


def test_batch_norm_is_torchs():
    z = torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0)) * 4 + 1
    wanted = torch.stack(
        [torch.nn.functional.batch_norm(one, None, None, training=True) for one in z]
    )
    torch.testing.assert_close(batch_norm(z), wanted)


def test_depth_study_shows_what_shortcuts_do():
    seen = []
    study = depth_study((18, 50), seeds=3, progress=lambda *a: seen.append(a))
    assert study.complete and seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    rows = {(row.kind, row.depth): row for row in study.rows}
    assert set(rows) == {(k, d) for k in ("plain", "residual") for d in (18, 50)}
    for row in study.rows:
        assert row.layers[0] == 1 and row.layers[-1] == row.depth - 1
        assert len(row.layers) == len(row.signal) == len(row.gradient)
        assert row.correlation[0] == pytest.approx(1)
    # Balduzzi et al. 2017: plain gradients shatter with depth, residual ones resist.
    assert abs(rows["plain", 50].neighbours) < 0.15 < rows["residual", 50].neighbours
    assert rows["residual", 18].neighbours > rows["residual", 50].neighbours
    # With batch norm the plain gradient grows exponentially towards the input.
    growth = {key: row.gradient[0] / row.gradient[-1] for key, row in rows.items()}
    assert growth["plain", 50] > 100 * growth["residual", 50]
    # The residual stream grows, the plain one is normalised at every layer.
    assert rows["residual", 50].signal[-1] > 2 * rows["plain", 50].signal[-1]
    json.dumps(study.to_dict(), allow_nan=False)


def test_depth_study_is_the_same_each_time_and_seed_by_seed():
    one, again, two = (depth_study((6,), seeds=n, points=64, width=8) for n in (1, 1, 2))
    assert [row.signal for row in one.rows] == [row.signal for row in again.rows]
    assert one.rows[0].signal != two.rows[0].signal
    assert math.isnan(one.rows[0].correlation_error[1])
    json.dumps(one.to_dict(), allow_nan=False)


def test_depth_study_can_be_cancelled():
    calls = []
    study = depth_study(
        (6, 8), seeds=1, cancelled=lambda: len(calls) >= 2, progress=lambda *a: calls.append(a)
    )
    assert not study.complete and len(study.rows) == 2


@pytest.mark.parametrize("wrong", [{"depths": ()}, {"depths": (3,)}, {"depths": (1001,)},
                                   {"seeds": 0}, {"points": 16}])  # fmt: skip
def test_depth_study_refuses_what_it_cannot_measure(wrong):
    with pytest.raises(ValueError):
        depth_study(**wrong)
