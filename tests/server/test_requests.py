"""Headers, hosts, origins, proxies, sizes: what every request meets before anything is done."""

import contextlib
import json
import re
import socket

import httpx
import pytest

from resnet.server import routes
from resnet.server.proxy import neighbourhood
from server.conftest import ECHO, Visitor, guarded, picture, web

PATHS = ("/", "/theme.css", "/healthz", "/nowhere", "/gradio_api/app_id", "/static/img/logo.svg")


# Headers


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers(anna, path):
    headers = anna.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert len(headers["x-request-id"]) == 16
    assert not {"server", "x-powered-by"} & set(headers)
    assert len(headers.get_list("content-security-policy")) == 1


def test_the_pages_policy_allows_the_own_host_alone(anna):
    policy = anna.get("/").headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for name, value in rules.items():
        for source in value.split():
            known = ("'none'", "'self'", "data:", "blob:", "'unsafe-eval'", "'unsafe-inline'")
            assert source in known or source.startswith("'sha256-"), (name, source)
    assert "'unsafe-inline'" not in rules["script-src"]
    assert rules["connect-src"] == rules["form-action"] == rules["base-uri"] == "'self'"


def test_assets_are_kept_for_ever_and_answers_never(anna):
    page = anna.get("/")
    assert page.headers["cache-control"] == "private, no-store"
    (name, *_) = re.findall(r"assets/([\w.-]+\.js)", page.text)
    assert "immutable" in anna.get(f"/assets/{name}").headers["cache-control"]
    assert "immutable" not in anna.get("/assets/nothing.js").headers["cache-control"]
    path = anna.give(picture())
    file = anna.get(f"/gradio_api/file={path}")
    assert file.headers["cache-control"] == "private, no-store"
    assert "sandbox" in file.headers["content-security-policy"]
    assert anna.join(ECHO, "x").headers["cache-control"] == "private, no-store"


def test_frames_are_allowed_where_listed(tmp_path):
    with guarded(tmp_path / "photos", frame_origins=("https://a.org",)) as site:
        headers = web.get(site.url).headers
        assert "frame-ancestors https://a.org" in headers["content-security-policy"]
        assert "x-frame-options" not in headers


def test_the_page_is_rendered_once_a_host_name(site):
    first, second = web.get(site.url), web.get(site.url, headers={"accept-encoding": "gzip"})
    assert first.text == second.text and second.headers["content-encoding"] == "gzip"
    assert web.get(site.url, headers={"accept-encoding": "identity"}).text == first.text
    port = site.port
    other = web.get(site.url, headers={"host": f"localhost:{port}"}).text
    assert f"http://localhost:{port}" in other and f"http://localhost:{port}" not in first.text


# Addresses


def test_every_address_of_gradios_but_the_pages_is_nothing(site):
    paths = all_paths(site.front.gradio_app.routes)
    hidden = [path for path in paths if routes.find(path) is None]
    assert len(hidden) > 30 and any("component_server" in path for path in hidden)
    for path in hidden:
        assert web.get(site.url + path).status_code == 404, path


def all_paths(found) -> set[str]:
    """Of routes and of the routers among them, with words in place of what is variable."""
    paths = set()
    for route in found:
        inside = getattr(route, "original_router", None)
        paths |= all_paths(inside.routes) if inside else {getattr(route, "path", "")}
    return {re.sub(r"{.*?}", "x", path) for path in paths if path}


@pytest.mark.parametrize(
    "path",
    ["//", "/assets/../config", "/assets/..%2f..%2fetc/passwd", "/static/%2e%2e/%2e%2e/x", "/%00",
     "/assets/a\\b", "/gradio_api//app_id", "/gradio_api/file", "/CONFIG", "/config/", "/login",
     "/assets/%0d%0aset-cookie:x=1"],
)  # fmt: skip
def test_odd_paths_are_nothing(site, path):
    with socket.create_connection(("127.0.0.1", site.port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = raw.makefile("rb").read()
    assert answer.split(b" ", 2)[1] in (b"404", b"400"), answer[:100]
    assert b"set-cookie:x" not in answer


def test_other_methods_are_refused(anna):
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "POST"):
        assert anna.request(method, "/config").status_code == 405
    assert anna.get("/gradio_api/queue/join").status_code == 405
    assert anna.head("/").status_code == 200


# Hosts and origins


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1:80", 200), ("[::1]:80", 200), ("LOCALHOST:1", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example", 421),
        ("", 421), ("a b", 421),
    ],
)  # fmt: skip
def test_only_own_host_names(site, host, status):
    assert web.get(site.url, headers={"host": host}).status_code == status


