"""Many photos through one network: the same answers, in order, in little memory, stoppable."""

import gc
import io
import itertools
import os
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED, draw_photo, make_tiny
from PIL import Image

from resnet import heap
from resnet.batch import BatchError, BatchProgress, BatchResult, Item, collect, facts_of, run_batch
from resnet.batch.item import refused
from resnet.batch.pace import Pace
from resnet.batch.row import THUMBNAIL, BatchRow
from resnet.batch.run import truth_of
from resnet.images import ImageError, read_photo


def jpeg(seed: int, size: tuple[int, int] = (200, 150)) -> bytes:
    file = io.BytesIO()
    draw_photo(*size, seed).save(file, "JPEG")
    return file.getvalue()


def items(count: int, said: str | None = None) -> list[Item]:
    return [Item(f"{i}.jpg", lambda i=i: jpeg(i), said) for i in range(count)]


BAD = Item("bad.jpg", lambda: jpeg(0)[:200])
GONE = refused("gone.jpg", "It is gone.")


def same(row: BatchRow, net, data: bytes) -> None:
    """The row says what one analysis alone says, to 1e-5."""
    alone = net.analyze(data)
    probability = {row_.index: row_.probability for row_ in alone.top(len(net.labels))}
    assert len(row.top5) == 5
    for found, other in zip(row.top5, alone.top(5), strict=True):
        assert found.probability == pytest.approx(other.probability, abs=1e-5)
        assert found.probability == pytest.approx(probability[found.index], abs=1e-5)
        assert found.label == net.labels[found.index]
    p = alone.probabilities.double()
    assert row.entropy == pytest.approx(float(-(p * p.log2()).nansum()), abs=1e-4)
    assert row.margin == pytest.approx(row.top5[0].probability - row.top5[1].probability)
    assert (row.width, row.height) == alone.photo.size and row.digest == alone.photo.digest


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_batch_says_what_each_photo_alone_says(size, tiny):
    rows = list(run_batch(tiny, items(7), size))
    assert [row.name for row in rows] == [f"{i}.jpg" for i in range(7)]
    for i, row in enumerate(rows):
        assert row.ok and row.seconds > 0 and row.truth is None and row.correct is None
        same(row, tiny, jpeg(i))


def test_a_batch_of_the_shipped_weights(net, photo_jpeg):
    tall, wide = jpeg(1, (240, 400)), jpeg(2, (640, 300))
    many = [Item("a", lambda: photo_jpeg), Item("b", lambda: tall), BAD, Item("c", lambda: wide)]
    a, b, bad, c = run_batch(net, many)
    assert not bad.ok
    for row, data in zip((a, b, c), (photo_jpeg, tall, wide), strict=True):
        same(row, net, data)


def test_bad_files_keep_their_place(tiny):
    many = [BAD, *items(2), GONE, GONE, GONE, GONE, GONE, *items(3), BAD]
    rows = list(run_batch(tiny, many, size=2))
    assert [row.name for row in rows] == [item.name for item in many]
    assert [row.ok for row in rows] == [False, True, True] + [False] * 5 + [True] * 3 + [False]
    assert rows[3].reason == "It is gone." and "damaged" in rows[0].reason
    for row in rows:
        if not row.ok:
            assert (row.top5, row.thumbnail, row.confidence, row.margin) == ((), b"", None, None)
    assert [row.ok for row in run_batch(tiny, [GONE] * 5, size=2)] == [False] * 5
    assert list(run_batch(tiny, [])) == []


def test_the_thumbnail_is_the_photo_small(tiny):
    (row,) = run_batch(tiny, [Item("a", lambda: jpeg(3, (300, 200)))])
    with Image.open(io.BytesIO(row.thumbnail)) as image:
        assert (image.format, image.size) == ("JPEG", (THUMBNAIL, 64))
        small = np.asarray(draw_photo(300, 200, 3).resize((96, 64), Image.Resampling.BOX), float)
        assert np.abs(np.asarray(image, float) - small).mean() < 6
    (tiny_one,) = run_batch(tiny, [Item("a", lambda: jpeg(3, (9, 7)))])
    with Image.open(io.BytesIO(tiny_one.thumbnail)) as image:
        assert image.size == (9, 7)


