"""torchvision's detectors as it runs them, and cut in three as the page runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from resnet import device as devices
from resnet.bench.compare import Row, Skipped, compare
from resnet.bench.machine import has_amx
from resnet.bench.subjects import Subjects
from resnet.detectors import library
from resnet.detectors.run import run
from resnet.images import Photo, read_photo

CPU = torch.device("cpu")
WANTED = {"retinanet-v2": 1 / 4.5, "fasterrcnn-v2": 1 / 3}  # in bf16, with AMX
FLOOR = 0.05
SURE = 20  # of the library's best boxes, those that are looked for among ours
SAME = 0.5  # two boxes with a higher IoU are one
LOST = 0.1  # share of them that may be missing: we drop nameless classes
ROUNDED = 0.05  # of the norm of a level of the pyramid, in bf16
FEW = 200  # boxes proposed with --quick; otherwise 1,000
QUICK = 320  # pixels of the input's shorter side with --quick; otherwise as the library has it


@dataclass(frozen=True)
class Seen:
    """What a detector made of the photo."""

    boxes: np.ndarray  # [n, 4], best first
    levels: Callable[[], list[Tensor]]  # of the feature pyramid; worked out when asked for


def rows(on: Subjects, runs: int, quick: bool) -> Iterator[Row | Skipped]:
    """A row a detector and precision, on one photo of 640 x 480; weights are random, from a seed.

    The answers are the library's best boxes and those of ours that are most like them.  In bf16 a
    two-stage detector is held to the library's feature pyramid instead: a random network gives
    90,000 boxes nearly the same score, and rounding decides which are the best; that its heads find
    the same boxes is checked in float32.
    """
    photo = read_photo(on.photo.resize((640, 480), Image.Resampling.BICUBIC), full=True)
    for name, wanted in WANTED.items():
        state = seeded(name)
        theirs: Any = eager(name, state)
        ours = library.assemble(library.info_of(name), state, CPU)
        if quick:
            for model in (theirs, ours.model):
                model.transform.min_size, model.transform.max_size = (QUICK,), 2 * QUICK
                if library.RECIPES[name].two_stage:
                    model.rpn._post_nms_top_n["testing"] = FEW
        title = library.RECIPES[name].title
        for kind in [kind for kind, _ in on.ways()]:
            ours.trunk.precision = kind
            _ours(ours, photo)  # lays its weights out
            limit = wanted if kind == "bf16" and has_amx() else float("nan")
            rounded = kind == "bf16" and library.RECIPES[name].two_stage
            differ, most = (far, ROUNDED) if rounded else (lost, LOST)
            yield compare(f"{title} / torchvision's eager fp32, {kind}",
                          partial(_ours, ours, photo), partial(_theirs, theirs, photo),
                          runs, most, limit, differ)  # fmt: skip
        if on.half is None:
            yield Skipped(f"{title} / torchvision's eager fp32, bf16", on.why_half)


def seeded(name: str, seed: int = 0) -> dict[str, Tensor]:
    """Random weights from a seed, with scores of which few are high, as a trained one's are.

    As torchvision draws them, all scores are equal, and which boxes are kept is rounding.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _built(name)
        picture = torch.rand(3, 160, 160)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):  # a stream that does not grow from block to block
            part.weight.fill_(0.7)
    if library.RECIPES[name].two_stage:
        last, bias, spread = model.roi_heads.box_predictor.cls_score, 0.0, 4.0
    else:
        last, bias, spread = model.head.classification_head.cls_logits, -5.0, 0.5
    last.bias.fill_(bias)
    model.transform.min_size, seen = (160,), []
    hook = last.register_forward_hook(lambda part, given, out: seen.append(out.flatten()))
    with torch.inference_mode():
        model([picture])
    hook.remove()
    last.weight.mul_(spread / float((torch.cat(seen) - bias).std()))
    return model.state_dict()


def eager(name: str, state: dict[str, Tensor]) -> nn.Module:
    """torchvision's detector as its documentation has it."""
    model = _built(name)
    model.load_state_dict(state)
    (model.roi_heads if library.RECIPES[name].two_stage else model).score_thresh = FLOOR
    return model


def _built(name: str) -> Any:
    from torchvision.models import get_model_builder

    build: Callable[..., Any] = get_model_builder(library.RECIPES[name].builder)
    with torch.no_grad():
        return build(weights=None, weights_backbone=None).requires_grad_(False).eval()


def _ours(detector: Any, photo: Photo) -> Seen:
    seen = run(detector, photo, FLOOR)

    def levels() -> list[Tensor]:
        with torch.inference_mode(), devices.autocast(CPU, detector.trunk.precision):
            return list(detector.pyramid(seen.streams).values())

    return Seen(seen.found.boxes, levels)


def _theirs(model: Any, photo: Photo) -> Seen:
    x = torch.from_numpy(np.array(photo.image)).permute(2, 0, 1).float() / 255
    kept: list[Tensor] = []
    hook = model.backbone.register_forward_hook(lambda part, given, out: kept.extend(out.values()))
    with torch.inference_mode():
        boxes = model([x])[0]["boxes"].numpy()
    hook.remove()
    return Seen(boxes, lambda: kept)


def far(ours: Seen, theirs: Seen) -> float:
    """The largest distance of a level from the library's, in norms of the latter."""
    pairs = zip(ours.levels(), theirs.levels(), strict=True)
    return max(float((a.float() - b.float()).norm() / b.float().norm()) for a, b in pairs)


def lost(ours: Seen, theirs: Seen) -> float:
    """Share of the library's best SURE boxes that have no like among ours; 1 if it found none."""
    from torchvision.ops import box_iou

    if not len(theirs.boxes) or not len(ours.boxes):
        return 1.0
    best = box_iou(torch.from_numpy(theirs.boxes[:SURE]), torch.from_numpy(ours.boxes)).amax(1)
    return float((best < SAME).double().mean())
