"""The figures of *Inside*: what is drawn for which numbers."""

import copy
import itertools
import math
import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

import pytest

from resnet.draw import chart
from resnet.draw.budget_figure import budget_figure
from resnet.draw.depth_figure import depth_figure
from resnet.draw.evidence_figure import evidence_figure
from resnet.draw.highway_figure import highway_figure
from resnet.draw.ledger_figure import ledger_figure
from resnet.draw.lesion_figure import lesion_figure
from resnet.draw.paths_figure import paths_figure
from resnet.draw.timeline_figure import labels, timeline_figure

NAMES = [f"{stage}.{i}" for stage, depth in enumerate((3, 4, 6, 3), 1) for i in range(depth)]
EVIL = "<script>alert(\"x\")</script> & 'y' ]]>"
SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Known:
    """A stand-in for `Reference`: the same quartiles for every part."""

    figures: dict = field(default_factory=dict)
    photos: int = 415

    def quartiles(self, figure):
        if figure not in self.figures:
            return {}
        parts = [*NAMES, "P", "F4.0", "F4.1", "F4.2"]
        return dict.fromkeys(parts, self.figures[figure])


class Unknown(Known):
    reason = "No reference was measured for the weights mine."

    def __bool__(self):
        return False


def prediction(index, probability, label=None):
    return {"index": index, "label": label or f"class {index}", "probability": probability}


def budget(**changes):
    rows = []
    for k, name in enumerate(NAMES):
        cross = (-1) ** k * 0.2
        row = {"block": name, "norm_s": 9.0, "norm_f": 4.0, "norm_z": 10.0}
        row |= {"share_s": 0.5 + k / 100, "share_f": 0.5 - k / 100 - cross, "share_cross": cross}
        rows.append(row | {"ratio": 0.4, "cos": 0.1, "novelty": 0.1, "zeros": 0.6} | changes)
    return {"invariant_error": 2.2e-16, "blocks": rows}


def evidence(pairs=None, **changes):
    pairs = pairs or [(4.0 + k, (-1) ** k * 1.0) for k in range(16)]
    rows = [
        {"block": n, "shortcut": s, "branch": f, "total": s + f, "share": 1.0} | changes
        for n, (s, f) in zip(NAMES, pairs, strict=False)
    ]
    return {"index": 3, "invariant_error": 6e-8, "blocks": rows}


def ledger(values=(0.5, 8.0, 5.0, -3.0, 2.0), against=None):
    parts = ("bias", "P", "F4.0", "F4.1", "F4.2")
    entries = [{"part": p, "logit": v} for p, v in zip(parts, values, strict=True)]
    total = sum(v for v in values if v is not None)
    return {
        "index": 3, "against": against, "logit": total, "total": total, "error": 3e-6,
        "entries": entries,
    }  # fmt: skip


def board(label="espresso", index=3, **changes):
    rows = []
    for k, name in enumerate(NAMES):
        for wire, change in (("branch", -0.01 * k), ("shortcut", -0.9 + 0.05 * k)):
            row = {"block": name, "wire": wire, "probability": 0.95 + change, "change": change}
            row |= {"rank": 2, "answer": prediction(7, 0.5, EVIL), "flips": wire == "shortcut"}
            rows.append(row | changes)
    answer = prediction(3, 0.95, label)
    return {"index": index, "label": label, "probability": 0.95, "answer": answer, "rows": rows}


def timeline(label="espresso", **changes):
    rows = []
    for k, name in enumerate(NAMES):
        listed = [prediction(7, 0.3, "goldfish"), prediction(8, 0.2), prediction(9, 0.1)]
        if k > 12:
            listed = [prediction(3, 0.8, label), prediction(7, 0.15, "goldfish")]
        row = {"block": name, "top": listed, "rank": 4, "agrees": k > 12}
        rows.append(row | {"probability": 0.8 if k > 12 else 0.01 * k} | changes)
    final = [prediction(3, 0.95, label), prediction(5, 0.04), prediction(6, 0.01)]
    return {"index": 3, "label": label, "rows": rows, "final": final, "probability": 0.95}


