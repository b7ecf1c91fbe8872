"""The tab *Compare*, as a visitor uses it."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

PHOTO = Path(__file__).parents[2] / "assets" / "examples" / "cat.jpg"


def way(page: Page, title: str) -> None:
    page.locator("#compare-way label").filter(has_text=title).click()


def measure(page: Page, title: str) -> None:
    page.locator("#compare-which label").filter(has_text=title).click()


def choose(page: Page, box: str, title: str) -> None:
    page.locator(f"{box} input").click()
    page.locator("[role=option]").filter(has_text=title).first.click()


def found(page: Page) -> Locator:
    return page.locator("#compare-view .found")


def slot(page: Page, letter: str) -> Locator:
    return page.locator(f"#slot-{letter}")


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as caught:
        page.locator(button).click()
    return Path(caught.value.path()).read_bytes()


def draw(page: Page, where: str, edges: tuple[int, int, int, int]) -> None:
    """Draw a box with the mouse; edges in hundredths of the photo."""
    stage = page.locator(f"{where} .boxdraw-stage")
    stage.scroll_into_view_if_needed()
    at = stage.bounding_box()
    assert at is not None
    xs = [at["x"] + at["width"] * edge / 100 for edge in edges[::2]]
    ys = [at["y"] + at["height"] * edge / 100 for edge in edges[1::2]]
    page.mouse.move(xs[0], ys[0])
    page.mouse.down()
    page.mouse.move(xs[1], ys[1], steps=3)
    page.mouse.up()


@pytest.fixture
def tab(opened: Page) -> Page:
    """The tab with the bee in A and a damaged copy of it in B."""
    opened.get_by_role("tab", name="Compare").click()
    expect(opened.locator("#compare-view")).to_contain_text("Which two shall be compared?")
    opened.locator('#slot-a-examples button[data-file="bee.jpg"]').click()
    expect(found(opened)).to_contain_text("bee")
    return opened


def test_a_damaged_copy_with_divider_strength_and_block(tab: Page):
    expect(slot(tab, "b")).to_contain_text("Blur, σ = 4.0 px")
    # The divider: keys, drag, and the switch to side by side.
    handle = tab.locator("#compare-view .ab-handle")
    handle.focus()
    tab.keyboard.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "52")
    tab.keyboard.press("Home")
    expect(handle).to_have_attribute("aria-valuenow", "0")
    stage = tab.locator("#compare-view .ab-stage").bounding_box()
    assert stage is not None
    tab.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + 30)
    tab.mouse.down()
    tab.mouse.move(stage["x"] + 0.75 * stage["width"], stage["y"] + 30, steps=2)
    tab.mouse.up()
    expect(handle).to_have_attribute("aria-valuenow", "75")
    tab.locator(".ab-modes button").filter(has_text="Side by side").click()
    sides = [tab.locator(f".ab-side.{k} .ab-frame").bounding_box() for k in "ab"]
    assert sides[0] and sides[1] and sides[0]["x"] + sides[0]["width"] < sides[1]["x"]
    assert sides[0]["y"] == sides[1]["y"] and sides[0]["width"] == sides[1]["width"]
    # A new strength: what was set of the view outlives it.
    number = tab.locator("#strength input[type=number]")
    number.fill("1")
    number.press("Enter")
    expect(slot(tab, "b")).to_contain_text("σ = 10.0 px")
    expect(tab.locator("#compare-view .ab")).to_have_attribute("data-mode", "beside")
    expect(tab.locator("#compare-pairs svg.chart")).to_be_visible()
    # A block of the figure opens both its signals.
    block = tab.locator('#compare-parting [data-block="1.0"]')
    block.focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#compare-signals")).to_contain_text("A · block 1.0 · 56 × 56")
    expect(tab.locator("#compare-signals")).to_contain_text("B · block 1.0 · 56 × 56")


def test_a_box_is_drawn_and_covered(tab: Page):
    choose(tab, "#damage", "Cover a box")
    expect(tab.locator("#compare-message")).to_contain_text("Draw the box")
    expect(tab.locator("#compare-view")).to_be_hidden()
    draw(tab, "#compare-box", (20, 20, 60, 70))
    expect(slot(tab, "b")).to_contain_text("40.0 % of the box covered")
    edges = [int(e.input_value()) for e in tab.locator("#compare-box .boxdraw-numbers input").all()]
    assert edges == pytest.approx([0.2 * 1024, 0.2 * 809, 0.6 * 1024, 0.7 * 809], abs=4)
    # The same by numbers.
    tab.locator("#compare-box .boxdraw-numbers input").nth(2).fill("1024")
    tab.locator("#compare-box .boxdraw-numbers input").nth(2).press("Tab")
    expect(tab.locator("#compare-box .boxdraw-numbers input").nth(2)).to_have_value("1024")
    expect(found(tab)).to_be_visible()


def test_two_photos_and_their_downloads(tab: Page):
    way(tab, "Two photos")
    expect(found(tab)).to_contain_text("A says “bee”")
    tab.locator('#slot-b-examples button[data-file="otter.jpg"]').click()
    expect(found(tab)).to_contain_text("B “otter”")
    tab.locator("#compare-swap").click()
    expect(found(tab)).to_contain_text("A says “otter”")
    with tab.expect_file_chooser() as chooser:
        tab.locator("#slot-b-upload").click()
    chooser.value.set_files(PHOTO)
    expect(found(tab)).to_contain_text("cat”")
    expect(tab.locator("#compare-pairs svg")).to_contain_text("otter")
    rows = list(csv.DictReader(io.StringIO(saved(tab, "#compare-pairs-csv").decode())))
    assert rows[0]["label"] == "otter" and rows[0]["rank_a"] == "1"
    assert float(rows[0]["difference"]) == pytest.approx(
        float(rows[0]["p_b"]) - float(rows[0]["p_a"])
    )
    everything = json.loads(saved(tab, "#compare-parting-json"))
    assert len(everything["parting"]["rows"]) == 16 and everything["A"]["weights"] == "he2015"
    assert everything["A"]["photo_sha256"] != everything["B"]["photo_sha256"]
    assert "/" not in json.dumps(everything["A"]["side"])  # no path of the server
    drawn = Image.open(io.BytesIO(saved(tab, "#compare-pairs-png")))
    assert drawn.format == "PNG" and drawn.width == 2 * 1080
    both = Image.open(io.BytesIO(saved(tab, "#compare-view-png")))
    assert both.format == "PNG" and both.width >= 1280


def test_two_methods_and_two_sets_of_weights(tab: Page):
    way(tab, "Two CAM methods")
    expect(found(tab)).to_contain_text("Grad-CAM (A) and Eigen-CAM (B) for “bee”")
    expect(tab.locator("#compare-view")).to_contain_text("The two maps correlate at")
    expect(tab.locator("#compare-pairs")).to_be_hidden()
    choose(tab, "#method-b", "CAM (exact, signed)")
    expect(tab.locator("#compare-view .legend")).to_contain_text("against")
    # A set that is not here: a sentence, and the way to get it; A stays.
    way(tab, "Two sets of weights")
    expect(tab.locator("#compare-message")).to_contain_text("imagenet1k-v1 are not on this machine")
    expect(tab.locator("#compare-fetch")).to_contain_text("Get imagenet1k-v1 (98 MB)")
    expect(slot(tab, "a")).to_contain_text("bee")


def test_cuts_by_preset_and_as_set_on_inside(tab: Page):
    way(tab, "Before and after the cuts")
    expect(slot(tab, "b")).to_contain_text("shortcut of 2.1 cut")
    choose(tab, "#compare-cuts", "As set on Inside")
    expect(tab.locator("#compare-message")).to_contain_text("Nothing is cut on the tab Inside")
    tab.get_by_role("tab", name="Inside").click()
    tab.get_by_role("button", name="Cut every shortcut").click()
    expect(tab.locator("#outcome")).to_contain_text("With every shortcut cut")
    tab.get_by_role("tab", name="Compare").click()
    expect(found(tab)).to_contain_text("A says “bee”")
    expect(tab.locator("#compare-parting")).to_contain_text("The cosine falls most at block")


def test_two_detectors(tab: Page):
    way(tab, "Two detectors")
    boxes = tab.locator("#compare-boxes, #compare-message")
    expect(boxes.locator("visible=true").first).to_contain_text(re.compile("only A|found|offline"))
    choose(tab, "#detector-a", "Heat map")
    choose(tab, "#detector-b", "Heat map")
    expect(tab.locator("#compare-boxes figcaption")).to_contain_text("found by both, 0 by A only")
    expect(tab.locator("#compare-boxes .matches tbody tr").first).to_contain_text("bee")
    choose(tab, "#detector-b", "RetinaNet")
    expect(tab.locator("#compare-message")).to_contain_text("not on this machine")


def test_a_sweep_can_be_walked_through_and_taken(tab: Page):
    tab.locator("#compare-start").click()
    chart = tab.locator("#compare-measured svg.chart")
    expect(chart).to_be_visible()
    expect(chart.locator("circle.dot")).to_have_count(12)
    expect(tab.locator("#compare-measured")).to_contain_text("is the answer up to σ")
    number = tab.locator("#measure-step input[type=number]")
    number.fill("12")
    number.press("Enter")
    expect(tab.locator("#measure-picture")).to_contain_text("σ = 128 of 255")
    expect(tab.locator("#measure-picture img")).to_have_count(3)
    rows = list(csv.DictReader(io.StringIO(saved(tab, "#compare-measured-csv").decode())))
    assert len(rows) == 12 and rows[0]["strength"] == "0.0" and rows[11]["strength"] == "1.0"
    # Another measurement and back: it is still there.
    measure(tab, "Deletion and insertion")
    expect(chart).to_be_hidden()
    measure(tab, "Strength sweep")
    expect(chart.locator("circle.dot")).to_have_count(12)


def test_the_league_can_be_stopped(tab: Page):
    measure(tab, "League")
    tab.locator("#compare-start").click()
    expect(tab.locator("#compare-measured progress")).to_be_visible()
    expect(tab.locator("#compare-start")).to_be_hidden()
    tab.locator("#compare-stop").click()
    expect(tab.locator("#compare-measured")).to_contain_text(re.compile("[Ss]topped before"))
    expect(tab.locator("#compare-start")).to_be_visible()
    expect(tab.locator("#compare-stop")).to_be_hidden()


def test_the_pointing_game(tab: Page):
    measure(tab, "Pointing game")
    expect(tab.locator("#measure-box .boxdraw")).to_be_visible()
    draw(tab, "#measure-box", (25, 20, 70, 80))
    figure = tab.locator("#compare-measured")
    expect(figure).to_contain_text("into the box")
    for title in ("Grad-CAM", "LayerCAM", "Eigen-CAM"):
        expect(figure.locator("svg.chart")).to_contain_text(title)
    numbers = json.loads(saved(tab, "#compare-measured-json"))["pointing"]
    assert 0 < numbers["area"] < 1 and len(numbers["rows"]) >= 7
    # Another photo: the box was drawn on this one.
    tab.locator('#slot-a-examples button[data-file="cat.jpg"]').click()
    expect(slot(tab, "a")).to_contain_text("cat.jpg")
    expect(figure).to_be_hidden()
