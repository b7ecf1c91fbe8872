"""`python -m resnet detect`: rows, table, pictures, errors."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from resnet import ResNet50, detectors
from resnet.__main__ import main
from resnet.cli import detect
from resnet.detections import Detections
from resnet.detectors.sighting import OneLook
from resnet.draw import box_picture as drawing
from resnet.draw.box_colours import colour_of

NAMES = ("person", "motorbike", "dog\x1b[31m")
ROW = ["file", "detector", "seconds", "width", "height", "detections"]


class Fake(OneLook):
    """Says the same of every photo: a person in its left half, a motorbike in a corner."""

    info = SimpleNamespace(name="fake", full=False)

    def __init__(self, trunk: ResNet50):
        self.trunk = trunk
        self.floors: list[float] = []
        self.masked = False

    def prepare(self, photo, look=0):
        return torch.zeros(1, 3, 32, 32)

    def answer(self, streams, x):
        return None

    def decode(self, raw, x, size, floor):
        self.floors.append(floor)
        width, height = size
        share = np.array([[0, 0, 0.5, 1], [0.75, 0.75, 1, 0.875], [0, 0, 1, 1]])
        masks = np.ones((3, 4, 4), bool) if self.masked else None
        found = Detections(
            share * (width, height, width, height),
            [0.87654321, 0.5, 0.25],
            [0, 1, 2],
            NAMES,
            size,
            "fake",
            masks=masks,
        )
        return found.above(floor), [(0,), (1,), (2,)]


@pytest.fixture(autouse=True)
def fake(tiny_v1, tmp_path, monkeypatch) -> Fake:
    made = Fake(tiny_v1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ResNet50, "load", lambda *args: tiny_v1)
    monkeypatch.setattr(detectors, "load", lambda name, net: made)
    return made


def draw(path: str, size: tuple[int, int] = (120, 81), seed: int = 0) -> str:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def rows_of(capsys) -> list[dict]:
    return json.loads(capsys.readouterr().out)


# --- what is printed


def test_json_has_the_documented_shape(capsys):
    assert main(["detect", draw("a.png"), draw("b.jpg", (333, 500)), "--json"]) == 0
    one, other = rows_of(capsys)
    assert list(one) == list(other) == ROW
    assert (one["file"], one["detector"]) == ("a.png", "fake") and one["seconds"] > 0
    assert (other["width"], other["height"]) == (333, 500)
    assert one["detections"] == [
        {"label": "person", "score": 0.8765, "box": [0, 0, 60, 81]},
        {"label": "motorbike", "score": 0.5, "box": [90, 60.75, 120, 70.88]},
    ]
    assert other["detections"][1]["box"] == [249.75, 375, 333, 437.5]


def test_boxes_are_of_the_upright_photo(capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (120, 81)).save("a.jpg", exif=exif)
    assert main(["detect", "a.jpg", "--json"]) == 0
    (row,) = rows_of(capsys)
    assert (row["width"], row["height"]) == (81, 120)
    assert row["detections"][0]["box"] == [0, 0, 40.5, 120]


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ([], ["person", "motorbike"]),
        (["--score", "0.500001"], ["person"]),
        (["--score", "1"], []),
        (["--score", "0.2"], ["person", "motorbike", NAMES[2]]),
        (["--classes", "motorbike"], ["motorbike"]),
        (["--classes", "Motorcycle, person,"], ["person", "motorbike"]),  # COCO's name for it
    ],
)
def test_score_and_classes_filter(options, labels, fake, capsys):
    assert main(["detect", draw("a.png"), "--json", *options]) == 0
    (row,) = rows_of(capsys)
    assert [found["label"] for found in row["detections"]] == labels
    assert len(fake.floors) == 1


def test_a_low_score_reaches_the_detector(fake):
    assert main(["detect", draw("a.png"), "--score", "0.01"]) == 0
    assert fake.floors == [0.01]


def test_the_table_is_aligned_and_clean(capsys):
    assert main(["detect", draw("a\x1b.png", (1200, 810)), "--score", "0.2"]) == 0
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    title, head, *rows = captured.out.rstrip().splitlines()
    assert title.startswith("a�.png: fake on CPU, fp32, ") and title.endswith(" s")
    assert len({len(line) for line in (head, *rows)}) == 1 and len(rows) == 3
    assert head.split() == ["score", "x1", "y1", "x2", "y2"]
    assert rows[0].split() == ["87.65", "%", "person", "0", "0", "600", "810"]
    assert rows[1].split() == ["50.00", "%", "motorbike", "900", "608", "1200", "709"]


def test_no_box_is_a_friendly_answer(capsys):
    assert main(["detect", draw("a.png"), "--score", "0.9"]) == 0
    assert "  No box scores 90.00 % or more." in capsys.readouterr().out


def test_bad_files_keep_their_place_and_the_others_still_come(capsys):
    Path("broken.jpg").write_bytes(Path(draw("good.jpg")).read_bytes()[:400])
    Path("empty").mkdir()
    names = ["broken.jpg", "good.jpg", "missing.jpg", "empty", "good.jpg"]
    assert main(["detect", *names, "--json", "--draw", "out"]) == 1
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert [row["file"] for row in rows] == names
    bad = [row for row in rows if "error" in row]
    assert [row["file"] for row in bad] == ["broken.jpg", "missing.jpg", "empty"]
    assert all(set(row) == {"file", "error"} for row in bad)
    told = [f"resnet: {row['file']}: {row['error']}" for row in bad]
    assert captured.err.splitlines() == told
    assert rows[1]["detections"] == rows[4]["detections"] != []
    assert [path.name for path in Path("out").iterdir()] == ["good.boxes.png"]


def test_a_folder_and_standard_input(monkeypatch, capsys):
    draw("album/b.png"), draw("album/a.png")
    data = Path(draw("c.png")).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert main(["detect", "album", "-", "--json", "--draw", "out"]) == 0
    rows = rows_of(capsys)
    assert [row["file"] for row in rows] == ["album/a.png", "album/b.png", "-"]
    assert rows[2]["drawn"] == str(Path("out/stdin.boxes.png"))


def test_progress_is_on_standard_error_and_only_if_wanted(capsys):
    photos = [draw(f"{i}.png") for i in range(5)]
    assert main(["detect", *photos, "--json"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["detect", *photos, "--json", "--progress"]) == 0
    captured = capsys.readouterr()
    assert "detect" in captured.err and "/5" in captured.err
    assert len(json.loads(captured.out)) == 5


# --- pictures


def colours(path: str, x: int, y: int, reach: int = 4) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image, int)[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]


@pytest.mark.parametrize("masked", [False, True])
def test_the_boxes_are_drawn_where_they_are(masked, fake, capsys):
    fake.masked = masked
    Image.new("RGB", (400, 400), "white").save("a.png")
    assert main(["detect", "a.png", "--draw", "new/folder"]) == 0
    out = Path("new/folder/a.boxes.png")
    assert f"  Written to {out}." in capsys.readouterr().out
    with Image.open(out) as image:
        assert image.size == (400, 400)
    colour = np.array(Image.new("RGB", (1, 1), colour_of("motorbike")).getpixel((0, 0)))
    for x, y, there in ((350, 350, True), (300, 325, True), (230, 200, False)):
        seen = np.abs(colours(out, x, y) - colour).sum(-1).min() < 12
        assert seen == there


def test_a_large_jpeg_is_drawn_whole_and_its_boxes_in_place(monkeypatch):
    """It is decoded at a half for the network, and once more for the picture."""
    given = {}
    real = drawing.draw_boxes

    def watch(image, boxes, names, scores, **options):
        given.update(size=image.size, boxes=np.asarray(boxes).tolist(), names=tuple(names))
        return real(image, boxes, names, scores, **options)

    monkeypatch.setattr(drawing, "draw_boxes", watch)
    assert main(["detect", draw("a.jpg", (1500, 1301)), "--draw", "out"]) == 0
    assert given["size"] == (1500, 1301) and given["names"] == ("person", "motorbike")
    assert given["boxes"][0] == [0, 0, 750, 1301]
    assert main(["detect", draw("b.png", (4200, 1040)), "--draw", "out"]) == 0  # stays reduced
    assert given["size"] == (2100, 520) and given["boxes"][0] == [0, 0, 1050, 520]


def test_no_picture_replaces_another_photos(capsys):
    files = ("one/cat.png", "two/cat.png", "cat.jpg")
    photos = [draw(file, (480, 324), seed) for seed, file in enumerate(files)]
    assert main(["detect", *photos, "--draw", "out", "--json"]) == 0
    drawn = [row["drawn"] for row in rows_of(capsys)]
    names = ["cat.boxes.png", "cat-2.boxes.png", "cat-3.boxes.png"]
    assert drawn == [str(Path("out") / name) for name in names]
    for name, source in zip(drawn, photos, strict=True):  # each shows its own photo
        with Image.open(name) as image, Image.open(source) as photo:
            middle = (270, 100, 470, 200)  # right of the person, above the motorbike
            one, other = (np.asarray(i.convert("RGB").crop(middle), int) for i in (image, photo))
        assert np.abs(one - other).mean() < 2
    again = [photos[1], photos[0]]  # later, in another order: the same photo has its own file
    assert main(["detect", *again, "--draw", "out", "--json"]) == 0
    assert [row["drawn"] for row in rows_of(capsys)] == [drawn[1], drawn[0]]
    assert len(list(Path("out").iterdir())) == 3


def test_what_is_no_picture_of_ours_stays():
    draw("a.png")
    Path("out").mkdir()
    draw("kept.png", seed=9)
    precious = [Path("out/a.boxes.png"), Path("out/a-2.boxes.png"), Path("out/a-4.boxes.png")]
    Path(draw("b.png", seed=4)).rename(precious[0])
    precious[1].write_text("notes")
    Path("out/a-3.boxes.png").symlink_to(Path("kept.png").resolve())
    precious[2].mkdir()
    before = [precious[0].read_bytes(), precious[1].read_bytes(), Path("kept.png").read_bytes()]
    assert main(["detect", "a.png", "--draw", "out"]) == 0
    after = [precious[0].read_bytes(), precious[1].read_bytes(), Path("kept.png").read_bytes()]
    assert before == after and Path("out/a-5.boxes.png").is_file()


# --- errors


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["gone.jpg"], 1, "There is no file"),
        (["a.png", "--detector", "yolo"], 2, "There is no detector “yolo”. Use auto, offline"),
        (["a.png", "--score", "1.5"], 2, "“1.5” is not a number from 0 to 1"),
        (["a.png", "--score", "half"], 2, "“half” is not a number from 0 to 1"),
        (["a.png", "--classes", "persom"], 2, "does not know “persom”. Did you mean person?"),
        (["a.png", "--classes", "person,wyvern"], 2, "does not know “wyvern”."),
        (["a.png", "--classes", " , "], 2, "--classes names no class"),
        (["a.png", "--draw", "a.png"], 2, "--draw a.png: there can be no such folder"),
        (["a.png", "--draw", "a.png/b"], 2, "there can be no such folder"),
        ([], 2, "PHOTO"),
    ],
)
def test_every_error_is_one_line(arguments, status, says, capsys):
    draw("a.png")
    assert main(["detect", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("resnet: ") and says in line
    assert [path.name for path in Path().iterdir()] == ["a.png"]


def test_a_picture_that_cannot_be_written_is_said(monkeypatch, capsys):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["detect", draw("a.png"), "--draw", "out"]) == 2
    assert "out takes no picture: No space left on device." in capsys.readouterr().err


def test_the_table_of_nothing_is_empty():
    empty = Detections(np.zeros((0, 4)), [], [], NAMES, (9, 9), "fake")
    assert detect.table(empty) == ""
