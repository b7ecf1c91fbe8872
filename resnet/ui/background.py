"""Long work for one visitor: progress while it runs, and an end when they leave or press stop."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
Work = Callable[[Callable[[int, int], None], Callable[[], bool]], Result]


def watched(work: Work[Result]) -> Iterator[tuple[int, int] | Result]:
    """Run `work(progress, cancelled)` in a thread; yield (done, total) pairs, then its result.

    Gradio closes a generator when the visitor leaves or an event cancels it; `cancelled` then
    answers True, and the work ends at its next question.

    Raises:
        whatever the work raised.
    """
    news: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
    stop = threading.Event()

    def run() -> None:
        try:
            done = work(lambda *steps: news.put(("step", steps)), stop.is_set)
            news.put(("result", done))
        except Exception as error:
            news.put(("error", error))

    context = contextvars.copy_context()  # the engine asks it for whom the thread works
    threading.Thread(target=context.run, args=(run,), daemon=True, name="background").start()
    try:
        while True:
            kind, value = news.get()
            if kind == "error":
                raise value  # type: ignore[misc]
            yield value  # type: ignore[misc]
            if kind == "result":
                return
    finally:
        stop.set()
