"""Photos in and out over HTTP: hostile forms, names, files; where they lie and how long."""

import os
import re
import stat
import threading

import httpx
import pytest
from conftest import ROOT

from resnet.server.files import clean_name
from server.conftest import ECHO, SIZE, Visitor, guarded, photo, picture

MB = 1 << 20
SHARED = ROOT.parent / "shared" / "data" / "hostile"
EDGE = "e5b7a1"
FORM = f"multipart/form-data; boundary={EDGE}"


def form(*parts: tuple[str, bytes], end: str = f"--{EDGE}--\r\n") -> bytes:
    """A multipart body of (head, content) as they are, however odd."""
    whole = b"".join(
        f"--{EDGE}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + content + b"\r\n"
        for head, content in parts
    )
    return whole + end.encode()


def post(visitor: Visitor, body, kind: str = FORM):
    return visitor.post("/gradio_api/upload", content=body, headers={"content-type": kind})


def head(name: str, field: str = "files") -> str:
    return f'Content-Disposition: form-data; name="{field}"; filename="{name}"'


# Names


NAMES = {
    "cat.jpg": "cat.jpg",
    "../../../etc/cron.d/x": "x",
    "/etc/passwd": "passwd",
    "a\\..\\b.jpg": "b.jpg",
    "C:\\photos\\b (2).JPG": "b (2).JPG",
    "x" * 500 + ".jpg": "x" * 71 + ".jpg",
    "<script>.png": "script.png",
    "IMG holiday with bob.jpg": "IMG holiday with bob.jpg",
    "a%00b?c#d.jpg": "a00bcd.jpg",
    "…üñï.jpg": "üñï.jpg",
    ".htaccess": "photo.htaccess",
    "-rf": "rf",
    "..": "photo",
    "": "photo",
    "😀.png": "photo.png",
    "a;b\x00\x7f.jpg": "ab.jpg",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_a_files_own_name(name):
    assert clean_name(name) == NAMES[name]
    assert len(clean_name(name).encode()) < 250


@pytest.mark.parametrize(
    "name",
    ["cat.jpg", "../../../etc/cron.d/x", "/etc/passwd", "a\\..\\b.jpg", "<script>.png",
     "holiday with bob.jpg", "a%00b.jpg", "üñï.jpg", ".htaccess", "x%22%0d%0aSet-Cookie: a=b"],
)  # fmt: skip
def test_photos_lie_in_folders_of_random_names(anna, name):
    answer = post(anna, form((head(name), picture("green"))))
    assert answer.status_code == 200, answer.text
    (path,) = answer.json()
    folder = str(anna.site.folder / "uploads")
    assert re.fullmatch(re.escape(folder) + r"/[\w-]{32}/[\w., ()-]+", path)
    file = anna.get(f"/gradio_api/file={path}")
    assert file.status_code == 200 and file.headers["content-type"] == "image/png"
    assert "set-cookie" not in file.headers
    assert file.headers["content-disposition"].startswith("inline; ")
    assert anna.ask(SIZE, photo(path))["success"]


def test_headers_cannot_be_put_into_an_answer(anna):
    """A name with a line break, as bytes that no browser would send."""
    body = form(('Content-Disposition: form-data; name="files"; filename="a\rSet-Cookie: x=1.png"',
                 picture()))  # fmt: skip
    answer = post(anna, body)
    assert answer.status_code in (200, 400) and "x=1" not in str(answer.headers)


# What is in them


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (picture(kind="JPEG"), "image/jpeg"),
        (picture(kind="PNG"), "image/png"),
        (picture(kind="GIF"), "image/gif"),
        (picture(kind="WEBP"), "image/webp"),
        (picture(kind="JPEG") + b"<html><script>alert(1)</script>", "image/jpeg"),  # a polyglot
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", None),
        (b"<!doctype html><script>alert(1)</script>", None),
        (b"%PDF-1.7", None),
        (b"PK\x03\x04", None),
        (b"", None),
        (b"GIF89a=1;alert(1)//", "image/gif"),
    ],
)
def test_nothing_but_a_picture_is_shown(anna, data, kind):
    """Whatever it calls itself; and a picture is a picture to the browser, whatever is in it."""
    path = anna.give(data, "page.html")
    answer = anna.get(f"/gradio_api/file={path}")
    assert answer.content == data
    assert answer.headers["content-type"] == (kind or "application/octet-stream")
    assert answer.headers["content-disposition"].startswith("inline" if kind else "attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FORM),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary="),
        (b"x", "multipart/form-data; boundary=" + "x" * 300),
        (form((head("a"), b"x")), f"multipart/form-data; charset=nonsense; boundary={EDGE}"),
        (form((head("a"), b"x")), f"multipart/form-data; charset=idna; boundary={EDGE}"),
        (form((head("a"), b"x"), end=""), FORM),
        (form(("X: y", b"x")), FORM),
        (form((head("a").replace("files", "f\udcff"), b"x")), FORM),
        (form((head("a") + "\r\nX: " + "y" * 100_000, b"x")), FORM),
        (form(*[("Content-Disposition: form-data; name=x", b"1")] * 50),
         FORM),
        (form(("Content-Disposition: form-data; name=x", b"1" * 100_000)),
         FORM),
        (b"files=x", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"x", ""),
    ],
)  # fmt: skip
def test_damaged_forms_never_break_the_server(anna, body, kind):
    answer = post(anna, body, kind)
    assert answer.status_code == 400 or answer.json() == [] or len(answer.json()) == 1
    if answer.status_code == 400:
        assert answer.text.endswith(".") and len(answer.text) < 100
    assert anna.ask(ECHO, "still here")["success"]


