"""The report of a photo: self-contained, the same bytes twice, and made again from its arrays."""

import csv
import hashlib
import io
import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import draw_photo, make_tiny
from PIL import Image

from resnet import cam
from resnet.__main__ import main
from resnet.analysis import analyze, place
from resnet.cli import options
from resnet.cli.report import out_place, save
from resnet.detections import Detections
from resnet.detectors import DetectorError
from resnet.detectors.sighting import Sighting
from resnet.draw.overlay import overlay
from resnet.images import read_photo
from resnet.report import Choices, ReportError, files, gather, to_html, to_zip
from resnet.report.manifest import manifest
from resnet.view import look

NAMES = ("person", "dog")


@pytest.fixture(scope="module")
def small():
    """Of six blocks; its answers are less than sure, so that ranks and flips mean something."""
    net = make_tiny("v1")
    with torch.no_grad():
        net.fc.weight.mul_(0.02)
    return net


@pytest.fixture(scope="module")
def photo():
    return read_photo(draw_photo(320, 240))


def sight(name: str) -> Sighting:
    """What a detector left: three boxes, the last one weak."""
    found = Detections(
        boxes=np.array([[10, 20, 110, 220], [150, 30, 300, 200], [0, 0, 50, 50]], np.float32),
        scores=np.array([0.93, 0.71, 0.2], np.float32),
        labels=np.array([0, 1, 1]),
        names=NAMES,
        size=(320, 240),
        detector=name,
    )
    return Sighting(None, None, torch.zeros(1, 3, 8, 8), {}, found, [])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report(small, photo):
    return gather(analyze(small, photo), Choices(wanted="tiger cat"), sight)


@pytest.fixture(scope="module")
def made(report):
    return files(report)


def array(made: dict[str, bytes], name: str) -> np.ndarray:
    return np.load(io.BytesIO(made[f"arrays/{name}.npy"]), allow_pickle=False)


# One file


class Parts(HTMLParser):
    """Every element with its attributes, and that each is closed."""

    VOID = ("meta", "img", "br", "input", "hr", "link")

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-4:])
        self.open.pop()


def test_the_report_asks_nothing_of_anybody(report):
    text = to_html(report)
    parts = Parts(text)
    assert not parts.open
    for tag, attributes in parts.found:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
                assert value.startswith(("data:image/", "#")), (tag, name, value[:60])
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert "@import" not in styles
    assert all(u.startswith(("data:", "#")) for u in re.findall(r"url\(['\"]?([^)'\"]+)", text))
    assert "default-src 'none'" in text


def test_the_report_says_what_the_network_said(report, small):
    text = to_html(report)
    analysis = report.analysis
    for prediction in analysis.top(5):
        assert prediction.label in text
    assert "Every figure explains the class “tiger cat”." in text
    for title in ("Lesion board", "Signal budget", "Evidence river", "Logit ledger",
                  "Answer timeline", "Gradient highway", "Block by block"):  # fmt: skip
        assert f"<h3>{title}</h3>" in text
    assert "2 of 3 boxes by" in text and "person" in text
    assert small.spec.sha256 in text and analysis.photo.digest in text
    for live in ("Click a", "click to", "press Enter", 'role="button"', 'role="switch"'):
        assert live not in text, live  # there is nothing to press


def test_every_cut_that_flips_has_its_cross(report):
    table = re.search(r"<h3>Block by block</h3>.*?</table>", to_html(report), re.DOTALL)
    assert table
    assert table[0].count('class="flips"') == sum(r.flips for r in report.traced.lesions.rows)


def test_names_from_outside_are_escaped(photo):
    evil = '<img src=x onerror="alert(1)">'
    net = make_tiny("v1", name=evil, labels=(evil, "b", "c", "d", "e", "f", "g"))
    text = to_html(gather(analyze(net, photo), Choices(wanted=0), sight))
    assert "<img src=x" not in text
    assert not Parts(text).open


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (lambda name: (_ for _ in ()).throw(DetectorError("Its weights are not here.")),
         "Its weights are not here."),
        (None, "No detector was asked."),
    ],
    ids=["not here", "not asked"],
)  # fmt: skip
def test_without_boxes_it_is_still_a_report(small, photo, missing, sentence):
    found = gather(analyze(small, photo), Choices(), missing)
    assert found.found is None and found.choices.detector == ""
    assert sentence in to_html(found)
    made = files(found)
    assert "tables/boxes.csv" not in made and "pictures/boxes.png" not in made
    assert json.loads(made["numbers.json"])["no_boxes"] == sentence


