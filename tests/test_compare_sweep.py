"""Compare: the sweep is the single analyses, only cheaper to hold; a side is what it says."""

import dataclasses

import numpy as np
import pytest
from compare_toys import unsure
from conftest import draw_photo

from resnet.compare import DAMAGES, CompareError, Side, damaged, look_at, sweep
from resnet.compare.ab import changes
from resnet.images import read_photo
from resnet.residual import one_lesion
from resnet.residual.plan import all_shortcuts_off, baseline

BOX = (60, 40, 200, 180)


@pytest.fixture(scope="module", params=["v1", "v1.5"])
def tiny(request):
    return unsure(request.param)


@pytest.fixture(scope="module")
def tiny_v1():
    return unsure("v1")


@pytest.fixture(scope="module")
def upright():
    return read_photo(draw_photo(320, 240))


@pytest.mark.parametrize("name", ["noise", "rotate", "box", "hottest"])
def test_each_step_is_the_analysis_of_the_damaged_photo(tiny, upright, name):
    heat = tiny.analyze(upright).cam(method="cam")
    found = sweep(tiny, upright, name, steps=5, seed=2, box=BOX, heat=heat, batch=2)
    assert [row.strength for row in found.rows] == [0, 0.25, 0.5, 0.75, 1]
    first = None
    for row in found.rows:
        single = tiny.analyze(damaged(upright, tiny.spec, name, row.strength, 2, BOX, heat))
        answer = single.top(1)[0]
        first = answer if first is None else first
        assert row.answer.index == answer.index and row.flips == (answer.index != first.index)
        assert row.probability == pytest.approx(float(single.probabilities[first.index]), abs=1e-5)
        ranked = [p.index for p in single.top(7)]
        assert row.rank == 1 + ranked.index(first.index)
        assert row.parameter == DAMAGES[name].parameter(row.strength)
    flips = [k for k, row in enumerate(found.rows) if row.flips]
    assert found.flip == (flips[0] if flips else None)
    values = [row.probability for row in found.rows]
    assert found.area == pytest.approx((sum(values) - (values[0] + values[-1]) / 2) / 4)
    assert found.index == first.index and found.label == first.label and found.complete


def test_twelve_steps_by_default_and_progress(tiny_v1, upright):
    seen = []
    found = sweep(tiny_v1, upright, "darken", progress=lambda *each: seen.append(each))
    assert len(found.rows) == 12 and seen == [(6, 12), (12, 12)]
    assert found.to_dict()["sentence"] == found.sentence


def test_a_switch_has_two_steps(tiny_v1, upright):
    found = sweep(tiny_v1, upright, "flip")
    assert [row.strength for row in found.rows] == [0, 1]
    assert [row.parameter for row in found.rows] == ["as it is", "flipped"]


def test_cancelled_keeps_what_was_measured(tiny_v1, upright):
    asked = iter([False, True])
    found = sweep(tiny_v1, upright, "blur", steps=6, cancelled=lambda: next(asked), batch=2)
    assert len(found.rows) == 2 and not found.complete
    assert found.sentence.endswith("The sweep was stopped early.")
    nothing = sweep(tiny_v1, upright, "blur", cancelled=lambda: True)
    assert nothing.rows == () and nothing.sentence == "Nothing was measured."


def test_a_changed_network_and_another_class(tiny_v1, upright):
    plan = one_lesion(tiny_v1, "4.1", "branch")
    found = sweep(tiny_v1, upright, "noise", steps=2, index=3, plan=plan)
    single = tiny_v1.analyze(upright).with_gains({("4.1", "branch"): 0.0})
    assert found.rows[0].probability == pytest.approx(float(single.probabilities[3]), abs=1e-6)
    assert found.index == 3 and found.label == tiny_v1.labels[3]


def test_sentences_of_holding_and_flipping(tiny_v1, upright):
    found = sweep(tiny_v1, upright, "darken", steps=3)
    row = found.rows[0]

    def told(*labels):
        rows = tuple(
            dataclasses.replace(
                row,
                parameter=f"× {k}",
                flips=label != labels[0],
                answer=dataclasses.replace(row.answer, label=label),
            )
            for k, label in enumerate(labels)
        )
        flip = next((k for k, each in enumerate(rows) if each.flips), None)
        return dataclasses.replace(found, rows=rows, flip=flip).sentence

    assert told("a", "a", "a").startswith("“a” stays the answer at every strength, up to × 2.")
    assert told("a", "a", "b").startswith("“a” is the answer up to × 1; at × 2 it becomes “b”.")
    assert told("a", "b", "b").startswith("“a” does not hold; at × 1 it becomes “b”.")
    assert "becomes “b”, and at × 2 it is “a” again." in told("a", "b", "a")


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("noise", {"steps": 1}, "2 to 100 steps"),
        ("melt", {}, "no damage"),
        ("box", {}, "Draw the box"),
        ("rest", {}, "needs a heat map"),
    ],
)
def test_what_cannot_be_swept(tiny_v1, upright, name, changes, says):
    with pytest.raises(CompareError, match=says):
        sweep(tiny_v1, upright, name, **changes)


def test_real_weights_end_without_the_answer(net):
    """All black is not what the photo shows."""
    found = sweep(net, read_photo(draw_photo(320, 240)), "darken", steps=3)
    single = net.analyze(draw_photo(320, 240))
    assert found.rows[0].probability == pytest.approx(single.top(1)[0].probability, abs=1e-5)
    assert found.rows[-1].probability < found.rows[0].probability


def test_a_side_damages_runs_and_cuts(tiny_v1, upright):
    plan = one_lesion(tiny_v1, "4.1", "branch")
    side = Side("x.jpg", plan=plan, damage="hottest", strength=0.5, seed=1)
    heat = tiny_v1.analyze(upright).cam(method="cam")
    found = look_at(side, tiny_v1, upright, lambda: heat)
    copy = damaged(upright, tiny_v1.spec, "hottest", 0.5, 1, heat=heat)
    expected = tiny_v1.analyze(copy).with_gains({("4.1", "branch"): 0.0})
    assert np.array_equal(found.trace.logits.numpy(), expected.trace.logits.numpy())
    damage = "Cover the hottest part, 50.0 % covered, the hottest first"
    assert side.title == f"{damage}; branch of 4.1 cut"
    assert changes(all_shortcuts_off(tiny_v1)) == "6 wires cut"
    assert changes(baseline(tiny_v1.block_names)[::-1]) == "changed network"  # other order
    assert hash(side) == hash(dataclasses.replace(side)) and side.to_dict()["title"] == side.title


def test_a_plain_side_is_the_plain_analysis(tiny_v1, upright):
    found = look_at(Side("x.jpg"), tiny_v1, upright)
    assert np.array_equal(found.trace.logits.numpy(), tiny_v1.analyze(upright).trace.logits.numpy())
    assert Side("x.jpg").title == "as it is" and found.photo is upright
    with pytest.raises(CompareError, match="needs a heat map"):
        look_at(Side("x.jpg", damage="rest", strength=0.5), tiny_v1, upright)
