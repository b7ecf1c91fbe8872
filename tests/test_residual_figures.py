"""Signal budget, evidence and ledger: exact on small examples, and their invariants."""

import json

import numpy as np
import pytest
import torch

from resnet import cam, view
from resnet.images import read_photo
from resnet.network import Trace, Wires
from resnet.residual import evidence, logit_ledger, plan_of_gains, run, signal_budget

CHANGED = {("2.1", "branch"): 0.5, ("3.0", "shortcut"): 1.5, ("4.0", "shortcut"): 0.25,
           ("4.1", "branch"): 2.0}  # fmt: skip


@pytest.fixture
def tiny_trace(tiny, photo):
    return tiny.trace(view.to_tensor(view.look(read_photo(photo), tiny.spec).image, tiny.spec))


@pytest.fixture
def changed_trace(tiny, tiny_trace):
    return run(tiny, tiny_trace, plan_of_gains(tiny.block_names, CHANGED))


@pytest.fixture(scope="module")
def shipped(net, photo):
    return net.analyze(photo)


def wires(shortcut: list[float], branch: list[float]) -> Wires:
    s, f = (torch.tensor(v).view(1, -1, 1, 1) for v in (shortcut, branch))
    return Wires(s, f, torch.relu(s + f))


def test_budget_by_hand():
    blocks = {"1.0": wires([3.0, 0.0], [0.0, 4.0]), "1.1": wires([3.0, 4.0], [-6.0, 0.0])}
    budget = signal_budget(Trace(torch.zeros(1), blocks, torch.zeros(1, 2)))
    first, second = budget.blocks
    assert (first.share_s, first.share_f, first.share_cross) == (9 / 25, 16 / 25, 0)
    assert first.ratio == pytest.approx(4 / 3)
    assert (first.cos, first.zeros) == (0, 0)
    assert first.novelty == pytest.approx(1 - 9 / 15)
    # Z = (-3, 4): 25 + 36 - 36 = 25; the output is (0, 4)
    assert (second.share_s, second.share_f, second.share_cross) == (1, 36 / 25, -36 / 25)
    assert second.cos == pytest.approx(-18 / 30)
    assert second.novelty == pytest.approx(1 - 16 / 20)
    assert second.zeros == 0.5
    assert (first.norm_s, first.norm_f, first.norm_z) == (3, 4, 5)


def test_budget_of_a_cut_shortcut_has_no_ratio_and_is_json():
    budget = signal_budget(Trace(torch.zeros(1), {"1.0": wires([0.0], [2.0])}, torch.zeros(1, 2)))
    assert np.isnan(budget.blocks[0].ratio)
    row = json.loads(json.dumps(budget.to_dict(), allow_nan=False))["blocks"][0]
    assert row["ratio"] is None and row["share_f"] == 1


def test_budget_shares_add_to_one(tiny_trace, changed_trace, shipped):
    for trace in (tiny_trace, changed_trace, shipped.trace):
        budget = signal_budget(trace)
        assert [row.block for row in budget.blocks] == list(trace.blocks)
        assert budget.error < 1e-6
        for row, step in zip(budget.blocks, trace.blocks.values(), strict=True):
            assert row.zeros == pytest.approx(float((step.output == 0).float().mean()), abs=1e-6)


def test_budget_sees_gains(tiny, tiny_trace, changed_trace):
    plain, changed = (
        {row.block: row for row in signal_budget(trace).blocks}
        for trace in (tiny_trace, changed_trace)
    )
    assert changed["2.1"].ratio == pytest.approx(plain["2.1"].ratio / 2, rel=1e-6)
    assert changed["1.0"] == plain["1.0"]


def differentiate(net, trace, block: str, index: int, gains: dict) -> torch.Tensor:
    """dy/dH of one block by running its tail alone, the plain way."""
    names = net.block_names
    with torch.enable_grad():
        leaf = trace.blocks[block].output.clone().requires_grad_(True)
        x = leaf
        for name in names[names.index(block) + 1 :]:
            x = net.block(name)(
                x, gains.get((name, "shortcut"), 1.0), gains.get((name, "branch"), 1.0)
            )
        return torch.autograd.grad(net.head(x)[0, index], leaf)[0]