def test_host_names_can_be_added(tmp_path):
    with guarded(tmp_path / "photos", hosts=("photos.example.org",)) as site:
        answer = web.get(site.url, headers={"host": "photos.example.org"})
        assert answer.status_code == 200 and "http://photos.example.org" in answer.text
        assert web.get(site.url, headers={"host": "x.example.org"}).status_code == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "OWN"}, 200),
        ({"origin": "OWN", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),  # another port of this host: the same site
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "OWN.evil.example"}, 403),
    ],
)
def test_another_sites_page_cannot_act_for_the_visitor(anna, headers, status):
    headers = {key: value.replace("OWN", anna.site.url) for key, value in headers.items()}
    body = {"data": ["x"], "fn_index": ECHO, "session_hash": anna.session}
    answer = anna.post("/gradio_api/queue/join", json=body, headers=headers)
    assert answer.status_code == status
    upload = anna.post("/gradio_api/upload", files={"files": ("a", b"x")}, headers=headers)
    assert upload.status_code == status


def test_links_from_elsewhere_still_open_the_page_but_nothing_else(anna):
    there = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert anna.get("/", headers=there).status_code == 200
    path = anna.give(picture())
    assert anna.get(f"/gradio_api/file={path}", headers=there).status_code == 403
    assert anna.get("/config", headers=there).status_code == 403


def test_signing_in_or_out_from_elsewhere_is_refused(signed_site):
    there = {"origin": "https://evil.example"}
    with Visitor(signed_site, "anna") as anna:
        assert anna.post("/logout", headers=there).status_code == 403
        data = {"name": "mallory", "password": "another long password"}
        assert anna.post("/login", data=data, headers=there).status_code == 403
        assert anna.get("/").status_code == 200


def test_listed_origins_may_ask_without_cookies(tmp_path):
    with guarded(tmp_path / "photos", cors_origins=("https://a.org",)) as site:
        ask = {"access-control-request-method": "POST"}
        good = web.options(f"{site.url}/config", headers=ask | {"origin": "https://a.org"})
        assert good.headers["access-control-allow-origin"] == "https://a.org"
        assert "access-control-allow-credentials" not in good.headers
        bad = web.options(f"{site.url}/config", headers=ask | {"origin": "https://b.org"})
        assert "access-control-allow-origin" not in bad.headers


# Proxies


def test_a_strangers_claims_about_a_proxy_are_dropped(site):
    claims = {"x-forwarded-proto": "https", "x-forwarded-for": "9.9.9.9", "x-request-id": "x" * 16}
    answer = web.get(site.url, headers=claims)
    assert "https://127" not in answer.text and "Secure" not in answer.headers["set-cookie"]
    assert answer.headers["x-request-id"] != "x" * 16


def test_a_trusted_proxy_is_believed(tmp_path):
    changes = {"trusted_proxy": ("127.0.0.1",), "hosts": ("photos.example.org",)}
    with guarded(tmp_path / "photos", root_path="/resnet", **changes) as site:
        claims = {
            "x-forwarded-proto": "https", "x-forwarded-host": "photos.example.org",
            "x-forwarded-for": "6.6.6.6, 9.9.9.9", "x-request-id": "proxy-0123456789",
        }  # fmt: skip
        for path in ("/", "/resnet/"):  # the proxy may take the prefix off, or leave it
            answer = web.get(site.url + path, headers=claims)
            assert "https://photos.example.org/resnet" in answer.text
            assert "Path=/resnet; " in answer.headers["set-cookie"]
            assert answer.headers["set-cookie"].startswith("__Secure-")
            assert answer.headers["x-request-id"] == "proxy-0123456789"
        evil = claims | {"x-forwarded-host": "evil.example"}
        assert web.get(site.url, headers=evil).status_code == 421
        # What the visitor wrote before the proxy is hearsay: the nearest stranger counts.
        assert web.get(f"{site.url}/metrics", headers=claims).status_code == 404
        own = claims | {"x-forwarded-for": "127.0.0.1"}
        assert web.get(f"{site.url}/metrics", headers=own).status_code == 200
        lie = claims | {"x-forwarded-for": "127.0.0.1, 9.9.9.9"}
        assert web.get(f"{site.url}/metrics", headers=lie).status_code == 404


