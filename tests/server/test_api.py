"""The HTTP API: answers, problems, keys, limits, and that it does what its document says."""

import io
import json
import threading
import time

import httpx
import pytest
import schemathesis
from conftest import draw_photo, make_tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance

from resnet import verbs
from resnet.engine import Engine
from resnet.server import users
from resnet.server.api.negotiate import chosen
from resnet.server.api.work import AT_ONCE
from resnet.server.visit import Refusal
from server.attacks import wait_for
from server.conftest import PASSWORDS, guarded, web

VERBS = ("classify", "explain", "detect", "trace", "lesions", "compare")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(make_tiny("v1"))


@pytest.fixture(scope="module")
def api(engine, tmp_path_factory):
    """Open to everybody."""
    with guarded(tmp_path_factory.mktemp("api") / "photos", engine=engine, max_file_mb=1.0) as site:
        yield site


@pytest.fixture
def program(api):
    with httpx.Client(verify=False, base_url=f"{api.url}/api/v1", timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    file = io.BytesIO()
    draw_photo(120, 90).save(file, "JPEG")
    return file.getvalue()


def form(verb: str, data: bytes) -> dict:
    names = ("a", "b") if verb == "compare" else ("photo",)
    return {name: ("holiday.jpg", data) for name in names}


def photos_left(site) -> list:
    return [path for path in (site.folder / "uploads").rglob("*") if path.is_file()]


# Answers


@pytest.mark.parametrize("verb", [name for name in VERBS if name != "detect"])
def test_each_verb_answers_as_in_python(verb, program, api, engine, jpeg, tmp_path):
    answer = program.post(verb, files=form(verb, jpeg))
    assert answer.status_code == 200, answer.text
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg)
    paths = [path, path] if verb == "compare" else [path]
    expected = json.loads(json.dumps(getattr(verbs, verb)(engine, *paths).to_dict()))

    def without_times(found):
        if isinstance(found, dict):
            return {key: without_times(value) for key, value in found.items() if key != "seconds"}
        return [without_times(each) for each in found] if isinstance(found, list) else found

    assert without_times(answer.json()) == without_times(expected)
    assert not photos_left(api)


def test_a_picture_if_it_is_asked_for(program, jpeg):
    png = {"accept": "image/png"}
    answer = program.post("explain", files=form("explain", jpeg), headers=png)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (120, 90)
    refused = program.post("trace", files=form("trace", jpeg), headers=png)
    assert refused.status_code == 406 and "application/json" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("", "a/json"), ("*/*", "a/json"), ("i/png", "i/png"), ("i/*, a/json;q=0.5", "i/png"),
     ("i/png;q=0.1, a/json", "a/json"), ("text/html, */*;q=0.1", "a/json"), ("x", "a/json"),
     ("i/png;q=0, */*", "a/json")],
)  # fmt: skip
def test_the_form_that_is_wanted_most(accept, kind):
    assert chosen(accept, ("a/json", "i/png")) == kind


@pytest.mark.parametrize("accept", ["text/html", "a/json;q=0", "i/png;q=0, a/*;q=0"])
def test_a_form_that_there_is_not(accept):
    with pytest.raises(Refusal):
        chosen(accept, ("a/json", "i/png"))


# Problems


@pytest.mark.parametrize(
    ("verb", "files", "data", "status", "words"),
    [
        ("classify", {"photo": ("x", b"no photo at all")}, {}, 422, ""),
        ("classify", {}, {}, 422, "“photo” is missing"),
        ("classify", {"photo": ("x", b"")}, {}, 422, ""),
        ("compare", {"a": ("x", b"1")}, {}, 422, "“b” is missing"),
        ("classify", None, {"top": "many"}, 422, "“top”"),
        ("classify", None, {"top": "500"}, 422, "whole number from 1 to 7"),
        ("explain", None, {"wanted": "no such thing"}, 422, "no such thing"),
        ("explain", None, {"method": "magic"}, 422, "magic"),
        ("explain", None, {"block": "9.9"}, 422, "9.9"),
        ("compare", None, {"weights_b": "resnet51"}, 422, "resnet51"),
        ("classify", {"photo": ("x", bytes(1_100_000))}, {}, 413, "1 MB"),
        ("classify", {"photo": ("x", bytes(2_300_000))}, {}, 413, "2.1 MB"),
    ],
)
def test_what_is_wrong_is_a_problem_in_one_sentence(
    verb, files, data, status, words, program, api, jpeg
):
    answer = program.post(verb, files=form(verb, jpeg) if files is None else files, data=data)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status and words in found["detail"]
    assert set(found) == {"type", "title", "status", "detail", "reason", "instance"}
    assert found["instance"] == f"urn:request:{answer.headers['x-request-id']}"
    assert str(api.folder) not in answer.text and "holiday" not in answer.text
    assert not photos_left(api)


