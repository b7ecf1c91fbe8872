"""Files from the net: whole, resumed, damaged, cut off, no net; from a server on loopback."""

import errno
import hashlib
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from resnet import downloads
from resnet.downloads import Damaged, DownloadError, Unreachable

DATA = np.random.default_rng(0).bytes(1_000_003)
HASH = hashlib.sha256(DATA).hexdigest()
NAME = f"net-{HASH[:8]}.pth"


@dataclass
class Server:
    """What a server on loopback serves, and what it was asked for."""

    url: str = ""
    data: bytes = DATA
    ranges: bool = True
    breaks_at: int | None = None  # closes the connection after so many bytes of an answer
    length: bool = True  # sends a Content-Length
    status: int = 200
    go: threading.Event = field(default_factory=threading.Event)  # the body waits for it
    shift: int = 0  # a faulty server, which goes on elsewhere than asked
    asked: list[str | None] = field(default_factory=list)  # the Range of each request


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    served.go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            served.asked.append(wanted)
            if served.status != 200:
                self.send_error(served.status)
                return
            start = 0
            if wanted and served.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(served.data):
                    self.send_error(416)
                    return
                start += served.shift
                self.send_response(206)
                end = len(served.data) - 1
                self.send_header("Content-Range", f"bytes {start}-{end}/{end + 1}")
            else:
                self.send_response(200)
            body = served.data[start:]
            if served.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            served.go.wait(60)
            self.wfile.write(body[: served.breaks_at])

        def log_message(self, *args):
            pass

    class Listening(ThreadingHTTPServer):
        def handle_error(self, *args):  # a client that went away
            pass

    listening = Listening(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{listening.server_port}/models/{NAME}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield served
    served.go.set()
    listening.shutdown()
    listening.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


# Whole files


@pytest.mark.parametrize("expected", [HASH, HASH[:8], HASH[:8].upper()])
def test_fetched(server, cache, expected):
    told: list[tuple[int, int | None]] = []
    path = downloads.fetch(server.url, expected, lambda *counts: told.append(counts))
    assert path == cache / NAME and path.read_bytes() == DATA
    assert names(cache) == [NAME] and server.asked == [None]
    assert told[0] == (0, len(DATA)) and told[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in told] == sorted(done for done, _ in told) and len(told) > 3


def test_what_is_here_is_not_fetched_again(server):
    downloads.fetch(server.url, HASH)
    told = []
    downloads.fetch(server.url, HASH, lambda *counts: told.append(counts))
    assert len(server.asked) == 1 and told == [(len(DATA), len(DATA))]


def test_a_damaged_file_in_the_cache_is_replaced(server, cache):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(DATA[:-1] + b"?")
    assert downloads.fetch(server.url, HASH[:8]).read_bytes() == DATA
    assert names(cache) == [NAME]


def test_without_a_length(server, cache):
    server.length = False
    told = []
    assert downloads.fetch(server.url, HASH, lambda *c: told.append(c)).read_bytes() == DATA
    assert told[-1] == (len(DATA), None)


def test_the_address_may_carry_a_query(server, cache):
    assert downloads.fetch(server.url + "?a=b/c", HASH) == cache / NAME


def test_a_hash_is_needed(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="hash"):
        downloads.matches(tmp_path / "file", "")


# Broken off, and resumed


def test_truncated_then_resumed(server, cache):
    server.breaks_at = 400_000
    with pytest.raises(DownloadError, match=rf"{NAME} broke off after 0.4 of 1.0 MB. Try again"):
        downloads.fetch(server.url, HASH)
    assert names(cache) == [f"{NAME}.part"]
    assert (cache / f"{NAME}.part").read_bytes() == DATA[:400_000]
    with pytest.raises(DownloadError, match=r"broke off after 0.8 of 1.0 MB"):
        downloads.fetch(server.url, HASH)
    server.breaks_at = None
    told = []
    path = downloads.fetch(server.url, HASH, lambda *c: told.append(c))
    assert path.read_bytes() == DATA and names(cache) == [NAME]
    assert server.asked == [None, "bytes=400000-", "bytes=800000-"]
    assert told[0] == (800_000, len(DATA)) and told[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize("fault", ["no ranges", "another place"])
def test_a_server_that_cannot_go_on_starts_again(server, cache, fault):
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(DATA[:300_000])
    if fault == "no ranges":
        server.ranges = False
        assert downloads.fetch(server.url, HASH).read_bytes() == DATA
        assert server.asked == ["bytes=300000-"]
    else:
        server.shift = 7
        with pytest.raises(DownloadError):  # never a file with a gap
            downloads.fetch(server.url, HASH)
        assert NAME not in names(cache)


def test_a_longer_part_of_another_file(server, cache):
    """A server without ranges sends the whole; nothing of what was there stays behind it."""
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(b"x" * (len(DATA) + 5))
    server.ranges = False
    assert downloads.fetch(server.url, HASH).read_bytes() == DATA


@pytest.mark.parametrize("content", [DATA, b"x" * len(DATA), DATA + b"more"])
def test_a_part_as_long_as_the_file_or_longer(server, cache, content):
    """Stopped just before it got its name, or something else: 416 from the server."""
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(content)
    assert downloads.fetch(server.url, HASH).read_bytes() == DATA
    assert server.asked == ([f"bytes={len(content)}-"] + ([] if content == DATA else [None]))
    assert names(cache) == [NAME]


def test_stopped_by_the_caller_then_resumed(server, cache):
    def stop(done: int, total: int | None) -> None:
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloads.fetch(server.url, HASH, stop)
    assert names(cache) == [f"{NAME}.part"]
    assert downloads.fetch(server.url, HASH).read_bytes() == DATA
    assert server.asked[1] is not None


def test_no_answer_within_patience(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    server.go.clear()
    with pytest.raises(DownloadError, match=r"broke off after 0.0 of 1.0 MB"):
        downloads.fetch(server.url, HASH)
    assert names(cache) == []


# Wrong, missing, unreachable


@pytest.mark.parametrize("data", [DATA[:-1] + b"?", b"<html>log in first</html>"])
def test_wrong_hash(server, cache, data):
    server.data = data
    with pytest.raises(Damaged, match=rf"{NAME} arrived damaged: .*begin with {HASH[:12]}"):
        downloads.fetch(server.url, HASH)
    assert names(cache) == []


def test_a_damaged_file_stays_what_it_was_if_the_new_one_is_wrong_too(server, cache):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(b"old")
    server.data = b"new, and wrong"
    with pytest.raises(Damaged):
        downloads.fetch(server.url, HASH)
    assert (cache / NAME).read_bytes() == b"old"


@pytest.mark.parametrize(
    "status, why", [(404, "There is no file at http"), (503, "127.0.0.1 refused the file with 503")]
)
def test_an_error_of_the_server(server, cache, status, why):
    server.status = status
    with pytest.raises(DownloadError, match=why):
        downloads.fetch(server.url, HASH)
    assert names(cache) == []


def test_no_network(cache):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/{NAME}"
    with pytest.raises(Unreachable, match=r"127.0.0.1 cannot be reached .*Is there a network\?"):
        downloads.fetch(url, HASH)
    assert names(cache) == []


def test_no_network_keeps_what_came_before(server, cache):
    server.breaks_at = 1000
    with pytest.raises(DownloadError):
        downloads.fetch(server.url, HASH)
    with pytest.raises(Unreachable):
        downloads.fetch(f"http://127.0.0.1:1/{NAME}", HASH)
    assert (cache / f"{NAME}.part").stat().st_size == 1000


# The disk


def test_too_little_room_is_seen_before_the_download(server, cache, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=f"The disk is full: {NAME} does not fit"):
        downloads.fetch(server.url, HASH)
    assert names(cache) == []


def test_disk_full_on_the_way(server, cache, monkeypatch):
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(downloads.os, "fsync", full)
    with pytest.raises(DownloadError, match="The disk is full"):
        downloads.fetch(server.url, HASH)
    assert names(cache) == []


def test_a_cache_that_cannot_be_written(server, cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="checkpoints cannot be written"):
        downloads.fetch(server.url, HASH)


def test_an_error_of_the_caller_is_not_one_of_the_disk(server):
    def broken(done: int, total: int | None) -> None:
        raise BrokenPipeError(errno.EPIPE, "nobody reads our output")

    with pytest.raises(BrokenPipeError):
        downloads.fetch(server.url, HASH, broken)


# Several at once


def test_threads_share_one_download(server, cache):
    server.go.clear()
    waiting: set[int] = set()
    told: list[list] = [[] for _ in range(4)]
    found: list[bytes] = []

    def fetch(index: int) -> None:
        def progress(done: int, total: int | None) -> None:
            told[index].append((done, total))
            if total is None:
                waiting.add(index)
            if len(waiting) == 3:
                server.go.set()

        found.append(downloads.fetch(server.url, HASH, progress).read_bytes())

    threads = [threading.Thread(target=fetch, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [DATA] * 4 and server.asked == [None] and len(waiting) == 3
    assert names(cache) == [NAME]
    assert all(lines[-1] == (len(DATA), len(DATA)) for lines in told)


def _fetch_elsewhere(url: str, home: str) -> None:
    os.environ["TORCH_HOME"] = home
    assert downloads.fetch(url, HASH).read_bytes() == DATA


def test_processes_share_one_download(server, cache, tmp_path):
    server.go.clear()
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=_fetch_elsewhere, args=(server.url, str(tmp_path)))
    other.start()
    until = time.monotonic() + 60
    while not server.asked and time.monotonic() < until:
        time.sleep(0.05)
    waited = []

    def progress(done: int, total: int | None) -> None:
        waited.append(total is None)
        server.go.set()

    assert downloads.fetch(server.url, HASH, progress).read_bytes() == DATA
    other.join(60)
    assert other.exitcode == 0 and waited[0] and not waited[-1]
    assert server.asked == [None] and names(cache) == [NAME]


def test_a_lock_of_a_process_that_died_does_not_hold(server, cache):
    cache.mkdir(parents=True)
    (cache / f"{NAME}.lock").touch()
    assert downloads.fetch(server.url, HASH).is_file() and names(cache) == [NAME]


def test_a_lock_that_lost_its_name_is_taken_anew(server, cache, monkeypatch):
    """The one before us removed it between our opening and our locking it."""
    fcntl = pytest.importorskip("fcntl")
    lock, taken = fcntl.flock, []

    def late(handle: int, how: int) -> None:
        lock(handle, how)
        taken.append(handle)
        if len(taken) == 1:
            (cache / f"{NAME}.lock").unlink()

    monkeypatch.setattr(fcntl, "flock", late)
    assert downloads.fetch(server.url, HASH).is_file()
    assert len(taken) == 2 and names(cache) == [NAME]


# Files that somebody brings


def test_adopt(tmp_path, cache):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(DATA)
    downloads.adopt(mine, cache / NAME, HASH[:8])
    assert (cache / NAME).read_bytes() == DATA and names(cache) == [NAME]
    assert (cache / NAME).stat().st_mode & 0o444 == 0o444 and mine.exists()


def test_adopt_refuses(tmp_path, cache):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"something else")
    with pytest.raises(Damaged, match=rf"mine.pth is not the published file {NAME}"):
        downloads.adopt(mine, cache / NAME, HASH[:8])
    with pytest.raises(DownloadError, match=r"gone.pth cannot be copied .* No such file"):
        downloads.adopt(tmp_path / "gone.pth", cache / NAME, HASH[:8])
    assert names(cache) == []
