"""The link that brings the page back: what it says, and what is taken from one."""

from urllib.parse import parse_qs

import pytest
from conftest import draw_photo, make_tiny

from resnet.engine import Engine
from resnet.ui.examples import FOLDER, examples
from resnet.ui.link import Asked, asked_of, query_of


@pytest.fixture(scope="module")
def engine():
    return Engine(make_tiny("v1"))


def test_an_example_and_the_settings_go_there_and_back(engine, tmp_path):
    """Also where the example's file is a copy under another name, as gradio makes one."""
    copy = tmp_path / "3f2a.jpg"
    copy.write_bytes((FOLDER / "cat.jpg").read_bytes())
    query = query_of(engine, str(copy), 4, "hirescam", "3.0", "magma", True)
    found = asked_of(engine, {key: value for key, (value,) in parse_qs(query).items()})
    assert found == Asked("cat.jpg", 4, "hirescam", "3.0", "magma", True)
    assert "weights=tiny-v1" in query


def test_an_upload_is_never_in_a_link(engine, tmp_path):
    path = tmp_path / "holiday in private.png"
    draw_photo(120, 90).save(path)
    query = query_of(engine, str(path), 2, "gradcam", "4.1", "viridis", False)
    assert set(parse_qs(query)) == {"weights", "method", "block", "colours"}
    assert "holiday" not in query and str(tmp_path) not in query
    gone = str(tmp_path / "gone.png")
    assert "photo" not in query_of(engine, gone, 2, "gradcam", "4.1", "viridis", False)
    assert "photo" not in query_of(engine, "", None, "gradcam", "4.1", "viridis", False)


@pytest.mark.parametrize(
    "query",
    [
        {"photo": "../../etc/passwd"},
        {"photo": "/etc/passwd"},
        {"photo": "examples.json"},
        {"photo": ""},
        {"class": "7", "photo": "cat.jpg"},
        {"class": "-1", "photo": "cat.jpg"},
        {"class": "²", "photo": "cat.jpg"},
        {"method": "<script>"},
        {"block": "9.9"},
        {"colours": "jet"},
        {"raw": "yes"},
        {"tab": "admin"},
        {"weights": "<img src=x>"},
    ],
)
def test_what_is_not_known_is_left_out_and_said(engine, query):
    found = asked_of(engine, query)
    wrong = next(iter(query))
    assert found.notes == (f"What the link says of {wrong} is not known here, and left out.",)
    expected = {"photo": query.get("photo", "")} if wrong == "class" else {}
    assert found == Asked(**expected, notes=found.notes)


def test_other_weights_are_said_not_loaded(engine):
    found = asked_of(engine, {"weights": "imagenet1k-v2", "tab": "inside"})
    assert found == Asked(
        tab="inside",
        notes=("This link was made with imagenet1k-v2; this page runs tiny-v1.",),
    )


@pytest.mark.parametrize("query", [{}, {"__theme": "dark"}, {"weights": "tiny-v1"}])
def test_a_link_that_asks_for_nothing_changes_nothing(engine, query):
    assert asked_of(engine, query) is None


def test_a_class_without_its_photo_is_left_alone(engine):
    """It would be explained of whatever photo came next."""
    assert asked_of(engine, {"class": "3", "method": "cam"}) == Asked(method="cam")


def test_every_example_can_be_linked(engine):
    for name in examples():
        assert "photo=" + name in query_of(
            engine, str(FOLDER / name), None, "gradcam", "4.1", "viridis", False
        )
