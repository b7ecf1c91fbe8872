"""Gains, presets, lesions and read-outs: prefix-shared runs against plain full passes."""

import json

import numpy as np
import pytest
import torch
from conftest import make_tiny, randomise, tiny_spec
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from resnet import view
from resnet.backends import suffix
from resnet.images import read_photo
from resnet.network import ResNet50, join
from resnet.residual import (
    PlanError,
    RewiredTrace,
    all_shortcuts_off,
    baseline,
    branches_off_after,
    evidence,
    gains_of,
    identity_blocks,
    identity_branch_gain,
    lesions,
    logits_of,
    one_lesion,
    plan_of_gains,
    random_blocks_cut,
    repeated,
    run,
    shortcut_readouts,
    swap_pairs,
    swapped,
    with_gains,
    with_plan,
)
from resnet.residual.plan import WIRES


def see(net, photo):
    return net.trace(view.to_tensor(view.look(read_photo(photo), net.spec).image, net.spec))


def soften(net: ResNet50) -> ResNet50:
    """Smaller logits: of seven probabilities near 0 and 1 a test would learn little."""
    with torch.no_grad():
        net.fc.weight.mul_(0.02)
    return net


@pytest.fixture(scope="module", params=["v1", "v1.5"])
def tiny(request):
    return soften(make_tiny(request.param))


@pytest.fixture
def tiny_trace(tiny, photo):
    return see(tiny, photo)


@pytest.fixture(scope="module")
def shipped(net, photo):
    return net.analyze(photo)


def full_pass(net, trace, plan) -> torch.Tensor:
    """The logits of a plan from the stem on, one block at a time, nothing shared."""
    x = trace.stem
    with torch.inference_mode():
        for step in plan:
            block = net.block(step.block)
            x = join(block.shortcut(x), block.branch(x), step.shortcut, step.branch)
        return net.head(x)


def presets(net) -> dict:
    free = identity_blocks(net)
    pair = swap_pairs(net)
    return {
        "all branches": branches_off_after(net, None),
        "after 3.0": branches_off_after(net, "3.0"),
        "shortcuts": all_shortcuts_off(net),
        "lesion": one_lesion(net, "2.1", "shortcut"),
        "half": repeated(net, free[:1], 2),
        "thrice": repeated(net, free[-1:], 3, scaled=False),
        "random": random_blocks_cut(net, 2, seed=1),
        "turned up": identity_branch_gain(net, 1.5),
        **({"swap": swapped(net, *pair[0])} if pair else {}),
    }


@pytest.fixture(scope="module")
def deep(photo):
    """A tiny network with neighbouring identity blocks."""
    return soften(randomise(ResNet50(tiny_spec("v1"), depths=(1, 3, 1, 3), width=8)))


def test_every_preset_equals_a_full_pass(deep, photo):
    trace = see(deep, photo)
    for name, plan in presets(deep).items():
        torch.testing.assert_close(
            run(deep, trace, plan).logits, full_pass(deep, trace, plan), msg=name
        )


def test_presets_say_what_they_change(net):
    names = net.block_names
    assert len(identity_blocks(net)) == 12 and "3.0" not in identity_blocks(net)
    assert gains_of(branches_off_after(net, "4.0")) == {
        ("4.1", "branch"): 0.0, ("4.2", "branch"): 0.0
    }  # fmt: skip
    assert len(gains_of(all_shortcuts_off(net))) == 16
    assert [step.block for step in swapped(net, "3.3", "3.2")][8:12] == ["3.1", "3.3", "3.2", "3.4"]
    halves = repeated(net, ["3.1"], 2)
    assert [(s.block, s.branch) for s in halves[8:10]] == [("3.1", 0.5), ("3.1", 0.5)]
    assert len(halves) == 17
    drawn = random_blocks_cut(net, 3, seed=7)
    assert drawn == random_blocks_cut(net, 3, seed=7) != random_blocks_cut(net, 3, seed=8)
    assert len(gains_of(drawn)) == 3
    assert plan_of_gains(names, np.ones((16, 2))) == baseline(names)
    table = np.ones((16, 2))
    table[9, 0] = 0  # 3.2
    assert plan_of_gains(names, table) == one_lesion(net, "3.2", "shortcut")