@pytest.mark.parametrize("choices", [Choices(colours="jet"), Choices(score=1.5)])
def test_choices_that_do_not_exist(small, photo, choices):
    with pytest.raises(ReportError):
        gather(analyze(small, photo), choices)


# The bundle


def test_the_manifest_lists_every_file_with_its_hash(made, report):
    told = json.loads(made["manifest.json"])
    listed = {entry["file"]: entry for entry in told["files"]}
    assert set(listed) == set(made) - {"manifest.json"} and list(made)[-1] == "manifest.json"
    for name, entry in listed.items():
        assert entry["sha256"] == hashlib.sha256(made[name]).hexdigest()
        assert entry["bytes"] == len(made[name])
    assert told["photo"]["sha256"] == report.analysis.photo.digest
    assert told["class"] == {"index": 5, "label": "tiger cat"}
    assert told["options"]["method"] == "gradcam" and told["options"]["block"] == "4.1"
    assert {"python", "torch", "numpy", "pillow"} <= set(told["versions"])
    assert "date" not in told and "seconds" not in json.dumps(told)


def test_the_same_photo_gives_the_same_bytes(made, report, small, photo):
    again = gather(analyze(small, photo), Choices(wanted=5), sight)
    for name, data in files(again).items():
        assert data == made[name], name
    assert to_zip(again) == to_zip(report)


