"""Train the offline detector's second look.

    python -m resnet.train.namer PHOTOS ANNOTATIONS --out RUN

After `resnet.train.detector`, on the same photos and into its folder.  The classifier's stage 4
reads regions of every photo once (`detectors.second`); what it says of them is kept, so that the
linear layer that names them is trained in a minute.  Regions are what the dense head proposes, the
true boxes, and true boxes moved a little.  How much each look counts is then fitted on the held-out
photos, where the dense head was not trained: on its own photos it is surer than it should be.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from torchvision.ops import box_iou
from tqdm import tqdm

from resnet import device as devices
from resnet.detectors import offline, shipped
from resnet.detectors.fused import fast, fast_tail
from resnet.detectors.offline import Dense, OfflineDetector
from resnet.detectors.run import stages
from resnet.detectors.second import Namer, clues
from resnet.images import read_photo
from resnet.network import ResNet50
from resnet.train.detector import precision_for, split
from resnet.train.scenes import Scene, read_scenes
from resnet.weights import read_bundle

RIGHT, WRONG = 0.5, 0.4  # IoU from which a region shows the object, and below which nothing
SEEN = {"right": 10, "near": 5, "wrong": 11}  # proposals of a photo that are learned from
JITTER = (0.06, 0.12)  # standard deviation of moved boxes' edges, in widths and heights
OBJECTS = 8  # true boxes of a photo
NOTHING = 3.0  # weight of "nothing here": proposals that show nothing are fewer here than in use
EPOCHS, BATCH, SPEED, DROPOUT, SMOOTHING, DECAY = 12, 512, 1e-3, 0.5, 0.05, 0.02


@dataclass(frozen=True, eq=False)
class Regions:
    """What both looks say of regions of one photo, and what is there."""

    features: Tensor  # float16 [n, 2048], of stage 4
    boxes: Tensor  # float32 [n, 4], input pixels
    overlap: Tensor  # float32 [n]: IoU with the nearest true box, 0..1
    label: Tensor  # int64 [n], of that box
    dense: Tensor  # float16 [n, classes], logits of the dense head; of proposals only
    fit: Tensor  # float16 [n]
    true_boxes: Tensor  # float32 [objects, 4]
    true_labels: Tensor  # int64 [objects]


def read_regions(
    detector: shipped.Offline, scenes: Sequence[Scene], learn: bool, seed: int, precision: str
) -> Iterator[Regions]:
    """Both looks at each photo.

    Args:
        learn: add true and moved boxes, mirror half of the photos; else the proposals alone.
    """
    net = detector.trunk
    for scene in scenes:
        # Of the photo, not of its place: a run that goes on draws as one that was never stopped.
        rng = random.Random(f"{seed} {scene.path.name}")
        draw = torch.Generator().manual_seed(rng.getrandbits(32))
        photo = read_photo(scene.path)
        x = detector.prepare(photo)
        height, width = x.shape[2:]
        fx, fy = width / photo.size[0], height / photo.size[1]
        true = torch.tensor(scene.boxes).reshape(-1, 4) * torch.tensor([fx, fy, fx, fy])
        if learn and rng.random() < 0.5:
            x = x.flip(3).contiguous(memory_format=torch.channels_last)
            true = torch.stack((width - true[:, 2], true[:, 1], width - true[:, 0], true[:, 3]), 1)
        labels = torch.tensor(scene.labels, dtype=torch.long)
        with torch.inference_mode(), devices.autocast(net.device, precision):
            streams = stages(fast(net), x)
            dense = detector.module.answer(streams)
            dense = Dense(*(part.float() for part in dense))
            at, boxes = offline.proposals(dense, height, width, 100 if learn else detector.boxes)
            at, boxes = at.cpu(), boxes.cpu()
            if learn:
                at, boxes = learned(at, boxes, true, (width, height), draw)
            tail = fast_tail(detector.tail, net)
            features = tail(streams["3"], [boxes.to(net.device)]).float().cpu()
        overlap, nearest = torch.zeros(len(boxes)), torch.zeros(len(boxes), dtype=torch.long)
        if len(true) and len(boxes):
            overlap, nearest = box_iou(boxes, true).max(1)
        label = labels[nearest] if len(true) else nearest
        logits, fit = dense.logits[0].cpu()[at].half(), dense.fit[0].cpu()[at].half()
        yield Regions(features.half(), boxes, overlap, label, logits, fit, true, labels)


def learned(
    at: Tensor, boxes: Tensor, true: Tensor, size: tuple[int, int], draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The regions of a photo that are learned from: some proposals, true boxes, moved ones."""
    edges = torch.tensor([*size, *size]).float()
    iou = box_iou(boxes, true).amax(1) if len(true) and len(boxes) else torch.zeros(len(boxes))
    kinds = {"right": iou >= 0.5, "near": (iou < 0.5) & (iou >= 0.3), "wrong": iou < 0.3}
    picked = torch.cat([kinds[k].nonzero().flatten()[:most] for k, most in SEEN.items()])
    found = [boxes[picked]]
    if len(true):
        some = true[torch.randperm(len(true), generator=draw)[:OBJECTS]]
        sides = (some[:, 2:] - some[:, :2]).repeat(1, 2)
        moved = [some + torch.randn(len(some), 4, generator=draw) * k * sides for k in JITTER]
        extra = torch.cat([some, *moved]).clamp_min(0).minimum(edges)
        found.append(extra[((extra[:, 2:] - extra[:, :2]) > 2).all(1)])
    chosen = torch.cat(found)
    return F.pad(at[picked], (0, len(chosen) - len(picked))), chosen


