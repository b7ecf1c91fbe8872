"""Analyses are made once, kept while there is room, and made again when they are gone."""

import os
import threading

import pytest
from PIL import Image

from resnet import engine as engines
from resnet.engine import Engine, size
from resnet.images import ImageError
from resnet.residual import with_gains


@pytest.fixture
def photos(tmp_path):
    paths = []
    for i in range(4):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.effect_noise((260, 240), 40 + 10 * i).convert("RGB").save(paths[-1])
    return paths


def test_a_photo_is_analysed_once(net, photos, monkeypatch):
    made = []
    real = engines.analyze
    monkeypatch.setattr(engines, "analyze", lambda n, p: made.append(p.digest) or real(n, p))
    engine = Engine(net)
    first = engine.open(photos[0])
    assert engine.open(photos[0]) is first and len(made) == 1
    Image.new("RGB", (260, 240), "red").save(photos[0])  # another photo under the same name
    os.utime(photos[0], ns=(1, 1))
    assert engine.open(photos[0]) is not first and len(made) == 2


def test_memory_is_bounded_and_the_oldest_goes_first(net, photos):
    one = size(Engine(net).open(photos[0]))
    assert 20 * engines.MB < one < 70 * engines.MB
    engine = Engine(net, memory=int(2.5 * one))
    a, b = engine.open(photos[0]), engine.open(photos[1])
    assert engine.open(photos[0]) is a  # touched: b is the oldest now
    engine.open(photos[2])
    assert engine.open(photos[0]) is a
    assert engine.open(photos[1]) is not b


def test_figures_are_kept_beside_their_analysis_and_go_with_it(net, photos):
    engine = Engine(net, memory=1)  # room for the last photo only
    made = []

    def make(analysis):
        made.append(analysis)
        return len(made)

    assert engine.figure(photos[0], ("budget", 3), make) == 1
    assert engine.figure(photos[0], ("budget", 3), make) == 1
    assert engine.figure(photos[0], ("budget", 4), make) == 2
    engine.open(photos[1])
    assert engine.figure(photos[0], ("budget", 3), make) == 3
    assert len(engine._figures) == 1


def test_a_bad_file_is_an_image_error_and_is_not_kept(net, tmp_path):
    engine = Engine(net)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff nothing")
    for path in (bad, tmp_path / "gone.jpg"):
        with pytest.raises(ImageError):
            engine.open(path)
    assert not engine._kept


def test_many_threads_get_their_own_photo(net, photos):
    engine = Engine(net, memory=1)
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = engine.open(photos[number % 4]).photo.digest

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    right = [Engine(net).open(path).photo.digest for path in photos]
    assert [found[i] for i in range(12)] == [right[i % 4] for i in range(12)]


def test_a_changed_network_is_run_once_and_counts_towards_the_memory(net, photos):
    cut = {("2.1", "shortcut"): 0.0}
    made = []

    def make(base):
        made.append(base)
        return with_gains(base, cut)

    engine = Engine(net)
    first = engine.variant(photos[0], "cut", make)
    assert engine.variant(photos[0], "cut", make) is first
    assert engine.variant(photos[0], "another", make) is not first
    assert len(made) == 2 and made[0] is engine.open(photos[0])
    small = Engine(net, memory=1)
    small.variant(photos[0], "cut", make)
    assert len(small._kept) == 1
