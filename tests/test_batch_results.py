"""What a batch adds up to, exactly; tables, files and the page's HTML."""

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
from conftest import TINY_LABELS, draw_photo
from PIL import Image

from resnet import ResNet50
from resnet.__main__ import main
from resnet.batch import (
    BatchProgress,
    BatchResult,
    BatchRow,
    Truth,
    calibration,
    choose,
    collect,
    confusion,
    facts_of,
    run_batch,
)
from resnet.batch.export import contact_sheets, files
from resnet.batch.table import CHOICES, ORDERS, safe, to_csv
from resnet.classify import Prediction
from resnet.ui import batch_view

HOSTILE = "<script>\"&'</script>"


def stamp(seed: int = 0) -> bytes:
    file = io.BytesIO()
    draw_photo(96, 64, seed).save(file, "JPEG", quality=60)
    return file.getvalue()


def row(name: str, answer: int, p: float, truth: int | Truth | None = None, **changes) -> BatchRow:
    """A photo answered with class `answer` at `p`; the other four share the rest, falling."""
    others = [i for i in range(7) if i != answer][:4]
    rest = [(1 - p) * share for share in (0.4, 0.3, 0.2, 0.1)]
    top = [Prediction(answer, TINY_LABELS[answer], p)]
    top += [Prediction(i, TINY_LABELS[i], q) for i, q in zip(others, rest, strict=True)]
    if isinstance(truth, int):
        truth = Truth(str(truth), truth, TINY_LABELS[truth], "", 1, p)
    fields = {"entropy": 1.5, "seconds": 0.1, "width": 96, "height": 64, "thumbnail": stamp(),
              "digest": "ab", "truth": truth}  # fmt: skip
    return BatchRow(name, True, "", tuple(top), **(fields | changes))


def failed(name: str, reason: str = "It is damaged.", **changes) -> BatchRow:
    return BatchRow(name, False, reason, seconds=0.02, **changes)


def result(*rows: BatchRow, planned: int | None = None, notes: tuple = ()) -> BatchResult:
    made = {"weights": {"name": "tiny"}, "device": "cpu", "precision": "fp32", "options": {}}
    return BatchResult(rows, TINY_LABELS, planned or len(rows), 12.0, made, notes)


@pytest.fixture
def mixed() -> BatchResult:
    unknown = Truth("wolf", note="No class is called “wolf”.")
    return result(
        row("a.jpg", 0, 0.9, 0),
        row("b.jpg", 1, 0.4, 0),
        failed("c.jpg"),
        row("d.jpg", 5, 0.8, 6),  # 6 is not among the five
        row("e.jpg", 2, 0.7),
        row("f.jpg", 3, 0.6, unknown),
        notes=("“l.csv” names 4 photos and labels 4.",),
    )


# --- sums


def test_counts_and_accuracy_by_hand(mixed):
    assert mixed.counts == {"planned": 6, "seen": 6, "usable": 5, "failed": 1, "labelled": 3}
    assert mixed.accuracy.to_dict() == {
        "photos": 3, "right_top1": 1, "right_top5": 2, "top1": 1 / 3, "top5": 2 / 3,
    }  # fmt: skip
    assert [r.correct for r in mixed.rows] == [True, False, None, False, None, None]
    assert mixed.confidences == (0.9, 0.4, 0.8, 0.7, 0.6)
    assert [r.name for r in mixed.least_certain(2)] == ["b.jpg", "f.jpg"]
    assert len(mixed.least_certain()) == 5
    assert [r.name for r in mixed.failed] == ["c.jpg"] and not mixed.stopped
    assert result(failed("x"), planned=9).stopped


def test_without_labels_nothing_is_claimed():
    plain = result(row("a", 0, 0.9), failed("b"))
    assert plain.accuracy is plain.calibration() is plain.confusion() is None
    summary = plain.to_dict()
    assert summary["accuracy"] is summary["calibration"] is summary["confusion"] is None


# --- calibration


