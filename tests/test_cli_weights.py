"""`python -m resnet weights`: the list, fetching from a server on loopback, adding a file."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from test_cli import one_line, program
from test_detectors_library import checkpoint

from resnet import downloads, weights
from resnet.__main__ import main
from resnet.cli import weights as command
from resnet.detectors import library
from resnet.network import ResNet50

NAMES = [
    "he2015", "imagenet1k-v1", "imagenet1k-v2", "offline",
    "maskrcnn-v2", "fasterrcnn-v2", "retinanet-v2", "fcos", "fasterrcnn",
]  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder that a server hands out: generated files of torchvision's format."""
    folder = tmp_path_factory.mktemp("published")
    torch.save(checkpoint("fcos"), folder / "detector.pth")
    torch.save(ResNet50(weights.named()["imagenet1k-v1"]).state_dict(), folder / "classifier.pth")
    return folder


@pytest.fixture
def published(files, monkeypatch) -> Iterator[str]:
    """The catalogue's fcos and imagenet1k-v1 are the generated files, on a server on loopback."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(files))

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    digest = downloads.sha256(files / "detector.pth")[:8]
    known = replace(library.info_of("fcos"), url=f"{url}/detector.pth", sha256=digest)
    infos = tuple(known if info.name == "fcos" else info for info in library.infos())
    monkeypatch.setattr(library, "infos", lambda: infos)
    sets = dict(weights.named())
    digest = downloads.sha256(files / "classifier.pth")[:8]
    sets["imagenet1k-v1"] = replace(sets["imagenet1k-v1"], sha256=digest)
    monkeypatch.setattr(weights, "named", lambda: sets)
    url_of = weights.url_of
    own = {"imagenet1k-v1": f"{url}/classifier.pth"}
    monkeypatch.setattr(weights, "url_of", lambda spec: own.get(spec.name) or url_of(spec))
    yield url
    server.shutdown()
    server.server_close()


def test_list(capsys, cache):
    assert main(["weights", "list"]) == 0
    text = capsys.readouterr().out
    lines = {line.split()[0]: line for line in text.splitlines()[1 : len(NAMES) + 1]}
    assert list(lines) == NAMES
    assert [name for name, line in lines.items() if " yes " in line] == ["he2015", "offline"]
    assert "46.7" in lines["fasterrcnn-v2"] and " 175 " in lines["fasterrcnn-v2"]
    assert "COCO train2017" in lines["fasterrcnn-v2"] and "BSD-3-Clause" in lines["fcos"]
    assert "ships with the project" in text and str(cache) in text
    assert "fasterrcnn: COCO val2017 (5,000 photos), as torchvision publishes it" in text
    assert not cache.exists()


def test_list_as_json(capsys, cache):
    cache.mkdir(parents=True)
    (cache / "resnet50-0676ba61.pth").touch()
    (cache / "fcos_resnet50_fpn_coco-99b0c9b7.pth").touch()
    assert main(["weights", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == NAMES
    here = [name for name, row in rows.items() if row["here"]]
    assert here == ["he2015", "imagenet1k-v1", "offline", "fcos"]
    for name, row in rows.items():
        shipped = name in ("he2015", "offline")
        assert (row["url"] == "") == shipped and Path(row["path"]).is_file() == row["here"]
        assert row["licence"] == ("MIT" if shipped else "BSD-3-Clause") and row["source"]
        assert row["megabytes"] > 10 and row["trained_on"] and row["sha256"]
    assert rows["he2015"]["ap"] is None and rows["maskrcnn-v2"]["ap"] == 47.4
    assert rows["fcos"]["source"] == "torchvision FCOS_ResNet50_FPN_Weights.COCO_V1"


@pytest.mark.parametrize("name, file", [("fcos", "detector"), ("imagenet1k-v1", "classifier")])
def test_fetch(published, files, cache, capsys, name, file):
    """With a bar when it is asked for; then it is here, and is not fetched again."""
    assert main(["weights", "fetch", name, "--progress"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{name} is here: {cache / file}.pth\n"
    assert name in err and "%|" in err and "B/s]" in err
    assert downloads.sha256(cache / f"{file}.pth") == downloads.sha256(files / f"{file}.pth")
    assert [row.name for row in command.rows() if row.here and row.url] == [name]
    (files / f"{file}.pth").rename(files / "away")
    try:
        assert main(["weights", "fetch", name]) == 0
        out, err = capsys.readouterr()
        assert name in out and err == ""
    finally:
        (files / "away").rename(files / f"{file}.pth")


def test_fetch_resumes(published, files, cache, capsys):
    """This server has no ranges: it begins again, and the file is right."""
    cache.mkdir(parents=True)
    (cache / "detector.pth.part").write_bytes(b"the first bytes of something")
    assert main(["weights", "fetch", "fcos"]) == 0
    assert [path.name for path in cache.iterdir()] == ["detector.pth"]


def test_fetched_weights_load(published, cache, monkeypatch):
    monkeypatch.setattr(library, "_loaded", type(library._loaded)())
    assert main(["weights", "fetch", "fcos"]) == 0
    detector = library.load("fcos", torch.device("cpu"))
    assert detector.info.name == "fcos" and len(detector.names) == 80


@pytest.mark.parametrize(
    "name, why",
    [
        ("fcos", "fcos could not be fetched. There is no file at http"),
        ("imagenet1k-v1", "imagenet1k-v1 could not be downloaded; he2015 works offline. There is"),
    ],
)
def test_fetch_what_is_gone(published, files, cache, capsys, name, why, monkeypatch):
    for file in ("detector", "classifier"):
        (files / f"{file}.pth").rename(files / file)
    try:
        assert main(["weights", "fetch", name]) == 2
        assert one_line(capsys.readouterr().err).startswith(why)
    finally:
        for file in ("detector", "classifier"):
            (files / file).rename(files / f"{file}.pth")


@pytest.mark.parametrize("name, file", [("fcos", "detector"), ("imagenet1k-v1", "classifier")])
def test_add(published, files, cache, capsys, name, file):
    assert main(["weights", "add", name, str(files / f"{file}.pth")]) == 0
    assert capsys.readouterr().out == f"{name} is here: {cache / file}.pth\n"
    assert [path.name for path in cache.iterdir()] == [f"{file}.pth"]


@pytest.mark.parametrize(
    "name, file, why",
    [
        ("fcos", "classifier", "classifier.pth is not fcos: backbone."),
        ("imagenet1k-v1", "detector", "detector.pth: conv1.weight is missing"),
        ("fasterrcnn", "detector", "detector.pth is not fasterrcnn: "),
        ("imagenet1k-v2", "classifier", "classifier.pth is not the published file resnet50-11ad"),
        ("fcos", "none", "There is no file at"),
        ("offline", "detector", "offline ships with the project; there is nothing to add."),
        ("yolo", "detector", "There are no weights named “yolo”. Use he2015, imagenet1k-v1"),
    ],
)
def test_add_refuses(published, files, cache, capsys, name, file, why):
    assert main(["weights", "add", name, str(files / f"{file}.pth")]) == 2
    assert one_line(capsys.readouterr().err).startswith(why)
    assert not cache.exists() or not list(cache.iterdir())


def test_nothing_to_fetch(capsys):
    assert main(["weights", "fetch", "he2015"]) == 0
    assert capsys.readouterr().out == "he2015 ships with the project; there is nothing to fetch.\n"


def test_an_action_is_needed(capsys):
    assert main(["weights"]) == 2
    assert "ACTION" in one_line(capsys.readouterr().err)


def test_help_comes_without_torch():
    code = (
        "import sys; from resnet.__main__ import main; main(['weights', 'fetch', '--help']); "
        "assert 'torch' not in sys.modules"
    )
    done = program("-c", code)
    assert done.returncode == 0 and b"hash" in done.stdout, done.stderr