def train(regions: Sequence[Regions], classes: int, seed: int) -> Namer:
    """The linear layer, by cross-entropy over the classes and "nothing here"."""
    features = torch.cat([r.features for r in regions])
    overlap = torch.cat([r.overlap for r in regions])
    wanted = torch.cat([r.label for r in regions]).masked_fill(overlap < RIGHT, classes)
    used = ((overlap >= RIGHT) | (overlap < WRONG)).nonzero().flatten()
    torch.manual_seed(seed)
    namer = Namer(features.shape[1], classes)
    weight = torch.ones(classes + 1)
    weight[-1] = NOTHING
    optimizer = torch.optim.AdamW(namer.parameters(), lr=SPEED, weight_decay=DECAY)
    batches = max(1, len(used) // BATCH)
    total = EPOCHS * batches
    for step in range(total):
        if step % batches == 0:
            order = used[torch.randperm(len(used))]
        chosen = order[step % batches * BATCH :][:BATCH]
        rate = min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / total))
        optimizer.param_groups[0]["lr"] = SPEED * rate
        # Dropout on the square root, which is what the layer sees.
        seen = F.dropout(features[chosen].float().sqrt(), DROPOUT)
        loss = F.cross_entropy(
            namer.linear(seen), wanted[chosen], weight, label_smoothing=SMOOTHING
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return namer.eval().requires_grad_(False)


def mix(
    namer: Namer, detector: shipped.Offline, regions: Sequence[Regions], most: int = 8
) -> Tensor:
    """How much each clue counts: logistic regression on held-out photos, [8].

    Args:
        detector: of these regions; its classifier is asked as well.
        most: the likeliest classes of each box; the others are almost never right.
    """
    found, right = [], []
    fc, aliases = copy.deepcopy(detector.trunk.fc).cpu(), detector.aliases.cpu()
    for r in regions:
        features = r.features.float()
        said = fc(features)
        clue = clues(r.dense.float(), r.fit.float(), namer(features), said, aliases)
        likely = (clue[..., 1] / 2 + clue[..., 3]).topk(min(most, clue.shape[1]), 1).indices
        found.append(clue.gather(1, likely[..., None].expand(-1, -1, clue.shape[2])).flatten(0, 1))
        iou = torch.zeros(likely.shape)
        if len(r.true_boxes):
            of_class = likely[..., None] == r.true_labels
            iou = (box_iou(r.boxes, r.true_boxes)[:, None] * of_class).amax(2)
        right.append((iou >= RIGHT).float().flatten())
    return logistic(torch.cat(found), torch.cat(right))


def logistic(clue: Tensor, right: Tensor, shrink: float = 1e-3) -> Tensor:
    """Weights w of P(right) = sigmoid(clue · w), most likely ones with a little ridge.

    Args:
        clue: [n, k]; the first column is 1.
        right: [n], 0 or 1.
    """
    mean, spread = clue.mean(0), clue.std(0).clamp_min(1e-3)
    mean[0], spread[0] = 0, 1
    scaled = (clue - mean) / spread
    weights = torch.zeros(clue.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.binary_cross_entropy_with_logits(scaled @ weights, right)
        value = value + shrink * (weights**2).sum()
        value.backward()
        return value

    solver.step(loss)  # type: ignore[arg-type]
    found = weights.detach() / spread
    found[0] = found[0] - (found[1:] * mean[1:]).sum()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="the folder of photos")
    parser.add_argument("annotations", type=Path, help="COCO-style JSON")
    parser.add_argument("--out", type=Path, required=True, help="the detector's training folder")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--weights", default="he2015", help="of the trunk")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    net = ResNet50.load(options.weights, device=options.device)
    precision = precision_for("auto", net.device)
    names, scenes = read_scenes(options.photos, options.annotations)
    module = OfflineDetector(net, len(names)).requires_grad_(False).eval()
    state = read_bundle(options.out / "detector.safetensors")
    module.load_state_dict(state, strict=False)  # the namer is what is missing
    module = module.to(net.device).to(memory_format=torch.channels_last)
    detector = shipped.assemble(net, module, names, names, (1.0, 0.0), 0.6)
    trained, held = split(scenes)

    def read(which: Sequence[Scene], title: str, learn: bool) -> list[Regions]:
        folder = options.out / "regions" / title.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return [
            kept(folder / f"{scene.path.stem}.pt", scene, learn)
            for scene in tqdm(which, title, unit="photo")
        ]

    def kept(file: Path, scene: Scene, learn: bool) -> Regions:
        """From disk where an earlier, stopped run has read the photo already."""
        if not file.exists():
            (made,) = read_regions(detector, [scene], learn, options.seed, precision)
            torch.save(vars(made), file.with_suffix(".new"))
            file.with_suffix(".new").replace(file)
            return made
        return Regions(**torch.load(file, weights_only=True))

    namer = train(read(trained, "regions", True), len(names), options.seed)
    namer.mix.copy_(mix(namer, detector, read(held, "held out", False)))
    state = {f"namer.{key}": value.contiguous() for key, value in namer.state_dict().items()}
    save_file(state, options.out / "namer.safetensors")
    print("counts of the clues: " + ", ".join(f"{value:.3f}" for value in namer.mix.tolist()))


if __name__ == "__main__":
    main()