def test_one_visitor_of_ipv6_has_a_whole_network():
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:1")
    assert neighbourhood("2001:db8::1") != neighbourhood("2001:db8:0:1::1")
    assert neighbourhood("::ffff:1.2.3.4") == neighbourhood("1.2.3.4") == "1.2.3.4"


# Bodies


def stream(total: int, chunk: int = 65536):
    for _ in range(total // chunk):
        yield b"x" * chunk


def test_large_bodies_are_refused_before_and_while_they_come(anna):
    limit = 512 * 1024
    for content in (b" " * (limit + 1), stream(4 * limit)):  # with and without a length
        answer = anna.post(
            "/gradio_api/queue/join", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413 and "512 KB" in answer.json()["detail"]


def test_a_body_where_none_belongs_is_refused(anna):
    answer = anna.request("GET", "/config", content=b"x")
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"1", b"{", b'{"data": NaN}', b"[" * 100_000, b'{"a":' * 50_000,
     b"\xff\xfe", json.dumps({"data": 1, "fn_index": 0, "session_hash": "abcd"}).encode()],
)  # fmt: skip
def test_what_is_not_an_event_is_400(anna, body):
    answer = anna.post(
        "/gradio_api/queue/join", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400 and answer.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"fn_index": 999}, {"fn_index": "0"}, {"fn_index": None}, {"fn_index": True},
        {"data": []}, {"data": ["a", "b", "c"]}, {"trigger_id": {}}, {"trigger_id": "x"},
    ],
)  # fmt: skip
def test_events_that_the_page_does_not_have_are_400(anna, changes):
    body = {"data": ["x"], "fn_index": ECHO, "session_hash": anna.session} | changes
    assert anna.post("/gradio_api/queue/join", json=body).status_code == 400


@pytest.mark.parametrize("name", ["", "abc", "a" * 65, "a/b", "a b", "../x", None, 7, {}])
def test_odd_names_of_sessions_are_nothing(anna, name):
    body = {"data": ["x"], "fn_index": ECHO, "session_hash": name}
    answer = anna.post("/gradio_api/queue/join", json=body)
    assert answer.status_code == (200 if name in (None, 7) and len(str(name)) > 3 else 404)


def test_json_must_say_that_it_is(anna):
    """A form from elsewhere can send text, but not this header."""
    body = json.dumps({"data": ["x"], "fn_index": ECHO, "session_hash": anna.session})
    answer = anna.post(
        "/gradio_api/queue/join", content=body, headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 400


def test_deeply_nested_values_are_refused(anna):
    value: list = []
    for _ in range(60):
        value = [value]
    assert anna.join(ECHO, value).status_code == 400


# Slow ones


def test_a_head_that_never_ends_is_hung_up_on(tmp_path):
    with guarded(tmp_path / "photos", request_seconds=0.3) as site:
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as silent:
            assert silent.recv(10) == b""  # nothing was ever sent
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")
            with contextlib.suppress(ConnectionResetError):
                assert slow.recv(10) == b""
        with Visitor(site) as anna:  # and a quick one is served, again and again
            assert anna.get("/").status_code == anna.get("/config").status_code == 200


def test_an_endless_head_is_refused(site):
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        try:
            for _ in range(40):
                raw.sendall(b"X-Filler: " + b"x" * 8000 + b"\r\n")
            answer = raw.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            return
    assert b" 431 " in answer or b" 400 " in answer


def test_a_slow_body_is_given_up(tmp_path, monkeypatch):
    from resnet.server import body

    monkeypatch.setattr(body, "PATIENCE", 0.3)
    with guarded(tmp_path / "photos") as site, Visitor(site) as anna:
        cookie = "; ".join(f"{key}={value}" for key, value in anna.cookies.items())
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as slow:
            slow.sendall(
                f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
                "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{".encode()
            )
            assert b" 408 " in slow.recv(1000).split(b"\r\n")[0] + b" "


def test_connections_of_one_address_are_bounded(tmp_path):
    with guarded(tmp_path / "photos", connections=20) as site:
        opened = [socket.create_connection(("127.0.0.1", site.port), timeout=10) for _ in range(8)]
        try:
            assert b" 503 " in opened[-1].recv(100)
        finally:
            for connection in opened:
                connection.close()
        for _ in range(100):  # until the server has noticed that they are gone
            try:
                assert web.get(f"{site.url}/healthz").status_code == 200
                break
            except (httpx.HTTPError, AssertionError):
                continue
        else:
            pytest.fail("the server does not recover")