def test_a_file_that_is_too_large_is_refused_while_it_comes(anna):
    sent = []

    def body():
        yield f"--{EDGE}\r\n{head('big.jpg')}\r\n\r\n".encode()
        for _ in range(60):
            sent.append(1)
            yield bytes(MB)

    answer = post(anna, body())
    assert answer.status_code == 413 and "20 MB" in answer.text
    assert len(sent) < 60
    kept = [entry.stat().st_size for entry in anna.site.folder.rglob("*") if entry.is_file()]
    assert max(kept, default=0) < 20 * MB


def test_too_many_files_are_refused(anna):
    answer = anna.post("/gradio_api/upload", files=[("files", (f"{i}", b"x")) for i in range(501)])
    assert answer.status_code == 413 and "500" in answer.text
    fine = anna.post("/gradio_api/upload", files=[("files", (f"{i}", b"x")) for i in range(50)])
    assert len(set(fine.json())) == 50


@pytest.mark.shared_data
def test_hostile_files_over_http(anna):
    """Each is taken in and answered; the server goes on (the decoder has tests of its own)."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data/hostile is not here")
    small = [path for path in sorted(SHARED.iterdir()) if path.stat().st_size < 100_000][:60]
    for path in small:
        answer = anna.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())})
        assert answer.status_code in (200, 400, 413), path.name
        (kept,) = answer.json()
        assert anna.get(f"/gradio_api/file={kept}").status_code == 200
    assert anna.ask(ECHO, "still here")["success"]


# Where they lie


def test_only_the_server_can_read_what_it_keeps(anna):
    end = anna.ask(SIZE, photo(anna.give(picture("pink"))))
    assert os.path.exists(end["output"]["data"][0]["path"])
    assert stat.S_IMODE(anna.site.folder.stat().st_mode) == 0o700
    for path in (anna.site.folder / "uploads").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_the_same_photo_of_two_visitors_lies_twice(site):
    """So that neither learns from the path, or from the speed, that another has it."""
    with Visitor(site) as one, Visitor(site) as two:
        assert one.give(picture()) != two.give(picture())


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path + "/", lambda path: path.replace("/uploads/", "/uploads/./"),
        lambda path: path.replace("/uploads/", "/uploads/../uploads/"), lambda path: "/" + path,
        lambda path: "/proc/self/root" + path, lambda path: "file://" + path,
        lambda path: os.path.relpath(path), lambda path: path + "\x00", lambda path: path.upper(),
        lambda path: [path], lambda path: {"path": path}, lambda path: 7,
    ],
)  # fmt: skip
def test_only_the_very_path_is_ones_own(anna, mallory, change):
    path = anna.give(picture())
    for visitor in (anna, mallory):
        answer = visitor.join(SIZE, {"path": change(path), "meta": {"_type": "gradio.FileData"}})
        assert answer.status_code == 404 and "Choose it again" in answer.json()["detail"]


def test_anothers_path_is_found_wherever_it_is_hidden(anna, mallory):
    path = anna.give(picture())
    for value in (path, f"<img src='{path}'>", [[{"a": path}]], {"x": {"path": path}},
                  f"/gradio_api/file={path}?x", {"path": None, "url": path}):  # fmt: skip
        assert mallory.join(ECHO, value).status_code == 404, value
        assert mallory.join(ECHO, "x", event_data=value).status_code == 404, value
    assert anna.join(ECHO, f"<img src='{path}'>").status_code == 200


def test_results_are_ones_own_and_shared_when_both_have_made_them(site):
    """Gradio names a result by its content."""
    with Visitor(site) as one, Visitor(site) as two, Visitor(site) as three:
        first = one.ask(SIZE, photo(one.give(picture("gold"))))["output"]["data"][0]["path"]
        second = two.ask(SIZE, photo(two.give(picture("gold"))))["output"]["data"][0]["path"]
        assert first == second
        assert one.get(f"/gradio_api/file={first}").status_code == 200
        assert two.get(f"/gradio_api/file={first}").status_code == 200
        assert three.get(f"/gradio_api/file={first}").status_code == 404
        assert three.join(SIZE, photo(first)).status_code == 404


def test_examples_are_everybodys_but_their_neighbours_are_not(anna):
    folder = ROOT / "assets" / "examples"
    assert anna.get(f"/gradio_api/file={folder}/cat.jpg").status_code == 200
    assert anna.get(f"/gradio_api/file={folder}/examples.json").status_code == 404
    assert anna.get(f"/gradio_api/file={folder}/../labels/imagenet1k.txt").status_code == 404


# How much


def test_a_visitors_oldest_photos_make_room_for_new_ones(tmp_path):
    with guarded(tmp_path / "photos", user_disk_mb=1.0) as site, Visitor(site) as anna:
        big = picture() + bytes(400_000)
        paths = [anna.give(big) for _ in range(4)]
        codes = [anna.get(f"/gradio_api/file={path}").status_code for path in paths]
        assert codes == [404, 404, 200, 200]
        assert site.front.owners.used() == 2 * len(big)
        assert len(list((site.folder / "uploads").iterdir())) == 2


def test_photos_are_refused_before_the_disk_is_full(tmp_path):
    with guarded(tmp_path / "photos", disk_mb=0.5) as site, Visitor(site) as anna:
        anna.give(bytes(300_000))
        answer = anna.post("/gradio_api/upload", files={"files": ("a", bytes(300_000))})
        assert answer.status_code == 503 and "no room" in answer.text
        assert int(answer.headers["retry-after"]) > 0
    with guarded(tmp_path / "more", free_disk_mb=9e8) as site, Visitor(site) as anna:
        answer = anna.post("/gradio_api/upload", files={"files": ("a", b"x")})
        assert answer.status_code == 503


def test_a_full_disk_is_said_and_leaves_nothing(anna, monkeypatch):
    from resnet.server import files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.shutil, "copyfileobj", full)
    before = sorted((anna.site.folder / "uploads").iterdir())
    answer = anna.post("/gradio_api/upload", files={"files": ("a", picture())})
    assert answer.status_code == 503 and "/" not in answer.text
    assert sorted((anna.site.folder / "uploads").iterdir()) == before
    monkeypatch.undo()
    assert anna.give(picture())


def test_a_visitor_who_leaves_while_sending_leaves_nothing(anna):
    import socket

    cookie = "; ".join(f"{key}={value}" for key, value in anna.cookies.items())
    before = sorted((anna.site.folder / "uploads").iterdir())
    with socket.create_connection(("127.0.0.1", anna.site.port)) as leaving:
        leaving.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
            f"Content-Type: multipart/form-data; boundary={EDGE}\r\nContent-Length: 99999\r\n\r\n"
            f"--{EDGE}\r\n{head('a')}\r\n\r\nxxxx".encode()
        )
    assert anna.ask(ECHO, "still here")["success"]
    assert sorted((anna.site.folder / "uploads").iterdir()) == before


# Progress


def test_the_progress_of_an_upload_is_its_owners(site):
    with Visitor(site) as anna, Visitor(site) as mallory:
        go, told = threading.Event(), {}

        def body():
            yield f"--{EDGE}\r\n{head('a.png')}\r\n\r\n".encode()
            go.wait(20)
            yield picture() + f"\r\n--{EDGE}--\r\n".encode()

        def watch(visitor: Visitor) -> None:
            answer = visitor.get("/gradio_api/upload_progress?upload_id=mine")
            told[visitor] = (answer.status_code, answer.text)

        def send() -> None:
            kind = FORM
            with httpx.Client(
                verify=False, base_url=site.url, cookies=anna.cookies, timeout=30
            ) as other:
                other.post("/gradio_api/upload?upload_id=mine", content=body(),
                           headers={"content-type": kind}).raise_for_status()  # fmt: skip

        threads = [threading.Thread(target=send), threading.Thread(target=watch, args=(anna,))]
        for thread in threads:
            thread.start()
        watch(mallory)
        go.set()
        for thread in threads:
            thread.join()
        assert told[mallory][0] == 404
        assert told[anna][0] == 200 and '"msg": "done"' in told[anna][1]
        assert '"msg": "update"' in told[anna][1]
