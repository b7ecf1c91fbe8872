"""torchvision's detectors: cut in three they answer as torchvision's own; their files."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.models._api as torchvision_api
from conftest import draw_photo
from torch import Tensor, nn
from torchvision.models import get_model_builder, get_model_weights

from resnet import downloads
from resnet.detectors import DetectorError, library
from resnet.detectors.library import RECIPES
from resnet.detectors.library_heads import OneStage, TwoStage, inside
from resnet.detectors.run import run, stages
from resnet.images import Photo, read_photo

CPU = torch.device("cpu")
NAMES = tuple(RECIPES)
FROZEN = ("fasterrcnn", "fcos")  # published from models with frozen batch norms
FLOOR = 0.3


def checkpoint(name: str, seed: int = 0) -> dict[str, Tensor]:
    """A random file of torchvision's format; it finds things, and eps matters in its trunk."""
    rng = torch.Generator().manual_seed(seed)
    model = get_model_builder(RECIPES[name].builder)(weights=None, weights_backbone=None)
    tiny = 1e-4  # the trunk's variances: an eps of 1e-5 is a tenth of it
    for place, part in model.named_modules():
        scale = tiny if place.startswith("backbone.body") else 1.0
        if isinstance(part, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            fan_in = part.weight[0].numel()
            part.weight.data.normal_(0, (2 * scale / fan_in) ** 0.5, generator=rng)
            if part.bias is not None:
                part.bias.data.normal_(0, 0.1, generator=rng)
        elif isinstance(part, nn.BatchNorm2d):
            last = place.endswith(("bn3", "downsample.1"))  # keeps the stream from growing
            part.weight.data.uniform_(0.4, 0.6, generator=rng).mul_(0.7 if last else 1.6)
            part.bias.data.normal_(0, 0.1, generator=rng)
            part.running_mean.normal_(0, 0.1 * scale**0.5, generator=rng)
            part.running_var.uniform_(0.5 * scale, 1.5 * scale, generator=rng)
    if RECIPES[name].two_stage:
        spread_logits(model, model.roi_heads.box_predictor.cls_score, 4.0)
    else:
        model.head.classification_head.cls_logits.bias.data.fill_(-4.0)
        spread_logits(model, model.head.classification_head.cls_logits, 1.5)
    state = model.state_dict()
    if name in FROZEN:
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    return state


def spread_logits(model: nn.Module, layer: nn.Module, wanted: float) -> None:
    """Scale a class layer so that its logits differ by a few, as a trained one's do."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda part, given, out: seen.append(out.flatten()))
    with torch.inference_mode():
        small(model).eval()([torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(1))])
    hook.remove()
    bias = layer.bias.data.mean()
    layer.weight.data.mul_(wanted / float((torch.cat(seen) - bias).std()))


def small(model):
    """Small inputs and few proposals, so that a test is cheap."""
    model.transform.min_size, model.transform.max_size = (96,), 160
    if hasattr(model, "rpn"):
        model.rpn._post_nms_top_n["testing"] = 30
    else:
        model.topk_candidates, model.detections_per_img = 40, 40
    return model


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Tensor]]:
    return {}


def built(name: str, states: dict) -> TwoStage | OneStage:
    """Ours, on a generated checkpoint."""
    if name not in states:
        states.clear()  # one at a time: each takes 170 MB
        states[name] = checkpoint(name)
    detector = library.assemble(library.info_of(name), states[name], CPU)
    small(detector.model)
    return detector


def theirs(name: str, state: dict[str, Tensor], monkeypatch) -> nn.Module:
    """torchvision's own, loaded the way its users load it, from the same checkpoint."""
    monkeypatch.setattr(torchvision_api, "load_state_dict_from_url", lambda *a, **k: dict(state))
    published = get_model_weights(RECIPES[name].builder).COCO_V1
    return small(get_model_builder(RECIPES[name].builder)(weights=published).eval())


def as_photo(width: int, height: int, seed: int = 3) -> Photo:
    return read_photo(draw_photo(width, height, seed), full=True)


def known(name: str, found: dict[str, Tensor]) -> tuple[np.ndarray, list[str], dict]:
    """torchvision's answer without classes that have no name."""
    categories = get_model_weights(RECIPES[name].builder).COCO_V1.meta["categories"]
    labels = [categories[label] for label in found["labels"]]
    keep = [label not in ("__background__", "N/A") for label in labels]
    rest = {key: value[torch.tensor(keep)].numpy() for key, value in found.items()}
    return rest["boxes"], [label for label, good in zip(labels, keep, strict=True) if good], rest


# The same answers as torchvision


@pytest.mark.parametrize("name", NAMES)
def test_answers_as_torchvision(name, states, monkeypatch):
    """Boxes, scores, labels and masks, on a photo whose sides need padding."""
    detector = built(name, states)
    model = theirs(name, states[name], monkeypatch)
    photo = as_photo(150, 111)
    sighting = run(detector, photo, FLOOR)
    x = torch.from_numpy(np.array(photo.image)).permute(2, 0, 1) / 255
    (model.roi_heads if RECIPES[name].two_stage else model).score_thresh = FLOOR
    with torch.inference_mode():
        (answer,) = model([x])
    boxes, labels, rest = known(name, answer)
    found = sighting.found
    assert len(found) > 5, "a test of nothing"
    assert sighting.input.shape == (1, 3, 96, 160) and inside(sighting.input) == (96, 129)
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-2, rtol=1e-4)
    np.testing.assert_allclose(found.scores, rest["scores"], atol=1e-4)
    assert list(found.label_names) == labels
    assert found.size == (150, 111) and len(sighting.rows) == len(found)
    if detector.info.masks:
        assert found.masks.shape == (len(found), 111, 150) and found.masks.dtype == bool
        assert found.masks.any() and not found.masks.all()
        assert (found.masks != (rest["masks"][:, 0] > 0.5)).mean() < 1e-4
    else:
        assert found.masks is None


