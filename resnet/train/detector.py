"""Train the offline detector: `python -m resnet.train.detector PHOTOS ANNOTATIONS --out FOLDER`.

Works on any folder of photos with COCO-style annotations (see `scenes`), on a GPU or a CPU, and
goes on where it was stopped.  The trunk is frozen; on a CPU its features are kept on disk, so that
later epochs cost no trunk (`--rounds` differently augmented versions are made and then repeated).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from resnet import device as devices
from resnet.detectors.offline import OfflineDetector, points
from resnet.downloads import sha256
from resnet.network import ResNet50
from resnet.train.assign import loss
from resnet.train.scenes import Scene, make_batch, plan, read_scenes
from resnet.weights import read_bundle

HELD_OUT = 20  # every 20th photo is never trained on: the scores are calibrated there
WEIGHTS = {"class": 1.0, "box": 2.0, "fit": 0.5}
ASKED = ("epochs", "batch", "rounds", "speed", "seed", "precision", "minutes")  # for the record
DECAY = 0.998  # of the moving average of the weights (EMA)


@dataclass(frozen=True)
class Step:
    """What one optimisation step needs."""

    stage2: Tensor  # the trunk's streams, [N, 512, H/8, W/8]
    stage3: Tensor  # [N, 1024, H/16, W/16]
    size: tuple[int, int]  # height, width of the canvas, pixels
    boxes: list[Tensor]
    labels: list[Tensor]


def split(scenes: list[Scene]) -> tuple[list[Scene], list[Scene]]:
    """(trained on, held out): every 20th photo by name is held out."""
    held = scenes[::HELD_OUT]
    return [scene for i, scene in enumerate(scenes) if i % HELD_OUT], held


def steps(
    net: ResNet50, scenes: list[Scene], options: argparse.Namespace, epoch: int
) -> Iterator[Step]:
    """One epoch's batches through the trunk; from disk where this round is there already."""
    turn = epoch % options.rounds if options.rounds else epoch
    folder = options.out / "features" / f"round-{turn}" if options.rounds else None
    rng = random.Random(f"{options.seed} {turn}")
    if folder is not None and (folder / "complete").exists():
        files = sorted(folder.glob("*.pt"))
        random.Random(f"{options.seed} {epoch} order").shuffle(files)
        for file in files:
            kept = torch.load(file, weights_only=True)
            yield Step(**kept)
        return
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    for number, group in enumerate(plan(scenes, options.batch, rng)):
        batch = make_batch(group, net.spec, rng)
        x = batch.pixels.to(net.device, memory_format=torch.channels_last)
        with torch.no_grad(), devices.autocast(net.device, options.precision):
            stage2, stage3 = (stream.bfloat16() for stream in trunk(net, x))
        size = (x.shape[2], x.shape[3])
        step = Step(stage2, stage3, size, batch.boxes, batch.labels)
        if folder is not None:
            torch.save(vars(step), folder / f"{number:05}.pt")
        yield step
    if folder is not None:
        (folder / "complete").touch()


def trunk(net: ResNet50, x: Tensor) -> tuple[Tensor, Tensor]:
    """The frozen part: input [N, 3, H, W] -> streams after stages 2 and 3; nothing after that."""
    layer1, layer2, layer3 = (net.get_submodule(f"layer{stage}") for stage in (1, 2, 3))
    stage2 = layer2(layer1(net.stem(x)))
    return stage2, layer3(stage2)