@pytest.mark.parametrize("gains", [{}, CHANGED])
def test_evidence_is_gradient_times_wire(tiny, tiny_trace, gains):
    trace = run(tiny, tiny_trace, plan_of_gains(tiny.block_names, gains))
    found = evidence(tiny, trace, 3)
    assert [row.block for row in found.blocks] == list(tiny.block_names)
    for row in found.blocks:
        step = trace.blocks[row.block]
        g = differentiate(tiny, trace, row.block, 3, gains)
        gated = g * (step.output > 0)
        s = gated * step.shortcut.clone() * gains.get((row.block, "shortcut"), 1.0)
        f = gated * step.branch.clone() * gains.get((row.block, "branch"), 1.0)
        np.testing.assert_allclose(row.shortcut_map, s.sum((0, 1)), atol=1e-5)
        np.testing.assert_allclose(row.branch_map, f.sum((0, 1)), atol=1e-5)
        total = float((g.double() * step.output.double()).sum())
        assert row.total == pytest.approx(total, rel=1e-5, abs=1e-5)  # float32 on our side
    assert found.error < 1e-5


def test_evidence_adds_up_everywhere(tiny, tiny_trace, changed_trace, net, shipped):
    cases = ((tiny, tiny_trace), (tiny, changed_trace), (net, shipped.trace))
    for network, trace in cases:
        index = int(trace.logits.argmax())
        found = evidence(network, trace, index)
        scale = max(abs(row.total) for row in found.blocks)
        assert found.error < 1e-5 * max(1, scale)
        for row in found.blocks:
            assert row.map.sum() == pytest.approx(row.total, abs=1e-4 * max(1, scale))
        last = trace.blocks[network.block_names[-1]].output
        exact = cam.exact_cam(last.clone(), network.fc.weight[index])
        np.testing.assert_allclose(found.blocks[-1].map, exact, atol=1e-5)


def test_evidence_leaves_nothing_behind_after_an_exception(tiny, tiny_trace, monkeypatch):
    def broken(stream):
        raise MemoryError("no room")

    monkeypatch.setattr(tiny, "head", broken)
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    with pytest.raises(MemoryError):
        evidence(tiny, tiny_trace, 0)
    assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == modes
    assert all(p.grad is None for p in tiny.parameters())  # hooks and flags: see `untouched`


def test_evidence_does_not_mind_the_callers_mode(tiny, tiny_trace):
    expected = evidence(tiny, tiny_trace, 1).to_dict(maps=True)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = evidence(tiny, tiny_trace, 1).to_dict(maps=True)
    assert found == expected
    json.dumps(expected, allow_nan=False)


@pytest.mark.parametrize("against", [None, "mean", 5])
def test_ledger_adds_to_the_logit(tiny, tiny_trace, changed_trace, net, shipped, against):
    cases = ((tiny, tiny_trace, 2), (tiny, changed_trace, 2), (net, shipped.trace, 281))
    for network, trace, index in cases:
        ledger = logit_ledger(network, trace, index, against)
        logits = trace.logits[0].double()
        less = {None: 0, "mean": logits.mean(), 5: logits[5]}[against]
        assert ledger.logit == pytest.approx(float(logits[index] - less), abs=1e-9)
        assert abs(ledger.error) < 2e-6 * max(1, float(logits.abs().max()))
        assert len(ledger.entries) == 2 + len(network.layer4)
        for entry in ledger.entries[1:]:
            assert entry.map.sum() == pytest.approx(entry.logit, abs=1e-4)
        if against is None:
            last = trace.blocks[network.block_names[-1]].output
            exact = cam.exact_cam(last.clone(), network.fc.weight[index])
            np.testing.assert_allclose(ledger.map, exact, atol=1e-5)


def test_ledger_names_its_parts(net, shipped):
    ledger = logit_ledger(net, shipped.trace, 0)
    assert [entry.part for entry in ledger.entries] == ["bias", "P", "F4.0", "F4.1", "F4.2"]
    written = json.loads(json.dumps(ledger.to_dict(maps=True), allow_nan=False))
    assert len(written["entries"][1]["map"]) == 7


def test_ledger_with_the_branches_cut_is_the_projection_alone(tiny, tiny_trace):
    gains = {("4.0", "branch"): 0.0, ("4.1", "branch"): 0.0}
    trace = run(tiny, tiny_trace, plan_of_gains(tiny.block_names, gains))
    entries = {entry.part: entry.logit for entry in logit_ledger(tiny, trace, 4).entries}
    assert entries["F4.0"] == entries["F4.1"] == 0
    assert entries["bias"] + entries["P"] == pytest.approx(
        float(trace.logits[0, 4]), rel=1e-5, abs=1e-5
    )