@pytest.mark.parametrize("name", NAMES)
def test_trunk_is_ours_and_theirs(name, states, monkeypatch):
    """All 16 blocks with both wires; each stage's stream is torchvision's, so eps is right."""
    detector = built(name, states)
    model = theirs(name, states[name], monkeypatch)
    x = detector.prepare(as_photo(120, 160))
    with torch.inference_mode():
        streams = stages(detector.trunk, x)
        for ours, stream in zip(detector.stages, model.backbone.body(x).values(), strict=True):
            scale = stream.abs().max()
            assert float((streams[ours] - stream).abs().max()) < 1e-4 * scale
    assert len(detector.trunk.block_names) == 16 and not hasattr(detector.model.backbone, "body")
    assert detector.trunk.spec.eps == (0.0 if name == "fasterrcnn" else 1e-5)
    parts = [*detector.trunk.parameters(), *detector.model.parameters()]
    assert not any(part.requires_grad for part in parts)
    assert not detector.trunk.training and not detector.model.training


@pytest.mark.parametrize("name", ["fasterrcnn", "retinanet-v2", "fcos"])
def test_target_is_the_logit_of_that_detection(name, states):
    detector = built(name, states)
    sighting = run(detector, as_photo(128, 96), FLOOR)
    for place in (0, len(sighting.found) - 1):
        with torch.no_grad():
            logit = detector.target(sighting.streams, sighting.input, sighting.rows[place])
        assert logit.shape == ()
        score = float(sighting.found.scores[place])
        if name == "retinanet-v2":
            assert float(logit.sigmoid()) == pytest.approx(score, abs=1e-5)
        elif name == "fcos":  # centrality lowers it
            assert float(logit.sigmoid()) >= score**2 - 1e-5
        else:  # a class logit of the detection's own box, not the background's
            box = sighting.rows[place][None, :4]
            with torch.no_grad():
                pyramid = detector.pyramid(sighting.streams)
                heads, size = detector.model.roi_heads, [inside(sighting.input)]
                cut = heads.box_roi_pool(pyramid, [box], size)
                logits, _ = heads.box_predictor(heads.box_head(cut))
            categories = get_model_weights(RECIPES[name].builder).COCO_V1.meta["categories"]
            label = categories.index(sighting.found.label_names[place])
            assert float(logit) == pytest.approx(float(logits[0, label]), rel=1e-5)


