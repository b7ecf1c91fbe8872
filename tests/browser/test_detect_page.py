"""The tab *Detect*, as a visitor uses it."""

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from resnet.draw.box_labels import SHOWN

PHOTO = Path(__file__).parents[2] / "assets" / "examples" / "astronaut.jpg"


def rows(page: Page) -> Locator:
    return page.locator("#detect-view .things tr[data-index]")


def boxes(page: Page) -> Locator:
    return page.locator("#detect-view .choose .box")


def threshold(page: Page, value: float) -> None:
    number = page.locator("#detect-score input[type=number]")
    number.fill(str(value))
    number.press("Enter")


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as caught:
        page.locator(button).click()
    return Path(caught.value.path()).read_bytes()


@pytest.fixture
def tab(opened: Page) -> Page:
    """The tab, empty."""
    opened.get_by_role("tab", name="Detect").click()
    expect(opened.locator("#detect-view")).to_contain_text("Which things are in the photo")
    return opened


@pytest.fixture
def seen(tab: Page) -> Page:
    """The astronaut, uploaded here, with boxes."""
    with tab.expect_file_chooser() as chooser:
        tab.locator("#detect-upload").click()
    chooser.value.set_files(PHOTO)
    expect(tab.locator("#detect-view .boxes-figure")).to_be_visible()
    expect(boxes(tab).first).to_be_attached()
    return tab


def test_a_photo_has_boxes_with_names(seen: Page):
    expect(rows(seen).first).to_contain_text("person")
    expect(seen.locator("#detect-view .found")).to_contain_text(re.compile("person|people"))
    expect(seen.locator("#detector-note")).to_contain_text("AP")
    expect(seen.locator("#detector-note")).to_contain_text("a photo here")
    expect(seen.locator("#detect-times")).to_contain_text(re.compile(r"\d m?s head, 4 looks"))


def test_the_photo_is_the_page_s(seen: Page):
    seen.get_by_role("tab", name="Classify").click()
    expect(seen.locator("#heatview figure.heatview")).to_be_visible()


def test_threshold_and_filter_work_on_what_was_found(seen: Page):
    before = boxes(seen).count()
    threshold(seen, 0.05)
    expect(rows(seen)).not_to_have_count(before)
    many = rows(seen).count()
    assert many > before
    seen.wait_for_timeout(500)  # the choices come with the boxes, and close an open list
    seen.locator("#detect-only input").click()
    seen.locator("[role=option]").filter(has_text=re.compile(r"\bperson\b")).first.click()
    expect(rows(seen)).not_to_have_count(many)
    for row in rows(seen).all():
        expect(row).to_contain_text("person")
    threshold(seen, 0.95)
    expect(seen.locator("#detect-view .found")).to_contain_text(re.compile("person|threshold"))


def test_the_table_sorts(seen: Page):
    threshold(seen, 0.05)
    expect(rows(seen).nth(2)).to_be_visible()
    seen.locator("#detect-view .things th button").filter(has_text="score").click()
    scores = [
        float(row.locator("td").nth(1).get_attribute("data-value")) for row in rows(seen).all()
    ]
    assert scores == sorted(scores)
    seen.locator("#detect-view .things th button").filter(has_text="thing").click()
    names = [row.locator("td").first.get_attribute("data-value") for row in rows(seen).all()]
    assert names == sorted(names)


def test_a_chosen_box_is_explained(seen: Page):
    rows(seen).first.focus()
    seen.keyboard.press("Enter")
    expect(seen.locator("#why h2")).to_contain_text("Why “person”")
    expect(seen.locator("#why .why-map")).to_contain_text("lies in the box")
    expect(seen.locator("#why .why-crop .answer")).to_have_count(5)
    expect(seen.locator("#why-river svg.chart")).to_be_visible()
    expect(seen.locator("#detect-view .choose .box.selected")).to_have_count(1)
    # Another click on it takes the reasons away.
    rows(seen).first.click()
    expect(seen.locator("#why")).to_be_hidden()