def test_ece_by_hand():
    found = calibration([0.9, 0.9, 0.6, 0.6], [True, False, True, True], bins=10)
    assert found.ece == pytest.approx(0.4) and found.mce == pytest.approx(0.4)
    assert (found.photos, found.accuracy, found.confidence) == (4, 0.75, 0.75)
    assert {b.photos: (b.low, b.high) for b in found.bins if b.photos} and [
        (b.high, b.photos, b.accuracy) for b in found.bins if b.photos
    ] == [(0.6, 2, 1.0), (0.9, 2, 0.5)]
    gaps = [b.gap for b in found.bins if b.photos]
    assert gaps == pytest.approx([0.4, -0.4])
    sure = calibration([1.0, 1.0, 1.0, 1.0], [True, True, True, False])
    assert (sure.ece, sure.mce) == (0.25, 0.25)
    assert calibration([1.0, 0.0], [True, False]).ece == 0
    assert calibration([], []) is None


def test_every_bin_holds_its_upper_edge_and_not_its_lower():
    for bins in (10, 15, 20):
        edges = [k / bins for k in range(bins + 1)]
        found = calibration(edges, [True] * (bins + 1), bins)
        assert [b.photos for b in found.bins] == [2] + [1] * (bins - 1)  # 0 is in the first
        inside = calibration([np.nextafter(e, 1) for e in edges[:-1]], [True] * bins, bins)
        assert [b.photos for b in inside.bins] == [1] * bins


def test_ece_is_the_papers_sum():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    right = rng.random(500) < p**2
    expected = 0.0
    for m in range(1, 16):
        members = [i for i in range(500) if (m - 1) / 15 < p[i] <= m / 15]
        if members:
            gap = abs(np.mean(right[members]) - np.mean(p[members]))
            expected += len(members) / 500 * gap
    found = calibration(p.tolist(), right.tolist())
    assert found.ece == pytest.approx(expected, abs=1e-12)
    assert sum(b.photos for b in found.bins) == 500
    assert 0 <= found.ece <= found.mce <= 1


@pytest.mark.parametrize(
    ("p", "right", "bins"), [([0.5], [], 5), ([1.1], [True], 5), ([-0.1], [True], 5),
                             ([float("nan")], [True], 5), ([0.5], [True], 0)]
)  # fmt: skip
def test_calibration_refuses_nonsense(p, right, bins):
    with pytest.raises(ValueError):
        calibration(p, right, bins)


# --- confusion


