"""What the visitor sets on *Inside*: settings, presets, the tour, and the words for them."""

import threading

import pytest

from resnet.draw.change import pairs_html, sentence
from resnet.residual import gains_of, with_plan
from resnet.ui import wires
from resnet.ui.background import watched
from resnet.ui.switchboard import PRESETS, TOUR, Setting, describe, plan_of, toggled


def test_a_setting_becomes_a_plan(net):
    setting = Setting({"2.1": {"shortcut": 0.0}, "3.2": {"branch": 1.5}})
    assert gains_of(plan_of(net, setting)) == {("2.1", "shortcut"): 0.0, ("3.2", "branch"): 1.5}
    swapped = plan_of(net, Setting({"3.2": {"branch": 0.5}}, swap=("3.2", "3.3")))
    assert [step.block for step in swapped][9:11] == ["3.3", "3.2"]
    assert swapped[10].branch == 0.5  # the gain goes with its block


def test_toggling_cuts_and_mends():
    once = toggled(Setting(), "1.1", "branch")
    assert once.gains == {"1.1": {"branch": 0.0}} and not once.trained
    assert toggled(once, "1.1", "branch").trained
    assert toggled(Setting({"1.1": {"branch": 0.5}}), "1.1", "branch").trained


def test_settings_tell_by_their_hash_that_they_changed():
    settings = [Setting(), Setting({"1.1": {"branch": 0.0}}), Setting({"1.1": {"branch": 0.5}}),
                Setting(swap=("3.2", "3.3"))]  # fmt: skip
    assert len({hash(setting) for setting in settings}) == len(settings)


def test_words():
    assert describe(Setting({"2.1": {"shortcut": 0.0}})) == "With the shortcut of 2.1 cut"
    both = Setting({"2.1": {"shortcut": 0.0}, "3.2": {"branch": 0.25}})
    assert describe(both) == "With the shortcut of 2.1 cut and the branch of 3.2 at gain 0.25"
    assert describe(Setting(swap=("3.2", "3.3"))) == "With 3.2 and 3.3 swapped"
    assert "falls from 90.0 % to < 0.1 %" in sentence("Cut", "cat", 0.9, 0.0004, "mop", 0.2)
    assert "still says “cat”" in sentence("Cut", "cat", 0.9, 0.8, "cat", 0.8)
    assert "&lt;script&gt;" in pairs_html([("<script>", 0.5, 0.0001)])


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.title)
def test_every_preset_changes_the_network(net, preset):
    setting = preset.make(net, 0)
    plan = plan_of(net, setting)
    assert not setting.trained
    assert sorted(step.block for step in plan) == sorted(net.block_names)
    assert describe(preset.make(net, 0)) == describe(setting)


def test_the_dice_depend_on_the_seed(net):
    dice = next(preset for preset in PRESETS if "random" in preset.title)
    assert dice.make(net, 1).gains == dice.make(net, 1).gains
    assert len({repr(dice.make(net, seed).gains) for seed in range(5)}) > 1
    assert len(dice.make(net, 1).gains) == 3


def test_the_tour_has_six_steps_that_exist(net):
    assert len(TOUR) == 6 and TOUR[0].setting.trained
    for stop in TOUR:
        plan_of(net, stop.setting)
        assert stop.selected in net.block_names


@pytest.mark.parametrize("measure", list(wires.MEASURES))
def test_wires_carry_what_their_figure_says(net, photo, measure):
    analysis = net.analyze(photo)
    index = analysis.top(1)[0].index
    found = wires.carried(analysis, measure, index)
    assert list(found) == list(net.block_names)
    one = analysis.blocks["3.2"]
    if measure == "norm":
        assert found["3.2"]["branch"] == pytest.approx(float(one.branch.norm()), rel=1e-5)
    if measure == "signal":
        rms = float(one.shortcut.square().mean().sqrt())
        assert found["3.2"]["shortcut"] == pytest.approx(rms, rel=1e-5)
    if measure == "evidence":
        row = analysis.evidence(index)["3.2"]
        assert found["3.2"] == {"shortcut": row.shortcut, "branch": row.branch}
    setting = Setting({"3.2": {"branch": 0.5}, "4.0": {"shortcut": 0.0}})
    now = with_plan(analysis, plan_of(net, setting))
    carried = wires.carried(now, measure, index)
    blocks = wires.states(now, carried, found, measure, changed=True)
    assert [block.name for block in blocks] == list(net.block_names)
    by_name = {block.name: block for block in blocks}
    assert by_name["3.2"].branch.gain == 0.5 and by_name["4.0"].shortcut.gain == 0
    assert by_name["4.0"].projection and not by_name["3.2"].projection


def test_watched_work_reports_its_steps_and_its_result():
    def work(progress, cancelled):
        for done in range(1, 4):
            progress(done, 3)
        return "done"

    assert list(watched(work)) == [(1, 3), (2, 3), (3, 3), "done"]


def test_watched_work_ends_when_nobody_watches():
    ended = threading.Event()

    def work(progress, cancelled):
        progress(0, 1)
        while not cancelled():
            pass
        ended.set()

    steps = watched(work)
    next(steps)
    steps.close()
    assert ended.wait(10)


def test_watched_work_passes_its_error_on():
    def work(progress, cancelled):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(watched(work))
