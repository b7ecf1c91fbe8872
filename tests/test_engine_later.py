"""What a pass in a crowd does not keep is made when somebody asks."""

import threading
from functools import partial

import pytest
import torch
from conftest import draw_photo

from resnet import backends
from resnet.engine import Engine, TooLate, exact
from resnet.engine.lane import Lane
from resnet.engine.later import Later
from resnet.images import ImageError

MB = 1 << 20


@pytest.fixture
def photos(tmp_path):
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.png")
        draw_photo(130 + i, 110, i).save(paths[-1])
    return paths


@pytest.fixture(params=["fp32", "bf16"])
def engine(request, tiny_v1):
    """One in which all photos share their pass with others."""
    lane = Lane()
    made = Engine(tiny_v1, backend=backends.make("folded", tiny_v1, request.param), line=lane)
    made.look = partial(made.look, brief=True)
    yield made
    lane.close()


def passes(engine) -> int:
    return sum(engine.stats()["batches"].values())


def test_the_answer_and_its_heat_map_need_no_second_pass(engine, photos):
    analysis = engine.open(photos[0])
    analysis.top(5), analysis.cam(), analysis.cam(3, "hirescam"), analysis.ledger(3)
    blocks = analysis.blocks
    assert isinstance(blocks, Later)
    assert len(blocks) == 6 and list(blocks) == list(engine.net.block_names)
    assert "2.1" in blocks and "5.0" not in blocks
    assert passes(engine) == 1


def test_the_other_wires_are_made_once_and_are_the_same(engine, photos):
    analysis = engine.open(photos[0])
    whole = Engine(engine.net, backend=engine.backend, line=engine.lane).open(photos[0])
    for name, wires in whole.blocks.items():
        for one, other in zip(analysis.blocks[name], wires, strict=True):
            assert one.dtype == torch.float32
            assert (one - other).abs().max() <= 1e-5 * other.abs().max(), name
        ours = analysis.blocks[name]
        assert torch.equal(ours.output, torch.relu(ours.sum)), name
    assert passes(engine) == 2
    with pytest.raises(KeyError):
        analysis.blocks["5.0"]
    for ours, wanted in (
        (analysis.evidence(3).blocks, whole.evidence(3).blocks),
        (analysis.lesions(3).rows, whole.lesions(3).rows),
    ):
        for one, other in zip(ours, wanted, strict=True):
            assert (one.block, number(one)) == (other.block, pytest.approx(number(other), abs=1e-4))


def test_what_is_kept_is_weighed_again_when_it_has_grown(engine, photos):
    first, second = engine.open(photos[0]), engine.open(photos[1])
    before = engine.stats()["kept_bytes"]
    assert before == core_size(first) + core_size(second)
    first.blocks["1.0"]
    grown = engine.stats()["kept_bytes"]
    assert grown == core_size(first) + core_size(second) > 1.5 * before
    engine.forget(photos[1])
    second.blocks["1.0"]  # somebody still has it; it is not among what is kept
    assert engine.stats()["kept_bytes"] == core_size(first)


def test_others_make_room_for_what_has_grown(tiny_v1, photos):
    engine = Engine(tiny_v1, memory=1)
    engine.look = partial(engine.look, brief=True)
    first = engine.open(photos[0])
    engine._memory.room = engine.stats()["kept_bytes"] * 2 + MB // 10
    engine.open(photos[1])
    assert engine.stats()["kept"] == 2
    first.blocks["1.0"]
    assert engine.open(photos[0]) is first and engine.stats()["kept"] == 1


def test_whoever_has_the_turn_may_ask_while_another_waits_for_it(engine, photos):
    analysis, found = engine.open(photos[0]), []
    with engine.model:
        other = threading.Thread(target=lambda: found.append(analysis.blocks["2.0"]))
        other.start()
        while not engine.lane.waiting:
            pass
        mine = analysis.blocks["2.0"]
    other.join(60)
    assert found[0].branch is mine.branch  # made twice, kept once


def test_without_a_turn_the_next_question_tries_again(engine, photos, monkeypatch):
    analysis = engine.open(photos[0])

    def busy(*_, **__):
        raise TooLate("It took too long.")

    with monkeypatch.context() as patch:
        patch.setattr(engine.lane, "do", busy)
        with pytest.raises(ImageError, match="It took too long"):
            analysis.blocks["2.0"]
    assert analysis.blocks["2.0"].output.shape[0] == 1


def number(row) -> float:
    """Of a row of evidence, or of lesions."""
    return row.branch if hasattr(row, "branch") else row.probability


def core_size(analysis) -> int:
    width, height = analysis.photo.size
    return exact.nbytes(analysis.trace) + 3 * width * height
