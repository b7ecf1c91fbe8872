"""The wiring diagram: what is drawn for which numbers, and what the page does with a hand on it."""

import re
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace
from xml.etree import ElementTree

import gradio as gr
import pytest

from resnet.draw import wiring_marks as marks
from resnet.draw.wiring import Answer, BlockState, Style, WireState, wiring_svg, wiring_text
from resnet.draw.wiring_layout import ROAD, Box, layout
from resnet.ui.wiring import read_block, read_gains, wiring_diagram, wiring_value

NAMES = [f"{stage}.{i}" for stage, depth in enumerate((3, 4, 6, 3), 1) for i in range(depth)]
KINDS = ("wide", "tall")
REST = Answer("tabby", 0.93)
SVG = "{http://www.w3.org/2000/svg}"


def blocks(changes: dict[str, WireState] | None = None) -> list[BlockState]:
    """Sixteen blocks, each wire with a value of its own; `changes` by key "3.2:shortcut"."""
    made = []
    for k, name in enumerate(NAMES):
        pair = [WireState(2 + k / 10, baseline=2 + k / 10), WireState(1 + k / 20)]
        for i, wire in enumerate(("shortcut", "branch")):
            pair[i] = (changes or {}).get(f"{name}:{wire}", pair[i])
        made.append(BlockState(name, name.endswith(".0"), *pair))
    return made


def draw(changes=None, answer=REST, style=None, kind="wide") -> ElementTree.Element:
    return ElementTree.fromstring(wiring_svg(blocks(changes), answer, style or Style(), kind))