def test_cuts_make_boxes_vanish(seen: Page):
    seen.locator("#cut-all").click()
    expect(seen.locator("#why-cuts progress")).to_be_visible()
    expect(seen.locator("#cut-stop")).to_be_visible()
    bars = seen.locator("#why-cuts [data-block][data-wire]")
    expect(bars).to_have_count(32, timeout=240_000)  # 32 heads, perhaps beside other tests
    expect(seen.locator("#cut-stop")).to_be_hidden()
    expect(seen.locator("#why-cuts")).to_contain_text("Cut the")
    seen.locator('#why-cuts [data-block="2.1"][data-wire="shortcut"]').focus()
    seen.keyboard.press("Enter")
    expect(seen.locator("#detect-view .beside")).to_contain_text("shortcut of 2.1 cut")
    seen.locator("#cut-back").click()
    expect(seen.locator("#detect-view .beside")).to_have_count(0)


def test_a_heat_map_s_boxes_say_what_they_are(seen: Page):
    seen.locator("#detector input").click()
    seen.locator("[role=option]").filter(has_text="Heat map").click()
    expect(seen.locator("#detector-note")).to_contain_text("never shown a box")
    expect(seen.locator("#detector-note")).to_contain_text(re.compile(r"in \d+ % of them"))
    expect(seen.locator("#heat-share")).to_be_visible()
    expect(rows(seen).first).to_be_visible()


def test_two_stand_side_by_side(seen: Page):
    seen.locator("#detector-two input").click()
    seen.locator("[role=option]").filter(has_text="Heat map").click()
    expect(seen.locator("#detect-view .boxes-figure")).to_have_count(2)
    expect(seen.locator("#detect-view table.counts th")).to_have_count(3)


def test_a_detector_without_weights_says_what_to_do(seen: Page):
    seen.locator("#detector input").click()
    seen.locator("[role=option]").filter(has_text="RetinaNet").click()
    expect(seen.locator("#detect-message")).to_contain_text("RetinaNet v2 is not on this server")
    expect(seen.locator("#fetch")).to_contain_text("RetinaNet")
    # What was there stays.
    expect(seen.locator("#detect-view .boxes-figure")).to_be_visible()


def test_a_second_detector_without_weights_leaves_the_first_and_is_offered(seen: Page):
    seen.locator("#detector-two input").click()
    seen.locator("[role=option]").filter(has_text="RetinaNet").click()
    expect(seen.locator("#detect-message")).to_contain_text("RetinaNet v2 is not on this server")
    expect(seen.locator("#fetch")).to_contain_text("RetinaNet")
    expect(seen.locator("#detect-view .boxes-figure")).to_have_count(1)
    expect(rows(seen).first).to_be_visible()


def test_labels_have_the_layout_of_the_picture_s_width(seen: Page):
    """Gradio leaves @container out of its sheets, so these rules come another way."""
    width = seen.locator("#detect-view .boxes-figure").bounding_box()["width"]
    shown = seen.evaluate(
        "() => [...document.querySelectorAll('#detect-view .tag')]"
        ".filter(tag => tag.getClientRects().length).map(tag => tag.getAttribute('class'))"
    )
    made_for = max(step for step in SHOWN if step <= width)
    assert shown and all(f"at-{made_for}" in name for name in shown)


def test_four_photos_in_one_show_several_things(seen: Page):
    seen.locator('#detect-examples button[data-file="four-in-one.jpg"]').click()
    words = "3 things: 2 people and 1 cup."
    expect(seen.locator("#detect-view .found")).to_have_text(words)


def test_downloads_agree_with_the_page(seen: Page):
    count = rows(seen).count()
    picture = Image.open(io.BytesIO(saved(seen, "#detect-png")))
    assert picture.format == "PNG" and picture.width >= 512
    coco = json.loads(saved(seen, "#detect-coco"))
    assert len(coco["annotations"]) == count
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (512, 512)
    table = list(csv.DictReader(io.StringIO(saved(seen, "#detect-csv").decode())))
    assert len(table) == count
    with zipfile.ZipFile(io.BytesIO(saved(seen, "#detect-yolo"))) as archive:
        assert len(archive.read("photo.txt").splitlines()) == count
        assert b"person" in archive.read("classes.txt").splitlines()


def test_a_file_that_is_no_photo_is_refused_and_nothing_is_lost(seen: Page, tmp_path: Path):
    bad = tmp_path / "notes.jpg"
    bad.write_text("not a photo")
    with seen.expect_file_chooser() as chooser:
        seen.locator("#detect-upload").click()
    chooser.value.set_files(bad)
    expect(seen.locator(".toast-body")).to_contain_text("not an image this app can read")
    expect(seen.locator("#detect-view .boxes-figure")).to_be_visible()
    expect(rows(seen).first).to_contain_text("person")
