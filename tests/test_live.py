"""Frames of a camera: answered or dropped, never queued, never kept."""

import base64
import io
from types import SimpleNamespace

import pytest
from conftest import draw_photo

from resnet.backends.plain import Plain
from resnet.engine import CALLER, Engine, TooLate, exact
from resnet.ui import live


@pytest.fixture
def image() -> str:
    file = io.BytesIO()
    draw_photo(640, 480).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def event(image: str, number: object = 7, mode: str = "classify") -> SimpleNamespace:
    return SimpleNamespace(number=number, image=image, mode=mode)


def test_a_frame_is_answered_and_not_kept(tiny_v1, image):
    engine = Engine(tiny_v1)
    html = live.frame(engine, event(image))
    assert 'data-number="7"' in html and "data:image/png;base64," in html
    best = engine.look(base64.b64decode(image)).top(1)[0]
    assert best.label in html
    assert "width:72.18%;height:96.00%" in html  # 96 of 133 x 100: the crop in the middle
    assert engine.stats()["kept"] == 0


def test_a_frame_takes_one_pass_that_keeps_what_it_needs(tiny_v1, image, monkeypatch):
    engine, kept = Engine(tiny_v1, backend=Plain(tiny_v1, "bf16")), []
    one_of = exact.one_of
    monkeypatch.setattr(
        exact, "one_of", lambda *given: kept.append(tuple(given[1].blocks)) or one_of(*given)
    )
    html = live.frame(engine, event(image))
    best = engine.look(base64.b64decode(image)).top(1)[0]
    assert best.label in html
    assert kept == [tiny_v1.last_stage, tiny_v1.block_names]  # the frame's, and the second look's


def test_a_frame_is_dropped_while_a_photo_waits(tiny_v1, image):
    engine = Engine(tiny_v1)
    engine.lane = SimpleNamespace(waiting=1)
    assert "Others come first" in live.frame(engine, event(image))


@pytest.mark.parametrize("bad", ["no base64!", "AAAA", "A" * 700_000])
def test_a_bad_frame_gets_a_sentence(tiny_v1, bad):
    html = live.frame(Engine(tiny_v1), event(bad))
    assert "live-said" in html and "<template></template>" in html
    assert html.split('live-said">')[1][0].isupper()


def test_a_frame_does_not_wait_long(tiny_v1, image):
    engine, patience = Engine(tiny_v1), []

    def trace(x, brief):
        patience.append(CALLER.get().patience)
        raise TooLate("It took too long.")

    engine.trace = trace
    assert "It took too long." in live.frame(engine, event(image))
    assert patience == [live.PATIENCE] and CALLER.get().patience > live.PATIENCE


def test_what_a_script_sends_is_a_number(tiny_v1, image):
    with pytest.raises(ValueError):
        live.frame(Engine(tiny_v1), event(image, number="<img>"))
