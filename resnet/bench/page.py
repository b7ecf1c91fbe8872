"""The whole server, photo by photo over HTTP, against the engine alone on the same photos."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np

from resnet.bench import users
from resnet.bench.compare import Row, Skipped, row
from resnet.bench.subjects import Subjects
from resnet.soak.server import Running, running

WANTED = 1 / 0.6  # seconds a photo, page / engine
SAME = 0.05  # of the best class's probability: the server may run in another precision


def rows(on: Subjects, photos: int, rounds: int) -> Iterator[Row | Skipped]:
    """USERS users send photos to `/api/v1/classify`, and as many ask the engine, in turn.

    Every photo is new to the server.  The processor time of the page is the server's and ours.
    """
    what = f"a photo over HTTP / by the engine alone, {users.USERS} users, {on.best.precision}"
    if not Path("/proc/self/stat").exists():
        yield Skipped(what, "the server's processor time is read from /proc, which is not here")
        return
    with (
        running() as server,
        users.files(photos * (rounds + 1)) as paths,
        users.through_the_engine(on) as engine,
    ):
        parts = [paths[i * photos : (i + 1) * photos] for i in range(rounds + 1)]
        difference = _differ(asyncio.run(_send(server, parts[0])), engine, parts[0][0])
        users.load(engine, parts[0], users.USERS)  # the batch sizes are learned
        pairs = []
        for part in parts[1:]:
            before, started = _spent(server), time.perf_counter()
            asyncio.run(_send(server, part))
            page = (time.perf_counter() - started, _spent(server) - before)
            alone = users.load(engine, part, users.USERS)
            each = ((page[0] / photos, page[1] / photos), (1 / alone.rate, alone.cpu))
            pairs.append(each)
    yield row(what, pairs, difference, WANTED)


async def _send(server: Running, paths: list[Path]) -> list[dict]:
    """The API's answers, in the photos' order; every user has connections of its own."""
    found: list[dict] = [{}] * len(paths)

    async def user(number: int) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=150, trust_env=False) as client:
            for place in range(number, len(paths), users.USERS):
                sent = {"photo": (paths[place].name, paths[place].read_bytes())}
                answer = await client.post("/api/v1/classify", files=sent)
                answer.raise_for_status()
                found[place] = answer.json()

    await asyncio.gather(*(user(number) for number in range(users.USERS)))
    return found


def _differ(answers: list[dict], engine: users.Look, path: Path) -> float:
    """Of the first photo's best probability.

    Raises:
        RuntimeError: by more than rounding.
    """
    best = answers[0]["top"][0]
    logits = engine(path)[0].astype(np.float64)
    mine = float(np.exp(logits[best["index"]] - np.logaddexp.reduce(logits)))
    difference = abs(mine - best["probability"])
    if not difference <= SAME:
        raise RuntimeError(f"the page answers otherwise than the engine, by {difference:g}")
    return difference


def _spent(server: Running) -> float:
    """Processor seconds of the server and of this process."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()