def rate(step: int, total: int, done: float | None = None) -> float:
    """Share of the learning rate: 300 steps of warm-up, then a cosine down to 1 %.

    Args:
        done: share of the training that is over, 0..1; `step / total` unless given.
    """
    warm = min(1.0, (step + 1) / min(300, max(1, total // 10)))
    done = step / total if done is None else done
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def make_optimizer(detector: OfflineDetector, speed: float) -> torch.optim.Optimizer:
    """AdamW; the copied stage 4 learns at a fifth of the speed, its batch norms not at all."""
    detector.requires_grad_(True)
    for name, parameter in detector.layer4.named_parameters():
        parameter.requires_grad_(".bn" not in name and "downsample.1" not in name)
    groups = []
    for part, share in ((detector.layer4, 0.2), (detector.pyramid, 1.0), (detector.head, 1.0)):
        learned = [p for p in part.parameters() if p.requires_grad]
        matrices, vectors = (
            [p for p in learned if p.ndim > 1],
            [p for p in learned if p.ndim <= 1],
        )
        groups.append({"params": matrices, "share": share, "weight_decay": 0.02})
        if vectors:
            groups.append({"params": vectors, "share": share, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=speed, fused=True)


def average(ema: OfflineDetector, detector: OfflineDetector, step: int) -> None:
    """Exponential moving average of the weights, shorter at the beginning."""
    decay = min(DECAY, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, new in zip(ema.parameters(), detector.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


def begin_from(detector: OfflineDetector, file: Path) -> None:
    """Load what fits: a file for other classes lacks the layer that names them."""
    own = detector.state_dict()
    kept = {
        name: value
        for name, value in read_bundle(file).items()
        if name in own and own[name].shape == value.shape
    }
    detector.load_state_dict(kept, strict=False)


def train(net: ResNet50, scenes: list[Scene], classes: int, options: argparse.Namespace) -> None:
    """Train and leave `checkpoint.pt` (to go on) and `detector.safetensors` (EMA) in the folder."""
    detector = OfflineDetector(net, classes).to(net.device).to(memory_format=torch.channels_last)
    ema = copy.deepcopy(detector).requires_grad_(False)
    optimizer = make_optimizer(detector, options.speed)
    saved, step, begin, before = options.out / "checkpoint.pt", 0, 0, 0.0
    if options.start and not saved.exists():
        begin_from(detector, options.start)
        ema.load_state_dict(detector.state_dict())
    if saved.exists():
        state = torch.load(saved, map_location=net.device, weights_only=True)
        detector.load_state_dict(state["detector"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        step, begin, before = state["step"], state["epoch"], state["seconds"]
        print(f"goes on at epoch {begin}", flush=True)
    per_epoch = len(scenes) // options.batch
    total = options.epochs * per_epoch
    seen: dict[str, float] = {}
    started, first = time.monotonic(), step

    def over() -> float:
        """Share of the training that is over, by steps or by the clock, whichever is further."""
        spent = before + time.monotonic() - started
        return max(step / total, spent / (60 * options.minutes) if options.minutes else 0.0)

    for epoch in range(begin, options.epochs):
        for made in steps(net, scenes, options, epoch):
            if over() >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = options.speed * group["share"] * rate(step, total, over())
            stage2, stage3 = (s.to(net.device).float() for s in (made.stage2, made.stage3))
            places, strides = (t.to(net.device) for t in points(*made.size))
            with devices.autocast(net.device, options.precision):
                dense = detector(stage2, stage3)
            boxes = [b.to(net.device) for b in made.boxes]
            labels = [t.to(net.device) for t in made.labels]
            losses = loss(dense, places, strides, boxes, labels)
            optimizer.zero_grad()
            whole = torch.stack([WEIGHTS[name] * value for name, value in losses.items()]).sum()
            whole.backward()
            torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
            optimizer.step()
            step += 1
            average(ema, detector, step)
            for name, value in losses.items():
                seen[name] = 0.98 * seen.get(name, value.item()) + 0.02 * value.item()
            if step % 25 == 0:
                pace = (time.monotonic() - started) / (step - first)
                left = pace * (total - step) / 60
                if options.minutes:
                    spent = (before + time.monotonic() - started) / 60
                    left = min(left, max(0.0, options.minutes - spent))
                parts = "  ".join(f"{name} {value:.3f}" for name, value in seen.items())
                print(
                    f"epoch {epoch + 1}/{options.epochs}  step {step}/{total}  {parts}  "
                    f"{pace:.2f} s a step, {left:.0f} min left",
                    flush=True,
                )
        state = {"detector": detector.state_dict(), "ema": ema.state_dict()}
        state |= {"optimizer": optimizer.state_dict(), "step": step, "epoch": epoch + 1}
        state["seconds"] = before + time.monotonic() - started
        torch.save(state, saved.with_suffix(".new"))
        saved.with_suffix(".new").replace(saved)
        save_file(
            {k: v.contiguous() for k, v in ema.state_dict().items()},
            options.out / "detector.safetensors",
        )
        if over() >= 1:
            return


def precision_for(asked: str, device: torch.device) -> str:
    """`auto` -> bf16 on a GPU and on a CPU with instructions for it, else fp32."""
    if asked != "auto":
        return asked
    fast = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if fast else "fp32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="the folder of photos")
    parser.add_argument("annotations", type=Path, help="COCO-style JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=None, help="kept versions; 0 keeps nothing")
    parser.add_argument("--speed", type=float, default=8e-4, help="learning rate")
    parser.add_argument("--minutes", type=float, help="end after so long; the rate follows")
    parser.add_argument("--start", type=Path, help="a detector's file to begin from")
    parser.add_argument(
        "--precision", choices=("auto", *devices.PRECISIONS), default="auto",
        help="auto: bf16 where the machine is fast at it",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", default="he2015", help="of the trunk")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    net = ResNet50.load(options.weights, device=options.device)
    options.precision = precision_for(options.precision, net.device)
    if options.rounds is None:
        options.rounds = 4 if net.device.type == "cpu" else 0
    names, scenes = read_scenes(options.photos, options.annotations)
    scenes, held = split(scenes)
    (options.out / "names.json").write_text(json.dumps(names))
    asked = {name: value for name, value in vars(options).items() if name in ASKED}
    if options.start:
        asked["start"] = sha256(options.start)
    (options.out / "options.json").write_text(json.dumps(asked))
    print(f"{len(scenes)} photos to train on, {len(held)} held out, {len(names)} classes")
    train(net, scenes, len(names), options)


if __name__ == "__main__":
    main()