@pytest.mark.parametrize(
    "make",
    [
        lambda net: plan_of_gains(net.block_names, {("5.0", "branch"): 0}),
        lambda net: plan_of_gains(net.block_names, {("3.0", "wire"): 0}),
        lambda net: plan_of_gains(net.block_names, {("3.0", "branch"): 2.1}),
        lambda net: plan_of_gains(net.block_names, {("3.0", "branch"): -0.1}),
        lambda net: plan_of_gains(net.block_names, {("3.0", "branch"): float("nan")}),
        lambda net: plan_of_gains(net.block_names, [[1, 1]]),
        lambda net: swapped(net, "3.0", "3.1"),
        lambda net: swapped(net, "3.1", "3.3"),
        lambda net: repeated(net, ["4.0"]),
        lambda net: repeated(net, ["4.1"], 0),
        lambda net: random_blocks_cut(net, 13, 0),
        lambda net: branches_off_after(net, "9.9"),
    ],
)
def test_impossible_plans_are_refused(net, make):
    with pytest.raises(PlanError):
        make(net)


def test_gains_of_one_change_nothing_bit_for_bit(tiny, tiny_trace, net, shipped):
    for network, trace in ((tiny, tiny_trace), (net, shipped.trace)):
        names = network.block_names
        ones = {(name, wire): 1.0 for name in names for wire in ("shortcut", "branch")}
        assert run(network, trace, plan_of_gains(names, ones)) is trace
        # There and back again: everything from the first block on is computed anew.
        changed = run(network, trace, plan_of_gains(names, {("1.0", "branch"): 0.5}))
        back = run(network, changed, plan_of_gains(names, ones))
        assert not torch.equal(changed.logits, trace.logits)
        assert torch.equal(back.logits, trace.logits)
        for name in names:
            assert torch.equal(back.blocks[name].output, trace.blocks[name].output)


def test_the_untouched_prefix_is_shared(tiny, tiny_trace):
    changed = run(tiny, tiny_trace, one_lesion(tiny, "3.0", "branch"))
    assert isinstance(changed, RewiredTrace) and changed.stem is tiny_trace.stem
    for name in ("1.0", "2.0", "2.1"):
        assert changed.blocks[name] is tiny_trace.blocks[name]
    here, before = changed.blocks["3.0"], tiny_trace.blocks["3.0"]
    assert here.shortcut is before.shortcut and here.branch is before.branch  # raw, before gains
    assert torch.equal(here.output, torch.relu(before.shortcut))
    with FlopCounterMode(display=False) as counter:
        run(tiny, tiny_trace, one_lesion(tiny, tiny.block_names[-1], "branch"))
    assert counter.get_total_flops() == 2 * tiny.fc.weight.numel()  # the head, and nothing else


def test_repeats_and_swaps_name_their_steps(deep, photo):
    trace = see(deep, photo)
    twice = run(deep, trace, repeated(deep, ["2.1"], 2))
    assert list(twice.blocks) == ["1.0", "2.0", "2.1", "2.1#2", "2.2", "3.0", "4.0", "4.1", "4.2"]
    crossed = run(deep, trace, swapped(deep, "4.1", "4.2"))
    assert list(crossed.blocks) == ["1.0", "2.0", "2.1", "2.2", "3.0", "4.0", "4.2", "4.1"]
    assert crossed.blocks["4.2"].shortcut is crossed.blocks["4.0"].output
    found = evidence(deep, twice, 0)
    assert [row.block for row in found.blocks] == list(twice.blocks)
    assert found.error < 1e-5


def test_a_rewired_analysis_answers_like_any_other(net, shipped):
    changed = with_gains(shipped, {("4.1", "branch"): 0.0, ("4.2", "branch"): 0.5})
    assert changed.gains == {("4.1", "branch"): 0.0, ("4.2", "branch"): 0.5}
    assert changed.photo is shipped.photo
    plan = plan_of_gains(net.block_names, changed.gains)
    expected = full_pass(net, shipped.trace, plan)[0].softmax(0)
    torch.testing.assert_close(changed.probabilities, expected)
    index = changed.top(1)[0].index
    grid = changed.cam(index, "cam").grid
    bias = float(net.fc.bias[index])
    assert grid.sum() + bias == pytest.approx(float(changed.trace.logits[0, index]), abs=1e-4)
    assert with_gains(changed, changed.gains) is changed
    assert torch.equal(with_gains(changed, {}).trace.logits, shipped.trace.logits)
    assert with_gains(shipped, {}) is shipped


def test_the_heat_map_of_a_rewired_analysis_keeps_the_gains_behind_its_block(tiny, photo):
    changed = with_gains(tiny.analyze(photo), {("4.0", "branch"): 2.0, ("4.1", "shortcut"): 0.5})
    wanted = np.maximum(evidence(tiny, changed.trace, 2)["2.1"].map, 0)
    np.testing.assert_allclose(changed.cam(2, "hirescam", "2.1").grid, wanted, atol=1e-5)


