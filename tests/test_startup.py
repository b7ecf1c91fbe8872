"""The page is built without what only some visitors need."""

import subprocess
import sys

from conftest import ROOT
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


def test_page_and_first_answer_import_no_slow_package():
    done = subprocess.run(
        [sys.executable, "-c", FIRST_VISITOR, *SLOW],
        cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_addresses_written_down_are_torchvisions():
    for name in ("imagenet1k-v1", "imagenet1k-v2"):
        published = ResNet50_Weights[name.replace("-", "_").upper()]
        assert weights.url_of(weights.named()[name]) == published.url
