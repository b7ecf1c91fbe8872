"""Many photos through one network: the next ones are decoded while it looks at these."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from resnet import classify, view
from resnet.batch.item import BatchError, Item
from resnet.batch.pace import BatchProgress, Pace
from resnet.batch.row import THUMBNAIL, THUMBNAIL_BYTES, BatchRow, Truth
from resnet.draw.encode import encode, shrink
from resnet.images import ImageError, read_photo
from resnet.network import ResNet50
from resnet.residual.gains import forward_only

SIZE = 8  # photos in one pass; on two cores more are no faster, and need memory
MAX_SAID = 100  # letters of a true label; a class name has fewer

Progress = Callable[[BatchProgress], None]


@dataclass
class _Ready:
    """A photo that waits for the network: its row so far, and its input unless it is bad."""

    row: BatchRow
    input: Tensor | None = None  # [1, 3, crop, crop]


def run_batch(
    net: ResNet50,
    items: Iterable[Item],
    size: int = SIZE,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    lock: AbstractContextManager | None = None,
) -> Generator[BatchRow, None, None]:
    """Classify photos one batch at a time; one row an item, in the items' order.

    Memory stays flat: at most two batches of decoded inputs are held, and of a photo nothing is
    kept but its row.  A file that cannot be used gives a row that says why.

    Args:
        items: photos; `collect` makes them.  Read in one thread, in order, once.
        size: photos in one forward pass, at least 1.
        progress: called after each batch, before its rows are yielded.
        cancelled: asked between photos; once True, no further batch is run, and the rows that
            were not yielded are never made.  Closing the generator does the same.
        lock: held during each forward pass, and not while photos are read.

    Yields:
        the rows; probabilities are those of `ResNet50.analyze` to 1e-5 in fp32.

    Raises:
        BatchError: the weights give no numbers.
        ValueError: size below 1.
    """
    if size < 1:
        raise ValueError("a batch holds at least one photo")
    stop = threading.Event()

    def halted() -> bool:
        return stop.is_set() or (cancelled is not None and cancelled())

    total = len(items) if isinstance(items, Sized) else None
    ready = _chunks(net, items, size, halted)  # runs in the thread of the pool alone
    pace, done, failed = Pace(), 0, 0
    started = before = time.perf_counter()
    with ThreadPoolExecutor(1, "batch") as pool:
        try:
            ahead = pool.submit(next, ready, None)
            while (chunk := ahead.result()) is not None and not halted():
                ahead = pool.submit(next, ready, None)
                rows = _answered(net, chunk, lock or nullcontext())
                now = time.perf_counter()
                pace.add(len(rows), now - before)
                before = now
                done += len(rows)
                failed += sum(not row.ok for row in rows)
                if progress:
                    left = None if total is None else pace.remaining(total - done)
                    progress(BatchProgress(done, failed, total, now - started, left))
                yield from rows
        finally:
            stop.set()  # leaving the pool waits for the photo in hand, and no longer


def _chunks(
    net: ResNet50, items: Iterable[Item], size: int, halted: Callable[[], bool]
) -> Iterator[list[_Ready]]:
    """Lists of up to `size` usable photos; bad ones ride along, up to as many again."""
    truths: dict[str, Truth] = {}
    chunk: list[_Ready] = []
    usable = 0
    for item in items:
        if halted():
            return
        one = _prepared(net, item, truths)
        chunk.append(one)
        usable += one.input is not None
        if usable == size or len(chunk) == 2 * size:
            yield chunk
            chunk, usable = [], 0
    if chunk:
        yield chunk


def _prepared(net: ResNet50, item: Item, truths: dict[str, Truth]) -> _Ready:
    """Read one photo down to the network's input and a thumbnail."""
    started = time.perf_counter()
    truth = None
    if item.said is not None:
        if item.said not in truths:
            truths[item.said] = truth_of(item.said, net.labels)
        truth = truths[item.said]
    try:
        photo = read_photo(item.open())
    except ImageError as error:
        seconds = time.perf_counter() - started
        return _Ready(BatchRow(item.name, False, str(error), seconds=seconds, truth=truth))
    input = view.to_tensor(view.look(photo, net.spec).image, net.spec)
    stamp = shrink(photo.image, THUMBNAIL)
    row = BatchRow(
        item.name,
        True,
        width=photo.size[0],
        height=photo.size[1],
        thumbnail=_thumbnail(stamp),
        digest=photo.digest,
        notes=photo.notes,
        truth=truth,
        seconds=time.perf_counter() - started,
    )
    return _Ready(row, input)


def _thumbnail(stamp) -> bytes:
    """A JPEG that keeps a row small; noise of 96 x 96 pixels needs a low quality for that."""
    data = b""
    for quality in (80, 60, 35, 10):
        data = encode(stamp, "JPEG", quality)
        if len(data) <= THUMBNAIL_BYTES:
            break
    return data


def truth_of(said: str, labels: Sequence[str]) -> Truth:
    """A true label as a list gives it -> class, found as `classify.find_class` finds it."""
    try:
        if len(said) > MAX_SAID:
            raise classify.UnknownClass("The true label is too long to be a class name.")
        index = classify.find_class(said, labels)
    except classify.UnknownClass as error:
        return Truth(said[:MAX_SAID], note=str(error))
    return Truth(said, index, labels[index])


def _answered(
    net: ResNet50, chunk: Sequence[_Ready], lock: AbstractContextManager
) -> list[BatchRow]:
    """Rows with their answers, from one forward pass over the usable photos."""
    inputs = [one.input for one in chunk if one.input is not None]
    if not inputs:
        return [one.row for one in chunk]
    started = time.perf_counter()
    with lock, forward_only(net):
        x = torch.cat(inputs).to(net.device, memory_format=torch.channels_last)
        logits = net(x).float().cpu()  # [n, classes]; .cpu() waits for a GPU
    share = (time.perf_counter() - started) / len(inputs)
    probabilities = logits.softmax(1)
    if not bool(probabilities.isfinite().all()):
        hint = "damaged" if net.precision == "fp32" else f"too large for {net.precision}"
        raise BatchError(f"{net.spec.name} gives no numbers: its weights are {hint}.")
    answers = iter(zip(logits, probabilities, strict=True))
    return [
        one.row if one.input is None else _with_answer(net, one.row, *next(answers), share)
        for one in chunk
    ]


def _with_answer(
    net: ResNet50, row: BatchRow, logits: Tensor, probabilities: Tensor, share: float
) -> BatchRow:
    entropy = torch.special.entr(probabilities.double()).sum() / torch.tensor(2.0).double().log()
    truth = row.truth
    # By logits: far from the answer many probabilities are the same 0 in float32.
    best = logits.topk(min(5, len(net.labels))).indices.tolist()
    if truth is not None and truth.index is not None:
        truth = replace(
            truth,
            rank=1 + int((logits > logits[truth.index]).sum()),
            probability=float(probabilities[truth.index]),
        )
    return replace(
        row,
        top5=tuple(
            classify.Prediction(index, net.labels[index], float(probabilities[index]))
            for index in best
        ),
        entropy=max(0.0, float(entropy)),
        seconds=row.seconds + share,
        truth=truth,
    )
