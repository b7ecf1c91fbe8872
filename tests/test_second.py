"""The second look: stage 4 over regions, what it is weighed by, and its training."""

import math

import pytest
import torch
from conftest import make_tiny
from PIL import Image
from why_detectors import named, small_offline

from resnet.detectors import offline, second
from resnet.detectors.aliases import IMAGENET, aliases
from resnet.detectors.convert import coco_table
from resnet.detectors.offline import Dense, points
from resnet.detectors.run import run
from resnet.detectors.second import Namer, Tail, clues
from resnet.images import read_photo
from resnet.train import namer as training
from resnet.train.namer import Regions
from resnet.train.scenes import Scene
from resnet.weights import imagenet_labels


def stage4(net, x):
    for name in net.block_names:
        if name.startswith("4."):
            x = net.block(name)(x)
    return x


def test_without_the_stride_it_is_stage_4_on_every_other_cell():
    net = make_tiny("v1")
    x = torch.rand(2, net.block("3.0").conv3.out_channels, 14, 14)
    with torch.inference_mode():
        dense = x[:, :, ::2, ::2]
        for block in Tail(net).blocks:
            dense = block(dense)
        assert torch.allclose(dense, stage4(net, x), atol=1e-5)


def test_the_weights_are_the_network_s_own():
    net = make_tiny("v1")
    block = Tail(net).blocks[0]
    assert block.conv1.weight is net.block("4.0").conv1.weight
    assert net.block("4.0").conv1.stride == (2, 2)  # untouched
    assert not list(Tail(net).parameters())


def test_a_region_is_read_where_it_is():
    """A stream that is bright at one cell: only a box over its place on the input sees it."""
    tail = Tail(make_tiny("v1"))
    tail.blocks = []
    stream = torch.zeros(1, 4, 10, 12)
    stream[0, :, 3, 5] = 1.0  # looks at pixel (80, 48)
    at = torch.tensor([80.5, 48.5])
    near = torch.cat((at - 8, at + 8))
    found = tail(stream, [torch.stack((near, near + 48, near - 48))])
    assert found[0].min() > 0.3 and found[1:].abs().max() == 0
    for shift in (torch.tensor([4.0, 0, 4, 0]), torch.tensor([0, 4.0, 0, 4])):
        one, other = tail(stream, [torch.stack((near - shift, near + shift))])
        assert torch.allclose(one, other, atol=1e-5)  # the cell is the box's very middle


def test_clues_by_hand():
    dense, fit = torch.tensor([[2.0, -9.0]]), torch.tensor([0.5])
    spoken, said = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[3.0, 1.0, 2.0]])
    aliases = torch.tensor([[0.0, 1, 1], [0, 0, 0]])  # the classifier has no word for the second
    found = clues(dense, fit, spoken, said, aliases)
    log = spoken.log_softmax(1)[0].tolist()
    anything = math.log(1 - math.exp(log[2]))
    chance = math.log((math.e + math.e**2) / (math.e + math.e**2 + math.e**3))
    assert found.shape == (1, 2, len(second.UNMIXED))
    assert found[0, 0].tolist() == pytest.approx([1, 2, 0.5, log[0], anything, 2, chance, 1])
    assert found[0, 1].tolist() == pytest.approx([1, -8, 0.5, log[1], anything, 2, 0, 0])


def test_the_classifier_is_never_sure_that_something_is_not_there():
    dense, said = torch.zeros(1, 1), torch.tensor([[0.0, 80.0]])
    found = clues(dense, torch.zeros(1), torch.zeros(1, 2), said, torch.tensor([[1.0, 0.0]]))
    assert found[0, 0, 6].item() == pytest.approx(math.log(second.LEAST))


def test_aliases_are_the_classifier_s_words_for_coco_s_classes():
    labels, names = imagenet_labels(), tuple(coco_table())
    assert set(IMAGENET) <= set(names)
    table = aliases(names, labels)

    def words(name):
        return {label for label, one in zip(labels, table[names.index(name)], strict=True) if one}

    assert {"pug", "Chihuahua", "Mexican hairless"} <= words("dog") and len(words("dog")) == 118
    assert words("bear") == {"brown bear", "American black bear", "ice bear", "sloth bear"}
    assert words("tv") == {"television", "monitor", "screen", "desktop computer"}
    assert words("kite") == words("person") == set()  # ImageNet's kite is a bird …
    assert "kite" in words("bird")
    assert {"hen", "ostrich", "king penguin"} <= words("bird") and len(words("bird")) == 59
    once = {name: next(iter(words(name))) for name in IMAGENET if len(words(name)) == 1}
    assert once["hair drier"] == "hand blower" and once["oven"] == "stove"
    same = [name for name, word in once.items() if name.split()[-1] in word.lower()]
    assert len(same) >= 15  # "zebra", "banana", "toilet seat" …


