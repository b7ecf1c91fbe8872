"""Everything shipped is accounted for: who made it, under which licence, unchanged."""

import json
from hashlib import sha256

import pytest
from conftest import ROOT

ASSETS = ROOT / "assets"
TOLD = (ASSETS / "README.md").read_text("utf-8")
EXAMPLES = json.loads((ASSETS / "examples" / "examples.json").read_text("utf-8"))


def digest(path: str) -> str:
    return sha256((ASSETS / path).read_bytes()).hexdigest()


def test_every_file_is_named():
    kept = [p for p in ASSETS.rglob("*") if p.is_file() and p.parent.name != "screenshots"]
    assert len(kept) > len(EXAMPLES)
    for path in kept:
        assert path == ASSETS / "README.md" or path.name in TOLD, path.name


def test_the_weights_told_are_the_weights_shipped():
    file = "weights/resnet50-he2015.safetensors"
    assert digest(file) in TOLD
    assert f"{(ASSETS / file).stat().st_size:,} bytes" in TOLD


def test_the_detector_told_is_the_detector_shipped():
    record = json.loads((ASSETS / "weights" / "detector-offline.json").read_text("utf-8"))
    assert digest("weights/detector-offline.safetensors") == record["sha256"]
    assert record["trunk"] == digest("weights/resnet50-he2015.safetensors")
    for name in ("annotations", "test_annotations"):
        assert record["inputs"][name] in TOLD, name


@pytest.mark.parametrize("entry", EXAMPLES, ids=lambda entry: entry["file"])
def test_an_example_is_free_and_its_source_is_told(entry):
    assert entry["licence"] in ("CC0-1.0", "Public domain")
    assert digest(f"examples/{entry['file']}") == entry["sha256"]
    for fact in (entry["author"], entry["source"], entry["sha256"][:16]):
        assert fact in TOLD, fact
