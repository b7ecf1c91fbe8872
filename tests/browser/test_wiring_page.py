"""The wiring diagram alone in a page: what a hand on it does."""

from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
from test_wiring import NAMES, REST, blocks

from resnet.draw.wiring import Answer
from resnet.ui.wiring import read_gains, wiring_diagram, wiring_value


@pytest.fixture
def shown(tmp_path, monkeypatch, page):
    """A page with the diagram alone; its answer counts the changes."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    heard = SimpleNamespace(events=[], answering=True)

    def listen(event: gr.EventData):
        heard.events.append(event._data)

    def answer(event: gr.EventData):
        heard.events.append(event._data)
        if not heard.answering:
            return gr.skip()
        gains = read_gains(event, NAMES)
        states = [
            replace(
                b,
                shortcut=replace(b.shortcut, gain=gains.get(b.name, {}).get("shortcut", 1.0)),
                branch=replace(b.branch, gain=gains.get(b.name, {}).get("branch", 1.0)),
            )
            for b in blocks()
        ]
        changed = sum(len(pair) for pair in gains.values())
        return wiring_value(states, Answer(f"{changed} changed", 0.5))

    with gr.Blocks() as demo:
        diagram = wiring_diagram(wiring_value(blocks(), REST))
        diagram.cut(answer, None, diagram, show_progress="hidden")
        diagram.gain(answer, None, diagram, show_progress="hidden")
        diagram.select(listen, None, None)
    page.set_default_timeout(30_000)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    page.goto(url)
    page.locator(".wiring-svg.wide .label").first.wait_for()
    yield page, heard
    demo.close()


def hit(page, key: str):
    return page.locator(f'.wide .hit[data-key="{key}"]')


def says(page, text: str) -> None:
    page.locator(".wide .answer .label", has_text=text).wait_for()


def test_cut_by_mouse_and_mended_by_keyboard(shown):
    page, heard = shown
    hit(page, "3.2:shortcut").click()
    says(page, "1 changed")
    assert heard.events == [
        {"block": "3.2", "wire": "shortcut", "gain": 0, "gains": {"3.2": {"shortcut": 0}}}
    ]
    assert hit(page, "3.2:shortcut").get_attribute("aria-checked") == "false"
    hit(page, "3.2:shortcut").focus()
    page.keyboard.press("Enter")
    says(page, "0 changed")
    assert heard.events[-1]["gains"] == {}
    focused = page.evaluate("document.activeElement.dataset.key")
    assert focused == "3.2:shortcut"  # the focus stays on its wire


def test_arrows_and_a_drag_change_the_gain(shown):
    page, heard = shown
    hit(page, "4.1:branch").focus()
    page.keyboard.press("ArrowDown")
    says(page, "1 changed")
    assert heard.events[-1]["gain"] == 0.75
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.key") == "4.2:branch"
    box = hit(page, "1.1:shortcut").bounding_box()
    x, y = box["x"] + 12, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 30)
    page.mouse.move(x, y - 45)
    page.mouse.up()
    says(page, "2 changed")
    assert heard.events[-1]["block"] == "1.1" and heard.events[-1]["gain"] == 1.5
    assert len(heard.events) == 2  # a drag sends once, on release, and is no click


def test_a_click_on_the_plus_selects(shown):
    page, heard = shown
    hit(page, "2.3:block").click()
    page.locator('.wide .block.selected[data-block="2.3"]').wait_for()
    for _ in range(50):
        if heard.events:
            break
        page.wait_for_timeout(50)
    assert heard.events[0] == {"block": "2.3"}


def test_the_numbers_are_told_on_hover_and_on_focus(shown):
    page, _ = shown
    hit(page, "3.0:shortcut").hover()
    tip = page.locator(".wiring-tip.shown")
    tip.wait_for()
    assert "Shortcut of 3.0 (projection)" in tip.inner_text()
    page.keyboard.press("Tab")
    page.mouse.move(2, 2)
    hit(page, "1.0:branch").focus()
    page.locator(".wiring-tip.shown", has_text="Branch of 1.0").wait_for()


def test_the_cut_shows_before_the_answer_and_goes_if_none_comes(shown):
    page, heard = shown
    heard.answering = False
    page.clock.install()
    hit(page, "3.2:shortcut").click()
    page.locator('.wide .cut[data-key="3.2:shortcut"]').wait_for()
    assert page.locator(".wiring.busy").count() == 1
    page.clock.run_for(13_000)
    page.locator('.wide .wire.pos:not(.cut)[data-key="3.2:shortcut"]').wait_for()
    assert page.locator(".wiring.busy").count() == 0


def test_a_phone_gets_its_own_layout(shown):
    page, _ = shown
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator(".wiring-svg.tall").wait_for()
    assert not page.locator(".wiring-svg.wide").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