def test_aliases_hold_for_these_labels_alone():
    assert aliases(("Motorbike",), imagenet_labels()).sum() == 2  # as other lists spell it
    assert aliases(("zebra", "widget"), imagenet_labels())[:, 340].tolist() == [1, 0]
    assert aliases(("zebra",), ("horse", "zebra")).tolist() == [[0, 0]]


def test_the_namer_has_a_slope_at_nothing():
    features = torch.zeros(1, 8, requires_grad=True)
    Namer(8, 3)(features).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_proposals_are_the_best_whatever_their_class():
    places, _ = points(64, 96)
    logits = torch.full((1, len(places), 3), -12.0)
    distances = torch.ones(1, len(places), 4)
    for at, label, logit in ((26, 0, 3.0), (27, 1, 2.0), (30, 2, 4.0)):
        logits[0, at, label] = logit
    distances[0, 27] = torch.tensor([2.0, 1, 0, 1])  # the box of point 26, once more
    dense = Dense(logits, distances, torch.zeros(1, len(places)))
    at, boxes = offline.proposals(dense, 64, 96, 2)
    assert at.tolist() == [30, 26]
    assert torch.allclose(boxes[1], named(dense, 64, 96).boxes[26])


def test_the_logit_of_a_box_is_both_looks_and_reaches_the_streams():
    detector = small_offline(3)
    photo = read_photo(torch.randint(0, 255, (96, 128, 3), dtype=torch.uint8).numpy())
    sighting = run(detector, photo, 0.01)
    row = sighting.rows[0].clone()
    streams = {k: v.clone().requires_grad_(True) for k, v in sighting.streams.items()}
    with torch.enable_grad():
        logit = detector.target(streams, sighting.input.clone(), row)
        found = torch.autograd.grad(logit, list(streams.values()), allow_unused=True)
    reached = {k for k, g in zip(streams, found, strict=True) if g is not None and g.any()}
    assert {"3", "4"} <= reached


# --- training


def test_what_is_learned_from():
    draw = torch.Generator().manual_seed(1)
    true = torch.tensor([[10.0, 10, 40, 40]])
    boxes = torch.tensor([[10.0, 10, 40, 42], [60, 60, 80, 80], [10, 10, 40, 70]])
    at, chosen = training.learned(torch.tensor([5, 6, 7]), boxes, true, (96, 96), draw)
    assert at[:3].tolist() == [5, 7, 6]  # right ones first; IoU 0.94 and 0.5, then nothing
    assert chosen[:3].tolist() == boxes[[0, 2, 1]].tolist()
    assert chosen[3].tolist() == true[0].tolist() and len(chosen) == 3 + 1 + len(training.JITTER)
    assert at[3:].tolist() == [0, 0, 0]


def test_two_kinds_and_nothing_are_told_apart(monkeypatch):
    monkeypatch.setattr(training, "SPEED", 0.02)
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 2
    overlap = (torch.arange(600) % 3 > 0).float()
    features = torch.rand(600, 60, generator=rng)  # many: half of them are dropped in training
    features[:, :20] += 3 * (overlap * (labels == 0))[:, None]
    features[:, 20:40] += 3 * (overlap * (labels == 1))[:, None]
    one = Regions(
        features.half(), torch.zeros(600, 4), overlap, labels, torch.zeros(600, 2).half(),
        torch.zeros(600).half(), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long),
    )  # fmt: skip
    made = training.train([one] * 20, 2, 0)
    said = made(features).argmax(1)
    wanted = labels.masked_fill(overlap < 0.5, 2)
    assert (said == wanted).float().mean() > 0.95


def test_logistic_weights_are_found():
    rng = torch.Generator().manual_seed(2)
    clue = torch.cat((torch.ones(6000, 1), torch.randn(6000, 2, generator=rng) * 2 + 1), 1)
    wanted = torch.tensor([-0.5, 1.0, -0.7])
    right = (torch.rand(6000, generator=rng) < (clue @ wanted).sigmoid()).float()
    assert training.logistic(clue, right).tolist() == pytest.approx(wanted.tolist(), abs=0.12)


def test_regions_of_a_photo(tmp_path):
    Image.effect_noise((128, 96), 90).convert("RGB").save(tmp_path / "a.png")
    detector = small_offline(1)
    scenes = [Scene(tmp_path / "a.png", ((10, 10, 60, 60),), (1,))]
    (seen,) = training.read_regions(detector, scenes, False, 1, "fp32")
    assert 0 < len(seen.boxes) <= detector.boxes
    assert len(seen.features) == len(seen.overlap) == len(seen.dense) == len(seen.boxes)
    assert seen.true_boxes.tolist() == [[10, 10, 60, 60]]
    (seen,) = training.read_regions(detector, scenes, True, 1, "fp32")
    assert (seen.overlap == 1).any()  # the true box is among them