def noise(seed: int) -> bytes:
    """What packs worst."""
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (120, 120, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_row_keeps_less_than_five_kilobytes():
    net = make_tiny("v1")
    many = [Item(f"folder/photo {i:04d}.png", lambda i=i: noise(i), "tiger cat") for i in range(60)]
    list(run_batch(net, many[:10]))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    rows = list(run_batch(net, many))
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert all(row.correct is not None for row in rows)
    assert kept / len(rows) < 5000


def test_no_more_than_two_batches_are_read_ahead(tiny_v1):
    opened = []

    def watched(i):
        opened.append(i)
        return jpeg(i)

    many = [Item(str(i), lambda i=i: watched(i)) for i in range(20)]
    for done, _ in enumerate(run_batch(tiny_v1, many, size=2), start=1):
        assert len(opened) <= 2 * ((done + 1) // 2) + 2


def test_progress_counts_and_says_no_time_before_it_knows(tiny_v1):
    told: list[BatchProgress] = []
    many = [*items(3), BAD, *items(4)]
    rows = list(run_batch(tiny_v1, many, size=2, progress=told.append))
    assert [step.done for step in told] == list(itertools.accumulate(_sizes(told)))
    assert (told[-1].done, told[-1].failed, told[-1].total) == (len(rows), 1, 8)
    assert told[0].remaining is None and told[1].remaining > 0 and told[-1].remaining == 0
    assert all(a.elapsed < b.elapsed for a, b in itertools.pairwise(told))
    list(run_batch(tiny_v1, iter(items(2)), progress=told.append))
    assert (told[-1].total, told[-1].remaining) == (None, None)


def _sizes(told: list[BatchProgress]) -> list[int]:
    return [b.done - a for a, b in zip([0, *(s.done for s in told)], told, strict=False)]


def test_the_pace_is_the_median_of_late():
    pace = Pace()
    assert pace.remaining(10) is None and pace.remaining(0) == 0
    pace.add(8, 80.0)  # the first pass warms up
    assert pace.remaining(10) is None
    pace.add(8, 8.0)
    pace.add(4, 4.0)
    assert pace.remaining(10) == 10
    for _ in range(9):
        pace.add(2, 1.0)
    assert pace.remaining(10) == 5
    pace.add(0, 99.0)
    pace.add(1, 500.0)  # one slow file is not the rule
    assert pace.remaining(10) == 5


def test_cancelling_ends_between_batches(tiny_v1):
    stop = threading.Event()
    rows = []
    for row in run_batch(tiny_v1, items(20), size=2, cancelled=stop.is_set):
        rows.append(row)
        if len(rows) == 4:
            stop.set()
    assert len(rows) == 4
    assert list(run_batch(tiny_v1, items(4), cancelled=lambda: True)) == []


def test_leaving_early_ends_the_thread(tiny_v1):
    opened = []
    many = [Item(str(i), lambda i=i: opened.append(i) or jpeg(i)) for i in range(50)]
    before = threading.active_count()
    running = run_batch(tiny_v1, many, size=2)
    next(running)
    running.close()
    assert threading.active_count() == before and len(opened) <= 5


def test_the_lock_is_held_for_the_passes_alone(tiny_v1):
    held = threading.Lock()
    reads = []

    class Watched:
        passes = 0

        def __enter__(self):
            assert held.acquire(timeout=5)
            self.passes += 1

        def __exit__(self, *_):
            held.release()

    lock = Watched()
    many = [Item(str(i), lambda i=i: reads.append(i) or jpeg(i)) for i in range(5)]
    for _ in run_batch(tiny_v1, many, size=2, lock=lock):
        assert not held.locked()  # nor while somebody looks at a row
    assert lock.passes == 3 and len(reads) == 5


def test_an_error_of_the_items_reaches_the_caller(tiny_v1):
    def broken():
        yield items(1)[0]
        raise BatchError("Enough.")

    with pytest.raises(BatchError, match=r"Enough\."):
        list(run_batch(tiny_v1, broken(), size=1))
    with pytest.raises(ValueError, match="at least one"):
        next(run_batch(tiny_v1, [], size=0))


def test_weights_that_give_no_numbers_are_said():
    net = make_tiny("v1")
    with torch.no_grad():
        net.fc.bias[0] = float("nan")
    with pytest.raises(BatchError, match="tiny-v1 gives no numbers: its weights are damaged"):
        list(run_batch(net, items(1)))


# --- true labels


def test_true_labels_are_found_as_classes_are(tiny_v1):
    labels = tiny_v1.labels
    assert truth_of("3", labels).label == "cardigan"
    assert truth_of("tabby", labels).index == 4
    for said, note in [("cat", "fits 2 classes"), ("wolf", "No class is called"),
                       ("99", "does not exist"), ("x" * 5000, "too long")]:  # fmt: skip
        truth = truth_of(said, labels)
        assert truth.index is None and note in truth.note and len(truth.said) <= 100


def test_rank_and_correctness_by_hand(tiny_v1):
    data = jpeg(1)
    order = tiny_v1.analyze(data).trace.logits[0].argsort(descending=True).tolist()
    many = [Item(str(i), lambda: data, str(i)) for i in order]
    rows = list(run_batch(tiny_v1, many))
    assert [row.truth.rank for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row.correct for row in rows] == [True] + [False] * 6
    assert [row.in_top5 for row in rows] == [True] * 5 + [False] * 2
    assert sum(row.truth.probability for row in rows) == pytest.approx(1, abs=1e-5)
    unknown, bad = run_batch(
        tiny_v1, [Item("a", lambda: data, "wolf"), Item("b", lambda: b"", "bee")]
    )
    assert (unknown.correct, unknown.labelled, unknown.truth.rank) == (None, False, None)
    assert (bad.correct, bad.labelled, bad.truth.index) == (None, False, 0)


# --- the whole of imagenet500, with hostile files among them


def resident() -> float:
    """MB that this process really holds: not what the C library keeps for later."""
    heap.trim()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


WHOLE = pytest.mark.skipif(
    "RESNET_LONG" not in os.environ, reason="takes minutes; RESNET_LONG=1 runs it"
)


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize("step", [12, pytest.param(1, marks=WHOLE)], ids=["a sample", "all"])
def test_imagenet500_with_ten_hostile_files(step, net, imagenet500, tmp_path):
    every = sorted((SHARED / "hostile").iterdir())
    hostile = [path for path in every if path.suffix != ".csv"][:: len(every) // 10][:10]
    paths = list(imagenet500[::step])
    whole = len(paths)
    for i, path in enumerate(hostile):
        paths.insert((i + 1) * whole // 11 + i, path)
    truth = tmp_path / "truth.csv"
    truth.write_text("".join(f"{p.name},{int(p.name[:4])}\n" for p in imagenet500[::step]))
    refused_names = set()
    for path in hostile:
        try:
            read_photo(path)
        except ImageError:
            refused_names.add(path.name)
    early = len(paths) // 5
    with collect(paths, truth=truth) as photos:
        assert len(photos) == whole + 10
        rows, before = [], 0.0
        for row in run_batch(net, photos):
            rows.append(row)
            if len(rows) == early:
                before = resident()
    grown = resident() - before
    result = BatchResult(tuple(rows), net.labels, whole + 10, 1.0, facts_of(net))
    assert {row.name for row in result.failed} == refused_names and refused_names
    assert result.counts == {
        "planned": whole + 10, "seen": whole + 10, "usable": whole + 10 - len(refused_names),
        "failed": len(refused_names), "labelled": whole,
    }  # fmt: skip
    assert result.accuracy.top1 >= 0.8 * whole and result.accuracy.top5 >= 0.93 * whole
    assert grown < 60, f"{grown:.0f} MB more after {whole + 10} photos than after {early}"
