"""Make `assets/weights/detector-offline.*` from a trained detector.

    python -m resnet.train.detector_bundle PHOTOS ANNOTATIONS --trained FOLDER
        [--test-photos DIR --test-annotations JSON] [--out assets/weights]

PHOTOS and ANNOTATIONS are those that `resnet.train.detector` was given, FOLDER is its `--out`.  The
weights are rounded to int8; the rounded detector then looks at the photos that were held out, and
what it finds there decides the overlap that makes two boxes one, the classes that are shown, and
the calibration of the scores (`resnet.train.choose`), at four looks and at one.  The test photos
decide nothing: what is measured on them goes into the record, from where the page takes it.  Some
seconds a photo on a CPU.  Both files are written at the end, so that a run that is stopped changes
nothing.  FOLDER may be a bundle's file instead: its weights stay as they are, and the rest is
chosen and measured anew.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from resnet.detections import Detections
from resnet.detectors import shipped
from resnet.detectors.convert import canonical, coco_table
from resnet.detectors.looks import FOUR, Named
from resnet.detectors.run import answer
from resnet.detectors.shipped import Offline
from resnet.device import describe
from resnet.images import ImageError, read_photo
from resnet.network import ResNet50
from resnet.train import choose
from resnet.train.bundle import store
from resnet.train.detector import split
from resnet.train.detector_figures import measured, report
from resnet.train.evaluate import FLOOR, Evaluation, judge
from resnet.train.scenes import Scene, SceneError, read_scenes
from resnet.weights import read_bundle, sha256

OVERLAPS = (0.5, 0.55, 0.6, 0.65, 0.7)
ROUNDS = 3  # of moving the offset: it changes a little which boxes are there
HELD = 1000  # held-out photos looked at; more would decide nothing else
NAMER = "namer.safetensors"  # as `resnet.train.namer` leaves it
TRAINED = "detector.safetensors"  # as `resnet.train.detector` leaves it
METADATA = {
    "title": "Detector on the frozen trunk of ResNet-50, arXiv 1512.03385",
    "licence": "MIT",
    "source": "python -m resnet.train.detector",
    "quantization": "int8, symmetric, per output channel, least squared error, balanced rounding; "
    "weight = int8 * scale",
}
NOTE = "not comparable with published AP"


@dataclass(frozen=True, eq=False)
class Seen:
    """What the head said of one photo, to be decoded in several ways.

    Attributes:
        raws: at every look, on the CPU.
        shapes: (height, width) of the inputs.
        size: (width, height) of the photo.
        seconds, trunk_seconds: of every look, as in `Detections`.
    """

    raws: tuple[Named, ...]
    shapes: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    seconds: tuple[float, ...]
    trunk_seconds: tuple[float, ...]


def look(detector: Offline, scenes: Sequence[Scene], title: str) -> Iterator[Seen]:
    """All looks at every photo, with a progress bar.

    Raises:
        ImageError: a photo cannot be used; the text names it.
    """
    for scene in tqdm(scenes, title, unit="photo"):
        try:
            photo = read_photo(scene.path)
        except ImageError as error:
            raise ImageError(f"{scene.path.name}: {error}") from error
        made = [answer(detector, photo, number) for number in range(detector.looks)]
        yield Seen(
            tuple(Named(*(part.cpu() for part in each.raw)) for each in made),
            tuple((each.input.shape[2], each.input.shape[3]) for each in made),
            photo.size,
            tuple(each.seconds for each in made),
            tuple(each.trunk_seconds for each in made),
        )


def decoded(detector: Offline, seen: Iterable[Seen]) -> Iterator[Detections]:
    """What the detector, as it is set now, makes of each."""
    several = detector.looks > 1
    for each in seen:
        raw = detector.together(each.raws, each.shapes) if several else each.raws[0]
        x = torch.zeros(1).expand(1, 3, *each.shapes[0])  # only its shape counts
        found, _ = detector.decode(raw, x, each.size, FLOOR)
        yield replace(found, seconds=sum(each.seconds), trunk_seconds=sum(each.trunk_seconds))


def settle(
    detector: Offline,
    looks: list[Seen],
    scenes: list[Scene],
    learned: dict[str, int],
    shown: Sequence[str] = (),
) -> tuple[Offline, dict[float, float]]:
    """The detector with overlap, classes and calibration chosen on held-out photos.

    Args:
        detector: shows all its classes.
        looks, scenes: of the held-out photos.
        learned: class -> boxes in training.
        shown: the classes, where they have been chosen already.

    Returns:
        The detector, and the AP in percent of every overlap.

    Raises:
        SceneError: nothing is found on these photos, or nothing is on them.
    """

    def judged(wanted: Offline) -> Evaluation:
        return judge("offline", decoded(wanted, looks), scenes, detector.names)

    plain = replace(detector, calibration=(1.0, 0.0))
    tries = {overlap: judged(replace(plain, overlap=overlap)) for overlap in OVERLAPS}
    ap = {overlap: found.table["AP"] for overlap, found in tries.items()}
    if any(map(math.isnan, ap.values())) or not len(tries[OVERLAPS[0]].scores):
        raise SceneError("The held-out photos show nothing, or nothing is found on them.")
    overlap = choose.lowest_overlap(ap)
    found = tries[overlap]
    kinds = Counter(found.kinds.tolist())
    objects = {name: kinds[i] for i, name in enumerate(detector.names)}
    shown = shown or choose.worth_showing(found.per_class50, objects, learned)
    places = tuple(detector.names.index(name) for name in shown)
    slope, offset = choose.logistic(found.scores, found.right)
    made = replace(detector, overlap=overlap, shown=places, calibration=(slope, offset))
    for _ in range(ROUNDS):
        found = judged(made)
        offset -= float(choose.logit(choose.threshold(found.scores, found.right)))
        made = replace(made, calibration=(slope, offset))
    return made, ap


def official(name: str) -> str:
    """A class name as COCO spells it, if it is one of COCO's; as it is otherwise."""
    return canonical(name) if canonical(name) in coco_table() else name