def test_lesions_equal_separate_full_passes(tiny, tiny_trace):
    check_lesions(tiny, tiny_trace)


def test_lesions_of_the_shipped_weights_equal_separate_full_passes(net, shipped):
    check_lesions(net, shipped.trace)


def check_lesions(net, trace):
    board = lesions(net, trace)
    uncut = trace.logits[0].softmax(0)
    assert board.index == board.answer.index == int(uncut.argmax())
    assert board.probability == pytest.approx(float(uncut.max()))
    keys = [(name, wire) for name in net.block_names for wire in ("branch", "shortcut")]
    assert [(row.block, row.wire) for row in board.rows] == keys
    for row in board.rows:
        logits = full_pass(net, trace, one_lesion(net, row.block, row.wire))[0]
        after = logits.softmax(0)
        assert row.probability == pytest.approx(float(after[board.index]), abs=2e-5)
        assert row.change == pytest.approx(row.probability - board.probability)
        assert row.answer.probability == pytest.approx(float(after.max()), abs=2e-5)
        assert float(after[row.answer.index]) == pytest.approx(float(after.max()), abs=2e-5)
        assert row.answer.label == net.labels[row.answer.index]
        assert row.flips == (row.answer.index != board.answer.index)
        assert (row.rank == 1) == (not row.flips)
    json.dumps(board.to_dict(), allow_nan=False)


def test_rank_counts_the_classes_before_it(tiny, tiny_trace):
    board = lesions(tiny, tiny_trace, index=6)
    for row in board.rows:
        logits = full_pass(tiny, tiny_trace, one_lesion(tiny, row.block, row.wire))[0]
        assert row.rank == logits.argsort(descending=True).tolist().index(6) + 1
    assert board.label == "sea snake"


def test_lesions_of_a_changed_network_come_on_top_of_its_changes(deep, photo):
    plan = repeated(deep, ["2.1"], 2)
    trace = run(deep, see(deep, photo), plan)
    board = lesions(deep, trace, 1)
    cut = list(plan)
    cut[3] = type(cut[3])("2.1", 1.0, 0.0)  # the second pass
    wanted = full_pass(deep, trace, tuple(cut))[0].softmax(0)[1]
    assert board["2.1#2", "branch"].probability == pytest.approx(float(wanted), abs=1e-6)


def test_all_lesions_cost_less_than_sixteen_forward_passes(net, shipped):
    x = view.to_tensor(shipped.view.image, net.spec)

    def packed(x, weight, *_, out_shape) -> int:
        return conv_flop_count(x, weight, out_shape)

    def packed_into(other, x, weight, *_, out_shape) -> int:
        return conv_flop_count(x, weight, other)

    ours = {
        torch.ops.mkldnn._convolution_pointwise: packed,
        torch.ops.mkldnn._convolution_pointwise_: packed_into,
    }

    def flops(work) -> int:
        counter = FlopCounterMode(display=False, custom_mapping=ours)
        with counter, torch.inference_mode():
            work()
        return counter.get_total_flops()

    whole = flops(lambda: net(x))
    assert whole > 7e9
    blocks = [
        flops(lambda name=name: net.block(name)(shipped.trace.input_of(name)))
        for name in net.block_names
    ]
    cost = flops(lambda: lesions(net, shipped.trace))
    # Block k runs the cuts made before it, two a block: nothing is computed twice.
    assert (
        cost == sum(2 * k * flop for k, flop in enumerate(blocks)) + 32 * 2 * net.fc.weight.numel()
    )
    assert cost <= 16 * whole
    readouts = flops(lambda: shortcut_readouts(net, shipped.trace))
    assert readouts < 2 * whole


def test_many_gains_in_one_batch_equal_single_runs(deep, photo):
    trace = see(deep, photo)
    plans = [p for p in presets(deep).values() if [s.block for s in p] == list(deep.block_names)]
    plans.append(baseline(deep.block_names))
    together = logits_of(deep, trace, plans)
    for plan, row in zip(plans, together, strict=True):
        torch.testing.assert_close(row, run(deep, trace, plan).logits[0])
    assert torch.equal(together[-1], trace.logits[0])
    with pytest.raises(ValueError):
        logits_of(deep, trace, [swapped(deep, "4.1", "4.2")])


