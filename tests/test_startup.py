"""The page is built without what only some visitors need, and answers before the model does."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from conftest import ROOT
from running import environment, free_port
from torchvision.models import ResNet50_Weights

from resnet import weights

SLOW = ("torchvision", "torch._dynamo", "sympy", "matplotlib", "sklearn", "scipy",
        "pytorch_grad_cam", "openvino", "onnxruntime")  # fmt: skip

FIRST_VISITOR = """
import sys
from resnet.engine import Engine
from resnet.network import ResNet50
from resnet.ui.page import build
engine = Engine(ResNet50.load("he2015", "cpu"))
build(engine)
engine.warm_up()
engine.open("assets/examples/cat.jpg").heatmap()
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""

FIRST_ANSWER = """
import sys
import app
from resnet.server import door, serve, settings, storage
print(*(name for name in ("torch", "gradio", "fastapi", "pandas") if name in sys.modules))
"""

# For a stub gradio looks for a class in its own source.
STUBS = """
import ast
import sys
made, segment = [], ast.get_source_segment
ast.get_source_segment = lambda *given: (made.append(given), segment(*given))[1]
import resnet.ui
from resnet import lazy
gradio = lazy.gradio()
import inspect
sys.path.insert(0, sys.argv[1])
import part
print(len(made), inspect.getfile(gradio.Image), gradio.Image().get_component_class_id())
"""

# The app itself; its model is loaded once the test says so.
HELD = """
import sys
import app
load = app.load
def held(options):
    sys.stdin.readline()
    return load(options)
app.load = held
sys.exit(app.main(sys.argv[1:]))
"""


def python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_page_and_first_answer_import_no_slow_package():
    assert python(FIRST_VISITOR, *SLOW).split() == []


def test_the_port_is_opened_before_anything_slow_is_imported():
    assert python(FIRST_ANSWER).split() == []


def test_gradio_comes_without_its_stubs_and_is_otherwise_the_same(tmp_path):
    (tmp_path / "part.py").write_text("import gradio as gr\nclass Part(gr.Image):\n    pass\n")
    made, file, number = python(STUBS, str(tmp_path)).split()
    plain = "import gradio; print(gradio.__file__, gradio.Image().get_component_class_id())"
    folder, same = python(plain).split()
    assert made == "0" and not list(tmp_path.glob("*.pyi"))
    assert file == f"{os.path.dirname(folder)}/components/image.py" and number == same


def test_addresses_written_down_are_torchvisions():
    for name in ("imagenet1k-v1", "imagenet1k-v2"):
        published = ResNet50_Weights[name.replace("-", "_").upper()]
        assert weights.url_of(weights.named()[name]) == published.url


# The process


@contextmanager
def starting(temporary, *arguments):
    """The app, whose port answers and whose model waits for a line; (process, url)."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, "--port", str(port), *arguments],
        cwd=ROOT, env=environment(temporary), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        said = process.stdout.readline()  # "The page is at …": the port is open
        assert f"http://127.0.0.1:{port}" in said, said + process.stderr.read()
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(url: str, good, process) -> str:
    end = time.monotonic() + 180
    while time.monotonic() < end and process.poll() is None:
        status, text = ask(url)
        if good(status, text):
            return text
        time.sleep(0.05)
    raise AssertionError(f"{url} did not get there: {text}")


def test_the_page_answers_while_the_model_is_not_there_and_then_opens(tmp_path):
    with starting(tmp_path, "--device", "cpu") as (process, url):
        status, text = ask(f"{url}/")
        assert status == 200 and "opens by itself" in text
        assert ask(f"{url}/healthz")[0] == 200
        status, text = ask(f"{url}/readyz")
        assert status == 503 and json.loads(text)["checks"] == {"server": "starting"}
        process.stdin.write("now\n")
        process.stdin.flush()
        until(f"{url}/", lambda status, text: "gradio_config" in text, process)
        ready = json.loads(until(f"{url}/readyz", lambda status, _: status == 200, process))
        assert ready["checks"]["model"] == "fine"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not list(tmp_path.glob("resnet-uploads-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_it_at_once_and_leaves_nothing(tmp_path, number):
    with starting(tmp_path) as (process, url):
        assert ask(f"{url}/healthz")[0] == 200
        assert list(tmp_path.glob("resnet-uploads-*"))
        process.send_signal(number)  # while the model waits for a line that never comes
        assert process.wait(60) == 0
        assert not list(tmp_path.glob("resnet-uploads-*"))
        assert "Traceback" not in process.stderr.read()


def test_weights_that_cannot_be_used_end_a_start_that_has_answered(tmp_path):
    with starting(tmp_path, "--weights", "resnet51") as (process, url):
        assert ask(f"{url}/")[0] == 200
        process.stdin.write("now\n")
        process.stdin.flush()
        assert process.wait(60) == 2
        (line,) = process.stderr.read().splitlines()
        assert line.startswith("app.py: There are no weights named “resnet51”.")
        assert not list(tmp_path.glob("resnet-uploads-*"))
