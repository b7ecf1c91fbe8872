"""The figures of a batch: what they count is what was given, in well-formed, escaped SVG."""

import re
from xml.etree import ElementTree

import pytest

from resnet.batch import calibration, confusion
from resnet.draw.chart import standalone
from resnet.draw.confidence_figure import confidence_figure, photos
from resnet.draw.confusion_figure import confusion_figure, short
from resnet.draw.reliability_figure import reliability_figure

HOSTILE = "<script>\"&'</script>"
SVG = "{http://www.w3.org/2000/svg}"
LABELS = ["bee", "ant", HOSTILE, *(f"class {i}" for i in range(3, 40))]


def parsed(markup: str) -> ElementTree.Element:
    assert "<script" not in markup and "nan" not in markup.lower()
    return ElementTree.fromstring(standalone(markup, ""))


def caption(markup: str) -> str:
    found = re.search(r"<figcaption>(.*)</figcaption>", markup, re.DOTALL)
    return re.sub(r"<[^>]+>", "", found[1])


def rects(markup: str, kind: str) -> list[dict[str, float]]:
    return [
        {name: float(r.get(name)) for name in ("x", "y", "width", "height")}
        for r in parsed(markup).iter(f"{SVG}rect")
        if r.get("class") == kind and r.get("height") not in ("12.00",)  # legends
    ]


def test_the_histogram_counts_every_photo():
    markup = confidence_figure(
        [0.05, 0.05, 0.051, 1.0, 0.0, 0.5], [True, False, None, True, None, True]
    )
    assert caption(markup).startswith(
        "The bars add to 6 photos (3 right + 1 wrong + 2 no true label); left out: 0."
    )
    counts = [t.text for t in parsed(markup).iter(f"{SVG}text") if t.get("class") == "tick middle"]
    assert [c for c in counts if c.isdigit()] == ["3", "1", "1", "1"]
    right = rects(markup, "mark shortcut pos")
    unit = right[0]["height"]
    assert [r["height"] for r in right] == pytest.approx([unit] * 3)
    (wrong,) = rects(markup, "mark branch neg")
    assert wrong["y"] + wrong["height"] == pytest.approx(right[0]["y"], abs=0.02)  # it stands on it
    assert sum(r["height"] for r in rects(markup, "count")) == pytest.approx(2 * unit, abs=0.02)


def test_the_histogram_without_labels_and_without_photos():
    alone = confidence_figure([0.3, 0.31])
    assert "The bars add to 2 photos; left out: 0." in caption(alone)
    assert "below 50 %: 2 photos" in caption(alone) and not rects(alone, "mark branch neg")
    empty = confidence_figure([])
    parsed(empty)
    assert caption(empty) == "The bars add to 0 photos; left out: 0."
    with pytest.raises(ValueError):
        confidence_figure([0.1], [])


def test_the_reliability_diagram_draws_the_gaps():
    found = calibration([0.9, 0.9, 0.6, 0.6], [True, False, True, True], bins=10).to_dict()
    markup = reliability_figure(found)
    assert "The bins add to 4 photos" in caption(markup) and "error 0." in caption(markup)
    words = [t.text for t in parsed(markup).iter(f"{SVG}text")]
    assert {"ECE 40.0 %", "accuracy 75.0 %", "mean confidence 75.0 %"} <= set(words)
    full = rects(markup, "mark shortcut pos")
    (sure,), (unsure,) = rects(markup, "mark branch neg"), rects(markup, "mark third pos")
    assert full[1]["height"] == pytest.approx(full[0]["height"] / 2, abs=0.02)  # 50 % and 100 %
    assert sure["height"] == pytest.approx(0.4 * full[0]["height"], abs=0.02)
    assert unsure["height"] == pytest.approx(0.4 * full[0]["height"], abs=0.02)
    assert sure["y"] + sure["height"] == pytest.approx(full[1]["y"], abs=0.02)
    counts = [w for w in words if w.isdigit()]
    assert counts == ["0", "0", "0", "0", "0", "2", "0", "0", "2", "0"]


def test_a_wrong_ece_would_show():
    found = calibration([0.9, 0.6], [True, True]).to_dict()
    assert "error 0." in caption(reliability_figure(found))
    assert "error 1e-01." in caption(reliability_figure(found | {"ece": found["ece"] + 0.1}))


def test_the_confusion_matrix_and_its_list():
    pairs = [(0, 0), (0, 1), (0, 1), (2, 0), (1, 1)]
    markup = confusion_figure(confusion(pairs, LABELS).to_dict())
    root = parsed(markup)
    assert "The cells add to 5 photos; the diagonal, 2, is what is right." in caption(markup)
    assert "2 of 2 different mistakes are listed, 3 of 3 wrong photos." in caption(markup)
    hints = [t.text for t in root.iter(f"{SVG}title")]
    assert "bee, taken for ant: 2 photos" in hints and "bee taken for ant: 2 photos" in hints
    assert f"{HOSTILE}, taken for bee: 1 photo" in hints
    widths = [r["width"] for r in rects(markup, "mark branch neg")]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.02)


def test_a_large_matrix_is_folded_and_says_so():
    pairs = [(i, i) for i in range(40)] + [(0, 1)] * 3
    markup = confusion_figure(confusion(pairs, LABELS, rows=16).to_dict())
    assert "The cells add to 43 photos: 40 right + 3 wrong." in caption(markup)
    assert "“others” stands for 24 classes" in caption(markup)
    assert len(rects(markup, "count")) == 1  # others taken for others


def test_no_mistake_is_said():
    markup = confusion_figure(confusion([(0, 0)], LABELS).to_dict())
    words = [t.text for t in parsed(markup).iter(f"{SVG}text")]
    assert "No mistake." in words and caption(markup).strip().endswith("is what is right.")


def test_words():
    assert (photos(1), photos(1200), photos(0)) == ("1 photo", "1,200 photos", "0 photos")
    assert short("a" * 99) == "a" * 23 + "…"
    assert len(short("Great Pyrenees mountain dog of the high hills")) <= 24
