"""Things found in A and B of the tab Compare: matched on one photo, counted on two."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compare_toys import asked
from conftest import make_tiny
from PIL import Image

from resnet import localize
from resnet.compare import CompareError, Side
from resnet.detections import Detections
from resnet.engine import Engine
from resnet.residual.plan import plan_of_gains
from resnet.ui import compare_boxes
from resnet.ui import compare_source as source
from resnet.ui.bench import Bench
from resnet.ui.detect_source import HEAT
from resnet.ui.examples import FOLDER
from resnet.ui.switchboard import Setting

SIZE = (100, 80)


def found(*rows: tuple[str, float, float], size=SIZE) -> Detections:
    """Boxes of 20 x 20 pixels: (name, left edge, score), best first."""
    names = ("cat", "dog")
    return Detections(
        boxes=np.array([[x, 10, x + 20, 30] for _, x, _ in rows], np.float32).reshape(-1, 4),
        labels=np.array([names.index(name) for name, _, _ in rows], np.int64),
        scores=np.array([score for _, _, score in rows], np.float32),
        names=names,
        size=size,
        detector="offline",
    )


@pytest.fixture
def engine() -> Engine:
    return Engine(make_tiny("v1"))


@pytest.fixture
def path(tmp_path: Path, photo: Image.Image) -> str:
    file = tmp_path / "cloud.png"
    photo.save(file)
    return str(file)


def given(monkeypatch, a: Detections, b: Detections) -> list[bool]:
    """A finds one, whatever differs in B finds the other; with a cut, at one look both."""

    def everything(_, side: Side, one_look: bool) -> Detections:
        looks.append(one_look)
        return b if side.plan or side.damage or side.photo.endswith("bee.jpg") else a

    looks: list[bool] = []
    monkeypatch.setattr(compare_boxes, "everything", everything)
    return looks


def test_under_the_cuts_boxes_are_matched(engine, path, monkeypatch):
    looks = given(
        monkeypatch,
        found(("cat", 10, 0.9), ("dog", 60, 0.7), ("dog", 0, 0.4)),
        found(("cat", 12, 0.8), ("dog", 30, 0.6)),
    )
    cut = Bench(setting=Setting({"2.1": {"branch": 0.0}}))
    for controls in (asked(path, "cuts", boxes=True, bench=cut), asked(path, "damage", boxes=True)):
        _, rows = compare_boxes.numbers(engine, controls)
        assert [(row["thing"], row["found_by"]) for row in rows] == [
            ("cat", "both"), ("dog", "A"), ("dog", "B"),
        ]  # fmt: skip
        assert rows[0]["iou"] == pytest.approx(18 / 22)
        html = compare_boxes.boxes_html(engine, controls)
        assert "only A: 1" in html and "only B: 1" in html and "both: 1" in html
        assert set(looks) == {controls.way == "cuts"}
        assert ("first look alone" in html) == (controls.way == "cuts")
        looks.clear()


def test_on_two_photos_things_are_counted(engine, path, monkeypatch):
    """Also where the photos have the same size: what is where says nothing there."""
    for size in (SIZE, (30, 40)):
        given(monkeypatch, found(("cat", 10, 0.9), ("cat", 60, 0.8)), found(("dog", 10, 0.9),
              size=size))  # fmt: skip
        controls = asked(path, "photos", boxes=True)
        controls = controls._replace(
            slots=replace(controls.slots, other=str(FOLDER / "bee.jpg")), score=0.5
        )
        html = compare_boxes.boxes_html(engine, controls)
        assert "A shows 2 cats, B shows 1 dog." in html and "<svg" not in html
        _, rows = compare_boxes.numbers(engine, controls)
        assert rows == [
            {"thing": "cat", "count_a": 2, "count_b": 0},
            {"thing": "dog", "count_a": 0, "count_b": 1},
        ]
        nothing = compare_boxes.boxes_html(engine, controls._replace(score=0.95))
        assert "A shows nothing, B shows nothing." in nothing and "<table" not in nothing


def test_other_weights_change_no_box_of_a_detector_and_that_is_said(engine, path):
    html = compare_boxes.boxes_html(engine, asked(path, "weights", boxes=True))
    assert "he2015 alone" in html and "<svg" not in html
    with pytest.raises(CompareError, match="he2015 alone"):
        compare_boxes.numbers(engine, asked(path, "weights", boxes=True))


def test_a_heat_maps_boxes_follow_cuts_and_damage(engine, path, monkeypatch):
    """They are those of the changed network, of the same class."""
    monkeypatch.setattr(compare_boxes, "SHARE", 0.9)  # at 0.3 the whole photo is inside
    plain = Side(path, "tiny-v1", detector=HEAT)
    trained = compare_boxes.everything(engine, plain)
    assert trained.detector == localize.DETECTOR
    plan = plan_of_gains(engine.net.block_names, {("3.0", "branch"): 0.0})
    cut = compare_boxes.everything(engine, replace(plain, plan=plan))
    index = engine.open(path).top(1)[0].index
    whole = localize.analyze_whole(engine.net, engine.open(path).photo)
    changed = whole.with_gains({("3.0", "branch"): 0.0})
    expected = localize.boxes(changed, [changed.cam(index, localize.METHOD)], 0.9)
    assert np.array_equal(cut.boxes, expected.boxes)
    assert not np.array_equal(cut.boxes, trained.boxes)
    side = replace(plain, damage="blur", strength=1.0)
    blurred = compare_boxes.everything(engine, side)
    photo = source.look(engine, side).photo
    whole = localize.analyze_whole(engine.net, photo)
    expected = localize.boxes(whole, [whole.cam(index, localize.METHOD)], 0.9)
    assert np.array_equal(blurred.boxes, expected.boxes) and blurred.size == photo.size
