"""The page's endpoints, as programs reach them: with gradio_client, and with two requests."""

import base64
import io
import json
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, draw_photo, make_tiny
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from resnet import verbs
from resnet.compare import nets
from resnet.engine import Engine
from resnet.network import ResNet50
from resnet.ui.page import build
from resnet.ui.serve import launch_options

SIX = {"/classify", "/explain", "/detect", "/trace", "/lesions", "/compare"}


@pytest.fixture(scope="module")
def tiny() -> ResNet50:
    return make_tiny("v1")


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    """(address, engine) of a page with a small network."""
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        # Gradio gives its own server three seconds to answer; on a busy machine that is too few.
        patch.setattr("gradio.networking.url_ok", lambda url: True)
        engine = Engine(tiny)
        page = build(engine)
        _, url, _ = page.launch(prevent_thread_lock=True, **launch_options())
        yield url, engine
        page.close()


@pytest.fixture(scope="module")
def client(served):
    return Client(served[0], verbose=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("photos")
    made = folder / "one.png", folder / "two.png"
    for seed, path in enumerate(made):
        draw_photo(160, 120, seed).save(path)
    return made


# What there is


def test_exactly_these_six_are_public_and_each_says_what_it_does(client):
    told = client.view_api(return_format="dict", print_info=False)
    assert set(told["named_endpoints"]) == SIX
    assert not told["unnamed_endpoints"]
    for name, endpoint in told["named_endpoints"].items():
        assert len(endpoint["description"]) > 20, name
        (answer,) = endpoint["returns"]
        kind = answer["type"]
        assert kind["type"] == "object" and len(kind["properties"]) > 7, name
        for parameter in endpoint["parameters"]:
            assert len(parameter["label"]) > 6, (name, parameter)
            assert not parameter["parameter_name"].startswith("param_")


def test_all_other_events_of_the_page_are_private(served):
    with urllib.request.urlopen(f"{served[0]}config", timeout=60) as answer:
        config = json.load(answer)
    public = {
        event["api_name"]
        for event in config["dependencies"]
        if event["api_visibility"] != "private"
    }
    assert {f"/{name}" for name in public} == SIX


def test_the_types_that_are_told_are_those_of_the_answers(client, files):
    told = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    photo = handle_file(files[0])
    for name in sorted(SIX - {"/detect"}):
        given = (photo, photo) if name == "/compare" else (photo,)
        _fits(client.predict(*given, api_name=name), told[name]["returns"][0]["type"], name)


def _fits(value, schema, where):
    """Every value is of the type that the schema names, and none is missing or unheard of."""
    if "oneOf" in schema:
        if value is not None:
            _fits(value, schema["oneOf"][1], where)
        return
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    kind = schema.get("type")
    if kind == "number":
        assert isinstance(value, int | float), where
    elif kind:
        assert isinstance(value, kinds[kind]), (where, value)
    if "properties" in schema:
        assert set(value) == set(schema["properties"]), where
        for name, inner in value.items():
            _fits(inner, schema["properties"][name], f"{where}.{name}")
    for part in value if isinstance(value, list) and "items" in schema else ():
        _fits(part, schema["items"], f"{where}[]")


# The verbs, over the page


def test_classify_gives_what_the_network_says(client, files, tiny):
    found = client.predict(handle_file(files[0]), 3, api_name="/classify")
    top = tiny.analyze(files[0]).top(3)
    assert [(row["index"], row["label"]) for row in found["top"]] == [
        (p.index, p.label) for p in top
    ]
    assert [row["probability"] for row in found["top"]] == pytest.approx(
        [p.probability for p in top], abs=1e-5
    )
    assert found["size"] == [160, 120] and found["weights"] == "tiny-v1"


def test_explain_gives_the_grid_and_if_asked_the_picture(client, files, tiny):
    photo = handle_file(files[0])
    found = client.predict(photo, "ant", "hirescam", "3.0", True, "magma", api_name="/explain")
    expected = tiny.analyze(files[0]).cam("ant", "hirescam", "3.0")
    np.testing.assert_allclose(found["grid"], expected.grid, atol=1e-4)
    assert (found["target"]["label"], found["block"]) == ("ant", "3.0")
    kind, _, data = found["picture"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == ("PNG", (160, 120))
    assert client.predict(photo, api_name="/explain")["picture"] is None


def test_lesions_and_trace_tell_of_the_same_cuts(client, files, tiny):
    photo = handle_file(files[0])
    cuts = client.predict(photo, wanted="2", api_name="/lesions")["cuts"]
    board = tiny.analyze(files[0]).lesions(2)
    assert [(c["block"], c["wire"]) for c in cuts] == [(r.block, r.wire) for r in board.rows]
    assert [c["change"] for c in cuts] == pytest.approx([r.change for r in board.rows], abs=1e-5)
    traced = client.predict(photo, "2", api_name="/trace")
    by_block = {row["block"]: row for row in traced["blocks"]}
    assert tuple(by_block) == tiny.block_names
    for cut in cuts:
        assert by_block[cut["block"]][f"cut_{cut['wire']}"] == pytest.approx(cut["change"])
    assert {"budget", "evidence", "ledger", "readouts", "highway"} <= set(traced["numbers"])


def test_compare_of_a_photo_with_itself_and_with_another(client, files):
    one, two = map(handle_file, files)
    same = client.predict(one, one, api_name="/compare")
    assert same["same_answer"] and same["divergence"] == pytest.approx(0, abs=1e-6)
    assert all(row["cosine"] == pytest.approx(1) for row in same["streams"])
    other = client.predict(one, two, top=3, api_name="/compare")
    for row in other["answers"]:
        assert row["difference"] == pytest.approx(row["p_b"] - row["p_a"])
    assert min(row["cosine"] for row in other["streams"]) < 0.999
    assert len(other["a"]["top"]) == 3
    assert other["answers_sentence"].startswith(("Both say", "A says"))


@pytest.mark.parametrize("endpoint", ["classify", "lesions"])
def test_two_requests_are_enough(served, files, endpoint):
    """What curl does: upload, then ask, then read the answer."""
    url = served[0]
    path = _upload(url, files[0])
    answer = _ask(url, endpoint, {"photo": {"path": path, "meta": {"_type": "gradio.FileData"}}})
    assert "event: complete" in answer
    (found,) = json.loads(answer.partition("data: ")[2].splitlines()[0])
    assert found["weights"] == "tiny-v1" and found["photo_sha256"]


# What is wrong


@pytest.mark.parametrize(
    ("endpoint", "options", "sentence"),
    [
        ("/classify", {"top": 0}, "whole number from 1 to 7"),
        ("/classify", {"top": "five"}, "“top” is a whole number"),
        ("/classify", {"top": True}, "“top” is a whole number"),
        ("/explain", {"wanted": "wombat"}, "No class is called “wombat”."),
        ("/explain", {"wanted": ["ant"]}, "“wanted” is a text"),
        ("/explain", {"wanted": "x" * 201}, "“wanted” is a text of at most 200 letters"),
        ("/explain", {"method": "magic"}, "There is no method “magic”."),
        ("/explain", {"block": "9.9"}, "There is no block “9.9”."),
        ("/explain", {"picture": True, "colours": "jet"}, "There are no colours “jet”."),
        ("/explain", {"method": "cam", "block": "1.0"}, "The exact CAM exists at the last block"),
        ("/detect", {"score": 2}, "“score”, the lowest of a box, is a number from 0 to 1."),
        ("/detect", {"score": "high"}, "“score” is a number"),
        ("/detect", {"detector": "yolo"}, "There is no detector “yolo”."),
        ("/detect", {"classes": "dog"}, "“classes” is a list"),
        ("/trace", {"wanted": "7"}, "Class 7 does not exist"),
        ("/lesions", {"wanted": "ca"}, "fits 4 classes"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told_in_a_sentence(client, files, endpoint, options, sentence):
    with pytest.raises(AppError) as refused:
        client.predict(photo=handle_file(files[0]), **options, api_name=endpoint)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("name", ["resnet51", "../secret.safetensors", "/etc/passwd"])
def test_weights_are_named_never_a_path(client, files, name):
    photo = handle_file(files[0])
    with pytest.raises(AppError, match="There are no weights") as refused:
        client.predict(photo, photo, weights_b=name, api_name="/compare")
    assert "he2015" in str(refused.value)


def test_a_file_that_is_no_photo_is_told_in_a_sentence(client, tmp_path):
    for name, data in (("text.png", b"hello"), ("cut.jpg", b"\xff\xd8\xff\xe0" + bytes(50))):
        path = tmp_path / name
        path.write_bytes(data)
        for endpoint in SIX:
            given = [handle_file(path)] * (2 if endpoint == "/compare" else 1)
            with pytest.raises(AppError) as refused:
                client.predict(*given, api_name=endpoint)
            told = str(refused.value)
            assert told.endswith(".") and "/" not in told and "Error" not in told, told


def test_no_photo_is_told_in_a_sentence(served):
    for endpoint in ("classify", "compare"):
        given = {"a": None, "b": None} if endpoint == "compare" else {"photo": None}
        assert "There is no photo" in _ask(served[0], endpoint, given)


@pytest.mark.parametrize(
    "attack",
    [
        lambda secret: {"path": "/etc/hostname"},
        lambda secret: {"path": str(secret)},
        lambda secret: {"path": f"/proc/self/root{secret}"},
        lambda secret: {"path": str(secret), "url": f"file://{secret}"},
        lambda secret: {"path": "app.py"},
        lambda secret: {"path": "http://127.0.0.1:9/x.png"},
        lambda secret: {"path": "https://example.com/x.png", "url": "https://example.com/x.png"},
    ],
    ids=["hostname", "photo", "proc", "url", "relative", "local address", "address"],
)
def test_a_path_that_was_not_uploaded_is_refused(served, files, tmp_path, attack):
    url, _ = served
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), "red").save(secret)
    with_meta = attack(secret) | {"meta": {"_type": "gradio.FileData"}}
    for photo in (attack(secret), with_meta):
        for endpoint in sorted(SIX):
            given = {"a": photo, "b": photo} if endpoint == "/compare" else {"photo": photo}
            told = _ask(url, endpoint[1:], given)
            assert "event: error" in told, (endpoint, photo, told)
            assert "probability" not in told and str(secret) not in told and str(ROOT) not in told


def test_an_address_of_a_photo_is_not_fetched(served):
    photo = {"path": "https://example.com/x.png", "meta": {"_type": "gradio.FileData"}}
    told = _ask(served[0], "classify", {"photo": photo})
    assert "fetches nothing" in told


def _upload(url: str, path: Path) -> str:
    edge = "e5b7a1"
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + path.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(f"{url}gradio_api/upload", body)
    request.add_header("Content-Type", f"multipart/form-data; boundary={edge}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)[0]


def _ask(url: str, endpoint: str, body: dict) -> str:
    event = json.loads(_post(f"{url}gradio_api/call/v2/{endpoint}", body))["event_id"]
    return _get(f"{url}gradio_api/call/v2/{endpoint}/{event}")


def _post(url: str, body: dict) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


# The verbs themselves


def test_errors_are_sentences_of_their_own_kinds(tiny, files, tmp_path):
    engine = Engine(tiny)
    for ask in (
        lambda: verbs.classify(engine, tmp_path / "none.jpg"),
        lambda: verbs.classify(engine, files[0], top=8),
        lambda: verbs.explain(engine, files[0], "wombat"),
        lambda: verbs.explain(engine, files[0], method="magic"),
        lambda: verbs.detect(engine, files[0], "yolo"),
        lambda: verbs.compare(engine, *files, weights_a="he2016"),
    ):
        with pytest.raises(verbs.ERRORS) as refused:
            ask()
        assert str(tmp_path) not in str(refused.value)


def test_class_0_is_a_class_and_no_name_is_the_answer(tiny, files):
    engine = Engine(tiny)
    assert verbs.explain(engine, files[0], 0).target.index == 0
    own = tiny.analyze(files[0]).top(1)[0].index
    assert verbs.explain(engine, files[0], "").target.index == own
    assert verbs.lesions(engine, files[0]).target.index == own


def test_two_sets_of_weights_are_compared_by_name(net, files, monkeypatch):
    """Different weights: no cosine, and each side says which it had."""
    other = make_tiny("v1.5", name="imagenet1k-v1")
    engine = Engine(make_tiny("v1"))
    monkeypatch.setattr(nets, "network", lambda own, name: other)
    found = verbs.compare(engine, files[0], files[0], weights_b="imagenet1k-v1")
    assert (found.a.weights, found.b.weights) == ("tiny-v1", "imagenet1k-v1")
    assert found.measure == "cka" and all(row.cosine is None for row in found.streams)
    assert found.to_dict()["b"]["top"][0]["label"] == other.analyze(files[0]).top(1)[0].label
