"""The model's own thread: everything that runs the network goes through here, one batch at a time.

All requests share the cores, so they take turns; requests of one kind that wait at the same time
become one batch.  Nobody is waited for: what is there is taken.  Turns go round between owners, so
that a hundred photos of one visitor hold the next visitor up by one batch only.

The thread is also the only one that opens an OpenMP team for the network: a second team on the
same cores makes both slow.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from resnet import heap
from resnet.device import cores
from resnet.engine.caller import CALLER, Busy, Cancelled, NoMemory, TooLate
from resnet.engine.sizes import MOST, Sizes

ROOM = 256  # jobs that may wait
IDLE = 3.0  # seconds without work until memory is given back
BUSY = 10.0  # seconds of work without a break until it is
GLANCE = 0.25  # seconds between two looks at whether the caller is still there

Run = Callable[[list[Any]], Sequence[Any]]  # payloads of a batch -> one result each, in order
Tell = Callable[[str, str, float], None]  # what, which, how much


def silence(what: str, which: str, amount: float) -> None:
    """Nobody wants to know."""


class Job:
    """One request on its way through the lane."""

    def __init__(self, run: Run, payload: Any, kind: Hashable, most: int, tell: Tell):
        self.run, self.payload, self.kind, self.most, self.tell = run, payload, kind, most, tell
        self.caller = CALLER.get()
        self.asked = time.monotonic()
        self.begun = False
        self.dropped = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    @property
    def late(self) -> bool:
        return time.monotonic() - self.asked > self.caller.patience

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.done.set()


class Lane:
    """A queue with one thread that works it off.

    Args:
        threads: of torch inside the lane; all cores if 0.
        room: jobs that may wait before new ones are refused.
    """

    def __init__(self, threads: int = 0, room: int = ROOM):
        self.threads = threads or cores()
        self.room = room
        self.waiting = 0
        self.running = 0
        self._queues: OrderedDict[str, deque[Job]] = OrderedDict()  # by owner, next turn first
        self._sizes: dict[Hashable, Sizes] = {}
        self._free = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._holding = threading.local()

    def do(
        self,
        run: Run,
        payload: Any = None,
        kind: Hashable = None,
        most: int = MOST,
        tell: Tell = silence,
    ) -> Any:
        """Have the lane run it, and wait for the result.

        Args:
            run: given the payloads of all jobs of its kind that run together.
            kind: jobs of the same kind may run as one batch; None runs alone.
            most: largest batch.
            tell: hears ("queue" | "forward", "", seconds) and ("batch", "", jobs in it).

        Raises:
            Busy, TooLate, Cancelled, NoMemory: with a sentence for the visitor.
            anything that `run` raises for this payload alone.
        """
        if self.inside:  # it is our turn already: waiting for it would be for ever
            return run([payload])[0]
        job = Job(run, payload, kind, most, tell)
        self._enter(job)
        self._await(job)
        if job.error is not None:
            raise job.error
        return job.result

    @property
    def inside(self) -> bool:
        """Whether the calling thread has the turn."""
        mine = threading.current_thread() is self._thread
        return mine or getattr(self._holding, "turn", None) is not None

    def take_turn(self) -> None:
        """Wait for the turn and keep it in the calling thread; `Turn` gives it back."""
        granted, released = threading.Event(), threading.Event()

        def hold(payloads: list) -> list:
            granted.set()
            released.wait()
            return payloads

        job = Job(hold, None, None, 1, silence)
        self._enter(job)
        self._await(job, granted)
        if job.error is not None:
            raise job.error
        self._holding.turn = released

    def end_turn(self) -> None:
        """Let the lane go on."""
        self._holding.turn.set()
        self._holding.turn = None

    @contextmanager
    def spare_cores(self) -> Iterator[None]:
        """All cores for what the calling thread computes, if the lane is idle as it begins."""
        before = torch.get_num_threads()
        wanted = before if self.waiting or self.running else self.threads
        with threads(wanted):
            yield

    def close(self) -> None:
        """End the thread; what still waits is refused."""
        with self._free:
            self._closed = True
            left = [job for queue in self._queues.values() for job in queue]
            self._queues.clear()
            self.waiting = 0
            self._free.notify_all()
        for job in left:
            job.fail(Busy("The server is ending. Try again in a minute."))

    # In the caller's thread

    def _enter(self, job: Job) -> None:
        with self._free:
            if self._closed:
                raise Busy("The server is ending. Try again in a minute.")
            if self.waiting >= self.room:
                raise Busy("Too many people are using this just now. Try again in a minute.")
            owner = job.caller.owner
            self._queues.setdefault(owner, deque()).append(job)
            self.waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="model")
                self._thread.start()
            self._free.notify()

    def _await(self, job: Job, granted: threading.Event | None = None) -> None:
        ready = granted or job.done
        while not ready.wait(GLANCE) and not job.done.is_set():
            if job.begun:
                continue  # it cannot be stopped, and it is soon over
            if why := job.caller.gone():
                self._drop(job, Cancelled(why))
            elif job.late:
                self._drop(job, _too_late(job))

    def _drop(self, job: Job, error: Exception) -> None:
        with self._free:
            if job.begun:
                return
            job.dropped = True
            queue = self._queues.get(job.caller.owner)
            if queue and job in queue:
                queue.remove(job)
                self.waiting -= 1
        job.fail(error)

    # In the lane's thread

    def _work(self) -> None:
        _set_threads(self.threads)
        used, tidied = False, time.monotonic()
        while True:
            with self._free:
                self.running = 0
                # Once after work, the wait ends by itself; then there is time to tidy up.
                self._free.wait_for(lambda: self.waiting or self._closed, IDLE if used else None)
                if self._closed:
                    return
                batch = self._next() if self.waiting else []
                self.running = len(batch)
            used = bool(batch)
            if used:
                self._run_and_tell(batch)
            if not used or time.monotonic() > tidied + BUSY:
                heap.trim()
                tidied = time.monotonic()
            del batch  # results would live until the next job comes

    def _next(self) -> list[Job]:
        """The next owner's first job, and what may run with it; one from each owner in turn."""
        first_owner = next(owner for owner, queue in self._queues.items() if queue)
        first = self._queues[first_owner].popleft()
        batch = [first]
        if first.kind is not None:
            limit = self._sizes_of(first.kind).limit(first.most)
            owners = [*list(self._queues)[1:], first_owner]
            found = True
            while len(batch) < limit and found:
                found = False
                for owner in owners:
                    if len(batch) < limit and (job := _take(self._queues[owner], first.kind)):
                        batch.append(job)
                        found = True
        for owner in list(self._queues):
            if not self._queues[owner]:
                del self._queues[owner]
        if first_owner in self._queues:
            self._queues.move_to_end(first_owner)
        self.waiting -= len(batch)
        usable = []
        for job in batch:
            if job.late:
                job.fail(_too_late(job))
            elif not job.dropped:
                job.begun = True
                usable.append(job)
        return usable

    def _sizes_of(self, kind: Hashable) -> Sizes:
        if kind not in self._sizes and len(self._sizes) > 50:
            self._sizes.clear()
        return self._sizes.setdefault(kind, Sizes())

    def _run_and_tell(self, batch: list[Job]) -> None:
        if not batch:
            return
        started = time.monotonic()
        for job in batch:
            job.tell("queue", "", started - job.asked)
        self._run(batch)
        seconds = time.monotonic() - started
        if batch[0].kind is not None:
            batch[0].tell("batch", "", len(batch))
            batch[0].tell("forward", "", seconds)
            if all(job.error is None for job in batch):
                self._sizes_of(batch[0].kind).learn(len(batch), seconds)

    def _run(self, batch: list[Job], again: bool = True) -> None:
        """Every job of the batch gets its result or its error; one's fault is not the others'."""
        try:
            results = batch[0].run([job.payload for job in batch])
            for job, result in zip(batch, results, strict=True):
                job.result = result
                job.done.set()
            return
        except BaseException as error:  # the thread must live on
            fault: BaseException = error.with_traceback(None)  # its frames hold the tensors
        batch = [job for job in batch if not job.done.is_set()]
        if out_of_memory(fault):
            free_memory()
            if not again:
                for job in batch:
                    job.fail(
                        NoMemory("The server is out of memory just now. Try again in a minute.")
                    )
                return
            half = max(1, len(batch) // 2)
            for part in (batch[:half], batch[half:]):
                if part:
                    self._run(part, again=False)
        elif len(batch) > 1:
            for job in batch:
                self._run([job], again)
        else:
            for job in batch:
                job.fail(fault)


class Turn:
    """`with turn:` the calling thread alone runs the network; may be used any number of times."""

    def __init__(self, lane: Lane):
        self._lane = lane
        self._own = threading.local()

    def __enter__(self) -> None:
        stack = self._own.__dict__.setdefault("stack", [])
        if self._lane.inside:
            stack.append(None)
            return
        self._lane.take_turn()
        stack.append(torch.get_num_threads())
        _set_threads(self._lane.threads)

    def __exit__(self, *fault: object) -> None:
        before = self._own.stack.pop()
        if before is not None:
            _set_threads(before)
            self._lane.end_turn()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch uses this many threads for what the calling thread computes."""
    before = torch.get_num_threads()
    _set_threads(count)
    try:
        yield
    finally:
        _set_threads(before)


def _set_threads(count: int) -> None:
    # It matters that torch is asked first: a thread's first work, or question, sets its count to
    # what any thread has set last, and what was set in it before is lost.
    if count != torch.get_num_threads():
        torch.set_num_threads(count)


def _take(queue: deque[Job], kind: Hashable) -> Job | None:
    """The first job of a kind, taken out."""
    for job in queue:
        if job.kind == kind:
            queue.remove(job)
            return job
    return None


def _too_late(job: Job) -> TooLate:
    return TooLate(
        f"So many photos are waiting that this one did not get its turn within "
        f"{job.caller.patience:.0f} seconds. Try again in a minute."
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch's, of Python's or of a GPU's says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said
    )


def free_memory() -> None:
    """What can be given back before a smaller batch is tried."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


_shared: Lane | None = None
_making = threading.Lock()


def shared() -> Lane:
    """The process's lane: the cores are one, so all engines share it."""
    global _shared
    with _making:
        if _shared is None:
            _shared = Lane()
        return _shared


def settle() -> None:
    """For a server: all cores for the lane, one thread for torch anywhere else, from now on.

    Threads that have used torch before keep what they have.
    """
    shared().do(lambda payloads: payloads)  # its thread has taken the cores now
    torch.set_num_threads(1)
