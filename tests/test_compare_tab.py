"""What stands in A and B of the tab Compare: sides from controls, analyses from sides."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from compare_toys import asked
from conftest import make_tiny, randomise
from PIL import Image

from resnet import weights
from resnet.compare import CompareError, Side, league, nets, where_they_part
from resnet.engine import Engine
from resnet.network import ResNet50
from resnet.residual.plan import gains_of
from resnet.ui import compare_numbers as numbers
from resnet.ui import compare_source as source
from resnet.ui.bench import Bench
from resnet.ui.compare_source import ANSWER_OF_A, OWN_ANSWERS, Slots
from resnet.ui.compare_view import Seen, card_html, differs, pictures_html, signals_html
from resnet.ui.examples import FOLDER
from resnet.ui.measure_view import so_far
from resnet.ui.measure_work import subject
from resnet.ui.switchboard import Setting

BEE = FOLDER / "bee.jpg"
CUT = Setting({"2.1": {"branch": 0.0}})


@pytest.fixture
def engine() -> Engine:
    return Engine(make_tiny("v1"))


@pytest.fixture
def path(tmp_path: Path, photo: Image.Image) -> str:
    file = tmp_path / "cloud.png"
    photo.save(file)
    return str(file)


def test_each_way_fills_b(engine: Engine, path: str):
    def filled(way: str, **changes) -> tuple[Side, Side]:
        return source.sides(engine, asked(path, way, **changes))

    a, b = filled("photos")
    assert b == replace(a, photo=source.another(path)) and Path(b.photo).is_file()
    assert source.another(b.photo) != b.photo
    a, b = filled("photos", slots=Slots(path=path, other=str(BEE)))
    assert b.photo == str(BEE)
    a, b = filled("weights", weights_b="he2015")
    assert b == replace(a, weights="he2015")
    a, b = filled("damage")
    assert b == replace(a, damage="noise", strength=0.5, seed=3)
    assert filled("damage", damage="flip", strength=0.1)[1].strength == 1  # on or off
    box = (1.0, 2.0, 30.0, 40.0)
    drawn = filled("damage", damage="box", slots=Slots(path=path, box=box))[1]
    assert drawn.box == box
    assert filled("damage", slots=Slots(path=path, box=box))[1].box is None
    a, b = filled("cuts", bench=Bench(setting=CUT))
    assert gains_of(b.plan) == {("2.1", "branch"): 0.0} and a.plan is None
    assert filled("methods")[1].method == "eigencam"
    assert filled("detectors")[1].detector == "heatmap"


def test_what_is_missing_is_said(engine: Engine, path: str):
    for way, changes, words in (
        ("damage", {"damage": "box"}, "Draw the box"),
        ("cuts", {}, "Nothing is cut on the tab Inside"),
        ("cuts", {"cuts": "../x"}, "no such preset"),
    ):
        with pytest.raises(CompareError, match=words):
            source.sides(engine, asked(path, way, **changes))
    with pytest.raises(CompareError, match="photo for A"):
        subject(engine, asked("", "damage"))


def test_what_is_known_is_not_worked_out_again(engine: Engine, path: str):
    a, b = source.sides(engine, asked(path, "damage"))
    assert source.look(engine, a) is engine.open(path)
    assert source.look(engine, replace(b, strength=0.0)) is engine.open(path)
    assert source.look(engine, b) is source.look(engine, b)
    assert source.look(engine, b) is not source.look(engine, replace(b, seed=4))
    # Classify's own heat map, and the switchboard's own network.
    index, last = engine.open(path).top(1)[0].index, engine.net.block_names[-1]
    heat = source.heat_map(engine, a, index)
    assert engine.known(path, ("heat map", index, "gradcam", last)) is heat
    assert source.heat_map(engine, b, index) is not heat
    cut = source.sides(engine, asked(path, "cuts", bench=Bench(setting=CUT)))[1]
    plan = cut.plan
    assert source.look(engine, cut) is engine.variant(path, plan, lambda base: base)


def test_damages_that_follow_the_heat_map_cover_its_hottest_part(engine: Engine, path: str):
    a, b = source.sides(engine, asked(path, "damage", damage="hottest", strength=0.1))
    one, other = source.look(engine, a), source.look(engine, b)
    changed = (np.array(one.view.image) != np.array(other.view.image)).any(2)
    assert changed.mean() == pytest.approx(0.1, rel=0.02)
    assert source.key(b) != source.key(replace(b, method="eigencam"))


def test_which_classes_are_explained(engine: Engine, path: str):
    one = engine.open(path)
    first = one.top(1)[0].index
    turned = make_tiny("v1", labels=tuple(reversed(engine.net.labels)))
    other = turned.analyze(path)
    place = turned.labels.index(engine.net.labels[first])
    assert source.explained(engine, one, one, ANSWER_OF_A) == (first, first)
    assert source.explained(engine, one, other, ANSWER_OF_A) == (first, place)
    assert source.explained(engine, one, other, OWN_ANSWERS) == (first, other.top(1)[0].index)
    assert source.explained(engine, one, other, 2) == (2, turned.labels.index("Cardigan"))
    strange = make_tiny("v1", labels=tuple("abcdefg")).analyze(path)
    assert source.explained(engine, one, strange, ANSWER_OF_A) == (first, None)


def test_sides_are_told_apart_in_words_and_names_are_escaped(engine: Engine, tmp_path: Path, photo):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.png"
    photo.save(hostile)
    path = str(hostile)
    a, b = source.sides(engine, asked(path, "damage"))
    seen = [Seen(side, source.look(engine, side), source.heat_map(engine, side, 0))
            for side in (a, b)]  # fmt: skip
    assert differs(a, b) == ("as it is", "Gaussian noise, σ = 64 of 255")
    assert differs(a, replace(a, photo=str(BEE))) == (hostile.stem, "bee")
    assert differs(a, replace(a, weights="he2015")) == ("tiny-v1", "he2015")
    assert differs(a, replace(a, method="cam")) == ("Grad-CAM", "CAM (exact, signed)")
    html = card_html("A", seen[0], hostile.stem) + pictures_html(*seen, [hostile.stem])
    html += signals_html(*seen, "2.1", "mean", 0, False) + signals_html(*seen, "2.1", "class", 0, 1)
    assert "<img src=x" not in html
    assert html.count("· block 2.1 ·") == 4


def test_downloads_hold_the_numbers_and_no_path(engine: Engine, path: str):
    given = asked(path, "damage")
    for make, rows in (
        (numbers.picture_numbers, 2), (numbers.parting_numbers, 6), (numbers.answers_numbers, 5),
    ):  # fmt: skip
        found, listed = make(engine, given)
        text = json.dumps(found, allow_nan=False)
        assert path not in text and Path(path).name not in text and len(listed) >= rows
        assert found["B"]["side"]["damage"] == "noise" and found["B"]["side"]["seed"] == 3
        assert found["A"]["photo_sha256"] != found["B"]["photo_sha256"]
    picture = Image.open(io.BytesIO(numbers.picture_file(engine, given)))
    assert picture.format == "PNG" and picture.width == 1280
    with pytest.raises(CompareError, match="photo for A"):
        numbers.both(engine, asked("", "damage"))


@pytest.mark.slow
def test_a_path_given_at_start_stands_beside_he2015(tmp_path: Path, monkeypatch):
    """A random ResNet-50 in a file is the page's own; the shipped set is loaded beside it."""
    spec = replace(weights.named()["imagenet1k-v1"], name="random")
    state = randomise(ResNet50(spec)).state_dict()
    file = tmp_path / "mine.pth"
    torch.save({key: value.half() for key, value in state.items()}, file)
    engine = Engine(ResNet50.load(str(file), device="cpu"))
    monkeypatch.setattr(nets, "_kept", {})
    assert nets.names(engine.net)[:2] == ["mine", "he2015"]
    a, b = source.sides(engine, asked(str(BEE), "weights", "mine", weights_b="he2015"))
    one, other = source.look(engine, a), source.look(engine, b)
    assert one.net is engine.net and other.net.spec.name == "he2015"
    assert other.top(1)[0].label == "bee" and source.look(engine, b) is other
    found = where_they_part(one, other)
    assert found.measure == "cka" and not found.same_weights and found.rows[0].cosine is None
    i, j = source.explained(engine, one, other, engine.net.labels.index("bee"))
    assert source.heat_map(engine, b, j).index == i == j


def test_a_league_under_way_shows_its_rows_and_promises_no_winner(engine: Engine, path: str):
    partial: list = []
    league(
        engine.open(path), methods=("cam", "eigencam"), steps=2, percentiles=(),
        shown=partial.append,
    )  # fmt: skip
    assert so_far(None) == ""
    drawn = so_far(partial[0])
    assert "So far: 1 method," in drawn and "Eigen-CAM" not in drawn and "stopped" not in drawn
    assert "So far: 2 methods," in so_far(partial[1]) and "Eigen-CAM" in so_far(partial[1])
