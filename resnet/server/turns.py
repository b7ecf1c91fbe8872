"""Whose turn it is: waiting jobs in rounds, so that one user's many do not hold up the others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from resnet.server.logs import LOG, fault
from resnet.server.visit import KEY, Visit

LEFT = "The visitor has left."


class Line(list):
    """Jobs that wait: everybody's first, then everybody's second, and so on.

    Gradio's own is first come, first served.  It takes from the front and tells each job its
    place; both stay true.

    Args:
        running: how many jobs of an owner run now; they count as turns already had.
        owner: of a job.

    Attributes:
        at: where the last job was put.
    """

    def __init__(self, running: Callable[[str], int], owner: Callable[[Any], str] | None = None):
        super().__init__()
        self._running, self._owner, self.at = running, owner or owner_of, 0

    def append(self, job: Any) -> None:
        """Put a job where its owner's turn is."""
        mine = self._owner(job)
        turn = self._running(mine) + sum(self._owner(other) == mine for other in self)
        before: Counter[str] = Counter()
        for at, other in enumerate(self):
            whose = self._owner(other)
            if self._running(whose) + before[whose] > turn:
                self.at = at
                self.insert(at, job)
                return
            before[whose] += 1
        self.at = len(self)
        super().append(job)


def take_turns(queue: Any) -> None:
    """Have a Gradio queue serve its users in turns, and tell the engine for whom a job works."""

    def running(owner: str) -> int:
        return sum(owner_of(job) == owner for job in active(queue))

    create, tell = queue.create_event_queue_for_fn, queue.broadcast_estimations

    def created(fn: Any) -> None:
        create(fn)
        found = queue.event_queue_per_concurrency_id[fn.concurrency_id]
        if not isinstance(found.queue, Line):
            found.queue = Line(running)

    def told(concurrency_id: str, after: int | None = None) -> None:
        if after is not None:  # a new job: it, and those that it was put before
            after = queue.event_queue_per_concurrency_id[concurrency_id].queue.at
        tell(concurrency_id, after)

    process = queue.process_events

    async def processed(jobs: list[Any], *rest: Any) -> None:
        if visit := visit_of_job(jobs[0]):
            work_for(visit)
        await process(jobs, *rest)

    queue.create_event_queue_for_fn, queue.broadcast_estimations = created, told
    queue.process_events = processed


def work_for(visit: Visit) -> None:
    """What this task, and threads that it starts, asks of the engine from now on is for a visit.

    So the network's turns go round between owners, and a job that is over ends at its next turn.
    """
    from resnet.engine import CALLER, Caller  # here, because it brings torch with it

    CALLER.set(Caller(visit.owner, gone=lambda: visit.over))


def active(queue: Any) -> Iterator[Any]:
    """The jobs that run."""
    for jobs in queue.active_jobs:
        yield from jobs or ()


def visit_of_job(job: Any) -> Visit | None:
    """The visit of the request that asked for a job."""
    return getattr(job.request, "scope", {}).get(KEY)


def owner_of(job: Any) -> str:
    visit = visit_of_job(job)
    return visit.owner if visit else str(job.session_hash)


async def watch_jobs(queue: Any, seconds: float, every: float = 0.5) -> None:
    """Tell jobs that run too long, or whose visitor has left, to end; never returns.

    They hear of it when they ask the engine for their next turn; see `work_for`.
    """
    begun: dict[str, float] = {}
    words = f"This took longer than {seconds:g} seconds and was stopped. Ask for less at once."
    while True:
        await asyncio.sleep(every)
        try:
            now, jobs = time.monotonic(), list(active(queue))
            begun = {job._id: begun.get(job._id, now) for job in jobs}
            for job in jobs:
                visit = visit_of_job(job)
                if visit is None or visit.over:
                    continue
                if not job.alive:
                    visit.over = LEFT
                elif now - begun[job._id] > seconds:
                    visit.over = words
        except Exception as error:
            LOG.error("watching the jobs failed", extra=fault(error))
