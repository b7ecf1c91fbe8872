"""`trace` and `lesions`: the same numbers as the API, files that are what the manifest says."""

import hashlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resnet import residual
from resnet.__main__ import main
from resnet.cli import options, trace
from resnet.cli.trace_figures import wiring_css
from resnet.residual.plain import plain

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo_file(folder, photo_jpeg) -> str:
    Path("a.jpg").write_bytes(photo_jpeg)
    return "a.jpg"


@pytest.fixture
def shipped(net, monkeypatch):
    """The commands find the shipped network, read once."""
    monkeypatch.setattr(options, "load_network", lambda _: net)
    return net


@pytest.fixture
def small(tiny_v1, monkeypatch):
    """The commands find a random network of six blocks and seven classes."""
    monkeypatch.setattr(options, "load_network", lambda _: tiny_v1)
    return tiny_v1


def one_line(text: str) -> str:
    lines = text.splitlines()
    assert len(lines) == 1 and lines[0].startswith("resnet: "), text
    return lines[0].removeprefix("resnet: ")


def files_in(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


# --- lesions


def test_lesions_json_is_the_api(shipped, photo_file, capsys):
    assert main(["lesions", photo_file, "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert captured.err == ""
    assert list(answer) == ["file", "baseline", "lesions"] and answer["file"] == photo_file
    analysis = shipped.analyze(photo_file)
    board, (label, probability) = shipped.lesions(analysis), analysis.top(1)[0]
    assert answer["baseline"] == {
        "label": label,
        "probability": pytest.approx(probability, rel=1e-5),
    }
    rows = answer["lesions"]
    assert len(rows) == 32
    places = [(name, wire) for name in shipped.block_names for wire in ("branch", "shortcut")]
    assert [(row["block"], row["wire"]) for row in rows] == places
    for row, wanted in zip(rows, board.rows, strict=True):
        assert list(row) == ["block", "wire", "probability", "label"]
        assert row["label"] == wanted.answer.label
        assert row["probability"] == pytest.approx(wanted.probability, rel=1e-4, abs=1e-9)
    # One of them the long way: the whole network once more, with that gain.
    cut = analysis.with_gains({("3.2", "branch"): 0.0})
    row = rows[places.index(("3.2", "branch"))]
    index = analysis.find(None)
    assert row["probability"] == pytest.approx(float(cut.probabilities[index]), rel=1e-3)
    assert row["label"] == cut.top(1)[0].label


def test_lesions_of_another_class(small, photo_file, capsys):
    analysis = small.analyze(photo_file)
    last = analysis.top(7)[-1]
    assert main(["lesions", photo_file, "--class", str(last.index), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["baseline"]["label"] == last.label
    assert answer["baseline"]["probability"] == pytest.approx(last.probability, rel=1e-5)
    followed = [row.probability for row in analysis.lesions(last.index).rows]
    assert [row["probability"] for row in answer["lesions"]] == pytest.approx(followed, rel=1e-4)
    assert main(["lesions", photo_file, "--class", str(last.index)]) == 0
    own = analysis.top(1)[0].label
    assert f"The network's own answer is “{own}”" in capsys.readouterr().out


def test_lesions_as_a_table_marks_the_answers_that_change(small, photo_file, capsys):
    assert main(["lesions", photo_file]) == 0
    title, baseline, head, *rows, legend = capsys.readouterr().out.splitlines()
    board = small.lesions(small.analyze(photo_file))
    assert title.startswith("a.jpg: tiny-v1 on CPU, fp32, ")
    assert f"“{board.label}” ({board.index}) has " in baseline
    assert len(rows) == 12
    answers = head.index("answer")
    for row, wanted in zip(rows, board.rows, strict=True):
        block, wire, chance = row.split()[:3]
        assert (block, wire, row[answers:]) == (wanted.block, wanted.wire, wanted.answer.label)
        assert float(chance) == pytest.approx(100 * wanted.probability, abs=0.006)
        assert row[answers - 2] == ("*" if wanted.flips else " ")
    flips = sum(row.flips for row in board.rows)
    assert 0 < flips < 12 and f"{flips} of 12" in legend


# --- trace


def test_trace_writes_numbers_maps_figures_and_what_made_them(small, photo_file, capsys):
    assert main(["trace", photo_file, "--class", "tabby", "--seed", "3", "--out", "t"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "t: " in captured.out and "manifest.json" in captured.out
    files = files_in("t")
    manifest, numbers = json.loads(files.pop("manifest.json")), json.loads(files["numbers.json"])

    listed = {row["file"]: row for row in manifest["files"]}
    assert set(listed) == set(files) and {"heatmap.png", "paths.svg", "timeline.svg"} < set(files)
    for name, data in files.items():
        assert listed[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert listed[name]["bytes"] == len(data)
    photo = Path(photo_file).read_bytes()
    assert manifest["photo"] == {"file": photo_file, "sha256": hashlib.sha256(photo).hexdigest()}
    assert manifest["weights"]["sha256"] == small.spec.sha256
    assert manifest["versions"]["torch"] == torch.__version__.split("+")[0]
    assert manifest["seeds"] == {"paths": 3} and manifest["options"]["seed"] == 3
    assert manifest["options"]["class"] == "tabby" and manifest["options"]["paths"] is True
    assert manifest["class"] == {"index": 4, "label": "tabby cat"}

    analysis = small.analyze(photo_file)
    wanted = {
        "budget": analysis.budget(),
        "lesions": analysis.lesions(4),
        "readouts": analysis.readouts(4),
        "highway": residual.gradient_highway(small, analysis.trace, 4),
        "paths": residual.path_lengths(small, analysis.trace, 4, seed=3),
        "evidence": analysis.evidence(4),
        "ledger": analysis.ledger(4),
        "ledger_against_mean": analysis.ledger(4, "mean"),
    }
    for name, figure in wanted.items():
        same(numbers[name], plain(figure.to_dict()))
    assert numbers["reference"]["caption"] is None
    assert "tiny-v1" in numbers["reference"]["missing"]


def same(found, wanted) -> None:
    """Equal names and words, numbers up to rounding."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            if "error" not in key:  # of rounding itself
                same(found[key], wanted[key])
    elif isinstance(wanted, list):
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found == (pytest.approx(wanted, rel=1e-4) if type(wanted) is float else wanted)


def test_the_maps_add_up_to_the_numbers(small, photo_file):
    assert main(["trace", photo_file, "--no-paths", "--out", "t"]) == 0
    numbers = json.loads(Path("t/numbers.json").read_text())
    assert numbers["paths"] is None
    assert len(list(Path("t/maps").iterdir())) == len(small.block_names) + 1
    for row in numbers["evidence"]["blocks"]:
        values = np.load(f"t/maps/evidence-{row['block']}.npy", allow_pickle=False)
        assert values.dtype == np.float32 and values.ndim == 3
        shortcut, branch = values.sum((1, 2), dtype=float)
        assert shortcut == pytest.approx(row["shortcut"], rel=1e-5, abs=1e-6)
        assert branch == pytest.approx(row["branch"], rel=1e-5, abs=1e-6)
    bias, *entries = numbers["ledger"]["entries"]
    ledger = np.load("t/maps/ledger.npy").sum((1, 2), dtype=float)
    assert ledger == pytest.approx([entry["logit"] for entry in entries], rel=1e-5, abs=1e-6)
    logit = numbers["class"]["logit"]
    assert bias["logit"] + ledger.sum() == pytest.approx(logit, rel=1e-4)


def test_the_figures_open_on_their_own(shipped, photo_file):
    assert main(["trace", photo_file, "--no-paths", "--out", "t"]) == 0
    manifest = json.loads(Path("t/manifest.json").read_text())
    with Image.open("t/heatmap.png") as picture, Image.open(photo_file) as photo:
        assert (picture.format, picture.size) == ("PNG", photo.size)
        assert np.abs(np.asarray(picture, float) - np.asarray(photo, float)).mean() > 5
    drawn = {path.name: path.read_text("utf-8") for path in Path("t").glob("*.svg")}
    wirings = {f"wiring-{measure}.svg" for measure in ("signal", "norm", "evidence", "gradient")}
    charts = ["budget", "lesions", "timeline", "evidence", "ledger", "ledger-lead", "highway"]
    assert set(drawn) == wirings | {f"{name}.svg" for name in charts}  # no paths were wanted
    for name, text in drawn.items():
        svg = ElementTree.fromstring(text)
        assert svg.tag == "{http://www.w3.org/2000/svg}svg"
        style = svg.find("{http://www.w3.org/2000/svg}style")
        assert style is not None and "--paper: #ffffff" in style.text
        outside = re.findall(r"(?:href|src)=\"(?!data:|#)[^\"]*|url\((?!\"?data:|#)[^)]*", text)
        assert outside == [], name
    assert len({drawn[name] for name in wirings}) == len(wirings)
    assert set(manifest["captions"]) == set(drawn) - wirings
    ledger = shipped.analyze(photo_file).ledger()
    assert "add to the logit: error" in manifest["captions"]["ledger.svg"]
    assert f"{ledger.logit:.1f}" in drawn["ledger.svg"]
    assert "<" not in "".join(manifest["captions"].values())


def test_every_colour_of_the_diagram_is_declared_on_the_drawing():
    css = wiring_css()
    own = css[css.rindex(".wiring-svg {") :]
    page = (ROOT / "resnet" / "ui" / "wiring.css").read_text("utf-8")
    block = page[page.index(".wiring {") : page.index("}", page.index(".wiring {"))]
    names = set(re.findall(r"(--[\w-]+):", block))
    assert {"--ink", "--pos", "--road"} <= names == set(re.findall(r"(--[\w-]+):", own))


def test_the_same_photo_gives_the_same_files(small, photo_file):
    assert main(["trace", photo_file, "--out", "one"]) == 0
    Path("two").mkdir()  # an empty folder will do
    assert main(["trace", photo_file, "--out", "two"]) == 0
    assert main(["trace", photo_file, "--out", "three", "--seed", "1"]) == 0
    one, two, three = (files_in(name) for name in ("one", "two", "three"))
    one.pop("manifest.json"), two.pop("manifest.json")  # says how long it took
    assert one == two
    assert one["budget.svg"] == three["budget.svg"]
    assert one["numbers.json"] != three["numbers.json"]  # other paths were drawn


def test_trace_json_holds_the_maps_and_writes_nothing(small, photo_file, capsys):
    assert main(["trace", photo_file, "--json", "--progress"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert "path lengths" in captured.err and "path lengths" not in captured.out
    assert os.listdir() == [photo_file]
    assert main(["trace", photo_file]) == 0  # into a.trace
    numbers = json.loads(Path("a.trace/numbers.json").read_text())
    assert list(answer) == ["file", "seconds", *numbers]
    assert answer["lesions"] == numbers["lesions"] and answer["paths"] == numbers["paths"]
    for row in answer["evidence"]["blocks"]:
        stored = np.load(f"a.trace/maps/evidence-{row['block']}.npy")
        np.testing.assert_array_equal(np.float32([row["shortcut_map"], row["branch_map"]]), stored)
    maps = [entry["map"] for entry in answer["ledger"]["entries"][1:]]
    np.testing.assert_array_equal(np.float32(maps), np.load("a.trace/maps/ledger.npy"))


# --- errors


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["lesions", "gone.jpg"], 1, "There is no file"),
        (["lesions", "a.jpg", "--class", "sea snak e"], 2, "Did you mean sea snake"),
        (["lesions", "a.jpg", "--class", "7"], 2, "Class 7 does not exist"),
        (["lesions"], 2, "PHOTO"),
        (["trace", "gone.jpg", "--out", "t"], 1, "There is no file"),
        (["trace", "full", "--out", "t"], 1, "folder"),
        (["trace", "text.jpg", "--out", "t"], 1, "text.jpg"),
        (["trace", "a.jpg", "--class", "7", "--out", "t"], 2, "Class 7 does not exist"),
        (["trace", "a.jpg", "--out", "full"], 2, "is there already"),
        (["trace", "a.jpg", "--out", "a.jpg"], 2, "is there already"),
        (["trace", "a.jpg", "--out", "gone/t"], 2, "no folder gone"),
        (["trace", "a.jpg", "--out", "t", "--json"], 2, "not allowed with"),
        (["trace", "a.jpg", "--out", "t", "--seed", "x"], 2, "invalid int value: 'x'"),
    ],
)
def test_every_error_is_one_line_and_nothing_is_written(
    arguments, status, says, small, photo_file, capsys
):
    Path("full").mkdir()
    Path("full/kept.txt").write_text("not ours")
    Path("text.jpg").write_text("no picture")
    before = files_in(".")
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert says in one_line(captured.err) and captured.out == ""
    assert files_in(".") == before and not Path("t").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--weights", "resnet9"], "no weights named"), (["--device", "abacus"], "Unknown device")],
)
def test_the_networks_options_are_those_of_the_other_commands(arguments, says, photo_file, capsys):
    for command in ("trace", "lesions"):
        assert main([command, photo_file, *arguments]) == 2
        assert says in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("command", ["trace", "lesions"])
def test_a_bad_photo_is_json_too(command, small, capsys):
    assert main([command, "gone.jpg", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "file": "gone.jpg",
        "error": "There is no file “gone.jpg”.",
    }


def test_a_full_disk_is_one_line_and_leaves_no_manifest(small, photo_file, monkeypatch, capsys):
    write = Path.write_bytes

    def until_the_maps(path: Path, data: bytes) -> int:
        if path.suffix == ".npy":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", until_the_maps)
    assert main(["trace", photo_file, "--no-paths", "--out", "t"]) == 2
    assert "cannot be written: No space left" in one_line(capsys.readouterr().err)
    assert not Path("t", trace.MANIFEST).exists()


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from resnet.__main__ import main\n"
        "assert main(['trace', '-h']) == main(['lesions', '-h']) == 0\n"
        "heavy = {'torch', 'numpy', 'PIL', 'matplotlib', 'tqdm', 'gradio'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "utf8", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
