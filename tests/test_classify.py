"""Names of classes and the order of answers."""

import pytest
import torch

from resnet.classify import Prediction, UnknownClass, find_class, top
from resnet.weights import imagenet_labels

LABELS = ("bee", "ant", "Cardigan", "cardigan", "tabby", "tiger cat", "sea snake", "water snake")


@pytest.mark.parametrize(
    "wanted, index",
    [
        (0, 0),
        (7, 7),
        ("7", 7),
        (" 03 ", 3),
        ("Cardigan", 2),  # the dog
        ("cardigan", 3),  # the garment
        ("Bee", 0),
        ("  TABBY ", 4),
        ("tiger", 5),
        ("sea", 6),
        (torch.tensor(5).numpy()[()], 5),  # an index out of a NumPy array
    ],
)
def test_find_class(wanted, index):
    assert find_class(wanted, LABELS) == index


@pytest.mark.parametrize(
    "wanted, message",
    [
        (8, "Class 8 does not exist; indices run from 0 to 7"),
        (-1, "Class -1 does not exist"),
        ("99", "Class 99 does not exist"),
        ("snake", r"“snake” fits 2 classes: sea snake \(6\), water snake \(7\)"),
        ("CARDIGAN", r"fits 2 classes: Cardigan \(2\), cardigan \(3\)"),
        ("tabbi", "No class is called “tabbi”. Did you mean tabby"),
        ("", "fits|No class"),
        ("zzzzzz", "No class is called “zzzzzz”.$"),
        ("²", "No class is called “²”"),  # a digit to str.isdigit, not to int
        ("9" * 5000, "No class|does not exist"),  # more digits than int() converts
    ],
)
def test_find_class_says_what_is_wrong(wanted, message):
    with pytest.raises(UnknownClass, match=message):
        find_class(wanted, LABELS)


def test_every_imagenet_name_finds_itself():
    labels = imagenet_labels()
    assert [find_class(label, labels) for label in labels] == list(range(1000))


def test_many_candidates_are_cut_short():
    with pytest.raises(UnknownClass) as caught:
        find_class("snake", imagenet_labels())
    assert str(caught.value).count("(") == 6


def test_top_is_in_order():
    found = top(torch.tensor([0.1, 0.5, 0.15, 0.25]), LABELS[:4], 3)
    assert [p.index for p in found] == [1, 3, 2]
    assert [label for label, _ in found] == ["ant", "cardigan", "Cardigan"]
    assert [p.probability for p in found] == pytest.approx([0.5, 0.25, 0.15])


def test_top_of_more_than_there_are():
    assert len(top(torch.tensor([0.25, 0.75]), LABELS[:2], 5)) == 2


def test_prediction_unpacks():
    label, probability = Prediction(4, "tabby", 0.5)
    assert (label, probability) == ("tabby", 0.5)


def test_analysis_top_is_the_softmax_of_the_logits(net, photo):
    found = net.analyze(photo)
    logits = found.trace.logits[0].double()
    wanted = (logits - logits.logsumexp(0)).exp()
    order = logits.argsort(descending=True)[:5].tolist()
    assert [p.index for p in found.top(5)] == order
    assert [p.probability for p in found.top(5)] == pytest.approx(wanted[order].tolist(), rel=1e-5)
    assert float(found.probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert [p.label for p in found.top(2)] == [net.labels[i] for i in order[:2]]
    assert found.find(None) == order[0] and found.find("tench") == 0
