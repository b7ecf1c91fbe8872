"""The figures of Compare: what they draw is what was given, in well-formed, escaped SVG."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from resnet.draw import ab_view
from resnet.draw.chart import standalone
from resnet.draw.curves_figure import curves_figure
from resnet.draw.league_table import league_table
from resnet.draw.match_boxes import match_boxes, match_rows
from resnet.draw.overlay import palette
from resnet.draw.pairs_compare import pairs_figure
from resnet.draw.parting_figure import parting_figure
from resnet.draw.pointing_figure import pointing_figure
from resnet.draw.sweep_figure import sweep_figure

HOSTILE = "<script>\"&'</script>"
SVG = "{http://www.w3.org/2000/svg}"


def parsed(markup: str) -> ElementTree.Element:
    assert "<script" not in markup and "nan" not in markup.lower()
    return ElementTree.fromstring(standalone(markup, ""))


def texts(markup: str) -> list[str]:
    return [t.text or "" for t in parsed(markup).iter(f"{SVG}text")]


def rects(markup: str, kind: str) -> list[dict[str, float]]:
    return [
        {name: float(r.get(name)) for name in ("x", "y", "width", "height")}
        for r in parsed(markup).iter(f"{SVG}rect")
        if r.get("class") == kind and (r.get("width"), r.get("height")) != ("14.00", "12.00")
    ]


def circles(markup: str, kind: str) -> list[tuple[float, float]]:
    return [
        (float(c.get("cx")), float(c.get("cy")))
        for c in parsed(markup).iter(f"{SVG}circle")
        if c.get("class") == kind
    ]


def row(label: str, p_a, p_b, rank_a, rank_b) -> dict:
    both = p_a is not None and p_b is not None
    return {
        "label": label, "p_a": p_a, "p_b": p_b, "rank_a": rank_a, "rank_b": rank_b,
        "difference": p_b - p_a if both else None,
        "rank_change": rank_a - rank_b if both else None,
    }  # fmt: skip


def test_pairs_have_one_scale_and_say_what_changed():
    rows = [
        row(HOSTILE, 0.8, 0.2, 1, 3),
        row("ant", 0.1, 0.4, 2, 1),
        row("bee", None, 0.3, None, 2),
    ]
    markup = pairs_figure({"rows": rows, "sentence": "A says so."}, ("one", HOSTILE))
    a, b = rects(markup, "side-a"), rects(markup, "side-b")
    assert [r["width"] for r in a] == pytest.approx([8 * a[1]["width"], a[1]["width"]], abs=0.1)
    assert b[1]["width"] == pytest.approx(a[0]["width"] / 2, abs=0.1)  # 40 % and 80 %
    assert a[0]["x"] == b[0]["x"] == b[2]["x"]
    said = texts(markup)
    assert {"−60.0", "+30.0", "1 → 3", "2 → 1", "– → 2", "▼ 2", "▲ 1", "unknown"} <= set(said)
    assert len([p for p in parsed(markup).iter(f"{SVG}path") if p.get("class") == "missing"]) == 1


def parting(values, **more) -> dict:
    rows = [
        {"block": name, "cosine": v, "cka": v, "chance": 0.1, "identical": v == 1.0}
        for name, v in zip(("1.0", "1.1", "2.0"), values, strict=True)
    ]
    return {"rows": rows, "measure": "cosine", "block": "2.0", "sentence": "It falls."} | more


def test_the_parting_line_is_at_its_values_and_the_fall_is_marked():
    markup = parting_figure(parting((1.0, 0.5, 0.0)), chosen="1.1", buttons=True)
    dots = circles(markup, "dot l0")
    assert dots[1][1] == pytest.approx((dots[0][1] + dots[2][1]) / 2, abs=0.06)
    root = parsed(markup)
    buttons = [g for g in root.iter(f"{SVG}g") if g.get("data-block")]
    assert [g.get("data-block") for g in buttons] == ["1.0", "1.1", "2.0"]
    assert [g.get("aria-pressed") for g in buttons] == ["false", "true", "false"]
    assert all(g.get("tabindex") == "0" for g in buttons)
    (flip,) = [
        p for p in root.iter(f"{SVG}path")
        if p.get("class") == "flip" and f"M{dots[2][0] - 4.2:.2f}" in p.get("d", "")
    ]  # fmt: skip
    assert flip is not None
    assert len(rects(markup, "chosen")) == 1
    assert not [g for g in parsed(parting_figure(parting((1.0, 0.5, 0.0)))).iter(f"{SVG}g")
                if g.get("data-block")]  # fmt: skip


def test_a_measure_that_does_not_exist_is_not_drawn():
    found = parting((1.0, 0.5, 0.2), measure="cka")
    for one in found["rows"]:
        one["cosine"] = None
    markup = parting_figure(found)
    assert not circles(markup, "dot l0") and len(circles(markup, "dot l1")) == 3
    assert "cosine" not in texts(markup)


def sweep(flip=2) -> dict:
    names = [HOSTILE, HOSTILE, "ant"]
    rows = [
        {"strength": s, "parameter": f"σ = {s:g}", "probability": p, "rank": 1 + k,
         "answer": {"label": names[k], "probability": 0.5, "index": k}, "flips": k == 2}
        for k, (s, p) in enumerate(((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)))
    ]  # fmt: skip
    return {"rows": rows, "flip": flip, "label": HOSTILE, "title": "Blur", "unit": "σ",
            "area": 0.5, "sentence": "It holds."}  # fmt: skip


def test_the_sweep_marks_the_flip_and_the_chosen_step():
    markup = sweep_figure(sweep(), chosen=1)
    dots = circles(markup, "dot l0")
    assert dots[1][0] == pytest.approx((dots[0][0] + dots[2][0]) / 2, abs=0.06)
    assert dots[1][1] == pytest.approx((dots[0][1] + dots[2][1]) / 2, abs=0.06)
    root = parsed(markup)
    crosses = [p for p in root.iter(f"{SVG}path") if p.get("class") == "flip"]
    assert len(crosses) == 2 and f"M{dots[2][0] - 4.2:.2f}" in crosses[1].get("d")  # legend, flip
    (line,) = [p for p in root.iter(f"{SVG}path") if p.get("class") == "pointer"]
    assert line.get("d").startswith(f"M{dots[1][0]:.2f}")
    spans = [r for r in root.iter(f"{SVG}rect") if (r.get("class") or "").startswith("span")]
    assert [s.get("class") for s in spans] == ["span agrees", "span"]  # neighbours share a label
    none = sweep_figure(sweep(flip=None))
    assert len([p for p in parsed(none).iter(f"{SVG}path") if p.get("class") == "flip"]) == 1


def test_a_sweep_that_was_stopped_before_its_first_step():
    parsed(sweep_figure(sweep() | {"rows": [], "flip": None}))


def test_both_curves_are_on_one_scale():
    curve = {"shares": [0.0, 0.5, 1.0], "probabilities": [1.0, 0.5, 0.0], "auc": 0.5}
    rising = curve | {"probabilities": [0.0, 0.5, 1.0]}
    found = {"deletion": curve, "insertion": rising, "sentence": "So."}
    markup = curves_figure(found, share=0.5)
    falls, rises = circles(markup, "dot l1"), circles(markup, "dot l0")
    assert [y for _, y in falls] == [y for _, y in reversed(rises)]
    lines = [p.get("d") for p in parsed(markup).iter(f"{SVG}path") if p.get("class") == "pointer"]
    assert lines[0].startswith(f"M{falls[1][0]:.2f}") and lines[1].startswith(f"M{rises[1][0]:.2f}")
    assert "AUC 0.500, lower is better" in texts(markup)
    stopped = curves_figure(found | {"insertion": None})
    assert "not measured to its end" in texts(stopped) and not circles(stopped, "dot l0")


def league_row(method: str, deletion, insertion, **more) -> dict:
    def area(auc):
        return None if auc is None else {"auc": auc}

    return {
        "method": method, "title": f"{method} {HOSTILE}", "deletion": area(deletion),
        "insertion": area(insertion), "drop": 0.25, "increase": False, "road": -0.12,
        "same_as": "", "seconds_map": 0.5, "seconds": 1.0,
    } | more  # fmt: skip


def test_the_league_s_bars_end_at_both_areas():
    rows = [league_row("good", 0.0, 1.0), league_row("twin", 0.0, 1.0, same_as="good"),
            league_row("blank", None, None, drop=None, increase=None, road=None)]  # fmt: skip
    found = {
        "rows": rows, "chance": league_row("random", 0.5, 0.5), "percentiles": [20, 80],
        "label": HOSTILE, "block": "4.2", "steps": 24, "sentence": "Most faithful.",
    }  # fmt: skip
    markup = league_table(found)
    left, right = circles(markup, "side-b"), circles(markup, "side-a")
    assert len(left) == len(right) == 3  # the blank one has none
    assert left[2][0] == right[2][0] == pytest.approx((left[0][0] + right[0][0]) / 2, abs=0.06)
    said = texts(markup)
    assert "blank map: nothing to measure" in said and "as above" in said and "−0.12" in said
    assert said.count("1.5") == 3 and "25 %" in said  # seconds: good, blank, random


def test_the_pointing_bars_are_shares_with_the_area_as_a_line():
    rows = [
        {"name": HOSTILE, "share": 0.25, "times": 0.5, "hit": False},
        {"name": "zero", "share": 0.0, "times": 0.0, "hit": False},
        {"name": "best", "share": 1.0, "times": 2.0, "hit": True},
        {"name": "blank", "share": None, "times": None, "hit": None},
    ]
    markup = pointing_figure({"rows": rows, "area": 0.5, "sentence": "Best puts the most."})
    bars = rects(markup, "side-a")
    assert bars[1]["width"] == pytest.approx(bars[0]["width"] / 4, abs=0.02)
    line = [p for p in parsed(markup).iter(f"{SVG}path") if p.get("class") == "pointer"][-1]
    assert line.get("d").startswith(f"M{bars[0]['x'] + bars[0]['width'] / 2:.2f}")
    names = [t for t in texts(markup) if t in ("best", HOSTILE, "zero", "blank")]
    assert names == ["best", HOSTILE, "zero", "blank"]
    assert {"2.0 ×", "inside", "outside", "highlights nothing"} <= set(texts(markup))


def test_boxes_are_drawn_in_three_kinds_in_the_photo_s_pixels():
    single = [{"row": 0, "label": HOSTILE, "score": 0.9}]
    pair = {"a": 1, "b": 1, "label": "cat", "iou": 0.8, "score_a": 0.7, "score_b": 0.6,
            "difference": -0.1}  # fmt: skip
    found = {"both": [pair], "only_a": single, "only_b": single, "sentence": "One by both."}
    boxes = (np.array([[0, 0, 90, 45.0], [90, 45, 180, 90]]), np.array([[0, 45, 90, 90.0],
             [90, 45, 180, 90]]))  # fmt: skip
    markup = match_boxes(Image.new("RGB", (180, 90)), (180, 90), boxes, found)
    (a,), (b,) = rects(markup, "match only-a"), rects(markup, "match only-b")
    assert (a["x"], a["width"], a["height"]) == (0, 320, 160)  # 180 pixels are 640 units
    assert b["y"] == a["y"] + 160
    assert len(rects(markup, "match both")) == len(rects(markup, "match both other")) == 1
    assert {"only A: 1", "only B: 1", "both: 1"} <= set(texts(markup))
    table = match_rows(found)
    assert "<script" not in table and table.count("<tr>") == 4 and "0.80" in table
    nothing = {"both": [], "only_a": [], "only_b": [], "sentence": "Neither found anything."}
    assert match_rows(nothing) == ""


def side(patch, note: str = "") -> ab_view.Look:
    return ab_view.Look(Image.new("RGB", (224, 224), "white"), patch, f"t {HOSTILE}", "“x”", note)


def test_a_and_b_have_a_divider_that_keys_reach():
    a, b = side(np.eye(7, dtype=np.float32)), side(None, f"blank {HOSTILE}")
    html = ab_view.ab_html(a, b, False, "one scale", ["They differ.", HOSTILE])
    assert "<script" not in html
    assert html.count('class="heat"') == 1 and "B: blank" in html
    assert re.search(r'role="slider" tabindex="0" [^>]*aria-valuenow="50"', html)
    assert html.index('class="ab-side b"') < html.index('class="ab-side a"')  # A lies on top


def test_the_kept_picture_has_the_scale_s_own_colours():
    hot, cold = side(np.ones((7, 7), np.float32)), side(np.zeros((7, 7), np.float32))
    picture = ab_view.ab_picture(hot, cold, False, "one scale")
    assert picture.width == 2 * ab_view.SIDE
    left, right = (
        picture.getpixel((round(picture.width * x), round(picture.height * 0.75)))
        for x in (0.25, 0.75)
    )
    for found, end in ((left, 255), (right, 0)):
        blend = 255 * (1 - ab_view.OPACITY) + ab_view.OPACITY * palette(ab_view.MAP)[end].astype(
            int
        )
        assert np.abs(np.array(found) - blend).max() <= 2