@pytest.mark.parametrize("packed", [True, False])
def test_a_sweep_leaves_the_trace_as_it_is(deep, photo, monkeypatch, packed):
    """Its streams are changed in place; packed or not, the answers are the same."""
    if not packed:
        monkeypatch.setattr(suffix, "packs", lambda type: False)
    trace = see(deep, photo)
    kept = {name: [wire.clone() for wire in wires] for name, wires in trace.blocks.items()}
    plans = [one_lesion(deep, name, wire) for name in deep.block_names for wire in WIRES]
    rows = logits_of(deep, trace, plans)
    for plan, row in zip(plans, rows, strict=True):
        torch.testing.assert_close(row, full_pass(deep, trace, plan)[0])
    for name, wires in trace.blocks.items():
        assert all(map(torch.equal, wires, kept[name])), name


def test_a_sweep_follows_weights_that_change(photo):
    net = soften(randomise(ResNet50(tiny_spec("v1"), depths=(1, 3, 1, 3), width=8)))
    trace, plan = see(net, photo), one_lesion(net, "2.0", "branch")
    before = logits_of(net, trace, [plan])
    with torch.no_grad():
        net.block("4.1").conv3.weight.mul_(-1)
    after = logits_of(net, trace, [plan])
    torch.testing.assert_close(after[0], full_pass(net, trace, plan)[0])
    assert not torch.allclose(before, after)


def test_a_sweep_in_bf16_stays_near_the_float32_one(deep, photo, monkeypatch):
    trace = see(deep, photo)
    plans = [one_lesion(deep, name, "branch") for name in deep.block_names]
    whole = logits_of(deep, trace, plans)
    monkeypatch.setattr(deep, "precision", "bf16")
    half = logits_of(deep, trace, plans)
    assert half.dtype == torch.float32 and 0 < (half - whole).abs().max() < 0.05 * whole.abs().max()


def test_readouts_equal_runs_with_the_branches_cut(tiny, tiny_trace):
    check_readouts(tiny, tiny_trace)


def test_readouts_of_the_shipped_weights_equal_runs_with_the_branches_cut(net, shipped):
    check_readouts(net, shipped.trace)


def check_readouts(net, trace):
    timeline = shortcut_readouts(net, trace, k=3)
    assert [row.block for row in timeline.rows] == list(net.block_names)
    before = None
    for row in timeline.rows:
        after = full_pass(net, trace, branches_off_after(net, before))[0].softmax(0)
        assert row.probability == pytest.approx(float(after[timeline.index]), abs=2e-5)
        assert row.top[0].probability == pytest.approx(float(after.max()), abs=2e-5)
        assert row.agrees == (row.top[0].index == timeline.final[0].index) == (row.rank == 1)
        assert len(row.top) == 3
        before = row.block
    json.dumps(timeline.to_dict(), allow_nan=False)


def test_the_last_readout_is_the_last_lesion(deep, photo, net, shipped):
    for network, trace in ((deep, see(deep, photo)), (net, shipped.trace)):
        last = network.block_names[-1]
        readout = shortcut_readouts(network, trace).rows[-1]
        lesion = lesions(network, trace)[last, "branch"]
        assert readout.probability == pytest.approx(lesion.probability, abs=1e-6)
        # fc on the stream itself: early exit
        stream = trace.input_of(last)
        with torch.inference_mode():
            exit_here = network.head(stream)[0].softmax(0)
        assert readout.top[0].probability == pytest.approx(float(exit_here.max()), abs=1e-6)


def test_reduced_precision_keeps_its_own_baseline(tiny_v1, photo, monkeypatch):
    monkeypatch.setattr(tiny_v1, "precision", "bf16")
    a = tiny_v1.analyze(photo)
    changed = with_plan(a, one_lesion(tiny_v1, "2.1", "branch"))
    back = with_gains(changed, {})
    assert torch.equal(back.trace.logits, a.trace.logits)
    board = lesions(tiny_v1, a.trace)
    wanted = changed.trace.logits[0].softmax(0)[board.index]
    assert board["2.1", "branch"].probability == pytest.approx(float(wanted), abs=5e-3)
    assert evidence(tiny_v1, a.trace, 0).error < 1e-5


def test_an_exception_leaves_nothing_behind(tiny, tiny_trace, monkeypatch):
    def broken(stream):
        raise MemoryError("no room")

    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    monkeypatch.setattr(tiny, "head", broken)
    for work in (lesions, shortcut_readouts):
        with pytest.raises(MemoryError):
            work(tiny, tiny_trace)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == modes
    with pytest.raises(MemoryError):
        run(tiny, tiny_trace, one_lesion(tiny, "1.0", "branch"))
    assert not torch.is_autocast_enabled("cpu")