def highway(**changes):
    rows = [
        {
            "block": name, "norm": 1.0, "norm_shortcut": 0.8, "norm_branch": 0.6, "cos": 0.0,
            "ratio": 0.75, "cos_branch_output": -0.01,
        } | changes
        for name in NAMES
    ]  # fmt: skip
    return {"index": 3, "target": "logit", "blocks": rows}


def paths(**changes):
    rows = []
    for n in range(17):
        part = math.comb(16, n) / 2**16
        row = {"length": n, "count": math.comb(16, n), "samples": 8, "gradient": 0.1}
        row |= {"error": 0.02, "share_count": part, "share_gradient": part}
        rows.append(row | {"share_error": part / 5} | changes)
    return {
        "index": 3, "seed": 5, "rows": rows, "mean_count": 8.0, "mean_gradient": 8.0,
        "complete": True,
    }  # fmt: skip


def depth(**changes):
    rows = []
    for layers in (18, 50, 152):
        for kind, steep in (("plain", 0.08), ("residual", 0.005)):
            row = {"kind": kind, "depth": layers, "layers": [1, 3], "signal": [1.0, 2.0]}
            row |= {"gradient": [10 ** (steep * layers), 1.0], "correlation": [1.0, 0.4]}
            rows.append(row | {"correlation_error": [0.0, 0.05]} | changes)
    return {"seeds": 4, "width": 32, "points": 2048, "rows": rows, "complete": True}


USUAL = {
    "budget.share_s": (0.4, 0.5, 0.6), "budget.ratio": (0.3, 0.35, 0.38),
    "lesions.branch.change": (-0.3, -0.2, -0.1), "evidence.shortcut_share": (0.5, 0.8, 1.1),
    "ledger.share": (0.1, 0.2, 0.3), "readouts.probability": (0.1, 0.2, 0.4),
    "highway.ratio": (0.5, 0.6, 0.7),
}  # fmt: skip
FIGURES = {
    "budget": lambda ref=None: budget_figure(budget(), ref),
    "lesions": lambda ref=None: lesion_figure(board(), ref),
    "evidence": lambda ref=None: evidence_figure(evidence(), ref),
    "ledger": lambda ref=None: ledger_figure(ledger(), ref, ledger(against="mean")),
    "timeline": lambda ref=None: timeline_figure(timeline(), ref, board()),
    "highway": lambda ref=None: highway_figure(highway(), ref),
    "paths": lambda ref=None: paths_figure(paths()),
    "depth": lambda ref=None: depth_figure(depth()),
}
REFERRED = [name for name in FIGURES if name not in ("paths", "depth")]


def parse(markup):
    return ElementTree.fromstring(markup)


def number(element, name):
    return float(element.get(name))


def kinds(element):
    return (element.get("class") or "").split()


def column(root, block):
    return next(g for g in root.iter(f"{SVG}g") if g.get("data-block") == block)


def marks(element, kind=None):
    """Bars inside an element, of one kind."""
    rects = [r for r in element.iter(f"{SVG}rect") if "mark" in kinds(r)]
    return [r for r in rects if kind is None or kind in kinds(r)]


def caption(root):
    return "".join(root.find("figcaption").itertext())


