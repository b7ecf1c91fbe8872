"""The command line: answers, exit status, what goes to which stream."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from resnet import ResNet50, cam, images
from resnet.__main__ import main
from resnet.cli import explain, options
from resnet.draw import overlay

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "assets" / "examples").glob("*.jpg"))
PREDICTION = {"index", "label", "probability"}


@pytest.fixture(autouse=True)
def load_once(net, monkeypatch):
    """Each command loads its network; in one process the shipped one need not be read again."""
    load = ResNet50.load

    def stand_in(*args) -> ResNet50:
        return net if args == ("he2015", "auto", "auto", None) else load(*args)

    monkeypatch.setattr(ResNet50, "load", stand_in)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(path: str, width: int = 320, height: int = 240, seed: int = 0) -> str:
    """A soft random picture: noise at 8 x 8, enlarged."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def one_line(text: str) -> str:
    """The only line on standard error, without `resnet: `."""
    lines = text.splitlines()
    assert len(lines) == 1 and lines[0].startswith("resnet: "), text
    return lines[0].removeprefix("resnet: ")


def program(*args: str, **kwargs) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "utf8", *args]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | kwargs
    return subprocess.run(command, env=environment, timeout=120, **pipes)


# --- classify


def test_classify_json_equals_the_api(net, capsys):
    photos = [draw("a.png"), draw("b.jpg", 300, 500, seed=1)]
    assert main(["classify", *photos, "--json", "--top", "3"]) == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert captured.err == ""
    for row, photo in zip(rows, photos, strict=True):
        assert list(row) == ["file", "weights", "device", "precision", "seconds", "top"]
        assert (row["file"], row["weights"]) == (photo, "he2015")
        assert (row["device"], row["precision"]) == (str(net.device), "fp32")
        assert row["seconds"] > 0
        wanted = net.analyze(photo).top(3)
        assert [answer["index"] for answer in row["top"]] == [p.index for p in wanted]
        for answer, prediction in zip(row["top"], wanted, strict=True):
            assert set(answer) == PREDICTION
            assert answer["label"] == prediction.label
            assert answer["probability"] == pytest.approx(prediction.probability, abs=1e-6)
    assert rows[0]["top"] != rows[1]["top"]


def test_bad_files_keep_their_place_and_the_others_still_come(capsys):
    Path("broken.jpg").write_bytes(Path(draw("good.jpg")).read_bytes()[:400])
    Path("text.png").write_text("not a picture")
    Path("empty").mkdir()
    names = ["broken.jpg", "good.jpg", "text.png", "missing.jpg", "empty", "good.jpg"]
    assert main(["classify", *names, "--json"]) == 1
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert [row["file"] for row in rows] == names
    bad = [row for row in rows if "error" in row]
    assert [row["file"] for row in bad] == ["broken.jpg", "text.png", "missing.jpg", "empty"]
    assert all(set(row) == {"file", "error"} for row in bad)
    told = [f"resnet: {row['file']}: {row['error']}" for row in bad]
    assert captured.err.splitlines() == told
    assert len(rows[1]["top"]) == 5 and rows[1]["top"] == rows[5]["top"]


def test_a_folder_stands_for_the_photos_in_it(capsys):
    Path("album/deeper").mkdir(parents=True)
    for name in ("c.png", "a.png", "b.png", ".hidden.png", "deeper/d.png"):
        draw(f"album/{name}", 64, 64)
    Path("album/notes.txt").write_text("left out")
    Path("album/b.png").rename("album/b")  # a name that says nothing is tried
    draw("first.png", 64, 64)
    assert main(["classify", "first.png", "album", "--json", "--top", "1"]) == 0
    files = [row["file"] for row in json.loads(capsys.readouterr().out)]
    assert files == ["first.png", "album/a.png", "album/b", "album/c.png"]


