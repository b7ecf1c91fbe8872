"""Compare: how much of a heat map lies in a box, by counting pixels."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import draw_photo

from resnet.cam import HeatMap, enlarge
from resnet.compare import CompareError, pointing
from resnet.view import View

GRID = np.array([[0, 1, 0, 0], [2, 9, 3, 0], [0, 4, 1, 0], [0, 0, 0, 0]], np.float32)


def heat(grid, method="gradcam", signed=False):
    return HeatMap(np.asarray(grid, np.float32), 0, method, "4.2", signed)


def seen(box, size, side=64):
    """An analysis as far as its view goes."""
    return SimpleNamespace(view=View(draw_photo(side, side), box, size))


WIDE = seen((50.0, 0.0, 178.0, 128.0), (228, 128))  # two photo pixels a view pixel


def test_share_and_area_are_counts_of_pixels():
    found = pointing(WIDE, (70, 20, 130, 84), [heat(GRID)])
    mass = enlarge(GRID, (64, 64)).astype(np.float64)
    share = mass[10:42, 10:40].sum() / mass.sum()
    row = found.rows[0]
    assert found.area == pytest.approx(32 * 30 / 64**2) and found.outside == 0
    assert row.share == pytest.approx(share, abs=1e-9)
    assert row.times == pytest.approx(share / found.area)
    assert row.name == "Grad-CAM"
    # the middle of cell (1, 1) of 4 x 4
    assert row.peak == (50 + 1.5 / 4 * 128, 1.5 / 4 * 128) and row.hit
    assert found.to_dict()["rows"][0]["share"] == row.share


def test_parts_add_up_also_through_pixels():
    edges = ((50, 100.3, 178), (0, 33.7, 128))
    boxes = [
        (edges[0][i], edges[1][j], edges[0][i + 1], edges[1][j + 1]) for i in (0, 1) for j in (0, 1)
    ]
    found = [pointing(WIDE, box, [heat(GRID)]) for box in boxes]
    assert sum(each.rows[0].share for each in found) == pytest.approx(1, abs=1e-9)
    assert sum(each.area for each in found) == pytest.approx(1, abs=1e-9)
    assert sum(each.rows[0].hit for each in found) == 1


def test_the_whole_view_holds_everything():
    found = pointing(WIDE, (0, 0, 228, 128), [heat(GRID)])
    assert found.area == 1 and found.rows[0].share == pytest.approx(1)
    assert found.outside == pytest.approx(100 / 228)
    assert "43.9 % of the box lies outside" in found.sentence


def test_negative_mass_does_not_count():
    signed = heat([[1, -9], [0, 0]], "cam", signed=True)
    found = pointing(WIDE, (50, 0, 114, 64), [signed])
    mass = np.maximum(enlarge(signed.grid, (64, 64)), 0).astype(np.float64)
    assert found.rows[0].share == pytest.approx(mass[:32, :32].sum() / mass.sum())
    only_against = heat([[-1, -9], [-2, -3]], "cam", signed=True)
    assert pointing(WIDE, (50, 0, 114, 64), [only_against]).rows[0].share is None


def test_a_blank_map_is_not_measured():
    maps = {"blank": heat(np.zeros((7, 7))), "flat": heat(np.ones((7, 7))), "ours": heat(GRID)}
    found = pointing(WIDE, (70, 20, 130, 84), maps)
    blank, flat, ours = found.rows
    assert (blank.share, blank.hit, flat.share, flat.peak) == (None, None, None, None)
    assert ours.hit and "ours puts the most into the box" in found.sentence
    assert "1 of 1 map has its highest point inside." in found.sentence
    alone = pointing(WIDE, (70, 20, 130, 84), [heat(np.zeros((7, 7)))])
    assert alone.sentence.startswith("None of the maps highlights anything")


def test_a_tolerance_lets_a_near_peak_hit():
    box = (50 + 60, 30, 178, 128)  # the peak is at x = 98, 12 pixels to the left
    assert not pointing(WIDE, box, [heat(GRID)]).rows[0].hit
    assert not pointing(WIDE, box, [heat(GRID)], tolerance=11.9).rows[0].hit
    assert pointing(WIDE, box, [heat(GRID)], tolerance=12).rows[0].hit


def test_maps_that_are_level_are_named_together():
    found = pointing(WIDE, (70, 20, 130, 84), {"one": heat(GRID), "two": heat(2 * GRID)})
    assert found.sentence.startswith("one and two put the most")
    assert "2 of 2 maps have" in found.sentence


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((0, 0, 49, 128), "outside what the network saw"),
        ((300, 0, 400, 128), "nothing of the photo"),
        ((9, 9, 9, 9), "nothing of the photo"),
        ((0, 0, float("inf"), 9), "four numbers"),
    ],
)
def test_boxes_that_hold_nothing(box, says):
    with pytest.raises(CompareError, match=says):
        pointing(WIDE, box, [heat(GRID)])


def test_no_map_is_refused():
    with pytest.raises(CompareError, match="at least one"):
        pointing(WIDE, (70, 20, 130, 84), [])


def test_a_real_analysis(tiny_v1, photo):
    analysis = tiny_v1.analyze(photo)
    maps = {"cam": analysis.cam(method="cam")}
    x0, y0, x1, y1 = analysis.view.box
    found = pointing(analysis, (x0, y0, (x0 + x1) / 2, y1), maps)
    assert found.area == pytest.approx(0.5) and 0 < found.rows[0].share < 1