# Every figure


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("reference", [None, Known(USUAL), Unknown()])
def test_every_figure_is_well_formed_and_has_words(name, reference):
    root = parse(FIGURES[name](reference))
    svg = root.find(f".//{SVG}svg")
    assert svg.get("role") == ("group" if name == "lesions" else "img")
    assert len(svg.get("aria-label")) > 40
    assert svg.get("viewBox") == f"0 0 {svg.get('width')} {svg.get('height')}"
    assert root.find(f".//{SVG}title") is not None
    assert root.find("figcaption/span").get("class") == "invariant"


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_stands_outside_the_drawing(name):
    svg = parse(FIGURES[name](Known(USUAL))).find(f".//{SVG}svg")
    width, height = number(svg, "width"), number(svg, "height")
    for text in svg.iter(f"{SVG}text"):
        assert 0 <= number(text, "x") <= width
        assert 8 <= number(text, "y") <= height
    for rect in svg.iter(f"{SVG}rect"):
        assert 0 <= number(rect, "x") <= number(rect, "x") + number(rect, "width") <= width + 0.1
        assert 0 <= number(rect, "y") <= number(rect, "y") + number(rect, "height") <= height + 0.1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("budget", "add to 1 in every block: largest error 2e-16"),
        ("lesions", "After − before = change: largest error"),
        ("evidence", "S + F = H in every block: largest error 6e-08 logits"),
        ("ledger", "The parts add to the logit: error 3e-06"),
        ("timeline", "Read-out at 4.2 = the lesion “branch of 4.2 cut”: difference 1e-16"),
        ("highway", "largest relative error"),
        ("paths", "Counts add to 65,536 = 2¹⁶: error 0"),
        ("depth", "correlation with itself is 1: largest error 0"),
    ],
)
def test_the_invariant_is_printed_with_its_error(name, words):
    root = parse(FIGURES[name]())
    assert words in root.find("figcaption/span").text


def test_a_broken_invariant_is_seen():
    broken = highway(norm=1.1)
    said = parse(highway_figure(broken)).find("figcaption/span").text
    assert said.endswith("2e-01.")  # 0.21 / 1.21
    few = {**paths(), "rows": paths()["rows"][:3]}
    assert "Counts add to 137 = 2²: error 133." in caption(parse(paths_figure(few)))
    shifted = board(change=-0.5)
    assert "largest error 0." not in caption(parse(lesion_figure(shifted)))


@pytest.mark.parametrize("name", REFERRED)
def test_the_reference_is_named_or_its_absence_explained(name):
    assert "415 photos" in caption(parse(FIGURES[name](Known(USUAL))))
    without = parse(FIGURES[name](Unknown()))
    assert Unknown.reason in caption(without)
    assert not [r for r in without.iter(f"{SVG}rect") if "usual" in kinds(r)]


def test_every_string_is_escaped():
    evil = {"block": EVIL}
    made = [
        budget_figure(budget(**evil)),
        evidence_figure(evidence(**evil)),
        highway_figure(highway(**evil)),
        lesion_figure(board(EVIL, block=EVIL)),
        timeline_figure(timeline(EVIL, block=EVIL)),
        ledger_figure(
            {**ledger(), "against": EVIL, "entries": [{"part": EVIL, "logit": 1.0}]},
        ),
        depth_figure(depth(kind=EVIL)),
        budget_figure(budget(), type("Evil", (Unknown,), {"reason": EVIL})()),
    ]
    for markup in made:
        assert "<script" not in markup
        parse(markup)
        for value in re.findall(r'="([^"]*)"', markup):
            assert "<" not in value


BAD = (None, float("nan"), float("inf"), float("-inf"))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("make", ["every", "one"])
def test_what_is_not_a_number_does_not_break_a_figure(bad, make):
    cases = [
        (budget_figure, budget()), (evidence_figure, evidence()), (ledger_figure, ledger()),
        (lesion_figure, board()), (timeline_figure, timeline()), (highway_figure, highway()),
        (paths_figure, paths()), (depth_figure, depth()),
    ]  # fmt: skip
    for draw, good in cases:
        spoiled = spoil(copy.deepcopy(good), bad, every=make == "every")
        markup = draw(spoiled)
        parse(markup)
        drawing = re.findall(r' (?:x|y|d|cx|cy|width|height)="([^"]*)"', markup)
        assert not [value for value in drawing if "nan" in value or "inf" in value]


def spoil(value, bad, every):
    """Measured numbers (floats) replaced, all of them or those of every third row."""
    if isinstance(value, dict):
        return {key: spoil(item, bad, every) for key, item in value.items()}
    if isinstance(value, list):
        return [spoil(v, bad, every) if every or i % 3 == 0 else v for i, v in enumerate(value)]
    return bad if isinstance(value, float) else value


