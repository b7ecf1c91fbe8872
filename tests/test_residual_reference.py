"""Reference quartiles: how they are made, what ships, and when they are hidden."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import draw_photo

from resnet.residual import Reference, lesions, load_reference, signal_budget
from resnet.residual.reference import FOLDER
from resnet.train.reference import class_of, measure, photos_in, reference
from resnet.train.tally import Tally, interval


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        draw_photo(120, 100, seed=number).save(tmp_path / f"{number:04d}_thing.png")
    (tmp_path / "0005_broken.jpg").write_bytes(b"\xff\xd8 no photo")
    (tmp_path / "notes.txt").write_text("not a photo")
    return tmp_path


def test_the_file_holds_the_quartiles_of_its_photos(tiny_v1, folder, capsys):
    content = reference(tiny_v1, folder)
    assert content["photos"] == 4
    assert "0005_broken.jpg" in capsys.readouterr().err
    traces = [tiny_v1.analyze(str(p)).trace for p in sorted(folder.glob("*.png"))]
    ratios = [signal_budget(trace).blocks[2].ratio for trace in traces]
    found = content["figures"]["budget.ratio"]["2.1"]
    np.testing.assert_allclose(found, np.percentile(ratios, (25, 50, 75)), rtol=1e-4)
    boards = [lesions(tiny_v1, trace) for trace in traces]
    flips = np.mean([board["3.0", "shortcut"].flips for board in boards])
    assert content["shares"]["lesions.shortcut.flips"]["3.0"] == pytest.approx(flips)
    right = np.mean([board.answer.index == i for i, board in enumerate(boards)])
    assert content["science"]["accuracy"]["baseline"][0] == pytest.approx(right)
    json.dumps(content, allow_nan=False)


def test_the_same_photos_give_the_same_file(tiny_v1, folder):
    first, again = (reference(tiny_v1, folder, limit=2, quiet=True) for _ in range(2))
    assert first == again
    other = reference(tiny_v1, folder, limit=1, quiet=True)
    assert other["inputs"]["sha256"] != first["inputs"]["sha256"]


def test_photos_without_a_class_give_no_accuracy(tiny_v1, tmp_path):
    draw_photo(120, 100).save(tmp_path / "cat.png")
    assert reference(tiny_v1, tmp_path, quiet=True)["science"] == {}
    with pytest.raises(ValueError):
        reference(tiny_v1, tmp_path, limit=0)


def test_an_interrupt_keeps_what_was_measured(tiny_v1, folder, monkeypatch, capsys):
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        measure(*arguments)

    monkeypatch.setattr("resnet.train.reference.measure", interrupted)
    assert reference(tiny_v1, folder, quiet=True)["photos"] == 2
    assert "Stopped" in capsys.readouterr().err


def test_order_and_class_come_from_the_name(folder):
    names = [path.name for path in photos_in(folder)]
    assert len(names) == 5 and names != sorted(names)
    assert class_of(folder / "0003_thing.png", 7) == 3
    assert class_of(folder / "0007_thing.png", 7) is None
    assert class_of(folder / "cat.png", 7) is None


def test_interval_is_wilsons():
    # Newcombe 1998, table I: 81 of 263
    assert interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


def test_tally_leaves_out_what_has_no_value():
    tally = Tally()
    for value in (1.0, float("nan"), 3.0):
        tally.add("figure", "part", value)
    assert tally.quartiles() == {"figure": {"part": [1.5, 2.0, 2.5]}}


def test_the_shipped_reference_belongs_to_the_shipped_weights(net):
    found = load_reference(net.spec)
    assert isinstance(found, Reference) and found.photos >= 200
    assert str(found.photos) in found.caption
    for figure in ("budget.ratio", "evidence.shortcut_share", "lesions.branch.change",
                   "lesions.shortcut.change", "readouts.probability"):  # fmt: skip
        quartiles = found.quartiles(figure)
        assert list(quartiles) == list(net.block_names), figure
        assert all(low <= middle <= high for low, middle, high in quartiles.values())
    assert set(found.quartiles("ledger.share")) == {"bias", "P", "F4.0", "F4.1", "F4.2"}
    assert found.quartiles("nothing") == {}
    assert (FOLDER / "he2015.json").stat().st_size < 60_000


def test_other_weights_have_no_reference_and_the_reason_is_said(net):
    other = load_reference(replace(net.spec, sha256="0" * 64))
    assert not other and "another file" in other.reason
    unhashed = load_reference(replace(net.spec, sha256=""))
    assert not unhashed and unhashed.reason
    unknown = load_reference(replace(net.spec, name="mine"))
    assert not unknown and "mine" in unknown.reason
    assert not load_reference(replace(net.spec, name="../reference/he2015"))


@pytest.mark.shared_data
def test_the_shipped_quartiles_are_those_of_the_photos(net, imagenet500):
    """Half of the photos lie between the outer quartiles: 24 of them, with room for chance."""
    shipped = load_reference(net.spec)
    budgets = [signal_budget(net.analyze(str(path)).trace) for path in imagenet500[::21]]
    for figure in ("ratio", "novelty"):
        inside = [
            low <= getattr(row, figure) <= high
            for budget in budgets
            for row in budget.blocks
            for low, _, high in [shipped.quartiles(f"budget.{figure}")[row.block]]
        ]
        assert 0.3 < np.mean(inside) < 0.7
