"""The tab *Inside*, as a visitor uses it."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

WIRES = [(f"{s}.{i}", w) for s, n in zip("1234", (3, 4, 6, 3), strict=True) for i in range(n)
         for w in ("branch", "shortcut")]  # fmt: skip


def wire(page: Page, block: str, which: str) -> Locator:
    return page.locator(f'#wiring .wide .hit[data-key="{block}:{which}"]')


def outcome(page: Page) -> Locator:
    return page.locator("#outcome .outcome")


def answer(page: Page) -> Locator:
    return page.locator("#wiring .wide .answer .label").first


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as caught:
        page.locator(button).click()
    return Path(caught.value.path()).read_bytes()


def show(page: Page, title: str) -> None:
    page.locator("#which-figure label").filter(has_text=title).click()


@pytest.fixture
def bee(opened: Page) -> Page:
    """The tab with the bee's signal in its wires."""
    opened.get_by_role("tab", name="Inside").click()
    expect(opened.locator("#outcome")).to_contain_text("Which photo")
    opened.locator('#inside-examples button[data-file="bee.jpg"]').click()
    expect(outcome(opened)).to_contain_text("says “bee”")
    expect(answer(opened)).to_have_text("bee")
    return opened


def test_all_wires_are_there_and_can_be_reached(bee: Page):
    for block, which in WIRES:
        expect(wire(bee, block, which)).to_have_attribute("tabindex", "0")


def test_a_cut_shortcut_changes_the_answer_and_reset_brings_it_back(bee: Page):
    expect(bee.locator("#reset")).to_be_hidden()
    wire(bee, "2.1", "shortcut").click()
    expect(outcome(bee)).to_contain_text("With the shortcut of 2.1 cut this network says")
    expect(outcome(bee)).to_contain_text("instead of “bee”")
    expect(answer(bee)).not_to_have_text("bee")
    expect(bee.locator("#pairs .pairs li").first).to_contain_text("bee")
    bee.locator("#reset").click()
    expect(answer(bee)).to_have_text("bee")
    expect(outcome(bee)).to_contain_text("Nothing is cut")
    expect(bee.locator("#pairs")).to_be_hidden()
    expect(bee.locator("#reset")).to_be_hidden()


def test_a_branch_is_cut_and_mended_by_keyboard(bee: Page):
    wire(bee, "3.2", "branch").focus()
    bee.keyboard.press("Enter")
    expect(outcome(bee)).to_contain_text("With the branch of 3.2 cut this network still says “bee”")
    expect(wire(bee, "3.2", "branch")).to_be_focused()  # the diagram is drawn anew
    bee.keyboard.press("Enter")
    expect(outcome(bee)).to_contain_text("Nothing is cut")
    expect(wire(bee, "3.2", "branch")).to_be_focused()
    bee.keyboard.press("ArrowDown")
    expect(outcome(bee)).to_contain_text("the branch of 3.2 at gain 0.75")


def test_selecting_a_block_opens_its_panel(bee: Page):
    expect(bee.locator("#block-panel")).to_contain_text("Block 3.2 · identity shortcut")
    bee.locator('#wiring .wide .hit[data-key="4.0:block"]').click()
    panel = bee.locator("#block-panel")
    expect(panel).to_contain_text("Block 4.0 · projected shortcut · 7 × 7 · 2048 channels")
    expect(panel).to_contain_text("adds to ⟨G, H⟩")
    before = panel.locator("img").first.get_attribute("src")
    bee.locator("#how label").filter(has_text="RMS").click()
    expect(panel).to_contain_text("root mean square")
    expect(panel.locator("img").first).not_to_have_attribute("src", before)


PRESETS = [
    ("Cut every shortcut", "With every shortcut cut"),
    ("Shortcuts only after 3.0", "With every branch after 3.0 cut"),
    ("Cut 1.1", "With the branch of 1.1 cut"),
    ("Three random blocks", "(drawn with seed"),
    ("Swap 3.2 and 3.3", "With 3.2 and 3.3 swapped"),
]


def test_presets(bee: Page):
    for preset, words in PRESETS:
        bee.get_by_role("button", name=preset).click()
        expect(outcome(bee)).to_contain_text(words)