def build(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Do it all; returns the record and the report.

    Raises:
        ValueError: a file or photo cannot be used; the text says which and why.
    """
    # The figures are those of float32, whatever this machine is fast at.
    net = ResNet50.load(options.weights, device=options.device, precision="fp32")
    names, scenes = read_scenes(options.photos, options.annotations)
    names = tuple(map(official, names))
    kept = options.trained.is_file()
    if kept and not options.trained.with_suffix(".json").is_file():
        raise ValueError(f"The record of {options.trained.name} is not beside it.")
    trained, held = split(scenes)
    held = held[:HELD]
    test, on_test = held, "held-out {} photos, which chose the threshold as well"
    if options.test_photos:
        theirs, test = read_scenes(options.test_photos, options.test_annotations)
        on_test = "other {} photos"
        if tuple(map(official, theirs)) != names:
            raise SceneError("The test photos have other classes than the training photos.")
    on = f"{len(trained):,} {options.source} photos"
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / shipped.FILE.name
    fresh = target.with_suffix(".new")
    try:
        if kept:
            shutil.copyfile(options.trained, fresh)
        else:
            state = read_bundle(options.trained / TRAINED) | read_bundle(options.trained / NAMER)
            save_file(store(state), fresh, METADATA | {"trained_on": on})
        module = shipped.read(net, len(names), "", fresh)
        plain = shipped.assemble(net, module, names, names, (1.0, 0.0), OVERLAPS[0])
        several, quick = replace(plain, ways=FOUR), replace(plain, ways=FOUR[:1])
        quick = replace(quick, boxes=shipped.QUICK_BOXES)
        counts = Counter(label for scene in trained for label in scene.labels)
        learned = {name: counts[i] for i, name in enumerate(names)}
        looks = list(look(several, held, "held out"))
        four, ap = settle(several, looks, held, learned)
        shown = [names[place] for place in four.shown]
        glances = list(look(quick, held, "held out, one look"))
        one, _ = settle(quick, glances, held, learned, shown)
        if test is not held:
            looks = list(look(several, test, "test"))
            glances = list(look(quick, test, "test, one look"))
        arithmetic = f"{describe(net.device)}, {net.precision}, {torch.get_num_threads()} threads"
        where = f"{len(test):,} {on_test.format(options.source)} ({NOTE})"

        def settings(made: Offline, tested: Sequence[Seen]) -> dict[str, Any]:
            every = replace(made, shown=tuple(range(len(names))))
            told = measured(list(decoded(every, tested)), test, names, shown)
            told["seconds"]["on"] = arithmetic
            return {
                "calibration": [round(value, 5) for value in made.calibration],
                "overlap": made.overlap,
                "measured": {"on": where} | told,
            }

        record = {
            "names": names,
            "shown": shown,
            "trained_on": on,
            "sha256": sha256(fresh),
            "trunk": net.spec.sha256,
            "inputs": _inputs(options),
            **settings(four, looks),
            "quick": settings(one, glances),
        }
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False)
    target.with_suffix(".json").write_text(text + "\n", "utf-8")
    return record, report(record, len(held), ap)


def _inputs(options: argparse.Namespace) -> dict[str, Any]:
    """Hashes of what it was made from, and what the training was asked for."""
    hashes = {"annotations": sha256(options.annotations)}
    if options.trained.is_file():  # what it was made from is in the record beside it
        before = json.loads(options.trained.with_suffix(".json").read_text("utf-8"))["inputs"]
        hashes |= {name: before[name] for name in ("detector", "namer", "options")}
    else:
        asked = options.trained / "options.json"
        hashes["detector"] = sha256(options.trained / TRAINED)
        hashes["namer"] = sha256(options.trained / NAMER)
        hashes["options"] = json.loads(asked.read_text("utf-8")) if asked.is_file() else {}
    if options.test_annotations:
        hashes["test_annotations"] = sha256(options.test_annotations)
    return hashes


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m resnet.train.detector_bundle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, help="the folder of photos trained on")
    parser.add_argument("annotations", type=Path, help="COCO-style JSON")
    parser.add_argument(
        "--trained", type=Path, required=True, help="the training's --out, or a bundle"
    )
    parser.add_argument("--test-photos", type=Path, help="a folder of photos not trained on")
    parser.add_argument("--test-annotations", type=Path, help="their COCO-style JSON")
    parser.add_argument("--source", help="whose photos; the annotations' name unless given")
    parser.add_argument("--out", type=Path, default=shipped.FILE.parent)
    parser.add_argument("--weights", default="he2015", help="of the trunk")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    if (options.test_photos is None) != (options.test_annotations is None):
        parser.error("--test-photos and --test-annotations go together.")
    options.source = options.source or options.annotations.stem
    try:
        record, text = build(options)
    except ValueError as error:  # a file or photo that cannot be used
        parser.error(" ".join(str(error).split()))
    size = (options.out / shipped.FILE.name).stat().st_size
    print(f"{text}\n{shipped.FILE.name}: {size:,} bytes, sha256 {record['sha256']}")


if __name__ == "__main__":
    main()
