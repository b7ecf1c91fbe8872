"""The strip of the session's photos: each once, newest first, and each visitor's own file."""

import shutil

from conftest import draw_photo, make_tiny

from resnet.engine import Engine
from resnet.ui.gallery import MOST, Seen, _seen, find, gallery_html, noted


def one(key: str, path: str = "") -> Seen:
    return Seen(key, path or f"/{key}.jpg", f"{key}, 50.0 %", "data:image/jpeg;base64,")


def test_newest_first_each_once_and_at_most_so_many():
    seen: tuple[Seen, ...] = ()
    for key in ("a", "b", "a", "c"):
        seen = noted(seen, one(key))
    assert [photo.key for photo in seen] == ["c", "a", "b"]
    for number in range(2 * MOST):
        seen = noted(seen, one(str(number)))
    assert len(seen) == MOST and seen[0].key == str(2 * MOST - 1)


def test_only_photos_of_the_session_are_found():
    seen = (one("a"), one("b"))
    assert find(seen, "b") is seen[1]
    assert find(seen, "c") is None and find((), "a") is None


def test_the_same_photo_of_two_visitors_keeps_to_each_one_s_own_file(tmp_path):
    """The engine keeps results by content: a path must not come out of its memory."""
    engine = Engine(make_tiny("v1"))
    mine, theirs = tmp_path / "mine.png", tmp_path / "theirs.png"
    draw_photo(120, 90).save(mine)
    shutil.copy(mine, theirs)
    first, second = _seen(engine, str(mine)), _seen(engine, str(theirs))
    assert (first.path, second.path) == (str(mine), str(theirs))
    assert first.key == second.key and first.thumbnail == second.thumbnail


def test_the_strip_is_empty_until_there_is_somewhere_to_go_back_to():
    assert gallery_html((), "") == "" and gallery_html((one("a"),), "/a.jpg") == ""
    html = gallery_html((one("a"), one("<b>")), "/a.jpg")
    assert html.count('data-slot="A" data-of="a"') == html.count('data-slot="B" data-of="a"') == 1
    assert html.count("data-key") == 2 and html.count("aria-current") == 1
    assert "<b>, 50.0 %" not in html.replace('data-key="<b>"', "")
