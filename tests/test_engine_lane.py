"""Turns, batches, owners: right results to the right people, and nobody waits for ever."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import draw_photo

from resnet import backends
from resnet.engine import CALLER, Busy, Caller, Cancelled, Engine, EngineError, NoMemory, TooLate
from resnet.engine.lane import Lane, Turn, out_of_memory, threads
from resnet.engine.sizes import RECENT, TRIES, Sizes
from resnet.images import ImageError


@pytest.fixture
def lane():
    lane = Lane(threads=2)
    yield lane
    lane.close()


def double(batch: list) -> list:
    return [2 * number for number in batch]


def know(lane: Lane, kind, seconds: dict[int, float]) -> None:
    """Have the lane know how long a photo takes in batches of each size."""
    for size, each in seconds.items():
        for _ in range(TRIES):
            lane._sizes_of(kind).learn(size, size * each)


def ask(lane: Lane, owner: str, *arguments, patience: float = 60, gone=lambda: False):
    """`lane.do` as a request of `owner`, in a thread of its own."""
    answer: list = []

    def work() -> None:
        CALLER.set(Caller(owner, patience, gone))
        try:
            answer.append(lane.do(*arguments))
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, answer


class Held:
    """The lane is busy until `let_go`; what is asked meanwhile waits in a known order."""

    def __init__(self, lane: Lane):
        self.lane, self.go, self.asked = lane, threading.Event(), []
        self.first = self.ask("nobody", lambda batch: [self.go.wait(20)])
        until(lambda: lane.running == 1)

    def ask(self, owner: str, *arguments, **more):
        before = self.lane.waiting
        found = ask(self.lane, owner, *arguments, **more)
        until(lambda: self.lane.waiting > before or not found[0].is_alive() or not before)
        self.asked.append(found)
        return found

    def let_go(self) -> list:
        self.go.set()
        for thread, _ in self.asked:
            thread.join(20)
            assert not thread.is_alive()
        return [answer[0] for _, answer in self.asked[1:]]


def until(true) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


# Batches and turns


def test_what_waits_together_runs_together_and_each_gets_its_own(lane):
    batches = []
    held = Held(lane)

    def run(batch):
        batches.append(list(batch))
        return double(batch)

    know(lane, "a", {1: 1.0, 2: 0.8, 4: 0.5, 8: 0.4, 16: 0.3})
    for i in range(6):
        held.ask(f"user {i}", run, i, "a")
    held.ask("user 0", run, 10, "b")  # another kind
    held.ask("user 1", run, 11)  # no kind: alone
    assert held.let_go() == [0, 2, 4, 6, 8, 10, 20, 22]
    assert sorted(batches[0]) == [0, 1, 2, 3, 4, 5] and sorted(map(len, batches[1:])) == [1, 1]


def test_turns_go_round_between_owners(lane):
    order = []
    held = Held(lane)

    def run(batch):
        order.extend(batch)
        return batch

    for i in range(5):
        held.ask("greedy", run, f"greedy {i}")
    held.ask("ada", run, "ada")
    held.ask("bob", run, "bob")
    held.let_go()
    assert set(order[:3]) == {"greedy 0", "ada", "bob"}
    assert order[3:] == [f"greedy {i}" for i in range(1, 5)]


def test_a_batch_takes_one_of_each_owner_first(lane):
    batches = []
    held = Held(lane)
    know(lane, "a", {1: 1.0, 2: 0.5, 4: 0.1})

    def run(batch):
        batches.append(list(batch))
        return batch

    for i in range(5):
        held.ask("greedy", run, f"greedy {i}", "a", 4)
    held.ask("ada", run, "ada", "a", 4)
    held.ask("bob", run, "bob", "a", 4)
    held.let_go()
    assert sorted(batches[0]) == ["ada", "bob", "greedy 0", "greedy 1"]


def test_one_bad_job_does_not_fail_its_batch(lane):
    held = Held(lane)
    know(lane, "a", {1: 1.0, 2: 0.5, 4: 0.4, 8: 0.1})

    def run(batch):
        if "bad" in batch:
            raise ValueError("a bad one")
        return batch

    for i in range(4):
        held.ask(f"user {i}", run, "bad" if i == 2 else i, "a")
    answers = held.let_go()
    assert answers[:2] == [0, 1] and answers[3] == 3
    assert isinstance(answers[2], ValueError)


def test_out_of_memory_halves_the_batch_once(lane):
    tried = []
    held = Held(lane)
    know(lane, "a", {1: 1.0, 2: 0.5, 4: 0.4, 8: 0.1})

    def run(batch):
        tried.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    for i in range(4):
        held.ask(f"user {i}", run, i, "a")
    assert held.let_go() == [0, 1, 2, 3]
    assert tried == [4, 2, 2]


def test_out_of_memory_for_good_is_a_refusal_and_the_lane_lives(lane):
    def run(batch):
        raise MemoryError

    with pytest.raises(NoMemory, match="out of memory just now"):
        lane.do(run, 1, "a")
    assert lane.do(double, 21, "a") == 42


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, is_it):
    assert out_of_memory(error) == is_it


# Those who do not wait


def test_who_has_gone_is_taken_out_of_the_queue(lane):
    held, gone = Held(lane), threading.Event()
    ran = []
    thread, answer = held.ask("ada", lambda batch: ran.append(1) or batch, 1, gone=gone.is_set)
    gone.set()
    thread.join(5)
    assert isinstance(answer[0], Cancelled) and lane.waiting == 0
    held.let_go()
    assert not ran


def test_a_job_that_had_its_time_says_so_in_its_own_words(lane):
    held, words = Held(lane), "This took longer than 5 seconds and was stopped."
    thread, answer = held.ask("ada", double, 1, gone=lambda: words)
    thread.join(5)
    assert isinstance(answer[0], Cancelled) and str(answer[0]) == words
    held.let_go()
    assert str(Cancelled(True)) == "This was stopped before its turn came."


def test_the_turn_that_does_not_come_in_time_is_refused_with_a_sentence(lane):
    held = Held(lane)
    thread, answer = held.ask("ada", double, 1, patience=0.05)
    thread.join(5)
    assert isinstance(answer[0], TooLate) and "Try again" in str(answer[0])
    assert isinstance(answer[0], ImageError)  # whoever shows a photo's errors shows this
    held.let_go()


def test_the_queue_is_bounded():
    lane = Lane(room=2)
    held = Held(lane)
    held.ask("a", double, 1)
    held.ask("b", double, 2)
    with pytest.raises(Busy, match="Too many people"):
        lane.do(double, 3)
    assert held.let_go() == [2, 4]
    lane.close()
    with pytest.raises(Busy, match="ending"):
        lane.do(double, 3)


def test_closing_answers_those_who_wait():
    lane = Lane()
    held = Held(lane)
    _, answer = held.ask("a", double, 1)
    lane.close()
    held.let_go()
    assert isinstance(answer[0], Busy)


# Threads


def test_the_cores_belong_to_the_lane():
    lane = Lane(threads=3)
    with threads(1):
        assert lane.do(lambda batch: [torch.get_num_threads()]) == 3
        assert torch.get_num_threads() == 1
        with Turn(lane):  # a direct pass in this thread
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
        until(lambda: not lane.running)
        with lane.spare_cores():
            assert torch.get_num_threads() == 3
        held = Held(lane)
        with lane.spare_cores():
            assert torch.get_num_threads() == 1
        held.let_go()
    lane.close()


def test_a_turn_ends_when_its_block_raises(lane):
    turn = Turn(lane)
    with pytest.raises(KeyError), turn:
        raise KeyError("x")
    assert lane.do(double, 1) == 2


# Sizes


def test_sizes_grow_as_they_are_timed_and_settle_on_the_fastest():
    sizes = Sizes()
    seen = []
    cost = {1: 1.0, 2: 1.6, 4: 2.4, 8: 4.8, 16: 12.0}  # seconds a batch
    for _ in range(5 * TRIES + 1):
        seen.append(sizes.limit())
        sizes.learn(seen[-1], cost[seen[-1]])
    tried = [size for size in (1, 2, 4, 8, 16) for _ in range(TRIES)]
    assert seen == [*tried, 4]  # 8 is no faster a photo than 4
    assert sizes.limit(2) == 2 and sizes.limit(1) == 1


def test_a_size_that_was_disturbed_is_not_ruled_out_and_one_that_got_slow_is_left():
    sizes = Sizes()
    for size in (1, 2, 4):
        for disturbed in (5.0, 1.0, 3.0):
            sizes.learn(size, disturbed * size * (0.7 if size == 4 else 1.0))
    assert sizes.seconds == pytest.approx({1: 1.0, 2: 1.0, 4: 0.7}) and sizes.limit(4) == 4
    for _ in range(RECENT):
        sizes.learn(4, 4 * 2.0)
    assert sizes.seconds[4] == 2.0 and sizes.limit(4) == 1


def test_the_lane_keeps_its_threads_when_others_are_told_theirs_before_its_first_work():
    before = torch.get_num_threads()
    lane = Lane(threads=2)
    try:
        lane.do(lambda payloads: payloads)  # as `settle`
        torch.set_num_threads(1)
        assert lane.do(lambda _: [torch.get_num_threads()]) == 2
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
        lane.close()


# The engine through all of it


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    found = []
    for i in range(12):
        found.append(folder / f"{i}.png")
        draw_photo(120 + i, 110, i).save(found[-1])
    bad = folder / "bad.png"
    bad.write_bytes(found[0].read_bytes()[:200])
    return found, bad


def test_batched_equals_single(tiny, files):
    paths, _ = files
    alone = {path: Engine(tiny).open(path).trace for path in paths}
    lane = Lane()
    engine = Engine(tiny, line=lane)
    x = torch.zeros(1, 3, 96, 96)
    kind = ("trace", id(engine.backend), tuple(x.shape))
    know(lane, kind, {1: 1.0, 2: 0.5, 4: 0.4, 8: 0.3, 16: 0.1})
    held = Held(lane)
    with ThreadPoolExecutor(len(paths)) as pool:
        found = [pool.submit(engine.open, path) for path in paths]
        until(lambda: lane.waiting == len(paths))
        held.let_go()
    assert engine.stats()["batches"] == {12: 1}
    for path, future in zip(paths, found, strict=True):
        ours, wanted = future.result().trace, alone[path]
        for name, wires in wanted.blocks.items():
            for one, other in zip(ours.blocks[name], wires, strict=True):
                assert (one - other).abs().max() <= 1e-5 * other.abs().max(), name
                assert one.untyped_storage().nbytes() == one.nbytes  # not the batch's memory
        assert (ours.logits - wanted.logits).abs().max() <= 1e-5 * wanted.logits.abs().max()
    assert engine.stats()["batches"] == {1: 12, 12: 1}  # the wires, when somebody asked
    lane.close()


def mixed(engine: Engine, files, seed: int, count: int, workers: int) -> list[str]:
    """Many requests of many owners; checks every answer, returns how each ended."""
    paths, bad = files
    right = [Engine(engine.net).open(path) for path in paths]
    cut = engine.net.block_names[2]

    def request(number: int) -> str:
        rng = random.Random(seed * 100_000 + number)
        which, kind = rng.randrange(len(paths)), rng.random()
        leaves = rng.random() < 0.1
        token = CALLER.set(Caller(f"user {number % 7}", 60, lambda: leaves))
        try:
            if kind < 0.1:
                with pytest.raises(ImageError):
                    engine.open(bad)
                return "bad"
            if kind < 0.7:
                found = engine.open(paths[which])
                assert found.photo.digest == right[which].photo.digest
                wanted = right[which].trace.logits
                assert (found.trace.logits - wanted).abs().max() <= 1e-4 * wanted.abs().max()
            elif kind < 0.85:
                heat = engine.figure(paths[which], ("heat", 3), lambda a: a.cam(3, block="2.1"))
                assert np.abs(heat.scaled - right[which].cam(3, block="2.1").scaled).max() < 1e-3
            else:
                found = engine.variant(
                    paths[which], "cut", lambda base: base.with_gains({(cut, "branch"): 0.0})
                )
                wanted = right[which].with_gains({(cut, "branch"): 0.0}).trace.logits
                assert (found.trace.logits - wanted).abs().max() <= 1e-4 * wanted.abs().max()
            return "answered"
        except EngineError as error:
            assert leaves and isinstance(error, Cancelled), error
            return "cancelled"
        finally:
            CALLER.reset(token)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(request, range(count)))


@pytest.mark.parametrize("kind", ["eager", "prepacked"])
def test_64_at_once_with_bad_photos_and_leavers(tiny_v1, files, kind):
    lane = Lane()
    backend = backends.make(kind, tiny_v1)
    engine = Engine(tiny_v1, memory=2 << 20, backend=backend, line=lane)  # evicts all the time
    ends = mixed(engine, files, seed=1, count=64, workers=64)
    assert ends.count("bad") >= 3 and ends.count("answered") >= 40
    assert engine.stats()["kept_bytes"] <= 2 << 20
    assert lane.waiting == 0
    lane.close()


def test_2000_requests_end(tiny_v1, files):
    lane = Lane()
    engine = Engine(tiny_v1, memory=6 << 20, line=lane)
    ends = mixed(engine, files, seed=2, count=2000, workers=16)
    assert len(ends) == 2000 and ends.count("answered") > 1500
    assert lane.waiting == 0 and not engine._memory._making
    lane.close()


def test_memory_is_given_back_once_after_work(monkeypatch):
    from resnet.engine import lane as lanes

    trimmed = []
    monkeypatch.setattr(lanes, "IDLE", 0.05)
    monkeypatch.setattr(lanes.heap, "trim", lambda: trimmed.append(1))
    lane = Lane()
    lane.do(double, 1)
    until(lambda: trimmed)
    time.sleep(0.3)
    assert trimmed == [1] and lane.do(double, 2) == 4  # not again without work between
    lane.close()


def test_memory_is_given_back_under_load_too(monkeypatch):
    from resnet.engine import lane as lanes

    trimmed = []
    monkeypatch.setattr(lanes, "BUSY", 0.0)
    monkeypatch.setattr(lanes.heap, "trim", lambda: trimmed.append(1))
    lane = Lane()
    for _ in range(3):
        lane.do(double, 1)
    until(lambda: len(trimmed) >= 3)
    lane.close()
