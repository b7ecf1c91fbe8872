"""The figures of both wires, asked of an analysis or of its network."""

import numpy as np
import pytest

from resnet import residual
from resnet.classify import UnknownClass

CUT = {("2.1", "branch"): 0.0, ("4.0", "shortcut"): 0.5}


@pytest.fixture
def analysis(tiny, photo):
    return tiny.analyze(photo)


def test_each_question_is_that_of_the_functions(tiny, analysis):
    trace = analysis.trace
    assert analysis.budget() == residual.signal_budget(trace)
    # 4 is "tabby cat": the class is found by a part of its name.
    asked = analysis.evidence("tabby")
    assert asked.to_dict(maps=True) == residual.evidence(tiny, trace, 4).to_dict(maps=True)
    assert analysis.ledger(4).to_dict(True) == residual.logit_ledger(tiny, trace, 4).to_dict(True)
    assert analysis.lesions("tabby") == residual.lesions(tiny, trace, 4)
    assert analysis.readouts("tabby") == residual.shortcut_readouts(tiny, trace, 4)


def test_the_networks_own_answer_is_meant_without_a_class(analysis):
    index = analysis.top(1)[0].index
    found = (analysis.evidence(), analysis.ledger(), analysis.lesions(), analysis.readouts())
    assert [figure.index for figure in found] == [index] * 4


def test_the_ledger_against_a_name_the_mean_and_nothing(analysis):
    logits = analysis.trace.logits[0].tolist()
    assert analysis.ledger(4).logit == pytest.approx(logits[4], rel=1e-6)
    against = analysis.ledger("tabby", against="sea snake")
    assert against.against == 6
    assert against.logit == pytest.approx(logits[4] - logits[6], rel=1e-5)
    lead = analysis.ledger(4, against="mean")
    assert lead.logit == pytest.approx(logits[4] - np.mean(logits), rel=1e-5)
    assert analysis.ledger(4, against=0).against == 0  # a class, not nothing


def test_the_network_asks_its_analysis(tiny, analysis):
    assert tiny.lesions(analysis, 4) == analysis.lesions(4)
    assert tiny.lesions(analysis) == analysis.lesions()
    one, other = tiny.with_gains(analysis, CUT), analysis.with_gains(CUT)
    assert one.gains == other.gains == CUT
    assert one.trace.logits.equal(other.trace.logits)
    assert not one.trace.logits.equal(analysis.trace.logits)


def test_gains_are_the_whole_setting(tiny, analysis):
    assert tiny.with_gains(analysis, {}) is analysis
    changed = tiny.with_gains(analysis, CUT)
    table = [[1.0, 1.0] for _ in tiny.block_names]
    back = changed.with_gains(table)
    assert back.trace.logits.equal(analysis.trace.logits)


def test_a_changed_network_answers_for_itself(tiny, analysis):
    changed = tiny.with_gains(analysis, CUT)
    by_name = {block.block: block for block in changed.budget().blocks}
    assert by_name["2.1"].norm_f == 0 and by_name["1.0"].norm_f > 0
    assert changed.evidence(4)["2.1"].branch == 0
    assert changed.ledger(4).logit == pytest.approx(float(changed.trace.logits[0, 4]), rel=1e-6)
    board = changed.lesions(4)
    assert board.probability == pytest.approx(float(changed.probabilities[4]), rel=1e-6)
    assert board["2.1", "branch"].change == pytest.approx(0, abs=1e-6)  # it is cut already
    assert changed.readouts(4).probability == board.probability


def test_what_does_not_exist_is_refused(tiny, analysis):
    for question in (analysis.evidence, analysis.ledger, analysis.lesions, analysis.readouts):
        with pytest.raises(UnknownClass, match="Did you mean sea snake"):
            question("sea snak e")
    with pytest.raises(UnknownClass, match="Class 7"):
        analysis.ledger(4, against=7)
    with pytest.raises(UnknownClass, match="Class 7"):
        tiny.lesions(analysis, 7)
    with pytest.raises(residual.PlanError, match=r"no block 9\.9"):
        tiny.with_gains(analysis, {("9.9", "branch"): 0.0})
    with pytest.raises(residual.PlanError, match="0 to 2"):
        analysis.with_gains({("2.1", "branch"): 2.5})
