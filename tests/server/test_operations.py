"""Health, figures, logs, start and end."""

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from conftest import ROOT
from running import environment, free_port
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from resnet.__main__ import main
from resnet.server import health
from resnet.server.logs import LOG, JsonLines, who
from resnet.server.serve import listen
from resnet.server.settings import Settings, SettingsError
from server.attacks import wait_for
from server.conftest import ECHO, FAIL, SIZE, SLOW, Visitor, guarded, photo, picture, web

# Health


def test_alive_and_ready(site):
    assert web.get(f"{site.url}/healthz").json() == {"status": "alive"}
    answer = web.get(f"{site.url}/readyz", headers={"host": "any.name"})
    assert answer.status_code == 200 and answer.json()["status"] == "ready"
    assert set(answer.json()["checks"]) == {"model", "disk", "memory", "server"}
    assert "set-cookie" not in answer.headers


def test_the_model_is_asked_now_and_then_not_each_time(tmp_path):
    asked = []
    with guarded(tmp_path / "photos", probe=lambda: asked.append(1)) as site:
        for _ in range(20):
            assert web.get(f"{site.url}/readyz").status_code == 200
        assert len(asked) == 1 and health.KEEP >= 5


def test_a_model_that_fails_or_hangs_is_not_ready(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("CUDA out of memory at /srv/secret")

    with guarded(tmp_path / "a", probe=broken) as site:
        answer = web.get(f"{site.url}/readyz")
        assert answer.status_code == 503 and answer.json()["checks"]["model"] == "fails"
        assert "secret" not in answer.text
        assert web.get(f"{site.url}/healthz").status_code == 200
    monkeypatch.setattr(health, "PATIENCE", 0.1)
    hold = threading.Event()
    with guarded(tmp_path / "b", probe=lambda: hold.wait(20)) as site:
        answer = web.get(f"{site.url}/readyz")
        hold.set()
        assert answer.status_code == 503
        assert answer.json()["checks"]["model"] == "no answer in time"


def test_a_full_disk_is_not_ready(tmp_path):
    with guarded(tmp_path / "photos", free_disk_mb=9e8) as site:
        answer = web.get(f"{site.url}/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {
            "model": "fine", "disk": "too little left", "memory": "fine", "server": "fine",
        }  # fmt: skip


def test_the_probe_classifies_a_bundled_photo(tiny_v1):
    from types import SimpleNamespace

    engine = SimpleNamespace(net=tiny_v1)
    health.classify_example(engine)()

    class Broken:
        net = None

    with pytest.raises(AttributeError):
        health.classify_example(Broken())()


def test_check_says_it_in_a_line_and_a_status(site, tmp_path, capsys):
    assert main(["check", "--url", site.url]) == 0
    assert capsys.readouterr().out == f"{site.url}: well\n"
    assert main(["check", "--url", site.url + "/", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    with guarded(tmp_path / "photos", free_memory_mb=9e8) as poor:
        assert main(["check", "--url", poor.url, "--quiet"]) == 1
        assert "memory: too little left" in capsys.readouterr().out
    assert main(["check", "--url", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "does not answer" in capsys.readouterr().out
    assert main(["check", "--url", "file:///etc/passwd"]) == 2


# Figures


def test_figures_count_what_happened(tmp_path):
    with guarded(tmp_path / "photos") as site, Visitor(site) as anna:
        size = len(picture())
        anna.ask(SIZE, photo(anna.give(picture())))
        anna.ask(FAIL, "x")
        anna.get("/nowhere/very/private.jpg")
        anna.join(SIZE, photo("/etc/hostname"))
        text = web.get(f"{site.url}/metrics").text
    for line in (
        'resnet_requests_total{method="POST",route="upload",status="200"} 1.0',
        'resnet_requests_total{method="other",route="unknown",status="404"} 1.0',
        'resnet_refused_total{reason="not found"} 2.0',
        f"resnet_upload_bytes_total {float(size)}",
        'resnet_jobs_total{outcome="done"} 1.0',
        'resnet_jobs_total{outcome="failed"} 1.0',
        "resnet_job_seconds_count 2.0",
        "resnet_queue_wait_seconds_count 2.0",
        "resnet_queue_length 0.0",
        "resnet_owners 1.0",
        "resnet_files 2.0",
    ):
        assert line in text, line
    for name in ("memory_bytes", "memory_free_bytes", "disk_free_bytes", "in_flight"):
        assert float(re.search(rf"^resnet_{name} (\S+)$", text, re.M)[1]) > 0
    assert "private" not in text and str(site.folder) not in text


def test_figures_are_for_those_who_run_it(tmp_path):
    with guarded(tmp_path / "photos", metrics_from=("10.0.0.0/8",)) as site:
        assert web.get(f"{site.url}/metrics").status_code == 404


def test_labels_do_not_grow_with_what_visitors_write(site):
    def ask(words: str) -> int:
        for i in range(6):
            web.get(f"{site.url}/assets/{words}{i}.js")
            web.get(f"{site.url}/{words}{i}")
            web.request(("PUT", "LOCK", "MOVE")[i % 3], f"{site.url}/config?{words}")
        return len(web.get(f"{site.url}/metrics").text.splitlines())

    ask("warm-up")
    assert ask("one") == ask("two")


# Logs


@pytest.fixture
def log():
    """What our log says, as it is written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    before = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    yield stream
    LOG.removeHandler(handler)
    LOG.setLevel(before)


def test_each_request_is_one_line_with_its_number_and_nothing_of_the_photo(site, log, capfd):
    with Visitor(site) as anna:
        path = anna.give(picture(), "holiday with bob.png")
        anna.ask(SIZE, photo(path, orig_name="holiday with bob.png"))
        anna.ask(FAIL, "very private")
        wait_for(lambda: "a callback failed" in log.getvalue())
        number = anna.get("/").headers["x-request-id"]
        wait_for(lambda: number in log.getvalue())
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (line,) = [line for line in lines if line.get("request") == number]
    assert (line["route"], line["status"], line["method"]) == ("page", 200, "GET")
    (failed,) = [line for line in lines if line["event"] == "a callback failed"]
    assert failed["error"] == "ValueError" and any("fail" in at for at in failed["at"])
    output = capfd.readouterr()
    for told in (log.getvalue(), output.out + output.err):
        for secret in ("holiday", "private", path, str(site.folder), "/srv/secret"):
            assert secret not in told
    assert anna.cookies["resnet-0"] not in log.getvalue()


def test_a_line_cannot_be_forged(log):
    LOG.warning('one\n{"event": "forged"}\u2028two\x1b[31m')
    LOG.warning('a"b\r\nc')
    for line in log.getvalue().splitlines():
        assert json.loads(line)["level"] == "warning"
    assert "\x1b" not in log.getvalue() and "\u2028" not in log.getvalue()


def test_a_visitor_in_the_log_cannot_be_turned_into_a_cookie():
    assert who("user:anna") == "anna" and who("") is None
    assert re.fullmatch(r"visit-[0-9a-f]{8}", who("visit:token"))


def test_an_unforeseen_failure_is_a_sentence_with_a_number(site, log, monkeypatch):
    def broken(*_):
        raise RuntimeError("/srv/secret")

    monkeypatch.setattr(site.front.owners, "owns", broken)
    with Visitor(site) as anna:
        answer = anna.get("/gradio_api/file=/x")
        assert answer.status_code == 500 and "secret" not in answer.text
        number = answer.headers["x-request-id"]
        assert number in answer.text
    assert number in log.getvalue() and "secret" not in log.getvalue()


# Start and end


def test_a_port_in_use_is_one_line(site):
    with pytest.raises(SettingsError) as refused:
        listen(Settings(port=site.port))
    assert f"cannot listen on 127.0.0.1:{site.port}: Address already in use" in str(refused.value)


def test_an_address_that_is_not_ours_is_one_line():
    with pytest.raises(SettingsError, match="cannot listen"):
        listen(Settings(host="203.0.113.7", allow_open=True))


def test_while_it_stops_new_work_is_refused_and_running_work_ends(tmp_path):
    with guarded(tmp_path / "photos", grace_seconds=15.0) as site, Visitor(site) as anna:
        anna.get("/")  # a connection to speak on while it stops
        heard: list[dict] = []
        anna.join(SLOW).raise_for_status()
        listening = threading.Thread(target=lambda: heard.extend(Visitor.events(anna)))
        pulse = httpx.Client(verify=False, base_url=site.url, cookies=anna.cookies, timeout=30)
        listening.start()
        wait_for(lambda: site.page._queue.get_active_worker_count())
        site.front.stopping = True
        refused = pulse.post("/gradio_api/queue/join", json={})
        assert refused.status_code == 503 and "restarted" in refused.json()["detail"]
        assert pulse.get("/readyz").status_code == 503
        assert pulse.get("/healthz").status_code == 200
        threading.Timer(0.3, site.release.set).start()
        site.server.should_exit = True
        listening.join(20)
        assert heard[-1]["msg"] == "close_stream"
        assert any(news["msg"] == "process_completed" and news["success"] for news in heard)
        pulse.close()


PROGRAM = """
import sys, threading
from server.conftest import small_page
from resnet.server.app import create_app
from resnet.server.serve import serve
from resnet.server.settings import Settings
from resnet.server.storage import open_folder
folder = open_folder()
settings = Settings(port=int(sys.argv[1]), grace_seconds=3.0)
app = create_app(None, settings, small_page(threading.Event()), probe=lambda: None)
serve(app, settings, started=lambda url: print(url, flush=True), close=folder.close)
"""


@pytest.fixture
def program(tmp_path):
    """Starts the small page in a process of its own."""
    started = []

    def start(port: int) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port)], cwd=ROOT, text=True,
            env=environment(tmp_path, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_signal_under_load_ends_it_cleanly_and_in_time(program, tmp_path):
    """Ctrl-C on the whole app is among the tests of app.py."""
    port = free_port()
    process = program(port)
    assert process.stdout.readline().strip() == f"http://127.0.0.1:{port}"
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(url), 60)
    with httpx.Client(verify=False, base_url=url, timeout=30) as anna:
        anna.get("/")
        anna.post("/gradio_api/upload", files={"files": ("a", picture())}).raise_for_status()
        body = {"data": [], "fn_index": SLOW, "session_hash": "abcd"}
        anna.post("/gradio_api/queue/join", json=body).raise_for_status()  # runs for 30 s
        with anna.stream("GET", "/gradio_api/heartbeat/abcd") as stream:
            next(stream.iter_lines())
            assert list(tmp_path.glob("resnet-uploads-*/uploads/*"))
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                pytest.fail("it does not end")
            assert time.monotonic() - begun < 15
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert not list(tmp_path.glob("resnet-uploads-*"))
    for line in errors.splitlines():
        json.loads(line)


def answers(url: str) -> bool:
    try:
        return web.get(f"{url}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_many_small_jobs_do_not_slow_it_down(site):
    """Gradio sums up all past events after each event unless it is told not to."""
    assert os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] == "1"
    with Visitor(site) as anna:
        anna.ask(ECHO, "x")
    assert site.page._queue.ANALYTICS_MAX_EVENTS == 1
    assert site.page._queue.ANAYLTICS_CACHE_FREQUENCY >= 10**9


def test_the_fast_loop_and_parser_are_used(site):
    assert "httptools" in AutoHTTPProtocol.__module__
    assert "uvloop" in site.server.config.get_loop_factory().__module__
