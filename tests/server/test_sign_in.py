"""Signing in and out, cookies, and who is believed."""

import re
import threading

import httpx
import pytest

from resnet.server import users
from server.conftest import ECHO, PASSWORDS, Visitor, guarded, photo, picture, web


@pytest.fixture
def stranger(signed_site):
    """Somebody who has not signed in; the throttle has forgotten everybody."""
    with httpx.Client(verify=False, base_url=signed_site.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def guessed(tmp_path_factory, users_file):
    """A site of its own for those who guess."""
    with guarded(tmp_path_factory.mktemp("guessed") / "photos", auth=str(users_file)) as found:
        yield found


def test_without_signing_in_there_is_only_the_form(stranger):
    answer = stranger.get("/")
    assert answer.status_code == 303 and answer.headers["location"] == "/login"
    assert not answer.content
    form = stranger.get("/login")
    assert form.status_code == 200 and 'type="password"' in form.text
    assert "http" not in re.sub(r'content="[^"]*"', "", form.text)  # nothing from elsewhere
    for path in ("/config", "/gradio_api/app_id", "/gradio_api/queue/data?session_hash=abcd",
                 "/gradio_api/file=/etc/hostname", "/gradio_api/heartbeat/abcd"):  # fmt: skip
        assert stranger.get(path).status_code == 401, path
    for path in ("/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/cancel"):
        assert stranger.post(path, json={}).status_code == 401, path


def test_signing_in_and_out(signed_site, stranger):
    answer = stranger.post("/login", data={"name": "Anna", "password": PASSWORDS["anna"]})
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age=43200" in cookie
    assert PASSWORDS["anna"] not in cookie and "anna" not in cookie
    assert stranger.get("/").status_code == 200
    copy = dict(stranger.cookies)
    assert stranger.get("/logout").status_code == 200  # asks; a link signs nobody out
    assert stranger.get("/").status_code == 200
    assert stranger.post("/logout").status_code == 303
    assert stranger.get("/").status_code == 303
    stranger.cookies.update(copy)  # a copy of the cookie is worth nothing now
    assert stranger.get("/").status_code == 303


def test_a_sign_in_takes_a_new_cookie(stranger):
    """A cookie that somebody planted before is not the one that signs in."""
    data = {"name": "anna", "password": PASSWORDS["anna"]}
    first = stranger.post("/login", data=data).cookies
    second = stranger.post("/login", data=data).cookies
    assert set(first.values()).isdisjoint(second.values())
    stranger.cookies.clear()
    stranger.cookies.update(first)
    assert stranger.get("/").status_code == 303  # the first has ended


def test_forged_cookies_are_nobody(stranger):
    stranger.post("/login", data={"name": "anna", "password": PASSWORDS["anna"]})
    ((name, value),) = stranger.cookies.items()
    token, when, seal = value.split(".")
    for forged in (
        token, f"{token}.{when}", f"{token}.{when}.{seal[:-2]}xx", f"x{token}.{when}.{seal}",
        f"{token}.AAAAAA.{seal}", "", "..", "ä", "x" * 5000,
    ):  # fmt: skip
        stranger.cookies.clear()
        answer = stranger.get("/", headers={"cookie": f"{name}={forged}".encode()})
        assert answer.status_code == 303, forged


def test_two_browsers_of_one_user_share_and_others_do_not(signed_site):
    with Visitor(signed_site, "anna") as one, Visitor(signed_site, "anna") as two:
        path = one.give(picture())
        assert two.get(f"/gradio_api/file={path}").status_code == 200
        with Visitor(signed_site, "mallory") as mallory:
            assert mallory.get(f"/gradio_api/file={path}").status_code == 404


def test_removing_a_user_ends_their_sign_in(tmp_path):
    path = tmp_path / "users"
    users.add(path, "carl", "a long password")
    with (
        guarded(tmp_path / "photos", auth=str(path)) as site,
        httpx.Client(verify=False, base_url=site.url) as carl,
    ):
        carl.post("/login", data={"name": "carl", "password": "a long password"})
        assert carl.get("/").status_code == 200
        users.remove(path, "carl")
        assert carl.get("/").status_code == 303


def test_300_guesses_get_ten_answers(guessed):
    with httpx.Client(verify=False, base_url=guessed.url, timeout=60) as client:
        answers = [
            client.post("/login", data={"name": "anna", "password": f"guess {i}"})
            for i in range(300)
        ]
    codes = [answer.status_code for answer in answers]
    assert codes.count(401) == 10 and codes.count(429) == 290
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "too many tries" in answers[-1].text
    text = guessed.front.metrics.text().decode()
    assert 'resnet_sign_ins_total{outcome="wrong"} 10.0' in text


def test_an_unknown_name_and_a_wrong_password_look_alike(stranger):
    said = {
        re.sub(r"\d+", "", stranger.post("/login", data={"name": n, "password": "x"}).text)
        for n in ("anna", "nobody", "no name!", "")
    }
    assert len(said) == 1


@pytest.mark.parametrize("body", [b"", b"name=anna", b"\xff\xfe", b"name=%ff&password=%00"])
def test_odd_forms_are_refused(guessed, body):
    answer = web.post(f"{guessed.url}/login", content=body)
    assert answer.status_code in (401, 429)


def test_a_huge_form_is_refused(stranger):
    answer = stranger.post("/login", content=b"name=" + b"x" * 100_000)
    assert answer.status_code == 413


def test_an_opened_page_of_an_ended_visit_says_so(site):
    with Visitor(site) as anna:
        anna.cookies.clear()
        anna.headers["origin"] = site.url  # as every browser sends it
        answer = anna.join(ECHO, "x")
        assert answer.status_code == 403
        assert "Load the page again" in answer.json()["detail"]


def test_visits_end_after_a_while(tmp_path, monkeypatch):
    from resnet.server import cookies

    with guarded(tmp_path / "photos", session_hours=1.0) as site, Visitor(site) as anna:
        anna.headers["origin"] = site.url
        assert anna.join(ECHO, "x").status_code == 200
        now = cookies.time.time()
        monkeypatch.setattr(cookies.time, "time", lambda: now + 3700)
        assert anna.join(ECHO, "x").status_code == 403
        monkeypatch.setattr(cookies.time, "time", lambda: now - 99_999)  # a clock set back
        assert anna.join(ECHO, "x").status_code == 200


# A proxy that signs users in


def test_the_proxys_word_counts_from_the_proxy_only(tmp_path):
    header = {"x-remote-user": "anna"}
    there = {"auth_header": "X-Remote-User", "trusted_proxy": ("10.9.9.9",)}
    with guarded(tmp_path / "a", **there) as site:
        answer = web.get(site.url, headers=header)  # we are 127.0.0.1, not the proxy
        assert answer.status_code == 403 and "proxy" in answer.text
    with guarded(tmp_path / "b", **(there | {"trusted_proxy": ("127.0.0.1",)})) as site:
        assert web.get(site.url).status_code == 401
        twice = [("x-remote-user", "anna"), ("x-remote-user", "mallory")]
        assert web.get(site.url, headers=twice).status_code == 401
        assert web.get(site.url, headers={"x-remote-user": "a b; c"}).status_code == 401
        with Visitor(site, headers=header) as anna:
            assert anna.get("/").status_code == 200 and not anna.cookies
            path = anna.give(picture())
            assert anna.ask(1, photo(path))["success"]
            other = {"x-remote-user": "mallory"}
            assert anna.get(f"/gradio_api/file={path}", headers=other).status_code == 404


def test_behind_tls_the_cookie_is_secure_and_nobody_else_can_plant_it(tmp_path):
    with guarded(tmp_path / "photos", trusted_proxy=("127.0.0.1",)) as site:
        cookie = web.get(site.url, headers={"x-forwarded-proto": "https"}).headers["set-cookie"]
        assert cookie.startswith("__Host-") and cookie.endswith("; Secure") and "Path=/;" in cookie
        assert "Secure" not in web.get(site.url).headers["set-cookie"]


def test_in_another_sites_frame_the_cookie_is_for_that_place_alone(tmp_path):
    """A browser sends no `Lax` cookie there; the page would have no visit."""
    where = {"x-forwarded-proto": "https", "sec-fetch-site": "cross-site"}
    with guarded(
        tmp_path / "photos", trusted_proxy=("127.0.0.1",), frame_origins=("https://team.example",)
    ) as site:
        cookie = web.get(site.url, headers=where).headers["set-cookie"]
        assert cookie.endswith("; HttpOnly; SameSite=None; Partitioned; Secure")
        assert "SameSite=Lax" in web.get(site.url).headers["set-cookie"]


def test_password_checks_do_not_pile_up(signed_site, monkeypatch):
    """Each takes 64 MB: two run at a time, eight wait, the rest are told to."""
    running, most, hold = [], [], threading.Event()

    def slow(hashed, password):
        running.append(1)
        most.append(len(running))
        hold.wait(20)
        running.pop()
        return False

    monkeypatch.setattr(users, "_matches", slow)
    codes: list[int] = []

    def guess(i: int) -> None:
        data = {"name": f"user{i}", "password": "x"}
        address = {"x-forwarded-for": f"1.2.3.{i}"}  # believed by nobody
        codes.append(web.post(f"{signed_site.url}/login", data=data, headers=address,
                                timeout=30).status_code)  # fmt: skip

    threads = [threading.Thread(target=guess, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    while len(codes) < 10:
        threading.Event().wait(0.02)
    hold.set()
    for thread in threads:
        thread.join()
    assert max(most) <= 2 and codes.count(429) >= 10
