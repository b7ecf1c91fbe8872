"""Programs at the page's own endpoints, faults of the model, damaged files; behind all walls."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from conftest import SHARED, draw_photo, make_tiny
from gradio_client import Client, handle_file

from resnet.engine import Engine
from resnet.server import limits, users
from resnet.soak import steps
from resnet.soak.photos import FORMATS, WAYS, mutated
from resnet.ui.page import build
from server.conftest import Visitor, guarded, photo


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(make_tiny("v1"))


@pytest.fixture(scope="module")
def keyed(tmp_path_factory, users_file):
    """A users file of its own, and Anna's key."""
    path = tmp_path_factory.mktemp("keyed") / "users"
    path.write_bytes(users_file.read_bytes())
    path.chmod(0o600)
    return path, users.add_key(path, "anna")


@pytest.fixture(scope="module")
def opened(engine, tmp_path_factory):
    """The whole page with its API, for everybody."""
    folder = tmp_path_factory.mktemp("opened") / "photos"
    with guarded(folder, lambda _: build(engine), engine=engine) as site:
        yield site


@pytest.fixture(scope="module")
def closed(engine, keyed, tmp_path_factory):
    """The same for those who sign in."""
    folder = tmp_path_factory.mktemp("closed") / "photos"
    with guarded(folder, lambda _: build(engine), engine=engine, auth=str(keyed[0])) as site:
        yield site


@pytest.fixture(scope="module", params=["opened", "closed"])
def whole(request, keyed):
    """(site, headers that a program sends)."""
    headers = {"Authorization": f"Bearer {keyed[1]}"} if request.param == "closed" else {}
    return request.getfixturevalue(request.param), headers


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.png"
    draw_photo(90, 70, seed=3).save(path)
    return path


def test_gradios_own_client_works_with_a_key_where_people_sign_in(whole, cat, tmp_path):
    site, headers = whole
    client = Client(site.url, headers=headers, download_files=str(tmp_path), verbose=False)
    found = client.predict(photo=handle_file(str(cat)), api_name="/classify")
    assert found["top"][0]["label"] and found["size"] == [90, 70]
    if headers:
        with pytest.raises(Exception, match=r"401|Sign in|Could not"):
            Client(site.url, verbose=False)
    client.close()


def test_only_the_six_endpoints_are_there_for_programs(whole):
    site, headers = whole
    names = {fn.api_name for fn in site.page.fns.values() if fn.api_visibility == "public"}
    assert names == {"classify", "explain", "detect", "trace", "lesions", "compare"}
    with Visitor(site, "anna" if headers else None) as anna:
        for name in ("lambda", "on_photo", "", "classify/x/y", "%2e%2e/join"):
            answer = anna.post(f"/gradio_api/call/{name}", json={"data": []})
            assert answer.status_code in (404, 405), name


def test_a_model_that_fails_once_hurts_one_job(whole, cat, engine, monkeypatch):
    """The thread that runs the network goes on, and so does everybody else."""
    site, headers = whole
    with Visitor(site, "anna" if headers else None) as anna:
        draw_photo(90, 70, seed=4 + bool(headers)).save(cat)  # that nobody has sent before
        path = anna.give(cat.read_bytes())

        def ask() -> str:
            answer = anna.post("/gradio_api/call/classify", json={"data": [photo(path), 5]})
            where = f"/gradio_api/call/classify/{answer.json()['event_id']}"
            return anna.get(where).text

        def broken(*_, **__):
            raise RuntimeError("/srv/secret")

        monkeypatch.setattr(engine, "backend", type("Broken", (), {"trace": broken})())
        failed = ask()
        assert "event: error" in failed and "secret" not in failed
        monkeypatch.undo()
        assert "event: complete" in ask()


# Damaged files, as `python -m resnet.soak` sends them


@dataclass
class Here:
    """This process, in place of the one that the soak starts."""

    url: str

    def memory_mb(self) -> float:
        return limits.resident() / (1 << 20)

    def alive(self) -> bool:
        return True


def run(step, *arguments):
    """A step of the soak; in a thread, because Playwright leaves a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(step(*arguments))).result()


def test_files_that_were_damaged_get_an_answer_or_a_sentence(opened, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(opened.folder))  # Gradio reads it anew each time
    found = run(steps.mutations, Here(opened.url), 60)
    assert not found["bad"]
    assert found["answered"] >= 5 and found["refused"] >= 20
    assert found["memory after, MB"] - found["memory before, MB"] < 300


@pytest.mark.shared_data
def test_hostile_files_get_an_answer_or_a_sentence(opened, monkeypatch):
    """Every twelfth; the soak sends all of them."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(opened.folder))
    paths = sorted((SHARED / "hostile").iterdir())[::12]
    files = [(path.name, path.read_bytes()) for path in paths]
    found = run(steps.damaged, Here(opened.url), files)
    assert not found["bad"] and found["answered"] + found["refused"] == len(files) > 40


def test_damage_is_the_same_for_a_seed_and_of_every_kind():
    once = list(mutated(200, 7))
    assert once == list(mutated(200, 7)) != list(mutated(200, 8))
    text = " ".join(name for name, _ in once)
    assert all(way.__name__ in text for way in WAYS)
    assert all(f".{kind.lower()}" in text for kind in FORMATS)