def test_a_photo_from_standard_input(net, monkeypatch, capsys):
    data = Path(draw("a.png")).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert main(["classify", "-", "--json", "--top", "1"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["file"] == "-" and row["top"][0]["index"] == net.analyze("a.png").top(1)[0].index


def test_the_table_is_aligned_and_has_the_numbers(net, capsys):
    photo = draw("a.png")
    assert main(["classify", photo, "--top", "4"]) == 0
    title, *rows = capsys.readouterr().out.rstrip().splitlines()
    assert title.startswith("a.png: he2015 on ")
    assert len(rows) == 4 and len({len(row) for row in rows}) == 1
    for row, prediction in zip(rows, net.analyze(photo).top(4), strict=True):
        chance, rest = row.split(" %  ")
        label, index = rest.rsplit(None, 1)
        assert float(chance) == pytest.approx(100 * prediction.probability, abs=0.006)
        assert (label.strip(), int(index)) == (prediction.label, prediction.index)


def test_control_characters_in_a_name_do_not_reach_the_terminal(capsys):
    assert main(["classify", draw("red\x1b[31m.png"), "gone\n\x1b[0m.png"]) == 1
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    one_line(captured.err)


def test_progress_is_on_standard_error_and_only_if_wanted(capsys):
    photos = [draw(f"{i}.png", 64, 64) for i in range(5)]
    assert main(["classify", *photos, "--json"]) == 0  # many, but no terminal
    assert capsys.readouterr().err == ""
    assert main(["classify", *photos, "--json", "--progress"]) == 0
    captured = capsys.readouterr()
    assert "classify" in captured.err and "/5" in captured.err
    assert len(json.loads(captured.out)) == 5


@pytest.mark.skipif(not EXAMPLES, reason="no photos in assets/examples")
def test_the_example_photos_are_recognised(capsys):
    assert main(["classify", *map(str, EXAMPLES), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(EXAMPLES)
    assert all(row["top"][0]["probability"] > 0.1 for row in rows)


# --- explain


def test_explain_json_equals_the_api(net, capsys):
    photo = draw("a.png", 400, 300)
    command = ["explain", photo, "--class", "Cardigan", "--method", "hirescam", "--block", "3.2"]
    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert captured.err == ""
    assert list(answer) == [
        "file", "weights", "device", "precision", "seconds", "class", "method", "block",
        "signed", "blank", "grid", "box", "size", "out",
    ]  # fmt: skip
    analysis = net.analyze(photo)
    index = analysis.find("Cardigan")
    found = analysis.cam("Cardigan", "hirescam", "3.2")
    assert answer["class"]["index"] == index and answer["class"]["label"] == "Cardigan"
    probability = float(analysis.probabilities[index])
    assert answer["class"]["probability"] == pytest.approx(probability, rel=1e-4)
    assert (answer["method"], answer["block"]) == ("hirescam", "3.2")
    assert (answer["signed"], answer["blank"]) == (False, found.blank)
    np.testing.assert_allclose(answer["grid"], found.grid, rtol=1e-4, atol=1e-8)
    assert np.shape(answer["grid"]) == (14, 14)
    assert answer["size"] == [400, 300] and answer["out"] is None
    # 256 of 300 pixels' height are the shorter side; the middle 224 of them are seen.
    seen = 224 / 256 * 300
    right = [(400 - seen) / 2, (300 - seen) / 2, (400 + seen) / 2, (300 + seen) / 2]
    assert answer["box"] == pytest.approx(right, abs=1.5)
    assert os.listdir() == ["a.png"]


def test_explain_takes_the_networks_own_answer_and_the_signed_cam(net, capsys):
    photo = draw("a.png")
    assert main(["explain", photo, "--method", "cam", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    top = net.analyze(photo).top(1)[0]
    assert answer["class"]["index"] == top.index
    assert answer["signed"] is True and np.shape(answer["grid"]) == (7, 7)
    logit = float(net.analyze(photo).trace.logits[0, top.index])  # Zhou et al.: sum + bias
    assert np.sum(answer["grid"]) + float(net.fc.bias[top.index]) == pytest.approx(logit, rel=1e-4)


@pytest.mark.parametrize("size", [(300, 200), (1300, 1500)])  # the second is decoded as a draft
def test_the_picture_has_the_photos_size_and_the_map_is_on_it(size, capsys):
    draw("a.jpg", *size)
    assert main(["explain", "a.jpg", "--method", "cam", "--class", "3"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "Written to a.heatmap.png." in captured.out
    with Image.open("a.heatmap.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", size)
        picture = np.asarray(image, float)
    assert main(["explain", "a.jpg", "--method", "cam", "--opacity", "0", "--out", "bare.png"]) == 0
    with Image.open("bare.png") as image:
        bare = np.asarray(image, float)
    photo = np.asarray(images.read_photo("a.jpg", full=True).image, float)
    middle = np.s_[size[1] // 2 - 40 : size[1] // 2 + 40, size[0] // 2 - 40 : size[0] // 2 + 40]
    assert np.abs(bare[middle] - photo[middle]).max() == 0  # no map: the photo itself
    assert np.abs(picture[middle] - photo[middle]).mean() > 5
    assert np.abs(bare[0, 0] - photo[0, 0]).sum() > 0  # outside the crop: dimmed


def test_a_huge_photo_stays_reduced_and_the_crop_is_in_its_place(capsys):
    draw("huge.png", 4200, 1040)
    photo = images.read_photo("huge.png")
    assert photo.image.size == (2100, 520)  # what this test is about
    bare_photo = ["--opacity", "0", "--method", "cam", "--out", "x.png"]
    assert main(["explain", "huge.png", *bare_photo, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["size"] == [4200, 1040] and answer["out"] == "x.png"
    with Image.open("x.png") as image:
        bare = np.asarray(image, float)
    same = (bare == np.asarray(photo.image, float)).all(axis=2)
    x0, y0, x1, y1 = (round(edge / 2) for edge in answer["box"])
    assert same[y0:y1, x0:x1].all()
    assert not same[:, : x0 - 1].all(axis=0).any() and not same[:, x1 + 1 :].all(axis=0).any()


def test_grid_shows_bare_cells(capsys):
    draw("a.png", 256, 256)  # seen: 16 ... 240, so that a cell of 7 x 7 is 32 pixels
    command = ["explain", "a.png", "--opacity", "1", "--method", "cam", "--out"]
    assert main([*command, "smooth.png"]) == main([*command, "cells.png", "--grid"]) == 0
    smooth, cells = (np.asarray(Image.open(f"{name}.png")) for name in ("smooth", "cells"))
    cell = np.s_[16 + 32 * 3 : 16 + 32 * 4, 16 + 32 * 3 : 16 + 32 * 4]
    assert len(np.unique(cells[cell].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(smooth[cell].reshape(-1, 3), axis=0)) > 1


def test_colour_map_is_used(capsys):
    command = ["explain", draw("a.png"), "--opacity", "1", "--out"]
    assert main([*command, "v.png"]) == main([*command, "m.png", "--colour-map", "magma"]) == 0
    v, m = (np.asarray(Image.open(name), int) for name in ("v.png", "m.png"))
    assert np.abs(v - m).max() > 50
    middle = m[100:140, 140:180].reshape(-1, 3)
    shades = {tuple(shade) for shade in overlay.palette("magma").tolist()}
    assert {tuple(shade) for shade in middle.tolist()} <= shades


def test_the_sentence_says_where_and_what_the_network_says(net, capsys):
    photo = draw("a.png")
    analysis = net.analyze(photo)
    top, last = analysis.top(1)[0], analysis.top(1000)[-1]
    assert main(["explain", photo, "--class", str(last.index), "--method", "cam"]) == 0
    out = capsys.readouterr().out
    x, y = explain.strongest(analysis.cam(last.index, "cam"), analysis.view.box)
    assert f"x {x}, y {y}" in out and f"“{last.label}” ({last.index}, " in out
    assert f"The network's own answer is “{top.label}”" in out


def test_strongest_is_the_middle_of_its_cell():
    grid = np.zeros((2, 4), np.float32)
    grid[1, 2] = 1
    found = cam.HeatMap(grid, 0, "gradcam", "4.2", signed=False)
    assert explain.strongest(found, (100, 50, 180, 90)) == (150, 80)


def test_a_blank_map_says_so(net, monkeypatch, capsys):
    blank = cam.HeatMap(np.zeros((7, 7), np.float32), 3, "gradcam", "4.2", signed=False)
    monkeypatch.setattr(cam, "heatmap", lambda *args: blank)
    photo = draw("a.png")
    assert main(["explain", photo]) == 0
    assert "is blank" in capsys.readouterr().out
    assert main(["explain", photo, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["blank"] is True


def test_a_slow_method_reports_progress(monkeypatch, capsys):
    asked = []

    def watch(net, trace, index, method, block, progress):
        asked.extend(progress(range(0, 10, 5)))
        return cam.HeatMap(np.eye(7, dtype=np.float32), index, method, "4.2", signed=False)

    monkeypatch.setattr(cam, "heatmap", watch)
    command = ["explain", draw("a.png"), "--method", "ablationcam", "--json"]
    assert main(command) == 0
    assert asked == [0, 5] and capsys.readouterr().err == ""
    assert main([*command, "--progress"]) == 0
    captured = capsys.readouterr()
    assert "Ablation-CAM" in captured.err and "/2" in captured.err
    json.loads(captured.out)


def test_the_names_in_the_help_are_those_of_the_modules():
    assert list(cam.METHODS) == list(explain.METHOD_NAMES)
    assert list(overlay.COLOUR_MAPS) == list(explain.COLOUR_MAPS)


# --- errors


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["classify", "gone.jpg"], 1, "There is no file"),
        (["classify", "a.png", "--weights", "resnet9"], 2, "no weights named “resnet9”"),
        (["classify", "a.png", "--weights", "gone.pth"], 2, "no weights file at gone.pth"),
        (["classify", "a.png", "--weights", "bad.pth"], 2, "could not be read as plain weights"),
        (["classify", "a.png", "--labels", "names.txt"], 2, "brings its own labels"),
        (["classify", "a.png", "--device", "abacus"], 2, "Unknown device “abacus”"),
        (["classify", "a.png", "--device", "cuda:99"], 2, "cuda:99 is not there"),
        (["classify", "a.png", "--precision", "fp7"], 2, "Unknown precision “fp7”"),
        (["classify", "a.png", "--top", "0"], 2, "“0” is not a whole number of at least 1"),
        (["classify"], 2, "PHOTO"),
        (["explain", "gone.jpg"], 1, "There is no file"),
        (["explain", "folder"], 1, "folder"),
        (["explain", "a.png", "--class", "gold fish"], 2, "Did you mean goldfish"),
        (["explain", "a.png", "--class", "1000"], 2, "Class 1000 does not exist"),
        (["explain", "a.png", "--method", "magic"], 2, "invalid choice: 'magic'"),
        (["explain", "a.png", "--block", "9.9"], 2, "no block “9.9”"),
        (["explain", "a.png", "--method", "cam", "--block", "2.0"], 2, "last block"),
        (["explain", "a.png", "--opacity", "2"], 2, "“2” is not a number from 0 to 1"),
        (["explain", "a.png", "--out", "a.jpg"], 2, "must end in .png"),
        (["explain", "a.png", "--out", "gone/b.png"], 2, "no folder gone"),
        (["explain", "a.png", "--out", "folder.png"], 2, "cannot be written"),
        (["explain", "a.png", "--out", "./a.png"], 2, "would replace the photo"),
        (["explain", "a.png", "--out", "link.png"], 2, "would replace the photo"),
        (["dream", "a.png"], 2, "invalid choice: 'dream'"),
        ([], 2, "COMMAND"),
    ],
)
def test_every_error_is_one_line(arguments, status, says, capsys):
    before = Path(draw("a.png")).read_bytes()
    Path("link.png").symlink_to("a.png")
    Path("bad.pth").write_bytes(b"not a pickle")
    Path("folder").mkdir()
    Path("folder.png").mkdir()
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert says in one_line(captured.err)
    assert captured.out == ""
    assert Path("a.png").read_bytes() == before
    assert not list(Path().glob("*.heatmap.png"))


def test_a_bad_photo_is_json_for_explain_too(capsys):
    assert main(["explain", "gone.jpg", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "file": "gone.jpg",
        "error": "There is no file “gone.jpg”.",
    }


def test_weights_that_give_no_numbers_are_named(monkeypatch, capsys):
    draw("a.png")
    head = ResNet50.head
    monkeypatch.setattr(ResNet50, "head", lambda self, x: head(self, x) * float("nan"))
    assert main(["classify", "a.png", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "gives no numbers" in one_line(captured.err)


@pytest.mark.parametrize(
    ("raised", "status", "says"),
    [(KeyboardInterrupt(), 130, ""), (RuntimeError("out of\nmemory"), 1, "out of memory")],
)
def test_interrupt_and_the_unforeseen(raised, status, says, monkeypatch, capsys):
    def fail(*args):
        raise raised

    monkeypatch.setattr(options, "load_network", fail)
    assert main(["classify", "a.png"]) == status
    captured = capsys.readouterr()
    assert captured.out == "" and says in captured.err and len(captured.err.splitlines()) <= 1


# --- as a program


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from resnet.__main__ import main\n"
        "assert main(['--help']) == main(['classify', '-h']) == main(['explain', '-h']) == 0\n"
        "heavy = {'torch', 'numpy', 'PIL', 'matplotlib', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = program("-c", code)
    assert done.returncode == 0, done.stderr.decode()
    shown = program("-m", "resnet", "--help").stdout.decode()
    assert shown.startswith("usage: python -m resnet") and done.stdout.decode().startswith(shown)
    assert "classify" in shown and "explain" in shown


def test_as_a_program_standard_output_is_pure_json(net):
    photo = draw("a.png")
    done = program("-m", "resnet", "classify", photo, "gone.jpg", "--json", "--progress")
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert rows[0]["top"][0]["index"] == net.analyze(photo).top(1)[0].index
    assert rows[1] == {"file": "gone.jpg", "error": "There is no file “gone.jpg”."}
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    code = (
        "import sys; from resnet.__main__ import main; from resnet.cli import classify, options\n"
        "classify.run = lambda _: options.write('an answer')\n"  # without waiting for torch
        "sys.exit(main(['classify', 'a.png']))"
    )
    done = program("-c", code, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
