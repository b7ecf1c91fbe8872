"""What cuts do to the boxes, and how it is drawn."""

import copy
import json
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from why_detectors import NAMES, seen_by, small_offline

from resnet.backends.prepacked import has_bf16
from resnet.detect import FLOOR
from resnet.detections import Detections
from resnet.detectors.sighting import Sighting
from resnet.draw.cuts_figure import cuts_figure
from resnet.network import Block, ResNet50
from resnet.residual import PlanError, baseline, repeated, swapped
from resnet.why import Cut, Fate, cut_board, under, under_plan
from resnet.why.cuts import _from_stage, compare

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<b>"cat"</b> & co'


@pytest.fixture(scope="module", params=["v1", "v1.5"])
def small(request, photo) -> Sighting:
    return seen_by(small_offline(variant=request.param), photo)


@pytest.fixture(scope="module")
def threshold(small) -> float:
    """So high that nine boxes count."""
    return float(small.found.scores[8])


@pytest.fixture(scope="module")
def board(small, threshold):
    return cut_board(small, threshold)


def found(*rows: tuple) -> Detections:
    """(x0, y0, x1, y1, label, score) each, best first."""
    values = np.array(rows, float).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 5], values[:, 4], NAMES, (100, 100), "x")


def same(one: Detections, other: Detections) -> bool:
    """Bit for bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("boxes", "scores", "labels")
    )


# Who is still there


def test_fates_by_hand():
    before = found(
        (0, 0, 10, 10, 0, 0.9),
        (20, 0, 30, 10, 1, 0.8),
        (40, 0, 50, 10, 2, 0.7),
        (60, 0, 70, 10, 0, 0.6),
        (80, 0, 90, 10, 0, 0.6),
    )
    after = found(
        (20, 0, 30, 10, 2, 0.95),  # there is another name now
        (0, 0, 10, 8, 0, 0.5),  # IoU 0.8: stays
        (50, 50, 60, 60, 1, 0.5),  # new
        (40, 0, 50, 10, 2, 0.3),  # too faint
        (20, 0, 30, 9, 1, 0.2),
        (84, 0, 94, 10, 0, 0.1),  # IoU 6/14: another place
    )
    cut = compare("2.1", "shortcut", before, after, 0.5)
    assert cut.fates == (
        Fate("stays", "bird", 0.5),
        Fate("renamed", "dog", pytest.approx(0.2)),
        Fate("vanishes", "", pytest.approx(0.3)),
        Fate("vanishes", "", None),
        Fate("vanishes", "", None),
    )
    assert (cut.stay, cut.renamed, cut.vanish, cut.new) == (1, 1, 3, 1)
    assert cut.share == pytest.approx(0.2)


def test_the_edges_of_score_and_overlap_count():
    before = found((0, 0, 10, 10, 0, 0.9))
    half = (0, 0, 10, 5, 0)  # an IoU of exactly one half
    assert compare("1.0", "branch", before, found((*half, 0.5)), 0.5).stay == 1
    assert compare("1.0", "branch", before, found((*half, 0.49)), 0.5).vanish == 1
    assert compare("1.0", "branch", before, found((0, 0, 10, 4.9, 0, 0.9)), 0.5).new == 1


def test_each_box_is_used_once_and_the_nearest_goes_first():
    before = found((0, 0, 10, 10, 0, 0.9), (2, 0, 12, 10, 0, 0.8))
    one = compare("1.0", "branch", before, found((2, 0, 12, 10, 0, 0.9)), 0.5)
    assert [fate.what for fate in one.fates] == ["vanishes", "stays"]
    both = compare("1.0", "branch", before, before, 0.5)
    assert [(f.what, f.score) for f in both.fates] == [
        ("stays", pytest.approx(0.9)),
        ("stays", pytest.approx(0.8)),
    ]


def test_nothing_against_something():
    one = found((0, 0, 10, 10, 0, 0.9))
    assert compare("1.0", "branch", found(), one, 0.5).new == 1
    assert compare("1.0", "branch", one, found(), 0.5).vanish == 1


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ((1, 0, 6, 0), "Cut the shortcut of 2.1 and 6 of 7 boxes vanish."),
        ((6, 0, 1, 0), "Cut the shortcut of 2.1 and 1 of 7 boxes vanishes."),
        ((7, 0, 0, 0), "Cut the shortcut of 2.1 and all 7 boxes stay."),
        ((0, 0, 1, 0), "Cut the shortcut of 2.1 and the only box vanishes."),
        ((1, 0, 0, 0), "Cut the shortcut of 2.1 and the only box stays."),
        ((4, 1, 2, 1), "Cut the shortcut of 2.1 and 2 of 7 boxes vanish, 1 gets another name, "
                       "1 new one appears."),
        ((5, 2, 0, 3), "Cut the shortcut of 2.1 and no box vanishes, 2 get another name, "
                       "3 new ones appear."),
    ],
)  # fmt: skip
def test_sentences(counts, wanted):
    stay, renamed, vanish, new = counts
    fates = (Fate("stays", "cat", 0.9),) * (stay + renamed + vanish)
    assert Cut("2.1", "shortcut", stay, renamed, vanish, new, fates).sentence == wanted


# Cuts and gains


def test_full_gains_change_nothing_bit_for_bit(small):
    names = small.detector.trunk.block_names
    assert under(small, {}) is small.found
    assert under(small, np.ones((6, 2))) is small.found
    assert len(small.found) > 9
    for stage in "1234":
        assert same(_from_stage(small, baseline(names), stage), small.found)


@pytest.mark.skipif(not has_bf16(), reason="no bf16 on this processor")
def test_in_bf16_too_full_gains_change_nothing_bit_for_bit(photo):
    detector = small_offline()
    detector.trunk.precision = "bf16"
    seen = seen_by(detector, photo)
    assert seen.streams["4"].dtype == torch.bfloat16 and len(seen.found) > 9
    names = detector.trunk.block_names
    for stage in "1234":
        assert same(_from_stage(seen, baseline(names), stage), seen.found)
    score = float(seen.found.scores[8])
    for row in cut_board(seen, score).rows:
        after = under(seen, {(row.block, row.wire): 0.0})
        assert compare(row.block, row.wire, seen.found.above(score), after, score) == row


def without(trunk: ResNet50, block: str, wire: str) -> ResNet50:
    """A copy with the wire removed by hand."""
    changed = copy.deepcopy(trunk)
    part = changed.block(block)
    if wire == "shortcut":
        own = part.shortcut
        part.shortcut = lambda x: torch.zeros_like(own(x))
    else:
        part.bn3.weight.zero_()
        part.bn3.bias.zero_()
    return changed


def test_a_cut_is_a_trunk_whose_wire_was_removed_by_hand(small, board, threshold, photo):
    detector = small.detector
    before = small.found.above(threshold)
    assert len(before) >= 9 and len(board.rows) == 12
    for row in board.rows:
        removed = copy.copy(detector)
        object.__setattr__(removed, "trunk", without(detector.trunk, row.block, row.wire))
        wanted = seen_by(removed, photo, FLOOR).found
        assert same(under(small, {(row.block, row.wire): 0.0}), wanted)
        assert compare(row.block, row.wire, before, wanted, threshold) == row
    assert any(row.vanish for row in board.rows) and any(row.stay for row in board.rows)


def test_any_gains(small):
    gains = {("2.1", "branch"): 0.5, ("3.0", "shortcut"): 1.5, ("4.1", "branch"): 2.0}
    detector = small.detector
    with torch.inference_mode():
        x, streams = detector.trunk.stem(small.input), {}
        for name in detector.trunk.block_names:
            block = detector.trunk.block(name)
            s, f = block.shortcut(x), block.branch(x)
            g_s, g_f = (gains.get((name, wire), 1.0) for wire in ("shortcut", "branch"))
            x = streams[name[0]] = torch.relu(g_s * s + g_f * f)
        raw = detector.answer(streams, small.input)
        wanted, _ = detector.decode(raw, small.input, small.photo.size, FLOOR)
    changed = under(small, gains)
    assert same(changed, wanted) and not same(changed, small.found)
    assert changed.seconds >= changed.trunk_seconds > 0
    with pytest.raises(PlanError):
        under(small, {("9.9", "branch"): 0.0})


def test_repeats_and_their_half_steps(small):
    trunk = small.detector.trunk
    twice, halves = (
        under_plan(small, repeated(trunk, ["2.1"], 2, scaled=scaled)) for scaled in (False, True)
    )
    assert not same(twice, small.found) and not same(twice, halves)
    with pytest.raises(PlanError):
        swapped(trunk, "2.0", "2.1")


def test_what_lies_before_a_cut_runs_once(small, threshold, monkeypatch):
    calls = {"stem": 0, "wires": 0}
    for owner, name in ((ResNet50, "stem"), (Block, "wires")):
        own = getattr(owner, name)
        second = [id(block) for block in small.detector.tail.blocks]  # not of the trunk

        def counted(*args, own=own, name=name, second=second, **kwargs):
            calls[name] += id(args[0]) not in second
            return own(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)
    seen = []
    cut_board(small, threshold, lambda done, of: seen.append((done, of)))
    assert calls == {"stem": 1, "wires": 6 + 2 * (5 + 4 + 3 + 2 + 1)}
    assert seen == [(k, 12) for k in range(1, 13)]


def test_what_progress_raises_ends_the_work(small, threshold):
    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_board(small, threshold, stop)


def test_a_board_adds_up_and_is_json(board, threshold, small):
    count = len(small.found.above(threshold))
    for row in board.rows:
        assert row.stay + row.renamed + row.vanish == count == len(row.fates)
        assert board[row.block, row.wire] is row
        assert all((fate.what == "stays") <= (fate.score >= threshold) for fate in row.fates
                   if fate.score is not None)  # fmt: skip
    assert board.worst.vanish == max(row.vanish for row in board.rows)
    assert board.sentence == board.worst.sentence
    assert set(board.scores(2)) == {(row.block, row.wire) for row in board.rows}
    assert board.scores(2)["4.1", "branch"] == board["4.1", "branch"].fates[2].score
    read = json.loads(json.dumps(board.to_dict(), allow_nan=False))
    assert len(read["boxes"]) == count and len(read["rows"]) == 12
    assert read["rows"][0]["share"] == board.rows[0].share
    with pytest.raises(KeyError):
        board["9.9", "branch"]


def test_no_boxes_need_no_cuts(small):
    seen = []
    empty = cut_board(small, 1.0, lambda *done: seen.append(done))
    assert empty.rows == () and empty.worst is None and not seen
    assert "Nothing was found" in empty.sentence
    assert empty.sentence in cuts_figure(json.loads(json.dumps(empty.to_dict())))


# The figure


def drawing(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup[markup.index("<svg") : markup.index("</svg>") + 6])


def groups(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [g for g in root.iter(f"{SVG}g") if g.get("class") == kind]


def plain_board(**changes) -> dict:
    """Two blocks, four boxes."""

    def row(block, wire, whats):
        fates = [{"what": w, "label": "dog" if w == "renamed" else "", "score": s}
                 for w, s in whats]  # fmt: skip
        n = {w: sum(fate["what"] == w for fate in fates) for w in ("stays", "renamed", "vanishes")}
        return {"block": block, "wire": wire, "stay": n["stays"], "renamed": n["renamed"],
                "vanish": n["vanishes"], "new": 2, "fates": fates}  # fmt: skip

    stays, renamed, gone = ("stays", 0.8), ("renamed", 0.1), ("vanishes", None)
    return {
        "threshold": 0.5,
        "floor": 0.05,
        "same_iou": 0.5,
        "sentence": "Cut the shortcut of 2.0 and 4 of 4 boxes vanish.",
        "boxes": [{"box": [0, 0, 1, 1], "label": EVIL, "score": 0.9, "index": k} for k in range(4)],
        "rows": [
            row("1.0", "branch", [stays] * 4),
            row("1.0", "shortcut", [stays, stays, stays, gone]),
            row("2.0", "branch", [renamed, stays, gone, gone]),
            row("2.0", "shortcut", [gone] * 4),
        ],
    } | changes


def test_bars_are_the_shares_that_stay_on_one_scale():
    root = drawing(cuts_figure(plain_board()))
    bars = groups(root, "column")
    heights = [
        [float(r.get("height")) for r in g.iter(f"{SVG}rect") if "mark" in r.get("class")]
        for g in bars
    ]
    whole = heights[0][0]
    assert [h[0] / whole for h in heights] == pytest.approx([1, 0.75, 0.25, 0], abs=1e-3)
    assert [len(h) for h in heights] == [1, 1, 2, 1]
    assert heights[2][1] / whole == pytest.approx(0.25, abs=1e-3)
    assert not list(root.iter(f"{SVG}circle"))  # nothing was chosen
    said = bars[2].find(f"{SVG}title").text
    assert said == "Branch of 2.0 cut: 1 of 4 boxes stay, 1 with another name, 2 gone, 2 new"


def test_the_chosen_boxs_fate_is_marked_and_its_score_printed():
    markup = cuts_figure(plain_board(), chosen=0)
    bars = groups(drawing(markup), "column")
    marks = [
        (
            len(list(g.iter(f"{SVG}circle"))),
            sum(t.text == "≠" for t in g.iter(f"{SVG}text")),
            sum(p.get("class") == "flip" for p in g.iter(f"{SVG}path")),
        )
        for g in bars
    ]
    assert marks == [(1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert "90.0 % → below 5 %" in bars[3].find(f"{SVG}title").text
    assert "becomes dog, 90.0 % → 10.0 %" in bars[2].find(f"{SVG}title").text
    assert "score, shortcut cut of 2.0: &lt;5 %" in markup
    assert "vanishes under 1 of them" in markup
    assert EVIL not in markup
    assert cuts_figure(plain_board(), chosen=9) == cuts_figure(plain_board())


def test_bars_can_be_buttons():
    root = drawing(cuts_figure(plain_board(), chosen=1, buttons=True))
    buttons = groups(root, "cut-button")
    assert [b.get("data-key") for b in buttons] == [
        "1.0:branch", "1.0:shortcut", "2.0:branch", "2.0:shortcut"]  # fmt: skip
    assert all(b.get("tabindex") == "0" and b.get("role") == "button" for b in buttons)
    assert "4 gone" in buttons[3].get("aria-label")
    assert root.get("role") == "group"


def test_a_real_board_is_drawn(board):
    root = drawing(cuts_figure(board.to_dict(), chosen=0))
    assert len(groups(root, "column")) == 12
    assert board.sentence.rstrip(".") in root.get("aria-label")
