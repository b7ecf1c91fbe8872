"""A running app, a Chromium, and a watch on what the page asks for and complains about."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, WebSocket, expect
from running import App, running_app

expect.set_options(timeout=60_000)  # for a busy machine; each waits only as long as it must
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict:
    """Debian's Chromium, also as root and in a container; it asks nobody for updates."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("RESNET_REQUIRE_BROWSER"):
            pytest.fail("RESNET_REQUIRE_BROWSER is set, but there is no chromium here.")
        pytest.skip("needs chromium (apt install chromium)")
    args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    args += ["--disable-background-networking", "--use-fake-ui-for-media-stream"]
    return {"executable_path": chromium, "args": args}


LEFT = ["AbortError", "Connection errored out"]  # what gradio says of a page that is left


class Watch:
    """What a page asked of other hosts, and what it complained about."""

    def __init__(self, page: Page):
        self.outside: list[str] = []
        self.sent: list[str] = []  # paths asked of our own server
        self.complaints: list[str] = []
        self.expected: list[str] = []  # patterns of complaints that the test provokes
        page.on("request", self._request)
        page.on("websocket", self._socket)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _request(self, request: Request) -> None:
        self._address(request.url)

    def _socket(self, socket: WebSocket) -> None:
        self._address(socket.url)

    def _address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("data", "blob"):
            return
        (self.sent if parts.hostname == "127.0.0.1" else self.outside).append(parts.path or url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def check(self) -> None:
        """Nothing was asked of another host, and nothing unexpected went wrong."""
        assert not self.outside, f"the page asked other hosts: {self.outside}"
        pattern = re.compile("|".join(self.expected) or r"(?!)")
        assert not [text for text in self.complaints if not pattern.search(text)]


@pytest.fixture
def watch(page: Page) -> Iterator[Watch]:
    """Looks at everything from before the page is opened, and judges it after the test."""
    watching = Watch(page)
    yield watching
    watching.check()


@pytest.fixture(scope="session")
def app(browser_type_launch_args, tmp_path_factory) -> Iterator[App]:
    """One app for all tests, with the shipped weights; it costs seconds to start."""
    with running_app(tmp_path_factory.mktemp("app"), "--device", "cpu") as started:
        yield started


@pytest.fixture
def opened(app: App, page: Page, watch: Watch) -> Page:
    """The app's page, ready for a photo."""
    page.set_default_timeout(60_000)
    page.goto(app.url)
    page.locator("#photo input[type=file]").wait_for(state="attached")
    return page
