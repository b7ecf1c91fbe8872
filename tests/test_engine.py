"""Analyses are made once, kept while there is room, and made again when they are gone."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_tiny
from PIL import Image

from resnet import backends
from resnet.analysis import Analysis
from resnet.engine import CALLER, Caller, Engine, TooLate, core, exact
from resnet.images import ImageError
from resnet.residual import with_gains

MB = core.MB


@pytest.fixture
def photos(tmp_path):
    paths = []
    for i in range(4):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.effect_noise((260, 240), 40 + 10 * i).convert("RGB").save(paths[-1])
    return paths


@pytest.fixture
def passes(monkeypatch):
    """The sizes of the batches that ran."""
    sizes = []
    real = backends.Eager.trace
    monkeypatch.setattr(
        backends.Eager, "trace", lambda self, x, brief: sizes.append(len(x)) or real(self, x, brief)
    )
    return sizes


def test_a_photo_is_analysed_once(tiny_v1, photos, passes):
    engine = Engine(tiny_v1)
    first = engine.open(photos[0])
    assert engine.open(photos[0]) is first and passes == [1]
    Image.new("RGB", (260, 240), "red").save(photos[0])  # another photo under the same name
    os.utime(photos[0], ns=(1, 1))
    assert engine.open(photos[0]) is not first and len(passes) == 2


def test_the_same_photo_under_two_names_is_looked_at_once(tiny_v1, photos, passes, tmp_path):
    engine = Engine(tiny_v1)
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(photos[0]).read_bytes())
    assert engine.open(photos[0]) is engine.open(copy)
    assert passes == [1] and engine.stats()["hits"] == 1
    engine.forget(photos[0])
    assert engine.stats()["kept"] == 1  # the other file still holds it
    copy.unlink()
    engine.forget(copy)
    assert engine.stats()["kept"] == 0


def test_who_ask_for_one_photo_together_share_one_pass(tiny_v1, photos, passes):
    engine, found = Engine(tiny_v1), []
    threads = [
        threading.Thread(target=lambda: found.append(engine.open(photos[0]))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passes == [1] and len({id(one) for one in found}) == 1


def test_the_answer_is_the_networks_own(net, photos):
    ours, wanted = Engine(net).open(photos[0]), net.analyze(photos[0])
    # Not to the bit: the engine's thread and this one may use other numbers of cores.
    assert torch.allclose(ours.trace.logits, wanted.trace.logits, rtol=0, atol=1e-4)
    assert ours.view.box == wanted.view.box and ours.photo.digest == wanted.photo.digest
    assert 20 * MB < core.size(ours) < 70 * MB


def test_memory_is_bounded_and_the_oldest_goes_first(tiny_v1, photos):
    one = core.size(Engine(tiny_v1).open(photos[0]))
    engine = Engine(tiny_v1, memory=int(2.5 * one))
    a, b = engine.open(photos[0]), engine.open(photos[1])
    assert engine.open(photos[0]) is a  # touched: b is the oldest now
    engine.open(photos[2])
    assert engine.open(photos[0]) is a
    assert engine.stats()["kept_bytes"] <= 2.5 * one
    assert engine.open(photos[1]) is not b


def test_figures_are_kept_beside_their_analysis_and_go_with_it(tiny_v1, photos):
    engine = Engine(tiny_v1, memory=1)  # room for the last photo only
    made = []

    def make(analysis):
        made.append(analysis)
        return len(made)

    assert engine.known(photos[0], ("budget", 3)) is None
    assert engine.figure(photos[0], ("budget", 3), make) == 1
    assert engine.figure(photos[0], ("budget", 3), make) == 1
    assert engine.known(photos[0], ("budget", 3)) == 1
    assert engine.figure(photos[0], ("budget", 4), make) == 2
    engine.open(photos[1])
    assert engine.known(photos[0], ("budget", 3)) is None
    assert engine.figure(photos[0], ("budget", 3), make) == 3


def test_large_figures_count_towards_the_memory(tiny_v1, photos):
    engine = Engine(tiny_v1)
    before = engine.open(photos[0]) and engine.stats()["kept_bytes"]
    engine.figure(photos[0], "picture", lambda analysis: {"html": "x" * MB})
    assert engine.stats()["kept_bytes"] > before + MB


def test_a_bad_file_is_an_image_error_and_is_not_kept(tiny_v1, tmp_path):
    engine = Engine(tiny_v1)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff nothing")
    for path in (bad, tmp_path / "gone.jpg"):
        with pytest.raises(ImageError):
            engine.open(path)
    assert engine.stats()["kept"] == 0


def test_a_changed_network_is_run_once_and_counts_towards_the_memory(tiny_v1, photos):
    cut = {("2.1", "shortcut"): 0.0}
    made = []

    def make(base):
        made.append(base)
        return with_gains(base, cut)

    engine = Engine(tiny_v1)
    first = engine.variant(photos[0], "cut", make)
    assert engine.variant(photos[0], "cut", make) is first
    assert engine.variant(photos[0], "another", make) is not first
    assert len(made) == 2 and made[0] is engine.open(photos[0])
    small = Engine(tiny_v1, memory=1)
    small.variant(photos[0], "cut", make)
    assert small.stats()["kept"] == 1


def test_a_direct_pass_waits_for_its_turn_and_may_ask_for_more(tiny_v1, photos):
    engine = Engine(tiny_v1)
    turn = engine.model
    for _ in range(2):  # a lock that is used again and again
        with turn:
            assert isinstance(engine.open(photos[1]), Analysis)  # would wait for itself
    assert not engine.lane.inside


def test_the_back_end_is_chosen_by_measuring_and_gives_the_same_answer(tiny_v1, photos):
    before = Engine(tiny_v1).open(photos[0]).trace.logits
    engine = Engine(tiny_v1)
    engine.tune("fp32")
    assert engine.stats()["backend"] in engine.why and "ms for a photo" in engine.why
    assert torch.allclose(engine.open(photos[0]).trace.logits, before, rtol=1e-5, atol=1e-4)
    engine.warm_up()
    assert engine.stats()["stages"]["forward"]["count"] >= 2


def test_while_back_ends_are_timed_photos_are_looked_at(tiny_v1, photos, monkeypatch):
    """The lane is free between two steps, and who wants to know the choice can wait for it."""
    engine, choose = Engine(tiny_v1), backends.choose
    seen, whys = [], []

    def choosing(net, precision, run):
        def step(work):
            run(work)
            seen.append(engine.open(photos[len(seen) % 4]))  # would wait for ever inside a step
            whys.append(engine.settled(0).why)

        return choose(net, precision, lambda backend: float(engine.lane.inside), step)

    monkeypatch.setattr(backends, "choose", choosing)
    tuning = threading.Thread(target=engine.tune, args=("fp32",), daemon=True)
    tuning.start()
    tuning.join(120)
    assert len(seen) >= 4 and not tuning.is_alive()
    assert set(whys) == {"the ordinary pass, while the others are being timed"}
    assert "1000 ms for a photo" in engine.settled(60).why  # each was timed inside the lane


def test_without_a_turn_the_ordinary_pass_stays(tiny_v1, monkeypatch):
    def busy(*_):
        raise TooLate("no turn")

    engine = Engine(tiny_v1)
    monkeypatch.setattr(engine.lane, "do", busy)
    engine.tune("fp32")
    assert engine.backend.name == "eager" and "no time" in engine.settled(60).why


def test_a_trace_in_bf16_leaves_the_engine_exact(photos):
    """float32, S + F the output to the bit, identities the same tensor, at any place in a batch."""
    net = make_tiny("v1")
    trace = backends.make("folded", net, "bf16").trace(torch.randn(2, 3, 96, 96))
    for count in (1, 2):
        part = exact.one_of(net, trace, count - 1, 2)
        stream = part.stem
        for name, wires in part.blocks.items():
            assert {wire.dtype for wire in wires} == {torch.float32}
            assert torch.equal(wires.output, torch.relu(wires.sum)), name
            assert (net.block(name).downsample is None) == (wires.shortcut is stream), name
            stream = wires.output
    engine = Engine(net, backend=backends.make("folded", net, "bf16"))
    analysis = engine.open(photos[0])
    weighed = exact.nbytes(analysis.trace)
    assert weighed == exact.nbytes(replace(analysis.trace, blocks=dict(analysis.blocks)))
    assert weighed == exact.nbytes(Engine(net).open(photos[0]).trace)
    with pytest.raises(KeyError):
        analysis.blocks["5.0"]
    ledger = analysis.ledger(3)
    assert abs(ledger.error) < 1e-5 * max(1, *(abs(entry.logit) for entry in ledger.entries))
    analysis.evidence(3), analysis.lesions(3), analysis.cam(3, "hirescam", "2.1")
    exactly = Engine(net).open(photos[0]).probabilities
    assert (analysis.probabilities - exactly).abs().max() < 0.1


def test_what_is_done_is_told_with_its_stages(tiny_v1, photos):
    engine, heard = Engine(tiny_v1), []
    engine.told.listen(lambda *news: heard.append(news))
    engine.open(photos[0])
    engine.open(photos[0])
    with engine.timed("draw"):
        pass
    stages = [which for what, which, _ in heard if what == "stage"]
    assert {"read", "decode", "resize", "queue", "forward", "draw"} <= set(stages)
    assert ("cache", "miss", 1) in heard and ("cache", "hit", 1) in heard
    assert ("batch", "", 1) in heard
    assert list(engine.stats()["stages"])[:3] == ["read", "decode", "resize"]


def test_the_owner_is_known_in_the_lane(tiny_v1, photos):
    engine, owners = Engine(tiny_v1), []
    real = engine.lane._enter
    engine.lane._enter = lambda job: owners.append(job.caller.owner) or real(job)
    token = CALLER.set(Caller("ada"))
    try:
        engine.open(photos[0])
    finally:
        CALLER.reset(token)
        del engine.lane._enter
    assert owners == ["ada"]