def wires(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {g.get("data-key"): g for g in root.iter(f"{SVG}g") if g.get("data-wire")}


def path(wire: ElementTree.Element, name: str) -> ElementTree.Element:
    return next(p for p in wire.iter(f"{SVG}path") if p.get("class") == name)


# The picture


@pytest.mark.parametrize("kind", KINDS)
def test_all_32_wires_are_there_and_can_be_reached(kind):
    found = wires(draw(kind=kind))
    assert set(found) == {f"{name}:{wire}" for name in NAMES for wire in ("shortcut", "branch")}
    for key, wire in found.items():
        block, kind_of = key.split(":")
        assert (wire.get("data-block"), wire.get("data-wire")) == (block, kind_of)
        hit = path(wire, "hit")
        assert (hit.get("role"), hit.get("tabindex")) == ("switch", "0")
        assert hit.get("aria-label").startswith(f"{kind_of.capitalize()} of block {block}, gain 1,")


@pytest.mark.parametrize("kind", KINDS)
def test_width_is_proportional_to_the_value_on_one_scale(kind):
    found = wires(draw(kind=kind))
    values = {f"{b.name}:{wire}": state.value for b in blocks() for wire, state in b.wires}
    widths = {key: float(path(wire, "core").get("stroke-width")) for key, wire in found.items()}
    scale = widths["1.0:shortcut"] / values["1.0:shortcut"]
    for key, value in values.items():
        assert widths[key] == pytest.approx(scale * value, abs=0.01)
    shortcut, branch = layout(NAMES, kind).measures.thickest
    filled = widths["4.2:shortcut"] / shortcut, widths["4.2:branch"] / branch
    assert max(filled) == pytest.approx(1, abs=0.01)  # the room is used, and not more


def test_a_gain_narrows_the_wire_behind_its_valve_only():
    wire = wires(draw({"3.2:branch": WireState(1.0, 0.5)}))["3.2:branch"]
    before, after = (float(path(wire, n).get("stroke-width")) for n in ("core", "rest"))
    assert after == pytest.approx(before / 2, abs=0.01)
    assert "turned" in wire.get("class").split()
    assert [t.text for t in wire.iter(f"{SVG}text")] == ["×0.5"]


def test_gain_above_one_still_fits_its_room():
    wire = wires(draw({"4.2:branch": WireState(9.0, 2.0)}))["4.2:branch"]
    room = layout(NAMES, "wide").measures.thickest[1]
    assert float(path(wire, "rest").get("stroke-width")) == pytest.approx(room, abs=0.01)


def test_a_cut_wire_is_marked_and_switched_off():
    found = wires(draw({"2.1:shortcut": WireState(2.0, 0.0, baseline=2.0)}))
    assert [key for key, wire in found.items() if "cut" in wire.get("class").split()] == [
        "2.1:shortcut"
    ]
    hit = path(found["2.1:shortcut"], "hit")
    assert hit.get("aria-checked") == "false" and "press Enter to mend" in hit.get("aria-label")
    assert path(found["2.1:shortcut"], "ghost").get("d")  # what it carried stays visible


def test_negative_is_another_colour_and_dashed():
    found = wires(draw({"3.3:branch": WireState(-1.0)}))
    assert [key for key, wire in found.items() if "neg" in wire.get("class").split()] == [
        "3.3:branch"
    ]
    wire = found["3.3:branch"]
    slit, core = (float(path(wire, n).get("stroke-width")) for n in ("lane", "core"))
    assert slit > core  # the slits go right through
    assert "carries −1.00" in path(wire, "hit").get("aria-label")


def test_the_outline_of_before_is_drawn_where_it_differs():
    changed = {"3.2:branch": WireState(0.5, baseline=1.5)}
    found = wires(draw(changed))
    assert [key for key, wire in found.items() if path(wire, "ghost").get("d")] == ["3.2:branch"]


def test_the_outline_has_the_width_of_before():
    wire = wires(draw({"1.1:shortcut": WireState(0.5, baseline=2.0)}))["1.1:shortcut"]
    edges = [float(y) for y in re.findall(r"M[\d.]+ ([\d.]+)L", path(wire, "ghost").get("d"))]
    scale = float(wire.get("data-width")) / 0.5
    assert abs(edges[0] - edges[1]) == pytest.approx(2.0 * scale, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_projections_carry_a_square(kind):
    found = wires(draw(kind=kind))
    squares = {k for k, w in found.items() if any(r.get("class") == "square" for r in w.iter())}
    assert squares == {"1.0:shortcut", "2.0:shortcut", "3.0:shortcut", "4.0:shortcut"}


def test_the_selected_block_is_marked():
    root = draw(style=Style(selected="3.2"))
    marked = {g.get("data-block") for g in root.iter() if "selected" in (g.get("class") or "")}
    assert marked == {"3.2"}


def test_zero_and_endless_values_are_drawn():
    root = draw({"3.2:branch": WireState(0.0), "3.3:branch": WireState(float("inf"))})
    text = ElementTree.tostring(root, "unicode")
    assert 'stroke-width="nan' not in text and 'stroke-width="inf' not in text
    assert float(path(wires(root)["3.2:branch"], "core").get("stroke-width")) > 0


def test_structure_does_not_depend_on_the_numbers():
    """The page updates in place, so that the focus stays on its wire."""
    changed = {"1.1:branch": WireState(-1.0, 0.0, 2.0), "3.0:shortcut": WireState(3.0, 0.5, 1.0)}
    after = Answer("cat", 0.1, ("tabby", 0.9, 0.05))
    one = [node.tag for node in draw().iter()]
    assert one == [node.tag for node in draw(changed, after, Style(selected="1.2")).iter()]


# Words


EVIL = '"><script>alert(1)</script><img src=x onerror="alert(2)">&\''


@pytest.mark.parametrize("kind", KINDS)
def test_every_string_is_escaped(kind):
    states = [replace(b, branch=WireState(1.0, tooltip=EVIL)) for b in blocks()]
    states[0] = replace(states[0], name=f"1.{EVIL}")
    style = Style(EVIL, EVIL, f"data:image/png;base64,{EVIL}", {"1": EVIL, "2": EVIL})
    drawing = wiring_svg(states, Answer(EVIL, 0.5, (EVIL + "2", 0.5, 0.5)), style, kind)
    root = ElementTree.fromstring(drawing)
    assert not {"script", "img"} & {node.tag.split("}")[-1] for node in root.iter()}
    assert not [a for node in root.iter() for a in node.attrib if a.startswith("on")]
    assert "<script" not in drawing and "<img" not in drawing
    html = wiring_value(states, Answer(EVIL, 0.5), style)
    assert "<script" not in html and "<img" not in html


def test_nothing_is_fetched_from_outside():
    with pytest.raises(ValueError, match="data:image/"):
        wiring_svg(blocks(), REST, Style(photo="https://example.org/cat.jpg"))


def test_the_words_name_every_change_and_both_answers():
    states = blocks({"1.1:branch": WireState(1.0, 0.0), "3.2:shortcut": WireState(1.0, 0.5)})
    text = wiring_text(states, Answer("lynx", 0.4, ("tabby", 0.93, 0.0001)), "RMS")
    assert "the branch of block 1.1 is cut" in text
    assert "the shortcut of block 3.2 has gain 0.5" in text
    assert "The answer is lynx with 40.0 %" in text
    assert "it was tabby with 93.0 %, now <0.1 %" in text
    assert "no wire is changed" in wiring_text(blocks(), REST)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.0 %"), (0.0001, "<0.1 %"), (0.5, "50.0 %"), (0.99999, ">99.9 %"), (1, "100.0 %")],
)
def test_percent_does_not_round_to_certainty(value, text):
    assert marks.percent(value) == text


def test_long_labels_are_broken_and_cut():
    assert marks.lines("great white shark", 17) == ["great white shark"]
    assert marks.lines("American Staffordshire terrier", 17) == ["American", "Staffordshire te…"]
    assert all(len(line) <= 17 for line in marks.lines("x" * 99 + " y z " * 9, 17))


# Places


def label_boxes(kind: str) -> dict[str, Box]:
    """Where each label can stand, as wide as it can get."""
    plan = layout(NAMES, kind)
    found = {}
    for place in plan.places:
        x, y = plan.name_at(place)
        width = marks.text_width(place.name, 13, bold=True)
        found[f"name {place.name}"] = Box(x - width / 2, y - 7, width, 14)
        for wire in ("shortcut", "branch"):
            x, y = plan.gain_at(place, wire)
            found[f"gain {place.name} {wire}"] = Box(x - 21, y - 9, 42, 18)
    for sample, text, x, y, room in marks.legend_items(plan, "RMS of the signal"):
        width = room + 7 + marks.text_width(text, 12.5, bold=not room)
        found[f"legend {sample}"] = Box(x, y - 10, width, 20)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_no_label_covers_another_or_leaves_the_picture(kind):
    plan, boxes = layout(NAMES, kind), label_boxes(kind)
    for (one, a), (two, b) in combinations(boxes.items(), 2):
        assert not a.overlaps(b), f"{one} over {two}"
    picture = Box(0, 0, *plan.size)
    for name, box in (boxes | {"card": plan.card, "photo": plan.photo}).items():
        assert picture.holds(box), name


@pytest.mark.parametrize("kind", KINDS)
def test_shortcuts_join_into_one_road_and_arches_do_not_touch(kind):
    plan = layout(NAMES, kind)
    thick = plan.measures.thickest[1]
    for before, after in zip(plan.places, plan.places[1:], strict=False):
        assert after.enter == before.plus
        assert after.split - before.plus >= thick  # even two of the widest branches stay apart
    for place in plan.places:
        assert place.plus - place.split > thick  # and an arch stays open
        stage = plan.stages[place.stage]
        assert stage.holds(plan.ground(place))
    assert not any(a.overlaps(b) for a, b in combinations(plan.stages.values(), 2))
    assert plan.measures.thickest[0] <= ROAD


def test_stages_of_any_network():
    plan = layout(["1.0", "2.0", "2.1"], "wide")
    assert list(plan.stages) == ["1", "2"] and plan.size[0] < layout(NAMES, "wide").size[0]


# The component


def sent(**data) -> gr.EventData:
    return SimpleNamespace(_data=data)


def test_gains_from_the_page_are_read():
    event = sent(gains={"3.2": {"shortcut": 0, "branch": 1}, "1.1": {"branch": 1.5}})
    assert read_gains(event, NAMES) == {"3.2": {"shortcut": 0.0}, "1.1": {"branch": 1.5}}
    assert read_block(sent(block="3.2"), NAMES) == "3.2"


@pytest.mark.parametrize(
    "gains",
    [
        None,
        [],
        {"9.9": {"branch": 0}},
        {"3.2": {"stem": 0}},
        {"3.2": {"branch": 2.01}},
        {"3.2": {"branch": -0.1}},
        {"3.2": {"branch": float("nan")}},
        {"3.2": {"branch": "0"}},
        {"3.2": {"branch": True}},
        {"3.2": 0},
    ],
)
def test_what_the_page_cannot_send_is_refused(gains):
    with pytest.raises(gr.Error):
        read_gains(sent(gains=gains), NAMES)


@pytest.mark.parametrize("block", [None, "9.9", ["3.2"], 3.2])
def test_a_block_that_is_not_there_is_refused(block):
    with pytest.raises(gr.Error):
        read_block(sent(block=block), NAMES)


def test_every_value_is_new_and_holds_both_layouts():
    one, two = (wiring_value(blocks(), REST) for _ in range(2))
    assert one != two
    assert one.count('class="wiring-svg wide"') == one.count('class="wiring-svg tall"') == 1


def test_templates_hold_nothing_that_gradio_would_fill_in():
    part = wiring_diagram()
    assert "${" not in part.css_template and "`" not in part.css_template
    assert "{{" not in part.css_template + part.html_template
    assert "<script" not in part.html_template
