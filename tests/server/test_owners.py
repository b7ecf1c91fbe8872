"""The register, the private folder, and what is deleted when."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from resnet.server import owners as module
from resnet.server import storage
from resnet.server.owners import Owners
from resnet.server.settings import Settings, SettingsError
from resnet.server.visit import Refusal
from server.attacks import wait_for
from server.conftest import ECHO, KEEP, SIZE, SLOW, Visitor, guarded, photo, picture


class Clock:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def register(tmp_path, clock):
    (tmp_path / "uploads").mkdir()
    ended: list[str] = []
    deleted: list[str] = []
    found = Owners(
        Settings(keep_minutes=30.0), tmp_path, lambda name: bool(ended.append(name)) or True,
        deleted.append, clock,
    )  # fmt: skip
    found.ended, found.gone = ended, deleted  # type: ignore[attr-defined]
    return found


def put(register: Owners, name: str, size: int = 10) -> str:
    path = register.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    return str(path)


def test_files_go_some_time_after_their_owners_last_action(register, clock):
    old, new = put(register, "uploads/a.jpg"), put(register, "uploads/b.jpg")
    register.add("anna", old, 10)
    register.add("bob", new, 10)
    clock.now += 29 * 60
    register.use("bob")
    clock.now += 2 * 60
    assert register.sweep() == 1
    assert not os.path.exists(old) and os.path.exists(new)
    assert register.gone == [old] and not register.owns("anna", old)
    assert register.used() == 10 and register.counts() == (1, 1)


def test_a_shared_result_goes_with_the_last_who_holds_it(register, clock):
    path = put(register, "abc/image.webp")
    register.claim("anna", path)
    clock.now += 20 * 60
    register.claim("bob", path)
    clock.now += 15 * 60
    register.sweep()
    assert os.path.exists(path) and register.owns("bob", path)
    assert not register.owns("anna", path)
    clock.now += 20 * 60
    register.sweep()
    assert not os.path.exists(path) and not os.path.exists(os.path.dirname(path))


def test_uploads_and_what_lies_elsewhere_cannot_be_claimed(register, tmp_path):
    upload = put(register, "uploads/a.jpg")
    for path in (upload, "/etc/hostname", f"{tmp_path}/x/../uploads/a.jpg", f"{tmp_path}/none",
                 str(tmp_path), f"{tmp_path}-evil/a"):  # fmt: skip
        register.claim("mallory", path)
        assert not register.owns("mallory", path), path


def test_files_of_nobody_go_by_their_age_whatever_the_clock_does(register):
    young, old, ahead = (put(register, f"x/{name}") for name in "abc")
    now = os.stat(young).st_mtime
    os.utime(old, (now - 1900, now - 1900))
    os.utime(ahead, (now + 9e6, now + 9e6))
    mark = put(register, storage.MARK)
    os.utime(mark, (now - 9e6, now - 9e6))
    assert register.sweep_strays() == 2
    assert os.path.exists(young) and os.path.exists(mark)


def test_a_sessions_real_name_differs_by_owner_and_tells_nothing(register):
    one, two = register.session("anna", "abcd"), register.session("bob", "abcd")
    assert one != two and "abcd" not in one and register.session("anna", "abcd") == one
    assert Owners(Settings(), register.folder).session("anna", "abcd") != one


def test_sessions_of_one_owner_are_bounded_and_end_with_the_owner(register, clock):
    for number in range(module.SESSIONS + 5):
        register.session("anna", f"page{number}")
    assert len(register.sessions("anna")) == module.SESSIONS
    assert len(register.ended) == 5
    clock.now += 31 * 60
    register.sweep()
    assert not register.sessions("anna") and len(register.ended) == module.SESSIONS + 5


def test_newcomers_wait_rather_than_push_somebody_out(register, monkeypatch):
    monkeypatch.setattr(module, "OWNERS", 2)
    register.use("anna")
    register.use("bob")
    with pytest.raises(Refusal) as refused:
        register.use("carl")
    assert refused.value.status == 503
    register.use("anna")


def test_paths_are_found_in_texts(register):
    folder = str(register.folder)
    text = f"see {folder}/uploads/a.jpg, '{folder}//x' and {folder}-other/y"
    assert register.mentions_strange("anna", text)
    assert not register.mentions_strange("anna", f"{folder}-other/y")
    register.add("anna", f"{folder}/uploads/a b.jpg", 1)
    assert not register.mentions_strange("anna", f"see {folder}/uploads/a b.jpg, or not")
    for strange in ("x", "/..", ".png", "/"):
        assert register.mentions_strange("anna", f"{folder}/uploads/a b.jpg{strange}")
    assert register.mentions_strange("anna", folder)
    assert register.mentions_strange("bob", f"{folder}/uploads/a b.jpg")


# On the server


def test_after_a_while_nothing_of_a_visitor_is_left(tmp_path):
    forgotten = []
    with guarded(tmp_path / "photos", keep_minutes=5.0) as site, Visitor(site) as anna:
        front = site.front
        front.owners._deleted = forgotten.append
        path = anna.give(picture("plum"))
        result = anna.ask(SIZE, photo(path))["output"]["data"][0]["path"]
        anna.ask(KEEP, "my secret", None)
        states = front.gradio_app.state_holder.session_data
        assert states and front.page._queue.pending_messages_per_session
        front.owners._clock = lambda base=front.owners._clock: base() + 301
        front.owners.sweep()
        assert {path, result} <= set(forgotten)
        assert not os.path.exists(path) and not os.path.exists(result)
        assert not states and not front.page._queue.pending_event_ids_session
        assert not front.page._queue.pending_messages_per_session
        assert front.owners.counts() == (0, 0)
        gone = anna.join(SIZE, photo(path))
        assert gone.status_code == 404 and "Choose it again" in gone.json()["detail"]
        assert anna.ask(ECHO, "and on")["success"]


def test_a_session_at_work_is_not_forgotten(tmp_path):
    with guarded(tmp_path / "photos") as site, Visitor(site) as anna:
        owners = site.front.owners
        anna.join(SLOW).raise_for_status()
        wait_for(lambda: site.page._queue.get_active_worker_count())
        owners._clock = lambda base=owners._clock: base() + 99_999
        owners.sweep()
        assert owners.counts()[0] == 1
        site.release.set()
        (end,) = [m for m in anna.events() if m["msg"] == "process_completed"]
        assert end["success"]


def test_many_jobs_leave_nothing_in_gradio(tmp_path):
    with guarded(tmp_path / "photos") as site, Visitor(site) as anna:
        for _ in range(30):
            anna.ask(ECHO, "x")
        queue = site.page._queue
        wait_for(lambda: not queue.event_ids_to_events)
        assert len(queue.event_analytics) <= 1 and not site.front.gradio_app.iterators
        assert not any(queue.pending_event_ids_session.values())


# The private folder


def opened(given: str, tmpdir: Path, code: str = "") -> subprocess.CompletedProcess:
    """`open_folder` in a process of its own; prints the folder and what it set."""
    text = f"""
