"""`python app.py`: its options, its errors, and what a stranger can make the server do."""

import json
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import gradio as gr
import pytest
from conftest import ROOT, make_tiny
from PIL import Image
from running import environment, free_port, running_app, stop

import app
from resnet.engine import Engine
from resnet.images import MAX_BYTES
from resnet.ui.page import TOGETHER, build
from resnet.ui.serve import launch_options

# Options


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("HOST", "PORT", "WEIGHTS", "LABELS", "DEVICE", "PRECISION", "ROOT_PATH"):
        monkeypatch.delenv(f"RESNET_{name}", raising=False)


def test_by_default_only_this_machine_can_open_the_page():
    options = app.parse([])
    assert (options.host, options.port) == ("127.0.0.1", 7860)
    assert (options.weights, options.device, options.precision) == ("he2015", "auto", "auto")
    assert not options.labels and not options.root_path


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("host", "0.0.0.0"),
        ("port", 8123),
        ("weights", "imagenet1k-v2"),
        ("labels", "names.txt"),
        ("device", "cpu"),
        ("precision", "bf16"),
        ("root-path", "/resnet"),
    ],
)
def test_every_option_is_also_a_variable_and_the_command_line_wins(monkeypatch, option, value):
    key = option.replace("-", "_")
    monkeypatch.setenv(f"RESNET_{key.upper()}", str(value))
    assert getattr(app.parse([]), key) == value
    other = 8124 if option == "port" else "other"
    assert getattr(app.parse([f"--{option}", str(other)]), key) == other


def test_a_port_that_is_no_number_is_refused(capsys, monkeypatch):
    monkeypatch.setenv("RESNET_PORT", "http")
    with pytest.raises(SystemExit) as stopped:
        app.parse([])
    assert stopped.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        app.parse(["--help"])
    assert stopped.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for option in ("host", "port", "weights", "labels", "device", "precision", "root-path"):
        assert f"--{option} " in told
    assert "default: 127.0.0.1" in told and "RESNET_ROOT_PATH" in told


# The page


@pytest.fixture
def built(tiny_v1):
    return build(Engine(tiny_v1))


def test_the_page_builds_and_offers_all_classes_methods_and_blocks(built, tiny_v1):
    parts = {block.elem_id: block for block in built.blocks.values() if block.elem_id}
    assert [label for label, _ in parts["chosen"].choices] == list(tiny_v1.labels)
    assert [name for name, _ in parts["block"].choices] == list(tiny_v1.block_names)
    assert {value for _, value in parts["method"].choices} >= {"gradcam", "cam", "hirescam"}
    assert tiny_v1.spec.name in parts["header"].value


def test_names_from_a_labels_file_are_escaped(tiny_v1):
    """Nothing that comes with the weights can put an element on the page."""
    evil = '<img src=x onerror="alert(1)">'
    net = make_tiny("v1", name=evil, labels=(evil, *tiny_v1.labels[1:]))
    for block in build(Engine(net)).blocks.values():
        if isinstance(block, gr.HTML) and isinstance(block.value, str):
            assert "<img src=x" not in block.value


def test_launched_without_analytics_sharing_or_server_messages(built):
    assert not built.analytics_enabled
    options = launch_options()
    assert options["max_file_size"] == MAX_BYTES == 20 * 2**20
    for switch in ("share", "show_error", "run_history", "ssr_mode", "pwa"):
        assert options[switch] is False, switch
    (folder,) = options["allowed_paths"]
    assert Path(folder) == ROOT / "assets" / "examples"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "--allow-open"),
        (["--auth", "nobody.txt"], "There is no users file “nobody.txt”"),
        (["--rate", "0"], "--rate must be a number above 0"),
    ],
)
def test_settings_that_cannot_be_used_give_one_line_and_status_2(arguments, words, capsys):
    assert app.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("app.py: ") and words in line


def test_uploads_are_removed_after_a_while(built):
    every, age = built.delete_cache
    assert every <= 600 and age <= 3600


def test_no_event_runs_without_a_limit(built):
    """What uses the model waits in one common queue, whatever the event."""
    limits = {fn.concurrency_id: fn.concurrency_limit for fn in built.fns.values()}
    assert limits["model"] == TOGETHER == 8
    assert None not in limits.values()


def test_every_event_waits_in_the_queue(built):
    """What does not is asked at an address that the server leaves closed."""
    past = [fn for fn in built.fns.values() if fn.fn and fn.queue is False]
    assert not [getattr(fn.fn, "__qualname__", fn.fn) for fn in past]


# The process


