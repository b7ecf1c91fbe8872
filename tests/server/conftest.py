"""A small page on a real server, with and without our walls, and the people who visit it."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI
from PIL import Image

from resnet.server import users
from resnet.server.app import create_app
from resnet.server.serve import listen, make_server
from resnet.server.settings import Settings
from resnet.ui.photo_input import PhotoInput

STRONG = users._HASHER
users._HASHER = PasswordHasher(1, 64, 1)  # the real one takes its time, as it should
PASSWORDS = {"anna": "anna's own long password", "mallory": "another long password"}
SIGNED_IN: dict[tuple[str, str], dict[str, str]] = {}
ECHO, SIZE, SLOW, FAIL, KEEP, COUNT, PUBLIC = range(7)  # the small page's events


def small_page(release: threading.Event) -> gr.Blocks:
    """Events by number: see above.  `SLOW` runs until released, `KEEP` remembers in a state."""

    def size(path: str | None):
        if path is None:
            return None, "no photo"
        with Image.open(path) as image:
            return image.convert("RGB").copy(), f"{image.width} x {image.height}"

    def slow():
        release.wait(30)
        return "done"

    def fail(text: str):
        raise ValueError(f"/srv/secret/{text}")

    with gr.Blocks(analytics_enabled=False, title="small") as page:
        photo = PhotoInput(elem_id="photo")
        result = gr.Image(elem_id="result")
        text = gr.Textbox(elem_id="text")
        kept = gr.State("")
        buttons = [gr.Button(name) for name in "abcdefg"]
        hidden: dict[str, Any] = {"api_visibility": "private"}  # still reachable on Gradio alone
        buttons[ECHO].click(lambda said: said, text, text, **hidden)
        buttons[SIZE].click(size, photo, [result, text])
        buttons[SLOW].click(slow, None, text, concurrency_limit=1)
        buttons[FAIL].click(fail, text, text)
        buttons[KEEP].click(lambda said, old: (f"before: {old}", said), [text, kept], [text, kept])
        buttons[COUNT].click(lambda: "1", None, text)
        buttons[PUBLIC].click(lambda said: said, text, text, api_name="public")
    return page.queue(default_concurrency_limit=4, status_update_rate=2)


@dataclass
class Site:
    """A started server.  `front` is None without our walls."""

    url: str
    folder: Path
    release: threading.Event  # lets slow jobs end
    app: FastAPI
    server: uvicorn.Server

    @property
    def front(self) -> Any:
        return getattr(self.app.state, "front", None)

    @property
    def page(self) -> gr.Blocks:
        return self.front.page if self.front else self.app.state.page

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def started(app: FastAPI, server: uvicorn.Server, sock, folder, release) -> Iterator[Site]:
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive() and time.monotonic() < end, "the server did not start"
        time.sleep(0.01)
    try:
        yield Site(url, folder, release, app, server)
    finally:
        release.set()
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def private(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


@contextmanager
def guarded(
    folder: Path, make: Callable[[threading.Event], gr.Blocks] = small_page, **changes
) -> Iterator[Site]:
    """Our server; `changes` are settings, `probe`, `status`, and the `engine` of its HTTP API."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    release, probe = threading.Event(), changes.pop("probe", lambda: None)
    engine, status = changes.pop("engine", None), changes.pop("status", None)
    plain: dict[str, Any] = {"port": 0, "free_disk_mb": 0, "free_memory_mb": 0, "burst": 5000}
    settings = Settings(**(plain | {"grace_seconds": 2.0} | changes))
    try:
        private(folder)
        app = create_app(engine, settings, make(release), folder=folder, probe=probe, status=status)
        sock = listen(settings)
        with started(app, make_server(app, settings), sock, folder, release) as site:
            yield site
    finally:
        restore("GRADIO_TEMP_DIR", before)


