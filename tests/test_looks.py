"""Several looks at one photo, put together: by hand, and on a small random detector."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_iou
from why_detectors import seen_by, small_offline

from resnet import why
from resnet.detectors.looks import FOUR, ONE, UNSEEN, Look, Named, together
from resnet.detectors.shipped import prepare
from resnet.images import read_photo
from resnet.network import ResNet50

PLAIN, MIRRORED, LARGE = Look(64, 96), Look(64, 96, mirrored=True), Look(128, 192)
SHAPE = (64, 96)  # height, width


def said(boxes: list[list[float]], chances: list[list[float]], points: Tensor | None = None):
    placed = torch.tensor(boxes).float()
    everywhere = placed if points is None else points
    return Named(torch.arange(len(boxes)), placed, torch.logit(torch.tensor(chances)), everywhere)


def test_what_two_looks_see_is_their_mean():
    one = said([[10, 10, 30, 30]], [[0.8, 0.1]])
    two = said([[66, 14, 86, 30]], [[0.4, 0.3]])  # mirrored back: 10, 14, 30, 30
    found = together([one, two], [SHAPE, SHAPE], [PLAIN, MIRRORED])
    assert found.logits.sigmoid().numpy() == pytest.approx(np.array([[0.6, 0.2]] * 2), abs=1e-6)
    top = (10 * 0.801 + 14 * 0.401) / (0.801 + 0.401)  # weighted by the best chance of each
    wanted = np.array([[10, top, 30, 30]] * 2)
    assert found.boxes.numpy() == pytest.approx(wanted, abs=1e-4)


def test_what_one_look_sees_alone_counts_less():
    one = said([[10, 10, 30, 30]], [[0.8, 0.1]])
    two = said([[200, 100, 240, 140]], [[0.6, 0.0001]])  # twice as large: 100, 50, 120, 70
    found = together([one, two], [SHAPE, (128, 192)], [PLAIN, LARGE])
    assert found.boxes.tolist() == [[10, 10, 30, 30], [100, 50, 120, 70]]
    share = (1 + UNSEEN) / 2
    assert found.logits.sigmoid()[:, 0].tolist() == pytest.approx([0.8 * share, 0.6 * share])


def test_each_box_gets_the_first_looks_point_that_fits_it_best():
    points = torch.tensor([[0.0, 0, 9, 9], [11, 11, 31, 31], [59, 9, 81, 31]])
    one = said([[10, 10, 30, 30]], [[0.8]], points)
    two = said([[16, 10, 36, 30]], [[0.8]])  # 60, 10, 80, 30
    found = together([one, two], [SHAPE, SHAPE], [PLAIN, MIRRORED])
    assert found.at.tolist() == [1, 2]
    assert found.everywhere is points


def test_one_look_twice_is_that_look():
    rng = torch.Generator().manual_seed(3)
    corner = 60 * torch.rand(7, 2, generator=rng)
    boxes = torch.cat((corner, corner + 4 + 20 * torch.rand(7, 2, generator=rng)), 1)
    # No two of them overlap enough to be taken for one.
    one = Named(torch.arange(7), boxes, torch.randn(7, 3, generator=rng), boxes)
    found = together([one, one], [SHAPE, SHAPE], [PLAIN, PLAIN])
    assert torch.allclose(found.boxes, boxes.repeat(2, 1), atol=1e-4)
    assert torch.allclose(found.logits, one.logits.repeat(2, 1), atol=1e-4)
    assert found.at.tolist() == [*range(7)] * 2


def test_sure_and_hopeless_answers_stay_finite():
    one = Named(
        torch.zeros(1).long(), torch.ones(1, 4), torch.tensor([[90.0, -90.0]]), torch.ones(1, 4)
    )
    found = together([one, one], [SHAPE, SHAPE], [PLAIN, PLAIN])
    assert found.logits.isfinite().all() and found.boxes.isfinite().all()


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (70, 900), (1300, 66)])
def test_how_the_photo_is_shown(tiny, size):
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    photo = read_photo(small.resize(size))
    first, small, large, mirrored = (prepare(photo, tiny, look) for look in FOUR)
    assert torch.equal(mirrored, large.flip(3))
    assert small.numel() < first.numel() < large.numel()
    for x, look in zip((first, small, large), FOUR, strict=False):
        assert all(side % 32 == 0 for side in x.shape[2:])
        assert max(x.shape[2:]) <= look.longest
    assert torch.equal(prepare(photo, tiny), first) and FOUR[:1] == ONE


@pytest.fixture(scope="module")
def tiny() -> ResNet50:
    return small_offline().trunk


@pytest.fixture(scope="module")
def looked():
    """A photo seen twice by a random detector, the second time in the mirror."""
    one = small_offline(3)
    two = replace(one, ways=(PLAIN, MIRRORED), alone=one)
    return seen_by(two, Image.effect_noise((96, 64), 80).convert("RGB"))


def test_a_sighting_keeps_its_first_look(looked):
    alone = looked.one_look
    assert alone is looked.alone and alone.one_look is alone
    assert alone.detector is looked.detector.one_look and alone.detector.looks == 1
    assert alone.streams is looked.streams and alone.input is looked.input
    again = seen_by(small_offline(3), Image.effect_noise((96, 64), 80).convert("RGB"))
    assert alone.found.size == looked.found.size and len(again.rows) == len(again.found)
    assert looked.found.seconds > alone.found.seconds > 0
    assert looked.found.trunk_seconds > alone.found.trunk_seconds


def test_a_photo_and_its_mirror_image_have_mirrored_boxes(looked):
    photo = looked.photo.image
    other = seen_by(looked.detector, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    boxes = other.found.boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (photo.width, 0, photo.width, 0)
    mine = sorted((round(float(s), 3), *np.round(b).tolist()) for s, b in zip(
        looked.found.scores, looked.found.boxes, strict=True))  # fmt: skip
    theirs = sorted((round(float(s), 3), *np.round(b).tolist()) for s, b in zip(
        other.found.scores, boxes, strict=True))  # fmt: skip
    assert len(mine) and mine == theirs
    alone = other.one_look.found.boxes
    assert len(alone) != len(looked.one_look.found) or not np.allclose(
        np.sort(alone, axis=0), np.sort(looked.one_look.found.boxes, axis=0)
    )


def test_boxes_of_several_looks_are_explained_at_the_first(looked):
    slope = why.box_map(looked, 0)
    assert np.isfinite(slope.logit) and slope.error < 1e-3
    row = looked.rows[0]
    height, width = looked.input.shape[2:]
    scale = np.array([looked.found.size[0] / width, looked.found.size[1] / height] * 2)
    assert row[2:].numpy() * scale == pytest.approx(looked.found.boxes[0], abs=1e-3)
    assert int(row[1]) == looked.found.labels[0]


def test_cuts_are_compared_with_the_first_look(looked):
    board = why.cut_board(looked, 0.3)
    alone = looked.one_look
    assert board.boxes.boxes.tolist() == alone.found.above(0.3).boxes.tolist()
    wanted = why.cut_board(alone, 0.3).to_dict()
    for box, place in zip(wanted["boxes"], board.boxes.index.tolist(), strict=True):
        box["index"] = place
    assert board.to_dict() == wanted
    assert why.under(looked, {}) is alone.found


def test_the_first_looks_boxes_are_numbered_as_those_of_all(looked):
    alone, found = why.first_look(looked), looked.found
    assert alone.boxes.tolist() == looked.one_look.found.boxes.tolist()
    known = alone.index[alone.index >= 0].tolist()
    assert known and len(set(alone.index.tolist())) == len(alone)
    for there, i in enumerate(alone.index.tolist()):
        if i >= 0:
            assert alone.labels[there] == found.labels[i]
            overlap = box_iou(
                *(torch.tensor(x)[None] for x in (alone.boxes[there], found.boxes[i]))
            )
            assert overlap >= 0.5
        else:
            assert i == -2 - there  # never -1, which stands for no choice
    assert why.first_look(looked.one_look) is looked.one_look.found
    # A box that only the first look sees stands for none.
    without = replace(looked, found=found.pick(np.arange(len(found)) != known[0]))
    assert len(set(why.first_look(without).index.tolist())) == len(alone)
    nothing = replace(looked, found=found.pick(found.scores > 2))
    assert (why.first_look(nothing).index < 0).all()
