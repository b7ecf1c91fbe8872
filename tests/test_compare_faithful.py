"""Compare: deletion, insertion, ROAD and drop on toys with known answers, and the league."""

import dataclasses

import numpy as np
import pytest
import torch
from compare_toys import unsure
from conftest import draw_photo

from resnet.cam import CamError, HeatMap
from resnet.compare import CompareError, curves, league, picture_at
from resnet.compare.base import in_batches
from resnet.compare.fill import filled
from resnet.compare.league_job import same
from resnet.compare.measures import Subject, auc, curve_of, drop, ends_of, road, subject
from resnet.compare.ranking import hottest_first, ranks

SIDE = 16
ONES, ZEROS, HALF = torch.ones(3, 1, 1), torch.zeros(3, 1, 1), torch.full((1, 3, SIDE, SIDE), 0.5)


@pytest.fixture(scope="module", params=["v1", "v1.5"])
def tiny(request):
    return unsure(request.param)


@pytest.fixture(scope="module")
def tiny_v1():
    return unsure("v1")


def toy(columns: int) -> Subject:
    """Its probability is the share of the first columns' pixels that are as they were, 1."""

    def score(x):
        return (x[:, 0, :, :columns] == 1).float().mean((1, 2))

    return Subject(torch.ones(1, 3, SIDE, SIDE), HALF, score, ZEROS, ONES)


def heat(grid, **changes) -> HeatMap:
    given = {"index": 0, "method": "gradcam", "block": "4.1", "signed": False} | changes
    return HeatMap(np.asarray(grid, np.float32), **given)


def towards(left: bool) -> np.ndarray:
    """An order from the left to the right, or back."""
    grid = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))
    return hottest_first(-grid if left else grid, (SIDE, SIDE))


@pytest.mark.parametrize("columns", [2, 4, 8])
@pytest.mark.parametrize("batch", [1, 5])
def test_areas_of_a_network_that_looks_at_a_share_of_the_view(columns, batch):
    """With share r looked at, the best map has deletion r / 2 and insertion 1 - r / 2."""
    what, r = toy(columns), columns / SIDE
    for left, deletion, insertion in ((True, r / 2, 1 - r / 2), (False, 1 - r / 2, r / 2)):
        order = towards(left)
        found = curve_of(what, order, "deletion", 8, batch)
        assert found.auc == pytest.approx(deletion, abs=1e-9)
        assert found.shares == tuple(k / 8 for k in range(9))
        expected = [max(0, 1 - s / r) if left else min(1, (1 - s) / r) for s in found.shares]
        assert found.probabilities == pytest.approx(expected)
        assert curve_of(what, order, "insertion", 8, batch).auc == pytest.approx(insertion)


def test_known_ends_are_not_asked_again():
    what, order, asked = toy(4), towards(True), []
    ends = ends_of(what)
    assert ends == {"deletion": (1, 0), "insertion": (0, 1)}
    for kind in ("deletion", "insertion"):
        found = curve_of(what, order, kind, 8, 4, asked.append, ends[kind])
        assert found == curve_of(what, order, kind, 8, 4)
    assert sum(asked) == 2 * 7


def test_area_by_trapezia():
    assert auc([1, 0]) == 0.5 and auc([1, 1, 1]) == 1 and auc([0, 1, 0]) == 0.5