@contextmanager
def bare(folder: Path) -> Iterator[Site]:
    """The same page as Gradio mounts it, for attacks to succeed on."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    release = threading.Event()
    try:
        private(folder)  # before the page: its parts remember where they write
        app, page = FastAPI(), small_page(release)
        app.state.page = page
        gr.mount_gradio_app(app, page, "/", footer_links=[], run_history=False)
        config = uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=2)
        sock = listen(Settings(port=0))
        with started(app, uvicorn.Server(config), sock, folder, release) as site:
            yield site
    finally:
        restore("GRADIO_TEMP_DIR", before)


def restore(name: str, value: str | None) -> None:
    os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


class Visitor(httpx.Client):
    """Somebody with a browser of their own."""

    def __init__(self, site: Site, user: str | None = None, **options):
        super().__init__(base_url=site.url, timeout=30, verify=False, **options)
        os.environ["GRADIO_TEMP_DIR"] = str(site.folder)  # Gradio reads it anew, for each site
        self.site, self.session = site, f"session{id(self)}"
        if user is not None and (site.url, user) not in SIGNED_IN:  # a hash takes its time
            answer = self.sign_in(user, PASSWORDS[user])
            assert answer.status_code == 303, answer.text
            SIGNED_IN[site.url, user] = dict(self.cookies)
        elif user is not None:
            self.cookies.update(SIGNED_IN[site.url, user])
        self.get("/").raise_for_status()

    def __enter__(self) -> Visitor:
        return self  # it is open already

    def sign_in(self, user: str, password: str) -> httpx.Response:
        return self.post("/login", data={"name": user, "password": password})

    def give(self, data: bytes, name: str = "cat.png") -> str:
        """Upload one photo; its path."""
        answer = self.post("/gradio_api/upload", files={"files": (name, data)})
        answer.raise_for_status()
        return answer.json()[0]

    def join(self, number: int, *data, session: str | None = None, **more) -> httpx.Response:
        body = {"data": list(data), "fn_index": number, "session_hash": session or self.session}
        return self.post("/gradio_api/queue/join", json=body | more)

    def events(self, session: str | None = None) -> list[dict]:
        """Everything on a session's stream until it ends; empty if it is not ours."""
        found = []
        asked = {"session_hash": session or self.session}
        with self.stream("GET", "/gradio_api/queue/data", params=asked) as stream:
            if stream.status_code != 200:
                return []
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    found.append(json.loads(line[5:]))
        return found

    def ask(self, number: int, *data, **options) -> dict:
        """One event, as the page's script does it; its end."""
        self.join(number, *data, **options).raise_for_status()
        news = self.events(options.get("session"))
        (end,) = [message for message in news if message["msg"] == "process_completed"]
        return end


class web:
    """Single requests of a stranger, without the 50 ms that httpx takes to read certificates."""

    @staticmethod
    def request(method: str, url: str, **options) -> httpx.Response:
        with httpx.Client(verify=False, timeout=30) as client:
            return client.request(method, url, **options)

    get = partial(request, "GET")
    post = partial(request, "POST")
    options = partial(request, "OPTIONS")


def photo(path: str, **more) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}} | more


def picture(colour: str = "red", size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="session")
def users_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.txt"
    for name, password in PASSWORDS.items():
        users.add(path, name, password)
    return path


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Iterator[Site]:
    """Open to everybody."""
    with guarded(tmp_path_factory.mktemp("open") / "photos") as found:
        yield found


@pytest.fixture(scope="session")
def signed_site(tmp_path_factory, users_file) -> Iterator[Site]:
    """With sign-in."""
    with guarded(tmp_path_factory.mktemp("signed") / "photos", auth=str(users_file)) as found:
        yield found


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory) -> Iterator[Site]:
    """Without our walls."""
    with bare(tmp_path_factory.mktemp("bare") / "photos") as found:
        yield found


@pytest.fixture
def anna(site) -> Iterator[Visitor]:
    with Visitor(site) as visitor:
        yield visitor


@pytest.fixture
def mallory(site) -> Iterator[Visitor]:
    with Visitor(site) as visitor:
        yield visitor
