"""Inputs hand on what was uploaded here, and no other file of the server."""

from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import FileData, ImageData, ListFiles

from resnet.ui.batch_input import FilesInput
from resnet.ui.photo_button import PhotoButton
from resnet.ui.photo_input import PhotoInput

WAYS = {
    "photo": (PhotoInput, lambda path: ImageData(path=path)),
    "button": (PhotoButton, lambda path: FileData(path=path)),
    "files": (FilesInput, lambda path: ListFiles([FileData(path=path)])),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "uploads"
    place.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(place))
    return place


@pytest.mark.parametrize("way", WAYS)
def test_an_upload_is_handed_on_and_nothing_else(way, folder):
    kind, sent = WAYS[way]
    part, inside = kind(), folder / "a.png"
    inside.touch()
    found = part.preprocess(sent(str(inside)))
    assert found == ([str(inside)] if way == "files" else str(inside))
    outside = folder.parent / "secret.png"
    outside.touch()
    for path in (outside, folder / ".." / "secret.png", "/etc/hostname", ""):
        with pytest.raises(gr.Error, match="was not uploaded here") as caught:
            part.preprocess(sent(str(path)))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_nothing(way):
    assert not WAYS[way][0]().preprocess(None)
