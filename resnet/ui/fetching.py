"""Weights on their way to this server: what stands beside the button while they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from resnet.downloads import Progress
from resnet.ui.background import watched


def fetching(fetch: Callable[[Progress], Any], title: str) -> Iterator[str]:
    """Fetch in the background; HTML at the start and for every megabyte.

    Ends when the weights are here; a visitor who leaves ends the download.

    Args:
        fetch: told where to report the bytes here and in all.
        title: of the weights.

    Raises:
        what `fetch` raises.
    """

    def work(progress, cancelled):
        def tick(here: int, of: int | None) -> None:
            if cancelled():
                raise InterruptedError
            progress(here, of or 0)

        return fetch(tick)

    yield _line("Asking …")
    last = -1
    for found in watched(work):
        if isinstance(found, tuple):
            here, of = (int(n / 1e6) for n in found)
            if here != last:
                last = here
                bar = f'<progress value="{here}" max="{max(of, 1)}"></progress>'
                yield _line(f"{bar} {here} of {of} MB of {escape(title)}")


def _line(words: str) -> str:
    return f'<p class="figure-progress" role="status">{words}</p>'
