"""Small networks and set controls for the tests of Compare."""

from conftest import make_tiny

from resnet.network import ResNet50
from resnet.ui.bench import Bench
from resnet.ui.compare_source import ANSWER_OF_A, FROM_INSIDE, Asked, Slots


def unsure(variant: str, seed: int = 0) -> ResNet50:
    """A tiny random network whose probabilities are neither 0 nor 1."""
    net = make_tiny(variant, seed)
    net.fc.weight.mul_(0.02)
    return net


def asked(path: str, way: str, own: str = "tiny-v1", **changes) -> Asked:
    """The tab's controls with a photo in A."""
    controls = Asked(
        path=path, slots=Slots(path=path), way=way, weights_a=own, weights_b=own,
        method_a="gradcam", method_b="eigencam", wanted=ANSWER_OF_A, damage="noise", strength=0.5,
        seed=3, cuts=FROM_INSIDE, detector_a="offline", detector_b="heatmap", score=0.5,
        boxes=False, bench=Bench(),
    )  # fmt: skip
    return controls._replace(**changes)
