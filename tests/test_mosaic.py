"""Four examples in one: what it is made of, and that it can be had again."""

import io

import numpy as np
import pytest
from conftest import make_tiny
from PIL import Image, ImageOps

from resnet.engine import Engine
from resnet.ui import mosaic
from resnet.ui.examples import FOLDER, examples
from resnet.ui.link import asked_of, query_of


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def test_each_quarter_is_one_of_the_examples():
    with Image.open(io.BytesIO(mosaic.picture())) as whole:
        assert (whole.size, whole.format) == ((1200, 900), "JPEG")
        pixels = np.asarray(whole.convert("RGB"), float)
    for place, name in enumerate(mosaic.PARTS):
        part = ImageOps.fit(Image.open(FOLDER / name).convert("RGB"), (600, 450))
        row, column = divmod(place, 2)
        quarter = pixels[450 * row : 450 * (row + 1), 600 * column : 600 * (column + 1)]
        assert np.abs(quarter - np.asarray(part, float)).mean() < 6  # JPEG, and another filter


def test_it_names_everybody_whose_photo_is_in_it():
    said = mosaic.entry()
    for name in mosaic.PARTS:
        assert examples()[name]["author"] in said["author"]
        assert examples()[name]["licence"] in said["licence"]
    assert said["author"] in mosaic.button() and f'data-file="{mosaic.NAME}"' in mosaic.button()


def test_its_file_is_made_anew_once_it_is_swept_away(folder):
    first = mosaic.path()
    assert first.is_relative_to(folder) and first.read_bytes() == mosaic.picture()
    assert mosaic.path() == first
    first.unlink()
    assert mosaic.path().read_bytes() == mosaic.picture()
    assert [file.name for file in first.parent.iterdir()] == [mosaic.NAME]


def test_a_link_may_name_it():
    engine = Engine(make_tiny("v1"))
    query = query_of(engine, str(mosaic.path()), 2, "gradcam", "4.1", "viridis", False)
    assert f"photo={mosaic.NAME}" in query and "class=2" in query
    assert asked_of(engine, {"photo": mosaic.NAME}).photo == mosaic.NAME