@pytest.mark.parametrize("name", ["fasterrcnn", "fcos"])
def test_gradient_of_the_target(name, states):
    """Against a central difference, along a random direction of every stream, in float64."""
    detector = built(name, states)
    sighting = run(detector, as_photo(128, 96), FLOOR)
    detector.model.double()
    x, row = sighting.input.clone().double(), sighting.rows[0].clone()
    base = {key: value.clone().double() for key, value in sighting.streams.items()}
    rng, slopes = torch.Generator().manual_seed(5), []
    for stage in detector.stages:
        leaf = {key: value.clone().requires_grad_(key == stage) for key, value in base.items()}
        (gradient,) = torch.autograd.grad(detector.target(leaf, x, row), leaf[stage])
        way = torch.randn(base[stage].shape, generator=rng, dtype=torch.float64)
        step = 1e-6
        with torch.no_grad():
            up = detector.target(base | {stage: base[stage] + step * way}, x, row)
            down = detector.target(base | {stage: base[stage] - step * way}, x, row)
        slope = float(up - down) / (2 * step)
        slopes.append(abs(slope))
        assert float((gradient * way).sum()) == pytest.approx(slope, rel=1e-3, abs=1e-7), stage
    assert max(slopes) > 1e-3, "a test of nothing"


def test_a_ribbon_first(states):
    """A photo as long and thin as may be does not spoil the answer to the next one."""
    photo = as_photo(128, 96)
    before = run(built("fasterrcnn", states), photo, FLOOR).found
    detector = built("fasterrcnn", states)
    ribbon = run(detector, as_photo(640, 32), FLOOR)
    assert inside(ribbon.input) == (8, 160) and ribbon.input.shape == (1, 3, 32, 160)
    after = run(detector, photo, FLOOR).found
    assert len(before) > 0
    np.testing.assert_array_equal(before.boxes, after.boxes)


def test_boxes_of_a_reduced_photo_are_in_the_files_pixels(states):
    """A very large photo stays reduced when it is decoded; its boxes are of its full size."""
    detector = built("fasterrcnn", states)
    photo = as_photo(128, 96)
    large = replace(photo, size=(1280, 960))
    one, ten = (run(detector, each, FLOOR).found for each in (photo, large))
    assert len(one) > 0 and ten.size == (1280, 960)
    np.testing.assert_allclose(ten.boxes, 10 * one.boxes, rtol=1e-4)


def test_masks_on_a_grid_of_at_most_512(states):
    detector = built("maskrcnn-v2", states)
    found = run(detector, as_photo(1200, 900), FLOOR).found
    assert len(found) > 0 and found.masks.shape == (len(found), 384, 512)
    none = run(detector, as_photo(1200, 900), 1.0).found
    assert len(none) == 0 and none.masks.shape == (0, 384, 512)


@pytest.mark.parametrize("name", ["fasterrcnn", "fcos"])
def test_the_floor_decides_what_is_kept(name, states):
    detector = built(name, states)
    photo = as_photo(128, 96)
    low, high = (run(detector, photo, floor).found for floor in (FLOOR, 0.5))
    assert low.scores.min() >= FLOOR and (low.scores < 0.5).any() and (low.scores > 0.5).any()
    assert 0 < len(high) < len(low) and high.scores.min() >= 0.5


def test_inside_finds_the_padding():
    x = torch.zeros(1, 3, 64, 96)
    assert inside(x) == (64, 96)
    x[:, 1, :50, :70] = 0.1
    assert inside(x) == (50, 70)


# Records


def test_records_are_torchvisions():
    infos = {info.name: info for info in library.infos()}
    assert set(infos) == set(NAMES) and len(infos) == 5
    assert [info.ap for info in infos.values()] == sorted(i.ap for i in infos.values())[::-1]
    for name, info in infos.items():
        published = get_model_weights(RECIPES[name].builder).COCO_V1
        assert info.url == published.url and info.url.endswith(f"-{info.sha256}.pth")
        assert len(info.sha256) == 8 and info.full and info.classes == 80
        assert info.ap == published.meta["_metrics"]["COCO-val2017"]["box_map"]
        assert info.ap50 is None
        assert info.megabytes == published.meta["_file_size"] * 2**20 / 1e6
        assert info.classes == len(library.class_names(published.meta["categories"]))
        parameters = 4e-6 * published.meta["num_params"]  # MB of float32
        assert parameters < info.megabytes < 1.01 * parameters
    assert [name for name, info in infos.items() if info.masks] == ["maskrcnn-v2"]


