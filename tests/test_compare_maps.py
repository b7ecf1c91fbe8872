"""Two heat maps on one scale, their likeness; the second set of weights."""

import numpy as np
import pytest
from conftest import make_tiny

from resnet import weights
from resnet.cam import HeatMap
from resnet.compare import likeness, nets, on_one_scale
from resnet.network import ResNet50
from resnet.weights import WeightsError


def heat(grid, signed: bool = False, method: str = "gradcam") -> HeatMap:
    return HeatMap(np.array(grid, np.float32), 0, method, "4.2", signed)


def test_one_scale_spans_both():
    pair = on_one_scale(heat([[0, 1], [2, 4]]), heat([[0, 0], [0, 2]]))
    assert (pair.low, pair.high, pair.common, pair.signed) == (0, 4, True, False)
    assert pair.a.tolist() == [[0, 0.25], [0.5, 1]] and pair.b.max() == 0.5
    # Signed maps keep their zero; one sign among them is enough.
    pair = on_one_scale(heat([[-4, 2], [0, 0]], True), heat([[0, 1], [0, 0]]))
    assert (pair.low, pair.high, pair.signed) == (-4, 4, True)
    assert pair.a.min() == -1 and pair.b.max() == 0.25


def test_other_units_and_blank_maps_have_their_own_scale():
    pair = on_one_scale(heat([[0, 1], [2, 4]]), heat([[0, 0], [0, 2]]), same_units=False)
    assert not pair.common and pair.a.max() == pytest.approx(1) == pair.b.max()
    pair = on_one_scale(heat([[0, 1], [2, 4]]), heat([[0, 0], [0, 0]]))
    assert pair.b is None and not pair.common and pair.a.max() == pytest.approx(1)
    assert on_one_scale(None, None).a is None


def test_likeness_of_known_maps():
    ramp = np.linspace(0, 1, 49).reshape(7, 7)
    same = likeness(heat(ramp), heat(3 * ramp + 1))
    assert same.correlation == pytest.approx(1) and same.overlap == 1
    assert "correlate at 1.00" in same.sentence and "100 % is the same place" in same.sentence
    turned = likeness(heat(ramp), heat(1 - ramp))
    assert turned.correlation == pytest.approx(-1) and turned.overlap == 0
    assert "−1.00" in turned.sentence
    assert likeness(heat(ramp), heat(0 * ramp)) is None


@pytest.fixture
def two_sets(monkeypatch) -> list[str]:
    """torchvision's sets as if they were here; the names that were loaded."""
    loaded: list[str] = []

    def load(name: str, device: str, precision: str) -> ResNet50:
        loaded.append(name)
        return make_tiny("v1.5", name=name)

    monkeypatch.setattr(weights, "is_here", lambda spec: True)
    monkeypatch.setattr(ResNet50, "load", load)
    monkeypatch.setattr(nets, "_kept", {})
    return loaded


def test_a_second_set_is_loaded_once_and_only_one_is_kept(two_sets):
    own = make_tiny("v1", name="he2015")
    assert nets.network(own, "he2015") is own and not two_sets
    first = nets.network(own, "imagenet1k-v1")
    assert nets.network(own, "imagenet1k-v1") is first and two_sets == ["imagenet1k-v1"]
    nets.network(own, "imagenet1k-v2")
    assert len(nets._kept) == 1
    nets.network(own, "imagenet1k-v1")
    assert two_sets == ["imagenet1k-v1", "imagenet1k-v2", "imagenet1k-v1"]


def test_sets_that_are_not_here_are_refused_in_words(monkeypatch):
    own = make_tiny("v1", name="my-own")
    monkeypatch.setattr(weights, "is_here", lambda spec: spec.name == "he2015")
    assert nets.names(own) == ["my-own", "he2015", "imagenet1k-v1", "imagenet1k-v2"]
    assert [nets.is_here(own, name) for name in nets.names(own)] == [True, True, False, False]
    with pytest.raises(WeightsError, match="not on this machine"):
        nets.network(own, "imagenet1k-v2")
    with pytest.raises(WeightsError, match="There are no weights"):
        nets.network(own, "../x.pth")