def test_empty_measurements_say_so():
    for markup in (
        paths_figure({**paths(), "rows": [], "mean_gradient": None, "complete": False}),
        depth_figure({**depth(), "rows": [], "complete": False}),
        budget_figure({"invariant_error": 0.0, "blocks": []}),
        evidence_figure({"invariant_error": 0.0, "blocks": []}),
    ):
        parse(markup)
    assert "cancelled" in paths_figure({**paths(), "rows": [], "complete": False})


# Bars and bands


def test_budget_bars_are_proportional_and_negative_ones_hang():
    root = parse(budget_figure(budget()))
    scale = None
    for k, name in enumerate(NAMES):
        bars = marks(column(root, name))
        for bar, value in zip(
            bars, [budget()["blocks"][k][f] for f in ("share_s", "share_f", "share_cross")],
            strict=True,
        ):  # fmt: skip
            per_unit = number(bar, "height") / abs(value)
            scale = scale or per_unit
            assert per_unit == pytest.approx(scale, rel=0.01)
            assert ("neg" if value < 0 else "pos") in kinds(bar)
        zero = number(bars[0], "y") + number(bars[0], "height")
        if budget()["blocks"][k]["share_cross"] < 0:
            assert number(bars[2], "y") == pytest.approx(zero, abs=0.02)
            assert [p for p in column(root, name).iter(f"{SVG}path") if "slits" in kinds(p)]


def test_the_quartile_band_stands_where_the_quartiles_are():
    root = parse(budget_figure(budget(), Known(USUAL)))
    one = column(root, "1.0")
    bar = marks(one, "shortcut")[0]
    band = next(r for r in one.iter(f"{SVG}rect") if "usual" in kinds(r))
    per_unit, zero = number(bar, "height") / 0.5, number(bar, "y") + number(bar, "height")
    assert number(band, "y") == pytest.approx(zero - 0.6 * per_unit, abs=0.05)
    assert number(band, "height") == pytest.approx(0.2 * per_unit, abs=0.05)
    assert number(band, "x") < number(bar, "x")  # it shows on both sides of the bar
    median = next(p for p in one.iter(f"{SVG}path") if "median" in kinds(p))
    assert float(median.get("d").split()[-1]) == pytest.approx(zero - 0.5 * per_unit, abs=0.05)


def test_numbers_outside_the_middle_half_are_marked():
    for ratio, mark in ((0.4, "▴"), (0.2, "▾"), (0.36, None)):
        root = parse(budget_figure(budget(ratio=ratio), Known({"budget.ratio": (0.3, 0.35, 0.38)})))
        said = [t.text.strip() for t in root.iter(f"{SVG}tspan")]
        assert said == ([mark] * 16 if mark else [])


def test_the_lesion_board_has_32_buttons_that_name_their_cut():
    root = parse(lesion_figure(board(), Known(USUAL)))
    buttons = [g for g in root.iter(f"{SVG}g") if g.get("role") == "button"]
    assert [(b.get("data-block"), b.get("data-wire")) for b in buttons] == [
        (name, wire) for name in NAMES for wire in ("branch", "shortcut")
    ]
    heights = []
    for button, row in zip(buttons, board()["rows"], strict=True):
        assert button.get("tabindex") == "0"
        assert button.get("data-key") == f"{row['block']}:{row['wire']}"
        assert row["block"] in button.get("aria-label")
        flips = [p for p in button.iter(f"{SVG}path") if kinds(p) == ["flip"]]
        assert bool(flips) == row["flips"]
        hint = button.find(f"{SVG}title").text
        assert (EVIL in hint) == row["flips"]  # the new answer
        heights.append(number(marks(button)[0], "height"))
    changes = [abs(row["change"]) for row in board()["rows"]]
    per_unit = heights[1] / changes[1]
    assert heights == pytest.approx([c * per_unit for c in changes], abs=0.02)


def test_cuts_in_reduced_precision_say_so():
    words = "What follows a cut ran in bf16."
    assert words in lesion_figure(board() | {"precision": "bf16"})
    assert words not in lesion_figure(board() | {"precision": "fp32"})


