"""Running a visitor's batch: news while it runs, an end when they press stop or leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from resnet.batch.collect import collect
from resnet.batch.item import Limits
from resnet.batch.pace import BatchProgress
from resnet.batch.results import BatchResult, facts_of
from resnet.batch.row import BatchRow
from resnet.batch.run import SIZE, run_batch
from resnet.engine import Engine

# Without a GPU.  Whoever asks beside a batch waits for the pass that runs; eight photos in passes
# of two took 1.3 s of one core, in one pass 1.4 s.
TURN = 2


class Stops:
    """Which sessions' batches run, so that a button can end the one of its own session."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Event] = {}

    def begin(self, session: str) -> threading.Event:
        """The batch of a session begins; one that still runs there is told to end."""
        self.stop(session)
        event = self._running[session] = threading.Event()
        return event

    def stop(self, session: str) -> bool:
        """Tell the batch of a session to end; whether there is one."""
        event = self._running.get(session)
        if event is not None:
            event.set()
        return event is not None

    def end(self, session: str, event: threading.Event) -> None:
        """The batch has ended."""
        if self._running.get(session) is event:
            del self._running[session]


def run(
    engine: Engine, sent: Sequence[str], stop: threading.Event, limits: Limits | None = None
) -> Iterator[BatchProgress | BatchResult]:
    """Where the batch stands, first at once and then after every pass; at last its result.

    The network is taken for one pass at a time: others get their turn in between.  Closing the
    generator ends the work at the next photo; `stop` does too, and gives the rows so far.

    Args:
        sent: paths of photos, ZIPs and lists.

    Raises:
        BatchError: the whole batch cannot be had.
    """
    news: list[BatchProgress] = []
    rows: list[BatchRow] = []
    started = time.perf_counter()
    size = SIZE if engine.net.device.type == "cuda" else TURN
    with collect(sent, limits=limits) as photos:
        yield BatchProgress(0, 0, len(photos), 0.0, None)
        looking = run_batch(
            engine.net, photos, size, news.append, cancelled=stop.is_set, lock=engine.model
        )
        try:
            for row in looking:
                rows.append(row)
                if news:
                    yield news.pop()
        finally:
            looking.close()  # at once, and not when somebody collects the garbage
        yield BatchResult(
            tuple(rows),
            engine.net.labels,
            len(photos),
            time.perf_counter() - started,
            facts_of(engine.net, batch_size=size),
            photos.notes,
        )