def test_confusion_by_hand():
    pairs = [(0, 0), (0, 1), (0, 1), (1, 0), (2, 2), (4, 4)]
    found = confusion(pairs, TINY_LABELS)
    assert found.labels == ("bee", "ant", "Cardigan", "tabby cat")
    assert found.counts == ((1, 2, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    assert (found.photos, found.right, found.folded, found.kinds) == (6, 3, 0, 2)
    assert [(m.truth, m.answer, m.photos) for m in found.mistakes] == [
        ("bee", "ant", 2), ("ant", "bee", 1)
    ]  # fmt: skip
    assert confusion([], TINY_LABELS) is None


def test_confusion_folds_the_classes_with_fewest_mistakes():
    pairs = [(0, 1), (0, 1), (2, 2), (3, 3), (2, 0), (5, 6), (4, 4)]
    found = confusion(pairs, TINY_LABELS, rows=2, most=1)
    assert found.labels == ("bee", "ant", "others") and found.folded == 5
    assert found.counts == ((0, 2, 0), (0, 0, 0), (1, 0, 4))
    assert sum(map(sum, found.counts)) == found.photos == 7
    assert (found.right, found.kinds, len(found.mistakes)) == (3, 3, 1)


# --- tables


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u00a0=1", "＝1"]
)
def test_no_cell_is_a_formula(cell):
    shown = re.sub("[\t\r\u00a0]", " ", cell)
    assert safe(cell) == f"'{shown}"
    found = result(row(cell, 0, 0.5, Truth(cell, note=cell)), failed(cell, cell))
    table = list(csv.reader(io.StringIO(to_csv(found), newline="")))
    for line in table[1:]:
        assert not any(text.lstrip(" ").startswith(tuple("=+-@＝")) for text in line)
        assert f"'{shown}" in line and len(line) == 30


def test_ordinary_cells_stay():
    assert [safe(c) for c in ("cat.jpg", "a=b", "", "1-2", "l'ours")] == [
        "cat.jpg", "a=b", "", "1-2", "l'ours"
    ]  # fmt: skip
    assert safe("a\r=1\n+2") == "a =1 +2"  # no line of its own


def test_the_csv_reads_back(mixed):
    lines = list(csv.DictReader(io.StringIO(mixed.to_csv(), newline="")))
    assert [line["file"] for line in lines] == [r.name for r in mixed.rows]
    assert {len(line) for line in lines} == {30} and all(None not in line for line in lines)
    first, second, bad, _, plain, unknown = lines
    assert (first["label_1"], first["index_1"], first["correct"]) == ("bee", "0", "yes")
    assert float(first["probability_1"]) == 0.9 and float(first["margin"]) == pytest.approx(0.86)
    assert (second["true_label"], second["correct"]) == ("bee", "no")
    assert (bad["status"], bad["reason"], bad["label_1"]) == ("failed", "It is damaged.", "")
    assert plain["true_label"] == plain["correct"] == ""
    assert (unknown["true_label"], unknown["true_index"]) == ("wolf", "")
    assert "No class" in unknown["true_label_note"]


def test_orders_and_choices(mixed):
    def names(**options) -> str:
        return "".join(r.name[0] for _, r in choose(mixed.rows, **options))

    assert names() == "abcdef" and names(rising=False) == "fedcba"
    assert names(order="confidence") == "bfedac"  # the failed one last, both ways
    assert names(order="confidence", rising=False) == "adefbc"
    assert names(order="answer") == "baefdc"
    assert names(order="truth") == "abdfce"
    assert names(only="wrong") == "bd" and names(only="right") == "a"
    assert names(only="failed") == "c"
    assert names(text="WOLF") == "f" and names(text=" damaged ") == "c"
    assert [at for at, _ in choose(mixed.rows, only="failed")] == [2]
    for order in ORDERS:
        assert len(choose(mixed.rows, order)) == 6
    with pytest.raises(KeyError):
        choose(mixed.rows, "size")
    assert list(CHOICES) == ["all", "right", "wrong", "failed"]


# --- files


def test_json_is_json(mixed):
    found = json.loads(json.dumps(mixed.to_json(), allow_nan=False))
    assert found["photos"] == mixed.counts and len(found["rows"]) == 6
    assert found["calibration"]["photos"] == 3 and found["confusion"]["right"] == 1
    assert found["rows"][1]["truth"]["correct"] is False
    assert found["rows"][0]["top"][0] == {"index": 0, "label": "bee", "probability": 0.9}
    assert found["rows"][2]["reason"] == "It is damaged."


class OneWay(io.RawIOBase):
    """A file that can only be written on, as an answer to a browser is."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_the_zip_holds_everything_and_is_always_the_same(mixed):
    one, two = OneWay(), io.BytesIO()
    mixed.to_zip(one), mixed.to_zip(two)
    with zipfile.ZipFile(io.BytesIO(one.data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == [
            "results.csv", "results.json", "contact-sheet-01.png", "figures/confidences.svg",
            "figures/reliability.svg", "figures/confusion.svg", "manifest.json",
        ]  # fmt: skip
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["weights"] == {"name": "tiny"} and manifest["photos"] == mixed.counts
        assert [entry["file"] for entry in manifest["files"]] == names[:-1]
        for entry in manifest["files"]:
            data = archive.read(entry["file"])
            assert entry["sha256"] == hashlib.sha256(data).hexdigest()
            assert entry["bytes"] == len(data)
        assert archive.read("results.csv").decode() == mixed.to_csv()
        assert json.loads(archive.read("results.json")) == json.loads(json.dumps(mixed.to_dict()))
        svg = archive.read("figures/confidences.svg").decode()
        assert svg.startswith("<svg") and "<style>" in svg
    again = io.BytesIO()
    mixed.to_zip(again)
    assert again.getvalue() == two.getvalue()


def test_contact_sheets_hold_a_hundred_photos_each():
    many = [row(f"{i}.jpg", 0, 0.5, thumbnail=stamp(i % 3)) for i in range(101)]
    first, second = contact_sheets(result(*many, failed("x")))
    assert first.width == second.width == 1200 and first.height > 5 * second.height
    assert [n for n, _ in files(result(failed("x")))] == [
        "results.csv", "results.json", "manifest.json"
    ]  # fmt: skip


def test_facts_name_weights_and_versions(tiny_v1):
    facts = facts_of(tiny_v1, size=8)
    assert facts["weights"] == {"name": "tiny-v1", "variant": "v1",
                                "sha256": tiny_v1.spec.sha256}  # fmt: skip
    assert facts["options"] == {"size": 8} and set(facts["versions"]) > {"python", "torch"}


# --- the page


class Parsed(HTMLParser):
    """Tags that are opened and closed in turn, and the text between them."""

    def __init__(self, markup: str):
        super().__init__()
        self.open, self.tags, self.words = [], [], ""
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_the_table_is_sorted_and_marked(mixed):
    found = Parsed(batch_view.table_html(mixed.rows, selected=1))
    rows = [attrs for tag, attrs in found.tags if tag == "tr" and "data-index" in attrs]
    assert [int(r["data-index"]) for r in rows] == [1, 5, 4, 3, 0, 2]
    assert [r["class"] for r in rows] == ["wrong", "", "", "wrong", "", "bad"]
    assert rows[0]["aria-selected"] == "true" and "aria-selected" not in rows[1]
    sorts = {a["data-key"]: a["aria-sort"] for tag, a in found.tags if tag == "th"}
    assert sorts["confidence"] == "ascending" and list(sorts.values()).count("none") == 5
    cells = [a["data-value"] for tag, a in found.tags if tag == "td"]
    assert len(cells) == 36 and cells[:3] == ["b.jpg", "ant", "0.400000"]
    pictures = [a["src"] for tag, a in found.tags if tag == "img"]
    assert len(pictures) == 5 and all(p.startswith("data:image/jpeg;base64,") for p in pictures)
    assert "✗" in found.words and "✓" in found.words and "(no such class)" in found.words


def test_pages_turn():
    many = [row(f"{i:03d}.jpg", 0, (i + 1) / 200, thumbnail=b"") for i in range(120)]
    second = batch_view.table_html(many, page=1, size=50)
    at = [int(i) for i in re.findall(r'<tr data-index="(\d+)"', second)]
    assert at == list(range(50, 100)) and 'data-pages="3"' in second
    assert "51 to 100 of 120 photos" in second and 'data-page="2"' in second
    last = batch_view.table_html(many, page=99, size=50)
    assert "101 to 120" in last and 'data-page="3" disabled' in last
    assert "true label" not in last
    assert batch_view.table_html(many, text="no such") == '<p class="hint">No photo fits.</p>'
    assert (batch_view.pages(0), batch_view.pages(200), batch_view.pages(201)) == (1, 1, 2)


def test_nothing_that_a_visitor_wrote_is_markup():
    bad = Truth(HOSTILE, note=HOSTILE)
    hostile = result(
        row(HOSTILE, 0, 0.5, bad, notes=(HOSTILE,)),
        failed(HOSTILE, HOSTILE),
        notes=(HOSTILE,),
    )
    views = [
        batch_view.table_html(hostile.rows),
        batch_view.failed_html(hostile),
        batch_view.summary_html(hostile),
    ]
    for markup in views:
        assert HOSTILE not in markup and "<script" not in markup
        Parsed(markup)


def test_the_sum_in_words(mixed):
    words = Parsed(batch_view.summary_html(mixed)).words
    assert words.startswith("6 photos in 12 s. 1 could not be used. Right: 33.3 % at first guess")
    assert "66.7 % in five, of 3 photos with a true label." in words
    assert "expected calibration error" in words and "1 true labels are no class" in words
    stopped = batch_view.summary_html(result(row("a", 0, 0.5), planned=9))
    assert "Stopped after 1 of 9 photos, 12 s." in stopped
    many = result(*(failed(f"{i}.jpg") for i in range(60)))
    assert "and 10 more" in batch_view.failed_html(many)
    assert batch_view.failed_html(result(row("a", 0, 0.5))) == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"),
                           (3598, "60 min"), (7500, "2 h 5 min"), (7200, "2 h")]
)  # fmt: skip
def test_spans_in_words(seconds, words):
    assert batch_view.span(seconds) == words


def test_progress_in_words():
    words = Parsed(batch_view.progress_html(BatchProgress(10, 2, 500, 5.0, 95.0))).words
    assert words.strip() == "10 of 500 photos, 2 could not be used · about 1 min 40 s left"
    early = batch_view.progress_html(BatchProgress(8, 0, 500, 5.0, None))
    assert "left" not in early and 'max="500" value="8"' in early
    assert "left" not in batch_view.progress_html(BatchProgress(500, 0, 500, 5.0, 0.0))
    assert "max" not in batch_view.progress_html(BatchProgress(8, 0, None, 5.0, None))


# --- the command


@pytest.fixture
def album(tiny_v1, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ResNet50, "load", lambda *args: tiny_v1)
    folder = tmp_path / "album"
    folder.mkdir()
    for i in range(3):
        draw_photo(120, 90, i).save(folder / f"{i}.jpg")
    return folder


def test_the_command_runs_folders_zips_and_lists(album, capsys):
    with zipfile.ZipFile("more.zip", "w") as archive:
        archive.write(album / "0.jpg", "z.jpg")
    Path("truth.csv").write_text("file,label\n0.jpg,bee\n1.jpg,ant\n9.jpg,ant\n")
    assert main(["batch", "album", "more.zip", "--truth", "truth.csv", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert [r["file"] for r in found["rows"]] == ["0.jpg", "1.jpg", "2.jpg", "z.jpg"]
    assert found["photos"]["labelled"] == 2 and found["weights"]["name"] == "tiny-v1"


def test_the_command_tells_bad_files_and_goes_on(album, capsys):
    (album / "1.jpg").write_bytes(b"\xff\xd8\xff broken")
    Path("list.csv").write_text("album/0.jpg;bee\nalbum/7.jpg;ant\n")
    assert main(["batch", "list.csv", "album/1.jpg"]) == 1
    captured = capsys.readouterr()
    told = captured.err.splitlines()
    assert len(told) == 2 and told[0].startswith("resnet: 1.jpg: This JPEG is cut off")
    assert told[1] == "resnet: album/7.jpg: There is no file “7.jpg”."
    assert "album/0.jpg" in captured.out and "1 of 3 photos with tiny-v1 on cpu" in captured.out
    assert "top-1" in captured.out


@pytest.mark.parametrize("out", ["new", "new.zip"])
def test_the_command_writes_everything_and_replaces_nothing(out, album, capsys):
    assert main(["batch", "album", "--out", out]) == 0
    wanted = {"results.csv", "results.json", "contact-sheet-01.png", "manifest.json",
              "figures/confidences.svg"}  # fmt: skip
    if out == "new":
        found = {p.relative_to("new").as_posix() for p in Path("new").rglob("*") if p.is_file()}
    else:
        with zipfile.ZipFile(out) as archive:
            found = set(archive.namelist())
    assert found == wanted
    capsys.readouterr()
    assert main(["batch", "album", "--out", out]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["album", "--truth", "gone.csv"], "--truth gone.csv: there is no such file"),
        (["empty.zip"], "There is no photo in these files"),
        (["album", "--out", "no/where"], "there is no folder no"),
        (["album", "--size", "0"], "not a whole number"),
    ],
)
def test_a_wrong_command_is_one_line(arguments, says, album, capsys):
    with zipfile.ZipFile("empty.zip", "w"):
        pass
    assert main(["batch", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("resnet: ") and says in line


def test_a_whole_batch_on_a_small_network(tiny_v1, tmp_path):
    for i in range(5):
        draw_photo(100, 80, i).save(tmp_path / f"{i}.png")
    (tmp_path / "l.csv").write_text("".join(f"{i}.png,{i % 7}\n" for i in range(5)))
    with collect(sorted(tmp_path.iterdir())) as photos:
        rows = tuple(run_batch(tiny_v1, photos, size=2))
    found = BatchResult(rows, tiny_v1.labels, len(photos), 1.0, facts_of(tiny_v1), photos.notes)
    assert found.accuracy.photos == 5
    assert found.accuracy.top1 == sum(r.top5[0].index == i % 7 for i, r in enumerate(rows))
    buffer = io.BytesIO()
    found.to_zip(buffer)
    with zipfile.ZipFile(buffer) as archive, archive.open("contact-sheet-01.png") as sheet:
        assert Image.open(sheet).size[0] == 1200