def test_the_tour_plays_its_six_steps_and_ends(bee: Page):
    bee.locator("#tour").click()
    for step in range(1, 7):
        expect(bee.locator("#outcome .tour")).to_contain_text(f"Step {step} of 6")
        bee.locator("#tour").click()
    expect(bee.locator("#outcome .tour")).to_have_count(0)
    expect(outcome(bee)).to_contain_text("Nothing is cut")


def test_evidence_and_gradient_as_widths(bee: Page):
    for title, words in (("Evidence", "evidence for the class"), ("Gradient", "gradient of")):
        bee.locator("#measure label").filter(has_text=title).click()
        drawing = bee.locator("#wiring .wide")
        expect(drawing).to_have_attribute("aria-label", re.compile(words))


def test_a_bar_of_the_lesion_board_makes_that_cut(bee: Page):
    bar = bee.locator('#figure [data-block="1.1"][data-wire="branch"]')
    bar.focus()
    bee.keyboard.press("Enter")
    expect(outcome(bee)).to_contain_text("With the branch of 1.1 cut")


FIGURES = [  # title, part of the invariant, key, rows of its table
    ("Lesion board", "error", "lesions", 32),
    ("Signal budget", "add", "budget", 16),
    ("Evidence river", "error", "evidence", 16),
    ("Logit ledger", "error", "ledger", 5),
    ("Answer timeline", "Read-out at 4.2", "timeline", 16),
    ("Gradient highway", "error", "highway", 16),
]


def test_figures_print_their_invariant_and_can_be_taken_away(bee: Page):
    for title, invariant, key, rows in FIGURES:
        show(bee, title)
        panel = bee.locator(f'#figure .figure-panel[data-name="{key}"]')
        expect(panel.locator("svg.chart").first).to_be_visible()
        expect(panel.locator(".invariant").first).to_contain_text(invariant)
        table = list(csv.DictReader(io.StringIO(saved(bee, "#figure-csv").decode())))
        assert len(table) == rows, key
        numbers = json.loads(saved(bee, "#figure-json"))
        assert numbers["manifest"]["weights"] == "he2015"
        assert numbers["manifest"]["class"]["label"] == "bee"
        picture = Image.open(io.BytesIO(saved(bee, "#figure-png")))
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20, key  # drawn, not blank


def test_figures_follow_the_switchboard(bee: Page):
    show(bee, "Signal budget")
    panel = bee.locator("#figure .figure-panel")
    expect(panel.locator("svg.chart")).to_be_visible()
    before = panel.inner_html()
    wire(bee, "2.1", "shortcut").click()
    expect(panel).to_contain_text("as set in the diagram")
    assert panel.inner_html() != before


def test_the_depth_study_runs_with_progress(bee: Page):
    show(bee, "Deeper than 50")
    bee.locator("#start").click()
    expect(bee.locator("#figure progress")).to_be_visible()
    expect(bee.locator("#figure svg.chart")).to_be_visible()


def test_path_lengths_can_be_stopped(bee: Page):
    show(bee, "Path lengths")
    bee.locator("#start").click()
    expect(bee.locator("#figure progress")).to_be_visible()
    bee.locator("#stop").click()
    show(bee, "Signal budget")
    expect(bee.locator('#figure .figure-panel[data-name="budget"] svg.chart')).to_be_visible()


def test_a_photo_of_classify_runs_through_the_wires(opened: Page):
    cat = Path(__file__).resolve().parents[2] / "assets" / "examples" / "cat.jpg"
    opened.locator("#photo input[type=file]").set_input_files(cat)
    expect(opened.locator("#answers li").first).to_contain_text("Egyptian cat")
    opened.get_by_role("tab", name="Inside").click()
    expect(answer(opened)).to_have_text("Egyptian cat")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_phone(app, page: Page, watch, theme: str):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{app.url}/?__theme={theme}")
    page.get_by_role("tab", name="Inside").click()
    page.locator('#inside-examples button[data-file="bee.jpg"]').click()
    expect(page.locator("#wiring .tall .answer .label").first).to_have_text("bee")
    expect(page.locator("#figure svg.chart")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator('#wiring .tall .hit[data-key="2.1:shortcut"]').click()
    expect(outcome(page)).to_contain_text("With the shortcut of 2.1 cut")
