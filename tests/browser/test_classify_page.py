"""The tab *Classify*, as a visitor uses it."""

import io
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from browser.conftest import LEFT
from resnet.images import MAX_BYTES

CAT = ROOT / "assets" / "examples" / "cat.jpg"
PHONE = {"width": 390, "height": 844}


def drop(page: Page, photo: Path) -> None:
    page.locator("#photo input[type=file]").set_input_files(photo)


def heat(page: Page) -> Locator:
    return page.locator("#heatview .heat")


def answered(page: Page, answer: str) -> None:
    """The answer is first among the bars, its bar is pressed, and its map has arrived."""
    expect(page.locator("#answers li").first).to_contain_text(answer)
    expect(page.locator("#answers [aria-pressed=true]")).to_contain_text(answer)
    expect(page.locator("#heatview figcaption")).to_contain_text(f"“{answer}”")
    drawn(page)


def drawn(page: Page) -> str:
    """The map's picture, once the browser has decoded it."""
    expect(heat(page)).to_have_js_property("complete", True)
    assert heat(page).evaluate("image => image.naturalWidth") > 0
    return heat(page).get_attribute("src")


def choose(page: Page, control: str, option: str) -> None:
    page.locator(f"#{control} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def changed(page: Page, before: str) -> str:
    expect(heat(page)).not_to_have_attribute("src", before)
    return drawn(page)


def fits(page: Page) -> None:
    """Nothing sticks out to the right."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


@pytest.fixture
def cat(opened: Page) -> Page:
    """The page with the photo of the cat, answered."""
    drop(opened, CAT)
    answered(opened, "Egyptian cat")
    return opened


# The main job


def test_a_photo_gives_five_answers_a_map_and_the_crop(cat):
    rows = cat.locator("#answers li")
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text("tiger cat")
    shares = [float(text.strip(" <%")) for text in rows.locator(".answer-value").all_inner_texts()]
    assert shares == sorted(shares, reverse=True) and 98 < sum(shares) <= 100.1
    expect(cat.locator("#chosen input")).to_have_value("Egyptian cat")
    expect(cat.locator("#facts")).to_contain_text("224 × 224 pixels")
    expect(cat.locator("#facts")).to_contain_text("451 × 300 (JPEG)")
    expect(cat.locator("#heatview figcaption")).to_contain_text("Grad-CAM")
    expect(cat.locator("#heatview figcaption")).to_contain_text("highlights")
    expect(cat.locator("#message")).to_have_count(0)


def test_the_map_lies_on_the_crop_in_the_middle_of_the_photo(cat):
    photo = cat.locator("#heatview .photo").bounding_box()
    patch = heat(cat).bounding_box()
    assert patch["width"] == pytest.approx(patch["height"], abs=2)
    middle = photo["x"] + photo["width"] / 2
    assert patch["x"] + patch["width"] / 2 == pytest.approx(middle, abs=2)
    # Shorter side to 256, of which 224 are seen.
    assert patch["height"] / photo["height"] == pytest.approx(224 / 256, abs=0.02)


def test_an_example_by_a_click(opened):
    opened.locator("#examples button", has_text="Bee").click()
    answered(opened, "bee")
    expect(opened.locator("#photo img").first).to_be_visible()


def test_the_next_photo_replaces_the_last(cat):
    before = drawn(cat)
    cat.locator("#examples button", has_text="Bee").click()
    answered(cat, "bee")
    assert drawn(cat) != before


def test_clearing_gives_the_empty_page_back(cat):
    cat.get_by_label("Remove Image").click()
    expect(cat.locator("#heatview .empty")).to_be_visible()
    expect(cat.locator("#answers")).to_contain_text("most probable of 1,000 classes appear here")
    expect(cat.locator("#answers li")).to_have_count(0)
    expect(cat.locator("#facts")).to_have_count(0)
    expect(cat.locator("#chosen input")).to_have_value("")


# The class, the method, and how it is drawn


def test_another_class_by_its_bar(cat):
    before = drawn(cat)
    cat.locator("#answers button", has_text="tabby").click()
    expect(cat.locator("#answers [aria-pressed=true]")).to_contain_text("tabby")
    expect(cat.locator("#chosen input")).to_have_value("tabby")
    expect(cat.locator("#heatview figcaption")).to_contain_text("“tabby”")
    changed(cat, before)


def test_another_class_by_its_name(cat):
    before = drawn(cat)
    search = cat.locator("#chosen input")
    search.click()
    search.fill("")  # typing adds to the name that stands there
    search.press_sequentially("window scr")
    cat.get_by_role("option", name="window screen", exact=True).click()
    expect(cat.locator("#heatview figcaption")).to_contain_text("“window screen”")
    changed(cat, before)
    expect(cat.locator("#answers li")).to_have_count(6)  # its bar joins the five
    expect(cat.locator("#answers [aria-pressed=true]")).to_contain_text("window screen")


def test_method_block_colours_and_grid_change_the_picture(cat):
    caption = cat.locator("#heatview figcaption")
    seen = [drawn(cat)]
    choose(cat, "method", "HiResCAM")
    expect(caption).to_contain_text("HiResCAM")
    seen.append(drawn(cat))  # at the last block this equals Grad-CAM
    choose(cat, "block", "3.2")
    expect(caption).to_contain_text("at block 3.2")
    seen.append(changed(cat, seen[-1]))
    cat.locator("#colours label", has_text="magma").click()
    seen.append(changed(cat, seen[-1]))
    cat.locator("#raw label").click()
    seen.append(changed(cat, seen[-1]))
    assert len(set(seen[1:])) == 4
    cat.locator("#raw label").click()
    expect(heat(cat)).to_have_attribute("src", seen[-2])  # and back


def test_the_exact_cam_moves_to_the_last_block_and_has_a_sign(cat):
    choose(cat, "block", "3.2")
    expect(cat.locator("#heatview figcaption")).to_contain_text("at block 3.2")
    choose(cat, "method", "CAM (exact, signed)")
    expect(cat.locator("#block input")).to_have_value("4.2")
    expect(cat.locator("#heatview .legend")).to_contain_text("against the class")
    drawn(cat)


def test_a_method_that_does_not_fit_the_block_says_so(cat):
    choose(cat, "method", "CAM (exact, signed)")
    expect(cat.locator("#heatview .legend")).to_contain_text("against the class")
    choose(cat, "block", "2.1")
    expect(cat.locator("#heatview .heat-note")).to_contain_text("4.2")
    expect(heat(cat)).to_have_count(0)


def test_the_opacity_is_the_browsers_own_affair(cat, watch):
    slider = cat.get_by_label("Opacity of the heat map")
    expect(heat(cat)).to_have_css("opacity", "0.55")
    asked = len(watch.sent)
    slider.fill("90")
    expect(heat(cat)).to_have_css("opacity", "0.9")
    slider.fill("0")
    expect(heat(cat)).to_have_css("opacity", "0")
    assert not [path for path in watch.sent[asked:] if "queue" in path]
    slider.fill("80")
    before = drawn(cat)
    cat.locator("#colours label", has_text="inferno").click()
    changed(cat, before)
    expect(heat(cat)).to_have_css("opacity", "0.8")  # and it stays for the next map


# Downloads


def downloaded(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.locator(f"#{button}").click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_the_picture_can_be_taken_away(cat):
    name, data = downloaded(cat, "download-png")
    assert re.fullmatch(r"gradcam-Egyptian-cat-4.2\.png", name)
    with Image.open(io.BytesIO(data)) as picture, Image.open(CAT) as photo:
        assert (picture.format, picture.size) == ("PNG", photo.size)
        assert picture.convert("RGB").tobytes() != photo.convert("RGB").tobytes()


def test_the_numbers_can_be_taken_away(cat):
    cat.locator("#answers button", has_text="tabby").click()
    expect(cat.locator("#heatview figcaption")).to_contain_text("“tabby”")
    name, data = downloaded(cat, "download-json")
    found = json.loads(data)
    assert name == "answer.json"
    assert found["weights"] == "he2015"
    running = cat.locator(".page-header .chips").inner_text()
    assert found["precision"] in running  # which it is depends on the machine
    assert len(found["weights_sha256"]) == len(found["photo_sha256"]) == 64
    assert found["size"] == [451, 300]
    assert [row["label"] for row in found["top"]][:3] == ["Egyptian cat", "tiger cat", "tabby"]
    assert found["top"][0]["index"] == 285 and 0.5 < found["top"][0]["probability"] < 1
    shown = found["heatmap"]
    assert (shown["class"], shown["method"], shown["block"]) == ("tabby", "gradcam", "4.2")
    grid = shown["grid"]
    assert len(grid) == 7 and {len(row) for row in grid} == {7}
    assert max(map(max, grid)) > 0


def test_without_a_photo_there_is_nothing_to_take_away(opened):
    opened.locator("#download-png").click()
    expect(opened.get_by_test_id("toast-body")).to_contain_text("Drop a photo first.")


# What can go wrong


def test_a_broken_file_is_told_and_the_last_answer_stays(cat, tmp_path):
    before = drawn(cat)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(CAT.read_bytes()[:9_000])
    drop(cat, broken)
    told = cat.locator("#message [role=alert]")
    expect(told).to_be_visible()
    expect(told).to_contain_text(re.compile(r"cut off|damaged|incomplete|truncated"))
    assert str(tmp_path) not in told.inner_text()
    answered(cat, "Egyptian cat")
    assert drawn(cat) == before
    drop(cat, CAT)  # and the next photo is welcome
    expect(told).to_have_count(0)
    answered(cat, "Egyptian cat")


def test_something_that_is_no_picture_is_told(opened, tmp_path):
    text = tmp_path / "holiday.jpg"
    text.write_text("no picture at all <script>alert(1)</script>")
    drop(opened, text)
    expect(opened.locator("#message [role=alert]")).to_be_visible()
    expect(opened.locator("#heatview .empty")).to_be_visible()


def test_a_file_that_is_too_large_is_told(opened, watch, tmp_path):
    watch.expected += ["404", "413", "Response"]  # the refusal itself
    large = tmp_path / "large.jpg"
    large.write_bytes(CAT.read_bytes() + bytes(MAX_BYTES))
    drop(opened, large)
    toast = opened.get_by_test_id("toast-body")
    expect(toast).to_contain_text("maximum allowed size of 20")
    expect(toast).to_contain_text("large.jpg")
    expect(opened.locator("#heatview .empty")).to_be_visible()


def test_a_tiff_is_answered_and_shown_though_browsers_cannot(opened, watch, tmp_path):
    watch.expected += ["Failed to load resource"]
    photo = tmp_path / "cat.tiff"
    with Image.open(CAT) as image:
        image.save(photo)
    drop(opened, photo)
    answered(opened, "Egyptian cat")
    expect(opened.locator("#facts")).to_contain_text("(TIFF)")
    preview = opened.locator("#photo .image-frame img")
    expect(preview).not_to_have_attribute("src", re.compile(r"\.tiff?$"))
    opened.wait_for_function("image => image.naturalWidth > 0", arg=preview.element_handle())
    choose(opened, "block", "3.5")  # it still is the photo when a control changes
    expect(opened.locator("#heatview figcaption")).to_contain_text("at block 3.5")


def test_what_was_done_to_a_photo_is_said(opened, tmp_path):
    photo = tmp_path / "cat.png"
    with Image.open(CAT) as image:
        image.putalpha(Image.new("L", image.size, 200))
        image.save(photo)
    drop(opened, photo)
    expect(opened.locator("#message [role=status]")).to_contain_text("white")


# Looks


def test_a_phone_has_nothing_to_scroll_sideways(opened):
    opened.set_viewport_size(PHONE)
    fits(opened)
    drop(opened, CAT)
    answered(opened, "Egyptian cat")
    fits(opened)
    wide = heat(opened).bounding_box()
    assert wide["x"] >= 0 and wide["x"] + wide["width"] <= PHONE["width"]
    for tab in opened.get_by_role("tab").all():
        if tab.is_visible():
            tab.click()
            expect(tab).to_have_attribute("aria-selected", "true")
            fits(opened)


def brightness(page: Page, part: str, what: str) -> float:
    colour = page.locator(part).first.evaluate(f"e => getComputedStyle(e).{what}")
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(opened, app, watch, theme):
    watch.expected += LEFT
    opened.goto(f"{app.url}?__theme={theme}")
    drop(opened, CAT)
    answered(opened, "Egyptian cat")
    ground = brightness(opened, "gradio-app", "backgroundColor")
    assert ground < 60 if theme == "dark" else ground > 200
    for part in ("#header h1", "#answers .answer-label", "#facts dt", "#heatview figcaption"):
        assert abs(brightness(opened, part, "color") - ground) > 80, part


def test_the_about_tab_names_what_is_running(opened):
    opened.get_by_role("tab", name="About").click()
    about = opened.locator("#about")
    expect(about).to_contain_text("he2015")
    expect(about).to_contain_text("MIT")
    expect(about).to_contain_text("HiResCAM")


def test_two_visitors_do_not_see_each_other(cat, app, browser):
    """The other one's page stays empty, and each gets their own answer."""
    other = browser.new_page()
    try:
        other.goto(app.url)
        expect(other.locator("#heatview .empty")).to_be_visible()
        other.locator("#examples button", has_text="Bee").click()
        answered(other, "bee")
        answered(cat, "Egyptian cat")
    finally:
        other.close()