def test_a_gain_stands_above_the_line_and_a_loss_below():
    data = board()
    data["rows"][0]["change"], data["rows"][1]["change"] = 0.3, -0.3
    root = parse(lesion_figure(data))
    gain, loss = (
        next(g for g in root.iter(f"{SVG}g") if g.get("data-key") == f"1.0:{wire}")
        for wire in ("branch", "shortcut")
    )
    up, down = marks(gain)[0], marks(loss)[0]
    assert number(up, "y") + number(up, "height") == pytest.approx(number(down, "y"), abs=0.02)
    assert "pos" in kinds(up) and "neg" in kinds(down)


def test_quartiles_of_answers_are_not_shown_for_another_class():
    root = parse(lesion_figure(board(index=5), Known(USUAL)))
    assert not [r for r in root.iter(f"{SVG}rect") if "usual" in kinds(r)]
    assert "another one" in caption(root)
    other = timeline()
    other["index"] = 7
    root = parse(timeline_figure(other, Known(USUAL)))
    assert not [r for r in root.iter(f"{SVG}rect") if "usual" in kinds(r)]


def test_the_ledger_is_a_chain_that_ends_at_the_logit():
    values = (0.5, 8.0, 5.0, -3.0, 2.0)
    root = parse(ledger_figure(ledger(values)))
    bars = marks(root)
    per_unit = number(bars[1], "width") / 8.0
    zero, at = number(bars[0], "x"), 0.0
    for bar, value in zip(bars, values, strict=False):
        assert number(bar, "x") == pytest.approx(zero + min(at, at + value) * per_unit, abs=0.05)
        assert number(bar, "width") == pytest.approx(max(abs(value) * per_unit, 1.5), abs=0.05)
        at += value
    assert number(bars[-1], "x") == pytest.approx(zero, abs=0.05)
    assert number(bars[-1], "width") == pytest.approx(at * per_unit, abs=0.05)
    assert "neg" in kinds(bars[3])


def test_the_gradient_band_is_the_usual_ratio_times_this_shortcut():
    root = parse(highway_figure(highway(), Known(USUAL)))
    one = column(root, "3.2")
    bar = marks(one, "shortcut")[0]
    per_unit = number(bar, "height") / 0.8
    band = next(r for r in one.iter(f"{SVG}rect") if "usual" in kinds(r))
    assert number(band, "height") == pytest.approx((0.7 - 0.5) * 0.8 * per_unit, abs=0.05)


def test_path_bars_share_one_scale_and_error_bars_are_one_error():
    root = parse(paths_figure(paths()))
    one = next(g for g in root.iter(f"{SVG}g") if g.get("data-length") == "8")
    count = next(r for r in one.iter(f"{SVG}rect") if kinds(r) == ["count"])
    bar = marks(one)[0]
    assert number(count, "height") == pytest.approx(number(bar, "height"), abs=0.02)
    d = next(p for p in one.iter(f"{SVG}path") if "error-bar" in kinds(p)).get("d")
    low, high = (float(v) for v in re.match(r"M\S+ (\S+)V([\d.]+)", d).groups())
    assert low - high == pytest.approx(number(bar, "height") * 2 / 5, abs=0.05)


# The river


@pytest.mark.parametrize(
    ("shortcut", "branch"),
    [(5, 2), (5, -2), (-5, -2), (-5, 2), (2, -5), (-2, 5), (0, 3), (3, 0), (0, 0), (3, -3)],
)
def test_the_river_shows_every_combination_of_signs(shortcut, branch):
    pairs = [(10.0, 1.0), (float(shortcut), float(branch)), (8.0, 4.0)]
    root = parse(evidence_figure(evidence(pairs)))
    flows = [p for p in column(root, "1.1").iter(f"{SVG}path") if "flow" in kinds(p)]
    signs = {kind: set() for kind in ("shortcut", "branch")}
    for flow in flows:
        for kind in signs:
            if kind in kinds(flow):
                signs[kind].add("neg" if "neg" in kinds(flow) else "pos")
    assert signs["branch"] == (set() if branch == 0 else {"neg" if branch < 0 else "pos"})
    if shortcut * (shortcut + branch) > 0:
        assert signs["shortcut"] == {"neg" if shortcut < 0 else "pos"}


