"""What one visitor may try on another: each returns True if it worked.

They are run on the page as Gradio mounts it, where they work, and behind our walls.
"""

from __future__ import annotations

import json
import threading
import time

from server.conftest import ECHO, KEEP, SIZE, SLOW, Visitor, photo, picture

MB = 1 << 20
ATTACKS: dict = {}


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def said(end: dict) -> str:
    return json.dumps(end.get("output"))


def wait_for(question, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@attack
def read_a_path_of_the_server(anna: Visitor, mallory: Visitor) -> bool:
    answer = mallory.join(SIZE, photo("/etc/hostname"))
    if answer.status_code != 200:
        assert answer.status_code == 404, answer.text
        return False
    (end,) = [m for m in mallory.events() if m["msg"] == "process_completed"]
    return "not in the cache" not in said(end) and "Cannot move" not in said(end)


@attack
def fetch_anothers_upload(anna: Visitor, mallory: Visitor) -> bool:
    data = picture("teal")
    path = anna.give(data)
    assert anna.get(f"/gradio_api/file={path}").content == data
    answer = mallory.get(f"/gradio_api/file={path}")
    assert answer.status_code in (200, 404)
    return answer.content == data


@attack
def fetch_anothers_result(anna: Visitor, mallory: Visitor) -> bool:
    end = anna.ask(SIZE, photo(anna.give(picture("navy"))))
    path = end["output"]["data"][0]["path"]
    assert anna.get(f"/gradio_api/file={path}").status_code == 200
    answer = mallory.get(f"/gradio_api/file={path}")
    assert answer.status_code in (200, 404)
    return answer.status_code == 200


@attack
def run_the_model_on_anothers_path(anna: Visitor, mallory: Visitor) -> bool:
    path = anna.give(picture("olive", (41, 23)))
    answer = mallory.join(SIZE, photo(path))
    if answer.status_code != 200:
        assert answer.status_code == 404, answer.text
        return False
    return "41 x 23" in json.dumps(mallory.events())


@attack
def read_anothers_stream(anna: Visitor, mallory: Visitor) -> bool:
    anna.join(ECHO, "my secret").raise_for_status()
    mallory.join(ECHO, "mine", session=mallory.session)
    if "my secret" in json.dumps(mallory.events(anna.session)):
        return True  # and Anna never hears of it
    assert "my secret" in json.dumps(anna.events())
    return False


@attack
def read_the_answer_to_anothers_program(anna: Visitor, mallory: Visitor) -> bool:
    """By the job's number, as a program asks for it."""
    answer = anna.post("/gradio_api/call/public", json={"data": ["my secret"]})
    where = f"/gradio_api/call/public/{answer.json()['event_id']}"
    if "my secret" in mallory.get(where).text:
        return True
    assert mallory.get(where).status_code == 404
    assert "my secret" in anna.get(where).text
    return False


@attack
def have_a_program_read_anothers_photo(anna: Visitor, mallory: Visitor) -> bool:
    """Past the check of what is joined to the queue."""
    path = anna.give(picture("coral"))
    answer = mallory.post("/gradio_api/call/public", json={"data": [photo(path)]})
    return answer.status_code == 200


@attack
def write_into_anothers_session(anna: Visitor, mallory: Visitor) -> bool:
    """A state that another one left behind is read by naming their session."""
    anna.ask(KEEP, "my secret", None)
    try:
        end = mallory.ask(KEEP, "x", None, session=anna.session)
    except Exception:
        return False
    return "my secret" in said(end)


@attack
def cancel_anothers_job(anna: Visitor, mallory: Visitor) -> bool:
    """By its number, in a session of one's own."""
    anna.site.release.clear()
    queue = anna.site.page._queue
    try:
        anna.join(SLOW, session="first-one").raise_for_status()
        wait_for(lambda: queue.get_active_worker_count())
        event = anna.join(SLOW, session="second-one").json()["event_id"]  # waits for its turn
        body = {"session_hash": mallory.session, "event_id": event, "fn_index": SLOW}
        answer = mallory.post("/gradio_api/cancel", json=body)
        assert answer.status_code in (200, 404)
        return event not in queue.event_ids_to_events
    finally:
        anna.site.release.set()
        wait_for(lambda: not queue.get_active_worker_count() and not len(queue))


@attack
def close_anothers_page(anna: Visitor, mallory: Visitor) -> bool:
    """A heartbeat that ends marks its session as closed; its state is then thrown away."""
    anna.ask(KEEP, "still here", None)
    states = gradio_app(anna).state_holder.session_data
    before = {name for name, state in states.items() if state.is_closed}
    with mallory.stream("GET", f"/gradio_api/heartbeat/{anna.session}") as stream:
        if stream.status_code == 200:
            next(stream.iter_lines())
    time.sleep(0.3)
    closed = {name for name, state in states.items() if state.is_closed} - before
    own = anna.session
    if anna.site.front:
        own = anna.site.front.owners.real_name(owner_of(anna), anna.session)
        assert own in states
    return own in closed


@attack
def take_more_than_a_page_needs(anna: Visitor, mallory: Visitor) -> bool:
    """Addresses of Gradio's that the page never asks for."""
    paths = (
        "/gradio_api/queue/status", "/gradio_api/openapi.json", "/monitoring",
        "/monitoring/summary", "/gradio_api/deep_link?session_hash=x", "/docs", "/openapi.json",
        "/gradio_api/token", "/gradio_api/user", "/gradio_api/startup-events", "/robots.txt",
        "/manifest.json", "/pwa_icon", "/gradio_api/runs", "/gradio_api/dev/reload",
    )  # fmt: skip
    return any(mallory.get(path).status_code != 404 for path in paths)


@attack
def run_an_event_past_the_queue(anna: Visitor, mallory: Visitor) -> bool:
    answer = mallory.post("/gradio_api/run/predict", json={"data": ["x"], "fn_index": ECHO})
    other = mallory.post("/gradio_api/call/lambda", json={"data": ["x"]})
    return answer.status_code != 404 or other.status_code != 404


@attack
def call_a_component(anna: Visitor, mallory: Visitor) -> bool:
    number = mallory.get("/config").json()["components"][0]["id"]
    body = {"session_hash": "abcd", "component_id": number, "fn_name": "x", "data": 1}
    answer = mallory.post("/gradio_api/component_server", json=body)
    return "Function not found" in answer.text


@attack
def be_read_by_another_site(anna: Visitor, mallory: Visitor) -> bool:
    """CORS: the page of evil.example reads ours, with the visitor's cookies."""
    headers = {"origin": "https://evil.example", "host": "photos.example.org"}
    for method in ("GET", "OPTIONS"):
        asked = headers | {"access-control-request-method": "POST"}
        answer = mallory.request(method, "/config", headers=asked)
        if answer.headers.get("access-control-allow-origin"):
            return True
    return False


@attack
def move_the_page_elsewhere(anna: Visitor, mallory: Visitor) -> bool:
    """`X-Forwarded-Host` and its like change the address that the page's scripts talk to."""
    for name in ("x-forwarded-host", "x-gradio-server"):
        value = "evil.example" if "host" in name else "http://evil.example/"
        if "evil.example" in mallory.get("/config", headers={name: value}).text:
            return True
        if "evil.example" in mallory.get("/", headers={name: value}).text:
            return True
    return False


@attack
def send_999_files(anna: Visitor, mallory: Visitor) -> bool:
    files = [("files", (f"{i}.png", b"x")) for i in range(999)]
    answer = mallory.post("/gradio_api/upload", files=files)
    assert answer.status_code in (200, 413), answer.text
    return answer.status_code == 200


@attack
def send_huge_json(anna: Visitor, mallory: Visitor) -> bool:
    answer = mallory.join(ECHO, "x" * (20 * MB))
    assert answer.status_code in (200, 413), answer.text
    if answer.status_code == 200:
        mallory.events()
    return answer.status_code == 200


@attack
def see_how_the_server_fails(anna: Visitor, mallory: Visitor) -> bool:
    """Messages of errors name paths."""
    return "/srv/secret" in said(mallory.ask(3, "x"))


@attack
def be_served_its_own_headers(anna: Visitor, mallory: Visitor) -> bool:
    """Gradio answers a range with the request's own headers, cookies among them."""
    path = mallory.give(picture())
    asked = {"range": "bytes=0-9", "x-mine": "reflected"}
    answer = mallory.get(f"/gradio_api/file={path}", headers=asked)
    assert answer.status_code == 206
    return "x-mine" in answer.headers


@attack
def have_the_server_fetch_an_address(anna: Visitor, mallory: Visitor) -> bool:
    """A photo's path may be an address: the server asks it."""
    asked = []
    with listener(asked) as url:
        answer = mallory.join(SIZE, photo(f"{url}/x.png"))
        if answer.status_code == 200:
            return "Error" not in said(mallory.events()[-1]) or bool(asked)
        return bool(asked)


def owner_of(visitor: Visitor) -> str:
    """The owner's name in the register, found by what the visitor has sent."""
    path = visitor.give(picture("black", (8, 8)))
    (owner,) = visitor.site.front.owners._holders[path]
    return owner


def gradio_app(visitor: Visitor):
    front = visitor.site.front
    return front.gradio_app if front else visitor.site.app.routes[-1].app


class listener:
    """A server that notes who connects."""

    def __init__(self, asked: list):
        import socket

        self.asked = asked
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(10)

    def __enter__(self) -> str:
        threading.Thread(target=self._run, daemon=True).start()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def _run(self) -> None:
        try:
            while True:
                connection, _ = self.socket.accept()
                self.asked.append(1)
                connection.close()
        except OSError:
            pass

    def __exit__(self, *_) -> None:
        self.socket.close()
