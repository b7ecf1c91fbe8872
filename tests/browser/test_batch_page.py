"""The tab Batch in a browser: many photos, a hostile file and labels; sorting, taking away."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, draw_photo
from PIL import Image
from playwright.sync_api import Page, expect

EXAMPLES = ROOT / "assets" / "examples"
EVIL = "<img src=x onerror=alert(1)>.jpg"
TRUTH = {"bee.jpg": "bee", "cat.jpg": "tabby", "otter.jpg": "otter", "espresso.jpg": "espresso"}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Four photos, one that is none, and a list with the true labels."""
    folder = tmp_path_factory.mktemp("batch")
    for name in TRUTH:
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    (folder / EVIL).write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *TRUTH.items()])
    return sorted(folder.iterdir())


@pytest.fixture
def batch(opened: Page) -> Page:
    opened.get_by_role("tab", name="Batch").click()
    return opened


def send(page: Page, files: list[Path]) -> None:
    page.locator("#batch-files input[type=file]").set_input_files([str(file) for file in files])
    expect(page.locator("#batch-files .file-preview tr")).to_have_count(len(files))
    page.locator("#batch-start").click()


def names(page: Page) -> list[str]:
    return page.locator("#batch-table .name").all_inner_texts()


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.locator(button).click()
    return Path(download.value.path()).read_bytes()


def test_a_batch_from_the_files_to_another_tab(batch: Page, files: list[Path]):
    """One visit, as it costs seconds: run, read, sort, filter, take away, open a photo."""
    page = batch
    send(page, files)
    rows = page.locator("#batch-table tr[data-index]")
    expect(rows).to_have_count(5)
    summary = page.locator("#batch-summary")
    expect(summary).to_contain_text("1 could not be used. Right: 75.0 % at first guess")
    expect(summary).to_contain_text("expected calibration error")
    expect(page.locator("#batch-progress progress")).to_have_count(0)
    expect(page.locator("#batch-start")).to_be_visible()

    # The least certain first, the failed one last with its reason and nothing of it on the page.
    assert names(page)[0] == "cat.jpg" and "onerror" in names(page)[-1]
    expect(rows.last).to_contain_text("This JPEG is cut off or damaged.")
    assert page.locator("#batch-table img[onerror], #batch-failed img").count() == 0
    expect(rows.first).to_contain_text("rank 3")

    # Sort by name both ways, then only the wrong ones, then by text.
    head = page.locator("#batch-table th[data-key=file] button")
    head.click()
    expect(page.locator("#batch-table th[data-key=file]")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert [name for name in names(page) if name in TRUTH] == sorted(TRUTH)
    head.click()
    expect(rows.first.locator(".name")).to_have_text("otter.jpg")
    page.locator("#batch-only").get_by_label("Wrong").check()
    expect(rows).to_have_count(1)
    assert names(page) == ["cat.jpg"]
    page.locator("#batch-only").get_by_label("All").check()
    page.locator("#batch-text input, #batch-text textarea").fill("espres")
    expect(rows).to_have_count(1)
    page.locator("#batch-text input, #batch-text textarea").fill("")
    expect(rows).to_have_count(5)

    # Three figures whose bars are the photos; one as a picture of twice its size.
    figures = page.locator("#batch-figures section")
    expect(figures).to_have_count(3)
    expect(figures.first).to_contain_text("The bars add to 4 photos (3 right + 1 wrong)")
    chart = figures.first.locator("svg.chart").evaluate("e => e.viewBox.baseVal.width")
    with page.expect_download() as download:
        figures.first.locator("button.save-figure").click()
    with Image.open(download.value.path()) as picture:
        assert picture.format == "PNG" and picture.width == 2 * chart

    # Downloads.
    table = list(csv.DictReader(io.StringIO(saved(page, "#batch-csv").decode())))
    assert len(table) == 5 and {row["file"] for row in table} > set(TRUTH)
    numbers = json.loads(saved(page, "#batch-json"))
    assert numbers["photos"]["failed"] == 1 and numbers["accuracy"]["top1"] == 0.75
    with Image.open(io.BytesIO(saved(page, "#batch-sheet"))) as sheet:
        assert sheet.format == "PNG" and min(sheet.size) > 100
    with zipfile.ZipFile(io.BytesIO(saved(page, "#batch-zip"))) as archive:
        assert archive.testzip() is None
        assert {"results.csv", "results.json", "manifest.json"} <= set(archive.namelist())

    # One photo to Inside; the strip then knows it.
    page.locator("#batch-table tr[data-index]", has_text="otter.jpg").click()
    expect(page.locator("#batch-photo")).to_contain_text("otter")
    page.locator("#batch-to-inside").click()
    expect(page.get_by_role("tab", name="Inside")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#wiring")).to_contain_text("otter")


def test_a_running_batch_can_be_stopped_and_keeps_what_it_has(batch: Page, tmp_path):
    """So many photos in a ZIP are under way for some seconds."""
    page = batch
    photo = io.BytesIO()
    draw_photo(900, 700).save(photo, "JPEG")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(160):
            archive.writestr(f"{number:03d}.jpg", photo.getvalue())
    send(page, [tmp_path / "many.zip"])
    progress = page.locator("#batch-progress")
    expect(progress).to_contain_text(" of 160 photos")
    expect(progress.locator("progress")).to_have_attribute("max", "160")
    page.wait_for_function(
        "() => Number(document.querySelector('#batch-progress progress')?.value) > 0"
    )
    expect(page.locator("#batch-start")).to_be_hidden()
    page.locator("#batch-stop").click()
    expect(page.locator("#batch-summary")).to_contain_text("Stopped after ")
    expect(page.locator("#batch-summary")).to_contain_text(" of 160 photos")
    done = page.locator("#batch-table tr[data-index]").count()
    assert 0 < done < 160
    expect(page.locator("#batch-stop")).to_be_hidden()


def test_what_cannot_be_a_batch_is_said(batch: Page, tmp_path):
    page = batch
    page.locator("#batch-start").click()
    expect(page.locator("#batch-message")).to_contain_text("Choose photos first, or a ZIP of them.")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../../escape.jpg", b"x")
    send(page, [tmp_path / "bad.zip"])
    expect(page.locator("#batch-message .problem, #batch-failed")).to_contain_text(
        "escape.jpg", use_inner_text=False
    )
