"""`compare`: the same numbers as the functions, files that are what the manifest says."""

import csv
import hashlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_photo, make_tiny
from PIL import Image

from resnet.__main__ import main
from resnet.compare import compare_answers, where_they_part
from resnet.network import ResNet50


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    draw_photo(160, 120, 0).save("a.png")
    draw_photo(120, 160, 1).save("b.png")
    return "a.png", "b.png"


@pytest.fixture
def nets(monkeypatch) -> dict[str, ResNet50]:
    """The command finds small networks under the names of the sets."""
    made = {
        "he2015": make_tiny("v1", name="he2015"),
        "imagenet1k-v1": make_tiny("v1.5", seed=3, name="imagenet1k-v1"),
    }
    monkeypatch.setattr(ResNet50, "load", lambda name, *rest: made[name])
    return made


def test_json_is_what_the_functions_say(nets, photos, capsys):
    assert main(["compare", *photos, "--json", "--top", "3"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    net = nets["he2015"]
    a, b = net.analyze(photos[0]), net.analyze(photos[1])
    answers, parting = compare_answers(a, b, 3), where_they_part(a, b)
    assert captured.err == "" and (found["file_a"], found["file_b"]) == photos
    assert [(r["label"], r["rank_a"], r["rank_b"], r["rank_change"]) for r in found["answers"]] == [
        (r.label, r.rank_a, r.rank_b, r.rank_change) for r in answers.rows
    ]
    assert found["divergence"] == pytest.approx(answers.divergence, abs=1e-6)
    assert [r["cosine"] for r in found["streams"]] == pytest.approx(
        [r.cosine for r in parting.rows], abs=1e-5
    )
    assert (found["parts_at"], found["measure"]) == (parting.block, "cosine")
    assert len(found["a"]["top"]) == 3


def test_two_sets_of_weights_on_one_photo(nets, photos, capsys):
    same = ["compare", photos[0], photos[0]]
    assert main([*same, "--json", "--weights-b", "imagenet1k-v1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["a"]["weights"], found["b"]["weights"]) == ("he2015", "imagenet1k-v1")
    assert found["measure"] == "cka" and {r["cosine"] for r in found["streams"]} == {None}
    assert main([*same, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["divergence"] == 0


def test_text_has_a_row_a_class_and_both_sentences(nets, photos, capsys):
    assert main(["compare", *photos, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = compare_answers(*map(nets["he2015"].analyze, photos), 2).rows
    assert lines[0].startswith("A: a.png, he2015; B: b.png, he2015; on cpu, fp32")
    for row, line in zip(rows, lines[2:], strict=False):
        assert row.label in line and line.endswith(f"{row.rank_a} -> {row.rank_b}")
    assert any("Jensen–Shannon" in line for line in lines)
    assert "falls most at block" in lines[-1] or "never falls" in lines[-1]


def test_the_folder_is_what_its_manifest_says(nets, photos, capsys):
    assert main(["compare", *photos, "--out", "made", "--class", "ant"]) == 0
    told = capsys.readouterr().out
    manifest = json.loads(Path("made/manifest.json").read_text())
    listed = {entry["file"]: entry for entry in manifest["files"]}
    there = {path.name for path in Path("made").iterdir()} - {"manifest.json"}
    assert there == set(listed) and f"{len(there) + 1} files" in told
    for name, entry in listed.items():
        data = Path("made", name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["bytes"] == len(data)
    net = nets["he2015"]
    assert manifest["class"] == {"index": 1, "label": "ant"}
    assert manifest["b"]["photo_sha256"] == net.analyze("b.png").photo.digest
    with open("made/answers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = json.loads(Path("made/numbers.json").read_text())
    assert [row["label"] for row in rows] == [row["label"] for row in numbers["answers"]]
    for name in ("answers.svg", "streams.svg"):
        ElementTree.parse(Path("made", name))
    for name, size in (("a.png", (160, 120)), ("b.png", (120, 160))):
        with Image.open(Path("made", name)) as picture, Image.open(name) as photo:
            assert picture.size == size
            assert np.abs(np.array(picture, int) - np.array(photo, int)).mean() > 5


def test_both_heat_maps_have_one_scale(nets, photos, monkeypatch):
    """Of one class and one set of weights: the weaker map does not fill the colours."""
    drawn = []
    monkeypatch.setattr(
        "resnet.cli.compare_files._picture", lambda a, heat, values: drawn.append(values) or b""
    )
    assert main(["compare", *photos, "--out", "made", "--class", "tiger cat"]) == 0
    net = nets["he2015"]
    maps = [net.analyze(name).cam("tiger cat").grid for name in photos]
    high = max(grid.max() for grid in maps)
    low = min(grid.min() for grid in maps)
    for values, grid in zip(drawn, maps, strict=True):
        np.testing.assert_allclose(values, (grid - low) / (high - low), atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["none.jpg", "b.png"], 1, "none.jpg: There is no file “none.jpg”."),
        (["a.png", "bad.png"], 1, "bad.png: "),
        (["-", "-"], 2, "Only one of the two photos can come from standard input."),
        (["a.png", "b.png", "--out", "no/where"], 2, "there is no folder no"),
        (["a.png", "b.png", "--out", "full"], 2, "is there already"),
        (["a.png", "b.png", "--out", "new", "--class", "wombat"], 2, "No class is called"),
        (["a.png", "b.png", "--labels", "x.txt"], 2, "--labels is for your own weights"),
        (["a.png", "b.png", "--json", "--out", "new"], 2, "not allowed with"),
        (["a.png", "b.png", "--top", "0"], 2, "not a whole number of at least 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(nets, capsys, arguments, status, sentence):
    Path("bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    Path("full").mkdir()
    Path("full/file").touch()
    assert main(["compare", *arguments]) == status
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("resnet: ") and sentence in line
    assert captured.out == "" and not Path("new/manifest.json").exists()


def test_weights_that_are_none(photos, capsys):
    assert main(["compare", *photos, "--weights-b", "resnet51"]) == 2
    assert "There are no weights named “resnet51”" in capsys.readouterr().err