def test_weights_that_do_not_exist_give_one_line_and_status_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py", "--weights", "resnet51", "--port", str(free_port())],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("app.py: There are no weights named “resnet51”.")
    assert "he2015, imagenet1k-v1, imagenet1k-v2" in line
    assert not list(tmp_path.glob("resnet-uploads-*"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_app(tmp_path_factory.mktemp("app")) as started:
        yield started


@pytest.fixture(scope="module")
def visitor(server):
    """What a browser is to the server: something that keeps its cookie."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(server.url, timeout=60).close()
    return opener


def ask(visitor, server, path: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", data)
    request.add_header("Content-Type", "application/json")
    with visitor.open(request, timeout=60) as answer:
        return answer.read()


def send(visitor, server, fn: int, data: list, session: str) -> dict:
    """What the page's script does for one event, without the page: join, then read the end."""
    joined = {"data": data, "fn_index": fn, "session_hash": session}
    ask(visitor, server, "/gradio_api/queue/join", joined)
    stream = ask(visitor, server, f"/gradio_api/queue/data?session_hash={session}").decode()
    messages = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:")]
    (end,) = [message for message in messages if message["msg"] == "process_completed"]
    return end


def events_of_the_photo(config: dict) -> dict[int, list]:
    """Event number -> valid inputs but for the photo, which is None."""
    parts = {part["id"]: part for part in config["components"]}
    photo = next(i for i, part in parts.items() if part["props"].get("elem_id") == "photo")

    def value(number: int):
        props = parts[number]["props"]
        return 0 if props.get("elem_id") == "chosen" else props.get("value")

    return {
        event["id"]: [None if number == photo else value(number) for number in event["inputs"]]
        for event in config["dependencies"]
        if event["inputs"] and event["inputs"][0] == photo
    }


def upload(visitor, server, name: str, data: bytes) -> str:
    edge = "e5b7a1"
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + data + f"\r\n--{edge}--\r\n".encode()  # fmt: skip
    request = urllib.request.Request(f"{server.url}/gradio_api/upload", body)
    request.add_header("Content-Type", f"multipart/form-data; boundary={edge}")
    with visitor.open(request, timeout=60) as answer:
        return json.loads(answer.read())[0]


def file_data(path: str, **more) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}} | more


@pytest.fixture(scope="module")
def secret(tmp_path_factory) -> Path:
    """A photo on the server that was never uploaded."""
    path = tmp_path_factory.mktemp("secret") / "secret.png"
    Image.new("RGB", (64, 64), "red").save(path)
    return path


def test_an_upload_is_answered_over_plain_http(visitor, server):
    """So that the refusals below mean something."""
    file = upload(visitor, server, "cat.jpg", (ROOT / "assets/examples/cat.jpg").read_bytes())
    events = events_of_the_photo(json.loads(ask(visitor, server, "/config")))
    fn, data = next(iter(events.items()))
    end = send(visitor, server, fn, [file_data(file), *data[1:]], "honest")
    assert end["success"], end
    assert server.temporary in Path(file).parents
    assert stat.S_IMODE(Path(file).stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize(
    "attack",
    [
        lambda secret: file_data("/etc/hostname"),
        lambda secret: file_data(str(secret)),
        lambda secret: file_data(f"/proc/self/root{secret}"),
        lambda secret: file_data(str(secret), url=f"file://{secret}"),
        lambda secret: file_data("app.py"),
        lambda secret: file_data(str(ROOT / "assets/examples/../weights/../../app.py")),
    ],
    ids=["hostname", "photo", "proc", "url", "relative", "dots"],
)
def test_a_path_on_the_server_is_not_read(visitor, server, secret, attack):
    events = events_of_the_photo(json.loads(ask(visitor, server, "/config")))
    assert len(events) >= 3  # upload, and the examples of two tabs; others read the server's state
    for fn, data in events.items():
        with pytest.raises(urllib.error.HTTPError) as refused:
            send(visitor, server, fn, [attack(secret), *data[1:]], f"attack{fn}")
        assert refused.value.code == 404
        told = refused.value.read().decode()
        assert "not yours" in told and str(secret) not in told


@pytest.mark.parametrize("path", ["/etc/hostname", "app.py", "assets/labels/imagenet1k.txt"])
def test_a_file_on_the_server_cannot_be_fetched(visitor, server, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(visitor, server, f"/gradio_api/file={path}")
    assert refused.value.code == 404


def test_a_stranger_cannot_fetch_a_photo(visitor, server):
    """Also without signing in, visitors are told apart."""
    file = upload(visitor, server, "cat.jpg", (ROOT / "assets/examples/cat.jpg").read_bytes())
    assert ask(visitor, server, f"/gradio_api/file={file}")
    stranger = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    stranger.open(server.url, timeout=60).close()
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(stranger, server, f"/gradio_api/file={file}")
    assert refused.value.code == 404


def test_a_file_that_is_too_large_is_refused_while_it_comes(visitor, server):
    with pytest.raises(urllib.error.HTTPError) as refused:
        upload(visitor, server, "big.jpg", bytes(MAX_BYTES + 1))
    assert refused.value.code == 413
    kept = [file for file in server.temporary.rglob("*") if file.is_file()]
    assert max(file.stat().st_size for file in kept) <= MAX_BYTES


def test_a_second_app_on_the_same_port_says_so(server, tmp_path):
    port = server.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "app.py", "--port", port],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"app.py: cannot listen on 127.0.0.1:{port}")
    assert not list(tmp_path.glob("resnet-uploads-*"))


def test_ctrl_c_ends_it_and_leaves_no_upload(server):
    """Last in this file: it stops the server."""
    assert list(server.temporary.glob("resnet-uploads-*"))
    assert stop(server) == 0
    assert not list(server.temporary.glob("resnet-uploads-*"))
    assert "Traceback" not in server.log.read_text()