def test_other_addresses_and_methods_are_problems_too(program):
    answer = program.get("classify")
    assert answer.status_code == 405 and answer.headers["allow"] == "POST"
    assert answer.headers["content-type"] == "application/problem+json"
    assert program.get("nothing").status_code == 404
    assert program.post("classify", content=b"x").status_code == 422


def test_another_sites_page_cannot_use_it(program, jpeg):
    elsewhere = {"origin": "https://evil.example"}
    answer = program.post("classify", files=form("classify", jpeg), headers=elsewhere)
    assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers


def test_a_verb_that_breaks_is_a_number_to_ask_about(program, api, jpeg, monkeypatch):
    def broken(*_):
        raise RuntimeError("/srv/secret")

    monkeypatch.setattr(verbs, "classify", broken)
    answer = program.post("classify", files=form("classify", jpeg))
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    monkeypatch.undo()
    assert program.post("classify", files=form("classify", jpeg)).status_code == 200
    assert not photos_left(api) and not api.front.work.places.busy


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory")])
def test_too_little_memory_for_one_photo_is_said_and_hurts_nobody_else(
    error, program, api, jpeg, monkeypatch
):
    def short(*_):
        raise error

    monkeypatch.setattr(verbs, "lesions", short)
    answer = program.post("lesions", files=form("lesions", jpeg))
    assert answer.status_code == 503 and "short of memory" in answer.json()["detail"]
    assert program.post("classify", files=form("classify", jpeg)).status_code == 200
    assert not photos_left(api)


# Who asks


def test_a_key_opens_it_and_nothing_else_does(engine, users_file, tmp_path, jpeg):
    path = tmp_path / "users"
    path.write_bytes(users_file.read_bytes())
    path.chmod(0o600)
    key = users.add_key(path, "anna")
    with guarded(tmp_path / "photos", engine=engine, auth=str(path)) as site:
        url, files = f"{site.url}/api/v1/classify", form("classify", jpeg)
        assert web.post(url, files=files).status_code == 401
        for wrong in (f"Bearer {key}x", "Bearer", key, f"Basic {key}", "Bearer ä".encode()):
            answer = web.post(url, files=files, headers={"authorization": wrong})
            assert answer.status_code == 401 and "not valid" in answer.json()["detail"]
        mine = {"authorization": f"Bearer {key}"}
        assert web.post(url, files=files, headers=mine).status_code == 200
        assert web.get(f"{site.url}/config", headers=mine).status_code == 200  # gradio_client
        assert next(iter(site.front.owners._owners)) == "user:anna"
        with httpx.Client(verify=False, base_url=site.url, timeout=30) as browser:
            browser.post("/login", data={"name": "anna", "password": PASSWORDS["anna"]})
            assert browser.post("/api/v1/classify", files=files).status_code == 200
        users.end_keys(path, "anna")
        assert web.post(url, files=files, headers=mine).status_code == 401
        assert web.get(f"{site.url}/api/v1/docs").status_code == 303


# Its share


def hold(monkeypatch, name: str = "classify"):
    """Has a verb wait until it is released; who waits is told through `begun`."""
    begun, release = threading.Semaphore(0), threading.Event()
    real = getattr(verbs, name)

    def slow(*arguments):
        begun.release()
        release.wait(20)
        return real(*arguments)

    monkeypatch.setattr(verbs, name, slow)
    return begun, release