def test_unknown_name():
    for ask in (library.is_here, library.fetch, lambda name: library.load(name, CPU)):
        with pytest.raises(DetectorError, match="not “yolo”"):
            ask("yolo")


# Files


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no detector in memory."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(library, "_loaded", type(library._loaded)())
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def fcos_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("fcos") / "mine.pth"
    torch.save(checkpoint("fcos"), path)
    return path


@pytest.fixture
def fcos_known(fcos_file, monkeypatch) -> str:
    """The catalogue with the generated file's hash."""
    digest = downloads.sha256(fcos_file)[:8]
    rest = [info for info in library.infos() if info.name != "fcos"]
    known = replace(library.info_of("fcos"), sha256=digest)
    monkeypatch.setattr(library, "infos", lambda: (known, *rest))
    return digest


def test_not_here_says_how_to_get_it(hub, monkeypatch):
    monkeypatch.setattr(downloads, "fetch", lambda *a, **k: pytest.fail("fetched"))
    assert not library.is_here("fcos")
    with pytest.raises(
        DetectorError, match=r"fcos \(130 MB\).*python -m resnet weights fetch fcos"
    ):
        library.load("fcos", CPU)
    assert not hub.exists()


def test_add_then_load_once(hub, fcos_file, fcos_known, monkeypatch):
    random = torch.get_rng_state()
    assert library.add("fcos", fcos_file) == hub / "fcos_resnet50_fpn_coco-99b0c9b7.pth"
    assert library.is_here("fcos") and [path.name for path in hub.iterdir()] == [
        "fcos_resnet50_fpn_coco-99b0c9b7.pth"
    ]
    reads = []
    read = library._read
    monkeypatch.setattr(library, "_read", lambda file: reads.append(file) or read(file))
    got: list = []
    threads = [
        threading.Thread(target=lambda: got.append(library.load("fcos", CPU))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1 and len(got) == 3 and len(set(map(id, got))) == 1
    assert torch.equal(torch.get_rng_state(), random)  # a user's seed is not disturbed


def test_two_are_kept(hub, monkeypatch):
    made = []
    monkeypatch.setattr(library, "_verified", lambda info: {})
    monkeypatch.setattr(
        library, "assemble", lambda info, state, device: made.append(info.name) or object()
    )
    for name in ("fcos", "fasterrcnn", "fcos", "retinanet-v2", "fcos", "fasterrcnn"):
        library.load(name, CPU)
    assert made == ["fcos", "fasterrcnn", "retinanet-v2", "fasterrcnn"]
    assert [key[0] for key in library._loaded] == ["fcos", "fasterrcnn"]


def test_damaged_file_in_the_cache(hub, fcos_file, fcos_known):
    path = library.add("fcos", fcos_file)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DetectorError, match=r"are damaged. Fetch them again with: python -m"):
        library.load("fcos", CPU)


def test_add_refuses_another_hash(hub, fcos_file):
    with pytest.raises(DetectorError, match=r"mine.pth is not the published file fcos_.*99b0c9b7"):
        library.add("fcos", fcos_file)
    assert not library.is_here("fcos") and not list(hub.iterdir())


@pytest.mark.parametrize(
    "change, why",
    [
        (
            lambda state: state.pop("backbone.body.layer1.0.conv1.weight"),
            r".*conv1.weight is missing",
        ),
        (lambda state: state.update(extra=torch.zeros(1)), r"extra is not part of it"),
        (
            lambda state: state.update({"backbone.body.conv1.weight": torch.zeros(2, 2)}),
            r"backbone.body.conv1.weight has another shape",
        ),
    ],
)
def test_add_refuses_other_names_and_shapes(hub, fcos_file, fcos_known, tmp_path, change, why):
    state = torch.load(fcos_file, weights_only=True)
    change(state)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(DetectorError, match=f"other.pth is not fcos: {why}"):
        library.add("fcos", path)
    assert not library.is_here("fcos")


def test_add_refuses_what_is_no_file_of_weights(hub, tmp_path):
    path = tmp_path / "text.pth"
    path.write_text("hello")
    with pytest.raises(DetectorError, match="could not be read as plain weights"):
        library.add("fcos", path)
    with pytest.raises(DetectorError, match="There is no file at"):
        library.add("fcos", tmp_path / "gone.pth")
