"""What a link carries of Detect, Inside and Compare: there and back, and nothing unknown."""

from types import SimpleNamespace

import pytest
from conftest import make_tiny

from resnet.engine import Engine
from resnet.ui.carried import (
    Carried,
    cuts,
    names,
    number,
    one_of,
    say_cuts,
    say_names,
    say_yes,
    taken,
    whole_number,
    written,
    yes,
)
from resnet.ui.link import Asked, asked_of
from resnet.ui.switchboard import PRESETS, Setting


@pytest.fixture(scope="module")
def net():
    return make_tiny("v1")


def carried(net) -> tuple[Carried, ...]:
    """One of each kind, on controls that start with these values."""

    def control(value):
        return SimpleNamespace(value=value)

    return (
        Carried("detector", control("offline"), one_of(["offline", "heatmap"]), always=True),
        Carried("score", control(0.5), number(0.05, 0.95)),
        Carried("seed", control(0), whole_number),
        Carried("boxes", control(False), yes, say_yes),
        Carried("things", control([]), names, say_names),
        Carried("cuts", control(Setting()), cuts(net), say_cuts),
    )


def test_what_is_set_goes_there_and_back(net):
    setting = Setting({"2.1": {"shortcut": 0.0}, "3.0": {"branch": 1.5}})
    every = carried(net)
    said = written(every, ["heatmap", 0.35, 7, True, ["cat", "dining table"], setting])
    assert said == {
        "detector": "heatmap", "score": "0.35", "seed": "7", "boxes": "1",
        "things": "cat,dining table", "cuts": "2.1shortcut0,3.0branch1.5",
    }  # fmt: skip
    found, lost = taken(every, said)
    assert lost == []
    assert dict(found) == {
        "detector": "heatmap", "score": 0.35, "seed": 7, "boxes": True,
        "things": ("cat", "dining table"), "cuts": setting,
    }  # fmt: skip
    hash(found)  # gradio tells by it whether a visitor's state has changed


def test_what_the_page_starts_with_is_left_out(net):
    every = carried(net)
    assert written(every, [one.start for one in every]) == {"detector": "offline"}
    assert written(every, [None] * len(every)) == {}
    assert taken(every, {"tab": "inside"}) == ((), [])


def test_a_preset_keeps_its_words_and_a_swap_its_order(net):
    read = cuts(net)
    made = PRESETS[3].make(net, 0)
    assert made.words and read(say_cuts(made)) == made
    assert read(say_cuts(Setting({"3.0": {"branch": 0.125}}))).gains == {"3.0": {"branch": 0.125}}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("detector", "../x"),
        ("score", "nan"),
        ("score", "0.96"),
        ("score", "1e-1"),
        ("score", "-0.5"),
        ("score", "٠.٥"),
        ("seed", "-1"),
        ("seed", "1" * 10),
        ("boxes", "yes"),
        ("things", "<img src=x>"),
        ("things", ""),
        ("things", ",".join("abc" for _ in range(81))),
        ("cuts", "9.9shortcut0"),
        ("cuts", "2.1shortcut3"),
        ("cuts", "2.1shortcut0;"),
        ("cuts", "2.1both0"),
        ("cuts", "swap1.0-4.0"),
        ("cuts", ""),
    ],
)
def test_what_is_not_known_is_left_out_and_said(net, key, text):
    assert taken(carried(net), {key: text}) == ((), [key])
    found = asked_of(Engine(net), {key: text}, carried(net))
    assert found == Asked(notes=(f"What the link says of {key} is not known here, and left out.",))
