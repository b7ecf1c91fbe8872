"""What is answered while the app is being made, and what becomes of the door then."""

import base64
import gc
import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from resnet.server.app import create_app
from resnet.server.door import Door
from resnet.server.serve import listen, make_server, serve
from resnet.server.settings import Settings
from server.attacks import wait_for
from server.conftest import private, restore, small_page, started, web

OPTIONS = {"port": 0, "free_disk_mb": 0, "free_memory_mb": 0, "grace_seconds": 2.0}


class Steps:
    """Held until the test lets them go on."""

    def __init__(self):
        self.make, self.warm = threading.Event(), threading.Event()


@contextmanager
def opening(folder, fault: Exception | None = None, **changes):
    """A server whose app is not made yet, and the two steps that are held."""
    steps, settings = Steps(), Settings(**(OPTIONS | changes))
    before = os.environ.get("GRADIO_TEMP_DIR")

    def make():
        steps.make.wait(60)
        if fault is not None:
            raise fault
        return create_app(None, settings, small_page(steps.make), probe=lambda: None)

    try:
        private(folder)
        door = Door(settings, make, lambda: steps.warm.wait(60))
        server = make_server(door, settings)
        with started(door, server, listen(settings), folder, steps.make) as site:
            yield site, steps, door
        steps.warm.set()
    finally:
        restore("GRADIO_TEMP_DIR", before)
        gc.unfreeze()


@pytest.fixture
def begun(tmp_path):
    with opening(tmp_path / "photos") as found:
        yield found


def test_the_page_is_answered_before_the_app_is_made_and_opens_by_itself(begun):
    site, _, _ = begun
    answer = web.get(f"{site.url}/?photo=cat.jpg")
    assert answer.status_code == 200 and "Starting" in answer.text
    assert '<meta http-equiv="refresh" content="1">' in answer.text  # the same address, query too
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):  # what stands in the page may run, and nothing else
        text = answer.text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        mark = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert text and f"{tag}-src 'sha256-{mark}';" in policy
    assert "set-cookie" not in answer.headers
    head = httpx.head(f"{site.url}/", verify=False)
    assert head.status_code == 200 and head.content == b""


def test_probes_and_programs_are_told_to_come_again(begun):
    site, _, _ = begun
    assert web.get(f"{site.url}/healthz").json() == {"status": "alive"}
    ready = web.get(f"{site.url}/readyz")
    assert ready.status_code == 503 and ready.headers["retry-after"] == "1"
    assert ready.json() == {"status": "not ready", "checks": {"server": "starting"}}
    problem = web.post(f"{site.url}/api/v1/classify")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["reason"] == "starting"
    for ask, path in ((web.post, "/api/v1/classify"), (web.get, "/config"), (web.post, "/login"),
                      (web.post, "/gradio_api/upload"), (web.get, "/metrics")):  # fmt: skip
        answer = ask(f"{site.url}{path}")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1", path
        assert "The server is starting. Try again in a moment." in answer.text


def test_once_made_it_leads_on_and_is_ready_when_it_is_warm(begun):
    site, steps, door = begun
    assert "gradio_config" not in web.get(f"{site.url}/").text
    assert not gc.isenabled()
    steps.make.set()
    wait_for(lambda: "gradio_config" in web.get(f"{site.url}/").text)
    assert web.get(f"{site.url}/readyz").json()["checks"] == {"server": "starting"}
    assert web.get(f"{site.url}/metrics").status_code == 200
    steps.warm.set()
    wait_for(lambda: web.get(f"{site.url}/readyz").status_code == 200)
    assert set(web.get(f"{site.url}/readyz").json()["checks"].values()) == {"fine"}
    assert gc.isenabled() and not door.busy
    door.stopping = True
    assert web.get(f"{site.url}/readyz").json()["checks"]["server"] == "stopping"


def test_behind_a_path_of_a_proxy(tmp_path):
    with opening(tmp_path / "photos", root_path="/resnet") as (site, _, _):
        assert "Starting" in web.get(f"{site.url}/resnet").text
        assert "Starting" in web.get(f"{site.url}/resnet/").text
        assert web.get(f"{site.url}/resnet/healthz").status_code == 200
        assert web.get(f"{site.url}/resnet/readyz").status_code == 503


def test_who_may_frame_the_page_may_frame_it_while_it_starts(tmp_path):
    framed = {"frame_origins": ("https://team.example",)}
    with opening(tmp_path / "photos", **framed) as (site, _, _):
        answer = web.get(f"{site.url}/")
        assert "frame-ancestors https://team.example" in answer.headers["content-security-policy"]
        assert "x-frame-options" not in answer.headers


def test_ended_while_it_is_being_made_it_does_not_wait(tmp_path):
    with opening(tmp_path / "photos") as (site, steps, door):
        assert web.get(f"{site.url}/").status_code == 200
        site.server.should_exit = True
        wait_for(lambda: not site.server.started or door._ended.is_set())
        wait_for(gc.isenabled)
        assert door.busy and door.failed is None
        steps.make.set()
        wait_for(lambda: not door.busy)
    assert door._app is None  # what was made too late is not led on to


def test_what_goes_wrong_while_it_is_made_ends_the_server(tmp_path):
    settings, closed = Settings(**OPTIONS), []

    def broken():
        raise ValueError("There are no weights named “resnet51”.")

    # A thread of its own: among the browser's tests, a loop runs in this one.
    with ThreadPoolExecutor(1) as beside, pytest.raises(ValueError, match="resnet51"):
        beside.submit(
            serve, Door(settings, broken), settings, close=lambda: closed.append(1)
        ).result(60)
    assert closed == [1] and gc.isenabled()