def test_a_date_is_in_it_only_if_the_environment_names_one(report, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert manifest(report)["date"] == "2023-11-14T22:13:20+00:00"
    with zipfile.ZipFile(io.BytesIO(to_zip(report))) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "date" not in manifest(report)


def test_the_zip_holds_the_files_and_nothing_of_their_owner(made, report):
    with zipfile.ZipFile(io.BytesIO(to_zip(report))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(made)
        for info in archive.infolist():
            assert archive.read(info) == made[info.filename]
            assert info.external_attr >> 16 == 0o644


def test_the_answer_can_be_made_again_from_the_input(made, small):
    """With the weights alone: no photo, no cropping."""
    trace = small.trace(torch.from_numpy(array(made, "input")))
    np.testing.assert_allclose(trace.logits[0].numpy(), array(made, "logits"), atol=1e-5)
    chances = torch.from_numpy(array(made, "logits")).softmax(0)
    np.testing.assert_allclose(chances.numpy(), array(made, "probabilities"), atol=1e-6)
    told = json.loads(made["numbers.json"])["top"]
    order = chances.argsort(descending=True, stable=True)[: len(told)].tolist()
    assert [row["index"] for row in told] == order
    grid = cam.heatmap(small, trace, 5).grid
    np.testing.assert_allclose(grid, array(made, "heatmap"), atol=1e-5)


def test_the_heat_map_s_picture_can_be_made_again_from_its_array(made, small):
    """From the JPEG in the bundle, whose pixels differ a little from the photo's."""
    told = json.loads(made["numbers.json"])
    with Image.open(io.BytesIO(made["pictures/photo.jpg"])) as image:
        picture = image.convert("RGB")
    seen = look(read_photo(picture), small.spec)
    assert list(seen.box) == told["box"]
    values = cam.scale(array(made, "heatmap"))
    drawn = overlay(picture, place(values, seen, picture.size), seen.box, "viridis", 0.55)
    with Image.open(io.BytesIO(made["pictures/heatmap.png"])) as image:
        there = np.array(image, int)
    assert np.abs(there - np.array(drawn, int)).mean() < 2
    assert np.abs(there - np.array(picture, int)).mean() > 20


def test_the_arrays_are_those_of_the_figures(made, report):
    traced = report.traced
    for row in traced.evidence.blocks:
        both = array(made, f"evidence-{row.block}")
        assert both.sum((1, 2)) == pytest.approx([row.shortcut, row.branch], rel=1e-3, abs=1e-3)
    told = json.loads(made["numbers.json"])
    assert [float(r["score"]) for r in told["boxes"]] == pytest.approx([0.93, 0.71, 0.2])
    np.testing.assert_allclose(array(made, "boxes"), [r["box"] for r in told["boxes"]])


def test_the_tables_are_the_numbers(made, report):
    with io.StringIO(made["tables/blocks.csv"].decode()) as file:
        rows = list(csv.DictReader(file))
    assert [row["block"] for row in rows] == list(report.analysis.net.block_names)
    lesions = report.traced.lesions
    for row in rows:
        for wire in ("shortcut", "branch"):
            cut = lesions[row["block"], wire]
            assert float(row[f"cut_{wire}"]) == pytest.approx(cut.change)
            assert row[f"flips_{wire}"] == str(cut.flips)
    stream = report.analysis.blocks["3.0"].branch
    expected = float(stream.double().square().mean().sqrt())
    by_block = {row["block"]: row for row in rows}
    assert float(by_block["3.0"]["rms_branch"]) == pytest.approx(expected, rel=1e-5)


# The command


@pytest.fixture
def here(tmp_path, monkeypatch, small) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "load_network", lambda _: small)
    draw_photo(320, 240).save("cat.png")
    return tmp_path


def test_the_command_writes_a_folder(here, capsys):
    assert main(["report", "cat.png", "--detector", "none", "--class", "ant"]) == 0
    told = capsys.readouterr().out
    there = {p.relative_to("cat.report").as_posix() for p in Path("cat.report").rglob("*.*")}
    listed = json.loads(Path("cat.report/manifest.json").read_text())["files"]
    assert {entry["file"] for entry in listed} == there - {"manifest.json"}
    assert f"Written to cat.report: {len(there)} files" in told


def test_a_place_s_name_says_what_is_written(here, report, made):
    save(report, Path("all.zip"))
    assert Path("all.zip").read_bytes() == to_zip(report)
    save(report, Path("page.html"))
    assert Path("page.html").read_bytes() == made["report.html"]


def test_the_command_in_the_manifest_makes_the_same_report(here, report, made, monkeypatch):
    words = json.loads(made["manifest.json"])["command"].split()
    assert words[:4] == ["python", "-m", "resnet", "report"]
    words = [{"PHOTO": "cat.png", "DIR": "again.html"}.get(word, word) for word in words[3:]]
    monkeypatch.setattr("resnet.detect.sight", lambda net, source, name: sight(name))
    assert main(words) == 0
    # The digest is of the file here and of the pixels there; all else is the same.
    one = Path("again.html").read_text("utf-8")
    digest = hashlib.sha256(Path("cat.png").read_bytes()).hexdigest()
    assert one.replace(digest, report.analysis.photo.digest) == to_html(report)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["none.jpg"], 1, "none.jpg: There is no file “none.jpg”."),
        (["cat.png", "--out", "no/where"], 2, "there is no folder no"),
        (["cat.png", "--out", "cat.png"], 2, "is there already"),
        (["cat.png", "--class", "wombat", "--detector", "none"], 2, "No class is called"),
        (["cat.png", "--block", "9.9", "--detector", "none"], 2, "There is no block “9.9”."),
        (["cat.png", "--detector", "yolo"], 2, "There is no detector “yolo”."),
        (["cat.png", "--score", "2"], 2, "not a number from 0 to 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(here, capsys, arguments, status, sentence):
    assert main(["report", *arguments]) == status
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("resnet: ") and sentence in line and captured.out == ""
    assert not Path("cat.report").exists()


def test_an_empty_folder_takes_the_report_a_full_one_does_not(here):
    Path("empty").mkdir()
    assert out_place("empty", "cat.png") == Path("empty")
    Path("empty/file").touch()
    with pytest.raises(options.UsageError, match="is there already"):
        out_place("empty", "cat.png")
