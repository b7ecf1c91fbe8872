"""What can be taken away: the report, opened with the network off; the link; the gallery."""

import json
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from conftest import ROOT
from playwright.sync_api import Browser, Page, expect

from browser.conftest import LEFT

EXAMPLES = ROOT / "assets" / "examples"


def pick(page: Page, name: str, answer: str) -> None:
    page.locator(f"#examples button[data-file='{name}.jpg']").click()
    expect(page.locator("#heatview figcaption")).to_contain_text(f"“{answer}”")


def selected(page: Page, tab: str) -> None:
    expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")


def opened_offline(browser: Browser, path: Path, width: int, scheme: str = "light") -> None:
    """The file on a machine without a network: no request, no complaint, nothing sticks out."""
    context = browser.new_context(
        offline=True, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    expect(page.locator("h1")).to_have_text("What a ResNet-50 sees")
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in page.locator("img").all():
        assert image.evaluate("e => e.complete && e.naturalWidth > 0")
    charts = page.locator("svg.chart")
    assert charts.count() >= 6
    for chart in charts.all():
        assert chart.bounding_box()["width"] > 200
    context.close()


def test_the_report_and_the_bundle_of_the_page_s_photo(opened: Page, browser, tmp_path):
    page = opened
    pick(page, "cat", "Egyptian cat")
    with page.expect_download() as download:
        page.locator("#download-report").click()
        expect(page.locator("#report-status progress")).to_be_visible()
        expect(page.locator("#report-status")).to_contain_text("Making the report")
    assert download.value.suggested_filename == "report.html"
    expect(page.locator("#report-status")).to_have_count(0)
    report = tmp_path / "report.html"
    download.value.save_as(report)
    assert "Egyptian cat" in report.read_text("utf-8")
    for width, scheme in ((1280, "light"), (390, "dark")):
        opened_offline(browser, report, width, scheme)

    with page.expect_download() as download:
        page.locator("#download-bundle").click()
    with zipfile.ZipFile(download.value.path()) as bundle:
        assert bundle.testzip() is None
        assert bundle.read("report.html") == report.read_bytes()
        manifest = json.loads(bundle.read("manifest.json"))
        assert len(manifest["files"]) == len(bundle.namelist()) - 1
        assert manifest["class"]["label"] == "Egyptian cat"


def test_without_a_photo_there_is_no_report(opened: Page):
    opened.locator("#download-report").click()
    expect(opened.get_by_text("Drop a photo first.")).to_be_visible()


def test_a_link_brings_photo_class_options_and_tab_back(opened: Page, app, watch):
    page = opened
    watch.expected += LEFT
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    pick(page, "otter", "otter")
    page.locator("#colours").get_by_label("magma").check()
    page.locator("#raw").get_by_label("Raw grid").check()
    page.locator("#answers button, #answers [role=button]").nth(1).click()
    expect(page.locator("#heatview figcaption")).to_contain_text("“mink”")
    page.get_by_role("tab", name="Inside").click()
    page.locator("#header .copy-link").click()
    expect(page.locator("#header .copy-link")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(app.url) and "photo=otter.jpg" in link and "tab=inside" in link

    page.goto(link)
    selected(page, "Inside")
    expect(page.locator("#wiring")).to_contain_text("otter")
    page.get_by_role("tab", name="Classify").click()
    expect(page.locator("#heatview figcaption")).to_contain_text("“mink”")
    expect(page.locator("#chosen input")).to_have_value("mink")
    expect(page.locator("#colours").get_by_label("magma")).to_be_checked()
    expect(page.locator("#raw").get_by_label("Raw grid")).to_be_checked()


def test_a_link_brings_detect_inside_and_compare_back(opened: Page, app, watch):
    page = opened
    watch.expected += LEFT
    page.goto(
        f"{app.url}/?photo=astronaut.jpg&detector=offline&score=0.3&things=person"
        "&cuts=3.2branch0&compare=cuts&boxes=1&compare-cuts=inside&method-a=layercam&tab=compare"
    )
    selected(page, "Compare")
    expect(page.locator("#compare-way").get_by_label("Before and after the cuts")).to_be_checked()
    expect(page.locator("#slot-b")).to_contain_text("branch of 3.2 cut")
    expect(page.locator("#method-a input")).to_have_value("LayerCAM")
    expect(page.locator("#compare-boxes")).to_contain_text("only A")
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator("#outcome")).to_contain_text("branch of 3.2 cut")
    page.get_by_role("tab", name="Detect").click()
    expect(page.locator("#detect-view .found")).to_have_text("2 people.")
    expect(page.locator("#detect-only")).to_contain_text("person")
    expect(page.locator("#detect-score input[type=number]")).to_have_value("0.3")
    # The link of that page is the same again.
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    page.locator("#header .copy-link").click()
    expect(page.locator("#header .copy-link")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    query = {key: value for key, (value,) in parse_qs(urlsplit(link).query).items()}
    given = ("detector", "score", "things", "cuts", "compare", "boxes", "compare-cuts", "method-a")
    assert {key: query.get(key) for key in given} == {
        "detector": "offline", "score": "0.3", "things": "person", "cuts": "3.2branch0",
        "compare": "cuts", "boxes": "1", "compare-cuts": "inside", "method-a": "layercam",
    }  # fmt: skip
    assert query["photo"] == "astronaut.jpg" and query["tab"] == "detect"


def test_a_link_never_holds_an_upload_and_a_wrong_one_is_said(opened: Page, app, watch, tmp_path):
    page = opened
    watch.expected += LEFT
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    own = tmp_path / "private-holiday.jpg"
    own.write_bytes((EXAMPLES / "cat.jpg").read_bytes() + b"\0")  # not an example any more
    page.locator("#photo input[type=file]").set_input_files(own)
    expect(page.locator("#heatview figcaption")).to_contain_text("“Egyptian cat”")
    page.locator("#header .copy-link").click()
    expect(page.locator("#header .copy-link")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert "photo=" not in link and "private" not in link and "class=" not in link

    page.goto(f"{app.url}/?photo=../../app.py&method=gradcam%3Cimg%20src=x%3E&tab=about")
    expect(page.get_by_text("What the link says of photo, method is not known")).to_be_visible()
    selected(page, "About")


def test_the_gallery_opens_a_photo_in_the_tab_that_is_chosen(opened: Page):
    page = opened
    pick(page, "bee", "bee")
    expect(page.locator("#gallery button[data-key]")).to_have_count(0)  # nothing to go back to
    pick(page, "otter", "otter")
    photos = page.locator("#gallery button[data-key]")
    expect(photos).to_have_count(2)
    expect(photos.first).to_have_attribute("title", "otter, 98.3 %")
    expect(photos.first).to_have_attribute("aria-current", "true")

    page.locator("#gallery .gallery-to select").select_option("Inside")
    photos.nth(1).click()
    selected(page, "Inside")
    expect(page.locator("#wiring")).to_contain_text("bee")

    page.locator("#gallery .gallery-to select").select_option("Compare")
    page.locator("#gallery button[data-key]", has=page.get_by_alt_text("otter, 98.3 %")).click()
    selected(page, "Compare")
    expect(page.locator("#slot-a")).to_contain_text("otter")

    page.locator("#gallery .gallery-toggle").click()
    expect(page.locator("#gallery .gallery-photos")).to_be_hidden()


def test_a_photo_of_the_session_goes_into_a_or_b_by_one_click(opened: Page):
    page = opened
    pick(page, "bee", "bee")
    pick(page, "cat", "Egyptian cat")
    pick(page, "otter", "otter")
    slots = page.locator("#gallery button[data-slot]")
    expect(slots).to_have_count(6)
    page.get_by_role("button", name="Compare as B: bee").click()
    selected(page, "Compare")
    expect(page.locator("#compare-way").get_by_label("Two photos")).to_be_checked()
    expect(page.locator("#slot-a")).to_contain_text("otter.jpg")
    expect(page.locator("#slot-b")).to_contain_text("bee.jpg")
    # The open tab follows, and what stands in B stays.
    page.get_by_role("button", name="Compare as A: Egyptian cat").click()
    expect(page.locator("#slot-a")).to_contain_text("cat.jpg")
    expect(page.locator("#slot-b")).to_contain_text("bee.jpg")
    page.get_by_role("button", name="Compare as B: otter").click()
    expect(page.locator("#slot-b")).to_contain_text("otter.jpg")
    expect(page.locator("#slot-a")).to_contain_text("cat.jpg")
