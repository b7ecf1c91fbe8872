"""The selected block to take away: the same values as the maps, in a picture, a table and JSON."""

import base64
import csv
import io
import json

import numpy as np
import pytest
from conftest import draw_photo, make_tiny
from PIL import Image

from resnet.engine import Engine
from resnet.residual import evidence
from resnet.residual.maps import block_maps
from resnet.ui.bench import Bench
from resnet.ui.panel_files import as_csv, as_json, as_png


@pytest.fixture(scope="module")
def engine():
    return Engine(make_tiny("v1"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    path = tmp_path_factory.mktemp("panel") / "photo.png"
    draw_photo(160, 120).save(path)
    return Bench(path=str(path), index=4, selected="2.1")


def content(file: dict[str, str]) -> bytes:
    return base64.b64decode(file["href"].partition(",")[2])


def test_table_and_json_hold_the_maps_and_the_evidence(engine, bench):
    trace = engine.open(bench.path).trace
    maps = block_maps(trace, "2.1", "mean")
    split = evidence(engine.net, trace, 4)["2.1"]
    file = as_csv(engine, bench, "mean", 0, "local", False)
    rows = list(csv.DictReader(io.StringIO(content(file).decode())))
    assert file["name"] == "block-2.1.csv" and len(rows) == maps.sum.size
    for row in rows:
        at = int(row["y"]), int(row["x"])
        assert float(row["shortcut"]) == pytest.approx(float(maps.shortcut[at]), rel=1e-5)
        both = float(row["shortcut"]) + float(row["branch"])
        assert float(row["sum"]) == pytest.approx(both, abs=1e-5)
        assert float(row["evidence_branch"]) == pytest.approx(
            float(split.branch_map[at]), rel=1e-3, abs=1e-5
        )
    told = json.loads(content(as_json(engine, bench, "mean", 0, "local", False)))
    np.testing.assert_allclose(told["maps"]["branch"], maps.branch, rtol=1e-5)
    assert told["manifest"]["class"] == {"index": 4, "label": "tabby cat"}
    assert told["maps"]["block"] == "2.1"


@pytest.mark.parametrize("scope", ["local", "global"])
def test_the_picture_shows_the_four_side_by_side(engine, bench, scope):
    file = as_png(engine, bench, "channel", 99999, scope, True)  # no such channel: the last one
    with Image.open(io.BytesIO(content(file))) as picture:
        assert picture.format == "PNG" and picture.width == 2000
        assert 400 < picture.height < 700
        colours = np.array(picture.convert("RGB"))
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 100
