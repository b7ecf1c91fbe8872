"""Small networks for the tests of Compare."""

from conftest import make_tiny

from resnet.network import ResNet50


def unsure(variant: str, seed: int = 0) -> ResNet50:
    """A tiny random network whose probabilities are neither 0 nor 1."""
    net = make_tiny(variant, seed)
    net.fc.weight.mul_(0.02)
    return net