def test_the_rivers_width_is_the_evidence():
    root = parse(evidence_figure(evidence([(10.0, 2.0), (5.0, 2.0), (2.5, 2.0)])))
    bands = []
    for name in NAMES[:3]:
        flow = next(p for p in column(root, name).iter(f"{SVG}path") if "shortcut" in kinds(p))
        ys = [float(v) for v in re.findall(r"V([\d.]+)|M\S+ ([\d.]+)", flow.get("d"))[0] if v]
        top = float(re.search(r"V([\d.]+)", flow.get("d"))[1])
        bands.append(ys[0] - top)
    assert bands == pytest.approx([bands[0], bands[0] / 2, bands[0] / 4], abs=0.05)


def test_the_river_fits_its_columns_whatever_the_numbers():
    for pairs in ([(1e-9, 300.0)] * 16, [(1e5, -1.0)] * 16, [(1e-7, 1e-8)] * 16):
        svg = parse(evidence_figure(evidence(pairs))).find(f".//{SVG}svg")
        assert number(svg, "height") < 700


# The timeline


def test_the_timeline_follows_the_chosen_class_and_the_furthest_four():
    assert labels(timeline())[0] == (3, "espresso")
    assert [index for index, _ in labels(timeline())[1:]] == [7, 8, 9, 5]


def test_what_a_readout_does_not_list_is_dotted_not_invented():
    root = parse(timeline_figure(timeline()))
    dots = {i: [c for c in root.iter(f"{SVG}circle") if f"l{i}" in kinds(c)] for i in range(5)}
    assert len(dots[0]) == 17 + 1  # every read-out, the whole network, and beside the name
    assert len(dots[2]) == 13 + 1  # class 8 is listed at the first 13 read-outs only
    hint = column(root, "4.2").find(f"{SVG}title").text
    assert "class 8: below 15.0 %" in hint
    assert "Dotted" in caption(root)


def test_timeline_dots_are_at_their_probabilities():
    root = parse(timeline_figure(timeline()))
    dots = sorted(
        (number(c, "cx"), number(c, "cy"))
        for c in root.iter(f"{SVG}circle")
        if "l0" in kinds(c) and c.get("r") == "4.2"
    )
    per_unit = (dots[0][1] - dots[-1][1]) / 0.95
    assert [(dots[0][1] - y) / per_unit for _, y in dots] == pytest.approx(
        [0.01 * k if k <= 12 else 0.8 for k in range(16)] + [0.95], abs=1e-3
    )


# The parts


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-0.99, 0.0), (-5, 24.7), (0, 1e-13), (0, 3e20), (-1.4, 1.14)]
)
def test_ticks_are_few_round_and_cover_the_range(low, high):
    found = chart.ticks(low, high)
    assert 2 <= len(found) <= 10
    assert found[0] <= low + 1e-9 * (high - low) and found[-1] >= high - 1e-9 * (high - low)
    steps = [b - a for a, b in itertools.pairwise(found)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-6)


def test_a_hair_beyond_zero_adds_no_half_axis():
    assert chart.scale_for([-0.99, 0.001], 100, 0)[1][-1] == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0.00"), (-0.204, "−0.20"), (12.34, "12.3")],
)
def test_values_are_said_briefly(value, said):
    assert chart.say(value) == said


def test_a_figure_stands_alone_with_its_styles():
    markup = FIGURES["budget"]()
    alone = chart.standalone(markup, ".chart > a { color: red }")
    root = parse(alone)
    assert root.tag == f"{SVG}svg"
    assert "color: red" in root.find(f"{SVG}style").text
    dark = parse(chart.standalone(markup, "", dark=True))
    assert dark.get("class") == "dark"
    with pytest.raises(ValueError, match="no drawing"):
        chart.standalone("<figure/>", "")