def test_work_of_one_program_is_bounded_and_others_take_turns(engine, tmp_path, jpeg, monkeypatch):
    _, release = hold(monkeypatch)
    with guarded(
        tmp_path / "photos", engine=engine, jobs_per_user=12, trusted_proxy=("127.0.0.1",)
    ) as site:
        done: list[str] = []
        line = site.front.work.places.line

        def post(who: str) -> int:
            with httpx.Client(verify=False, base_url=site.url, timeout=60) as client:
                answer = client.post("/api/v1/classify", files=form("classify", jpeg),
                                     headers={"x-forwarded-for": who})  # fmt: skip
                done.append(f"{who} {answer.status_code}")
                return answer.status_code

        threads = [threading.Thread(target=post, args=("10.0.0.1",)) for _ in range(12)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(line) == 12 - AT_ONCE)
        assert post("10.0.0.1") == 429
        threads.append(threading.Thread(target=post, args=("10.0.0.2",)))
        threads[-1].start()
        wait_for(lambda: len(line) == 13 - AT_ONCE)
        assert line[0].owner == "address:10.0.0.2"
        release.set()
        for thread in threads:
            thread.join(30)
        assert sorted(done) == ["10.0.0.1 200"] * 12 + ["10.0.0.1 429", "10.0.0.2 200"]
        assert not photos_left(site) and not site.front.work.places.busy


def test_a_verb_that_takes_too_long_is_given_up(engine, tmp_path, jpeg, monkeypatch):
    _, release = hold(monkeypatch)
    with guarded(tmp_path / "photos", engine=engine, job_seconds=0.3) as site:
        answer = web.post(f"{site.url}/api/v1/classify", files=form("classify", jpeg))
        assert answer.status_code == 503 and "longer than 0.3 seconds" in answer.json()["detail"]
        assert not photos_left(site) and not site.front.work.places.busy
        release.set()


def test_at_the_end_of_the_grace_a_program_is_told_to_come_again(
    engine, tmp_path, jpeg, monkeypatch
):
    begun, release = hold(monkeypatch)
    heard: list[httpx.Response] = []
    with guarded(tmp_path / "photos", engine=engine, grace_seconds=1.0) as site:
        url = f"{site.url}/api/v1/classify"
        asking = threading.Thread(
            target=lambda: heard.append(web.post(url, files=form("classify", jpeg)))
        )
        asking.start()
        assert begun.acquire(timeout=10)
        site.server.should_exit = True
        asking.join(15)
        release.set()
    assert heard[0].status_code == 503 and "restarted" in heard[0].json()["detail"]


def test_a_program_that_hangs_up_leaves_nothing(api, jpeg, monkeypatch):
    begun, release = hold(monkeypatch)
    with (
        httpx.Client(verify=False, base_url=api.url, timeout=1.0) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.post("/api/v1/classify", files=form("classify", jpeg))
    assert begun.acquire(timeout=10)
    time.sleep(0.1)
    release.set()
    wait_for(lambda: not photos_left(api) and not api.front.work.places.busy)


# The document


def test_the_page_for_people_asks_no_other_host(api):
    answer = web.get(f"{api.url}/api/v1/docs")
    assert answer.status_code == 200 and "<script" not in answer.text
    assert "https://" not in answer.text and "default-src 'none'" in str(answer.headers)
    for verb in VERBS:
        assert f"/api/v1/{verb}" in answer.text


@pytest.fixture(scope="module")
def api_schema(api, jpeg):
    file = io.BytesIO()
    draw_photo(60, 50, seed=1).save(file, "PNG")
    photos = st.one_of(st.sampled_from([jpeg, file.getvalue()]), st.binary(max_size=64))
    schemathesis.openapi.format("binary", photos)
    return schemathesis.openapi.from_url(f"{api.url}/api/v1/openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("verb", VERBS)
def test_it_does_what_its_document_says(verb, mode, api_schema):
    """Good forms and bad ones: every answer has a status, a type and a form that are announced."""
    forms = api_schema[f"/api/v1/{verb}"]["POST"].as_strategy(generation_mode=mode)

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=forms)
    def check(case):
        case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance])

    check()
