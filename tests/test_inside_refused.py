"""What the tab *Inside* says when wires do not get their turn."""

from functools import partial

import gradio as gr
import pytest
from conftest import draw_photo

from resnet.engine import Engine, TooLate
from resnet.ui.bench import Bench
from resnet.ui.page import build
from resnet.ui.switchboard import Setting

WORDS = "It took too long. Try again in a minute."


@pytest.fixture
def busy(tiny_v1, tmp_path):
    """A page and a photo, which is open without its early wires; no further pass has its turn."""
    path = str(tmp_path / "photo.png")
    draw_photo(130, 110).save(path)
    engine = Engine(tiny_v1)
    page = build(engine)
    engine.look = partial(engine.look, brief=True)
    engine.open(path)

    def refused(*_, **__):
        raise TooLate(WORDS)

    engine.lane.do, before = refused, engine.lane.do
    yield page, path
    engine.lane.do = before


def callback(page, where: str, name: str):
    """A callback, by the module and its own name."""
    (found,) = {
        fn.fn
        for fn in page.fns.values()
        if getattr(fn.fn, "__module__", "") == f"resnet.ui.{where}" and fn.name == name
    }
    return found


def test_the_wiring_says_so(busy):
    page, path = busy
    found = callback(page, "inside", "on_open")(path, Bench(), "signal")
    assert len(found) == 1 and WORDS in str(found)


def test_a_cut_says_so(busy):
    page, path = busy
    cut = Bench(setting=Setting({"2.1": {"branch": 0.0}}))
    found = callback(page, "inside", "on_open")(path, cut, "signal")
    assert len(found) == 1 and WORDS in str(found)


def test_a_figure_says_so_and_so_do_its_downloads(busy):
    page, path = busy
    state = Bench(path, 3)
    html, *_ = callback(page, "inside_figures", "draw")(state, "budget")
    assert WORDS in html
    said = list(callback(page, "inside_figures", "measure")(state, "paths"))
    assert WORDS in said[-1]
    with pytest.raises(gr.Error, match="It took too long"):
        callback(page, "inside_figures", "as_csv")(state, "budget")