import json, os, sys, tempfile
from resnet.server.storage import open_folder
from resnet.server.settings import SettingsError
try:
    folder = open_folder({given!r})
except SettingsError as error:
    print(error, file=sys.stderr); sys.exit(2)
open(folder.path / "uploads" / "photo", "w").close()
print(json.dumps([str(folder.path), os.environ["GRADIO_TEMP_DIR"], tempfile.gettempdir(),
                  oct(folder.path.stat().st_mode & 0o777), oct(os.umask(0))]), flush=True)
{code}
"""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GRADIO_", "RESNET_"))}
    return subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, env=kept | {"TMPDIR": str(tmpdir)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_new_folder_is_private_and_gone_at_the_end(tmp_path):
    done = opened("", tmp_path)
    assert done.returncode == 0, done.stderr
    folder, told, temporary, mode, mask = json.loads(done.stdout)
    assert folder == told and temporary.startswith(folder)
    assert (mode, mask) == ("0o700", "0o77")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_server_left_goes_at_the_next_start(tmp_path):
    killed = opened("", tmp_path, "import signal; os.kill(os.getpid(), signal.SIGKILL)")
    (left,) = tmp_path.glob("resnet-uploads-*")
    assert killed.returncode < 0 and (left / "uploads" / "photo").exists()
    stranger = tmp_path / "resnet-uploads-not-ours"
    stranger.mkdir()
    assert opened("", tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == [stranger]


def test_a_given_folder_is_cleaned_at_start_and_end_and_stays(tmp_path):
    given = tmp_path / "photos"
    killed = opened(str(given), tmp_path, "import signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.returncode < 0 and (given / "uploads" / "photo").exists()
    done = opened(str(given), tmp_path, "print(os.listdir(folder.path / 'uploads'))")
    assert "['photo']" in done.stdout  # its own
    assert [path.name for path in given.iterdir()] == [storage.MARK]


def test_a_folder_of_somebody_elses_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    done = opened(str(tmp_path), tmp_path)
    assert done.returncode == 2 and "files that are not this app's" in done.stderr
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_two_servers_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.atexit, "register", lambda *_: None)
    first = storage._given(tmp_path / "photos")
    with pytest.raises(SettingsError, match="used by another server"):
        storage._given(tmp_path / "photos")
    first.close()
    storage._given(tmp_path / "photos").close()