def test_drop_and_increase():
    """The probability is the mean brightness; a map of 1 on the left half leaves half of it."""
    what = dataclasses.replace(toy(SIDE), score=lambda x: x[:, 0].mean((1, 2)))
    half = heat(np.repeat([[1.0, 0.0]], SIDE, 0).repeat(SIDE // 2, 1))
    assert drop(what, half, 1.0) == (pytest.approx(0.5, abs=1e-6), False)
    lost, rose = drop(what, half, 0.4)
    assert lost == 0 and rose
    signed = heat(np.where(half.grid > 0, 2.0, -2.0), signed=True)
    assert drop(what, signed, 1.0)[0] == pytest.approx(0.5, abs=1e-6)
    assert drop(what, half, 0.0) == (0.0, True)


def test_road_is_the_packages(monkeypatch):
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADCombined

    monkeypatch.setattr(NoisyLinearImputer.__init__, "__defaults__", (0.0, None))
    rng = torch.Generator().manual_seed(0)
    view, weight = (
        torch.rand(1, 3, SIDE, SIDE, generator=rng),
        torch.rand(SIDE, SIDE, generator=rng),
    )

    def model(x):
        return torch.stack([(x * weight).mean((1, 2, 3)), x.mean((1, 2, 3))], 1)

    grid = torch.rand(SIDE, SIDE, generator=rng).numpy()
    what = Subject(view, view, lambda x: model(x)[:, 0], ZEROS, ONES)
    order = hottest_first(grid, (SIDE, SIDE))
    cams = (1 - ranks(order) / (len(order) - 1)).reshape(1, SIDE, SIDE)
    expected = ROADCombined([20, 50, 70])(view, cams, [lambda out: out[0]], model)[0]
    found = road(what, order, (20, 50, 70), batch=4)
    assert found == pytest.approx(float(expected), abs=1e-6) and abs(found) > 1e-3


def test_a_missing_pixel_is_the_mean_of_its_neighbours():
    """One in the middle, one in a corner, and all but one."""
    pixels = torch.arange(25.0).view(1, 5, 5) ** 2
    missing = np.zeros((5, 5), bool)
    missing[2, 2] = missing[0, 0] = True
    done = filled(pixels, missing)[0]
    near = pixels[0]
    beside = near[1, 2] + near[3, 2] + near[2, 1] + near[2, 3]
    across = near[1, 1] + near[1, 3] + near[3, 1] + near[3, 3]
    assert float(done[2, 2]) == pytest.approx(float(beside / 6 + across / 12))
    corner = (near[0, 1] / 6 + near[1, 0] / 6 + near[1, 1] / 12) / (5 / 12)
    assert float(done[0, 0]) == pytest.approx(float(corner))
    assert torch.equal(done[~torch.from_numpy(missing)], pixels[0][~torch.from_numpy(missing)])
    assert torch.equal(filled(pixels, np.zeros((5, 5), bool)), pixels)
    all_but_one = np.ones((5, 5), bool)
    all_but_one[3, 1] = False
    assert torch.allclose(filled(pixels, all_but_one), torch.full((1, 5, 5), 16.0**2))


def test_road_prefers_the_map_that_knows():
    """Brightness of the left counts; the picture's left is bright, so removing it costs most."""
    view = torch.zeros(1, 3, SIDE, SIDE)
    view[..., :4] = 1
    what = Subject(view, view, lambda x: x[:, 0, :, :4].mean((1, 2)), ZEROS, ONES)
    assert road(what, towards(True), (50,)) > 0.1 > -0.1 > road(what, towards(False), (50,))


def test_the_order_is_hottest_first_and_complete():
    grid = np.array([[0, 0], [5, 1]], np.float32)
    order = hottest_first(grid, (8, 8))
    assert sorted(order.tolist()) == list(range(64))
    assert set(order[:4].tolist()) == {6 * 8, 6 * 8 + 1, 7 * 8, 7 * 8 + 1}
    assert (order == hottest_first(3 * grid, (8, 8))).all()
    zeros = np.zeros((3, 3), np.float32)
    one, other = (hottest_first(zeros, (9, 9), seed) for seed in (0, 1))
    assert (one == hottest_first(zeros, (9, 9))).all() and (one != other).any()
    assert (ranks(order)[order] == np.arange(64)).all()


def test_batches_hold_every_view_once():
    views = [torch.full((1, 3, 2, 2), float(k)) for k in range(7)]
    groups = list(in_batches(iter(views), 3))
    assert [len(group) for group in groups] == [3, 3, 1]
    assert torch.cat(groups)[:, 0, 0, 0].tolist() == list(range(7))


# On networks


def test_curves_begin_and_end_at_the_networks_answer(tiny, photo):
    plain = tiny.analyze(photo)
    for analysis in (plain, plain.with_gains({("3.0", "branch"): 0.0})):
        found = curves(analysis, analysis.cam(method="cam"), steps=4)
        own = analysis.top(1)[0]
        assert (found.index, found.label, found.complete) == (own.index, own.label, True)
        assert found.deletion.probabilities[0] == pytest.approx(own.probability, abs=1e-5)
        assert found.insertion.probabilities[-1] == pytest.approx(own.probability, abs=1e-5)
        assert found.to_dict()["deletion"]["auc"] == found.deletion.auc


def test_a_step_of_a_curve_is_its_picture(tiny_v1, photo):
    analysis = tiny_v1.analyze(photo)
    what, drawn = subject(analysis, 0), analysis.cam(0, "cam")
    assert picture_at(analysis, drawn, "deletion", 0).tobytes() == analysis.view.image.tobytes()
    assert picture_at(analysis, drawn, "insertion", 1).tobytes() == analysis.view.image.tobytes()
    half = np.asarray(picture_at(analysis, drawn, "deletion", 0.5))
    assert (half == (124, 117, 104)).all(2).sum() == pytest.approx(96 * 96 / 2, abs=3)
    assert (
        np.abs(what.pixels.numpy() * 255 - np.moveaxis(np.asarray(analysis.view.image), 2, 0)).max()
        < 1e-3
    )


def test_curves_are_cancelled_between_batches(tiny_v1, photo):
    analysis, seen = tiny_v1.analyze(photo), []
    heat_map = analysis.cam(method="cam")

    def progress(*each):
        seen.append(each)

    found = curves(
        analysis, heat_map, 4, progress=progress, cancelled=lambda: len(seen) > 1, batch=5
    )
    assert seen == [(5, 10), (10, 10)] and found.deletion and not found.insertion
    assert not found.complete and found.sentence == "The measurement was stopped early."


def test_the_league_repeats_what_is_drawn_twice(tiny_v1, photo):
    analysis, seen, partial = tiny_v1.analyze(photo), [], []
    found = league(
        analysis,
        methods=("gradcam", "hirescam", "cam", "eigencam"),
        steps=4,
        percentiles=(50,),
        progress=lambda *each: seen.append(each),
        shown=partial.append,
    )
    rows = {row.method: row for row in found.rows}
    assert set(rows) == {"gradcam", "hirescam", "cam", "eigencam"} and found.complete
    twin = rows["hirescam"]
    assert twin.same_as == "gradcam" and twin.deletion == rows["gradcam"].deletion
    assert twin.seconds == 0 and rows["gradcam"].seconds > 0
    gaps = [row.gap for row in found.rows]
    assert gaps == sorted(gaps, reverse=True)
    alone = curves(analysis, analysis.cam(), steps=4)
    gradcam = rows["gradcam"]
    assert gradcam.deletion.probabilities == pytest.approx(alone.deletion.probabilities, abs=1e-6)
    assert gradcam.insertion.auc == pytest.approx(alone.insertion.auc, abs=1e-6)
    assert gradcam.gap == pytest.approx(alone.insertion.auc - alone.deletion.auc, abs=1e-6)
    assert found.chance.method == "random" and found.chance.road is not None
    # Two curves' inner steps, the drop, and ROAD's two views, which cost twice: of four maps.
    each = 2 * 3 + 1 + 2 * 2
    assert seen[0] == (0, 5 * each) and seen[-1] == (4 * each, 4 * each)
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares)
    assert [len(one.rows) for one in partial] == [2, 3, 4]
    assert not any(one.complete or one.chance for one in partial)
    assert {row.method for row in partial[0].rows} == {"gradcam", "hirescam"}
    assert found.sentence.startswith("Most faithful here, by insertion minus deletion AUC: ")
    assert found.to_dict()["rows"][0]["gap"] == found.rows[0].gap


def test_the_league_is_cancelled_and_keeps_its_rows(tiny_v1, photo):
    done = []
    found = league(
        tiny_v1.analyze(photo),
        methods=("cam", "gradcam"),
        steps=4,
        percentiles=(),
        progress=lambda *each: done.append(each),
        cancelled=lambda: done[-1][0] >= 7,
    )
    assert not found.complete and found.chance is None
    assert [row.method for row in found.rows] in ([], ["cam"])
    at_once = league(tiny_v1.analyze(photo), methods=("cam",), cancelled=lambda: True)
    assert at_once.rows == () and at_once.sentence == "Stopped before any result."


def test_early_blocks_have_no_exact_cam_and_blank_maps_no_figures(tiny_v1, photo, monkeypatch):
    analysis = tiny_v1.analyze(photo)
    found = league(analysis, methods=("cam",), block="3.0", steps=2, percentiles=())
    assert found.skipped == ("cam",) and found.rows == () and found.complete
    blank = heat(np.zeros((3, 3)))
    monkeypatch.setattr(type(analysis), "cam", lambda *_: blank)
    row = league(analysis, methods=("gradcam",), steps=2, percentiles=()).rows[0]
    assert row.blank and row.gap is None and row.drop is None


def test_maps_are_the_same_to_a_factor():
    grid = np.random.default_rng(0).random((7, 7), np.float32)
    assert same(heat(grid), heat(3 * grid)) and not same(heat(grid), heat(grid**2))
    assert not same(heat(np.zeros((7, 7))), heat(np.zeros((7, 7))))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"steps": 1}, CompareError, "2 to 1000 steps"),
        ({"percentiles": (0,)}, CompareError, "percentiles"),
        ({"methods": ("magic",)}, CamError, "no method"),
        ({"block": "9.9"}, CamError, "no block"),
    ],
)
def test_what_the_league_refuses(tiny_v1, photo, changes, error, says):
    with pytest.raises(error, match=says):
        league(tiny_v1.analyze(photo), **{"steps": 2, "percentiles": ()} | changes)


def test_real_weights_beat_a_random_map(net):
    """Not for every photo; for the stripes of this one."""
    analysis = net.analyze(draw_photo(320, 240))
    found = league(analysis, methods=("cam",), steps=3, percentiles=())
    assert found.rows[0].gap > found.chance.gap + 0.05
