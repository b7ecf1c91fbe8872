"""What is tried, a step each; each gives plain figures, and `bad`: what was not as promised."""

from __future__ import annotations

import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from resnet.soak.photos import fresh, mutated
from resnet.soak.server import ROOT, Running
from resnet.soak.visitor import Answer, Visitor

Figures = dict[str, Any]
GROWTH = 0.05  # of memory between the first analyses and the last
WARM = 300  # analyses before memory is looked at
SAMPLE = 10.0  # seconds between two looks at memory under load
REST = 20.0  # seconds after which an idle server has given back what it does not keep
# (verb, how often, its form); "page" is the browser's way.
MIX: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("page", 6, {}), ("classify", 6, {}), ("explain", 3, {"accept": "image/png"}),
    ("explain", 2, {"method": "hirescam"}), ("detect", 2, {}), ("lesions", 1, {}),
    ("compare", 1, {}), ("trace", 1, {}),
)  # fmt: skip


async def damaged(server: Running, files: Iterable[tuple[str, bytes]], every: int = 25) -> Figures:
    """Send files that may be anything; in between a good photo, which must be answered."""
    before, worst, slow = server.memory_mb(), server.memory_mb(), 0.0
    counts = {"answered": 0, "refused": 0}
    bad: list[str] = []
    async with Visitor(server.url) as visitor, Visitor(server.url) as honest:
        for number, (name, data) in enumerate(files):
            by_page = number % 10 == 9
            found = await patient(visitor.look if by_page else visitor.classify, data, name)
            slow = max(slow, found.seconds)
            worst = max(worst, server.memory_mb())
            if found.failed:
                bad.append(f"{name}: {found.status} {found.said}")
            counts["answered" if found.done else "refused"] += 1
            if number % every == 0:
                good = await patient(honest.classify, fresh(10_000 + number), "good.jpg")
                if not good.done:
                    bad.append(f"a good photo after {name}: {good.status} {good.said}")
            if not server.alive():
                bad.append(f"the server died of {name}")
                break
    return counts | {
        "memory before, MB": before, "memory highest, MB": worst,
        "memory after, MB": server.memory_mb(), "slowest, s": slow, "bad": bad,
    }  # fmt: skip


async def patient(ask: Callable[[bytes, str], Awaitable[Answer]], data: bytes, name: str) -> Answer:
    """What is really said to a file: who is told to send less at once waits, and sends it again."""
    while (found := await ask(data, name)).status == 429:
        await asyncio.sleep(1.0)
    return found


async def hostile(server: Running, folder: Path) -> Figures:
    """All files of a folder of broken and malicious pictures."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return await damaged(server, ((path.name, path.read_bytes()) for path in paths))


async def mutations(server: Running, count: int, seed: int = 0) -> Figures:
    """Valid files that were damaged."""
    return await damaged(server, mutated(count, seed), every=100)


async def load(server: Running, users: int, seconds: float, seed: int = 1) -> Figures:
    """Many users at once, each asking for one thing after another."""
    before, answers = server.memory_mb(), []
    end = time.monotonic() + seconds
    verbs = [(verb, form) for verb, often, form in MIX for _ in range(often)]

    async def use(number: int) -> None:
        rng = random.Random(seed * 1000 + number)
        async with Visitor(server.url) as visitor:
            step = 0
            while time.monotonic() < end:
                verb, form = rng.choice(verbs)
                photo = fresh(number * 10_000 + step // 3)  # people ask several things of a photo
                step += 1
                way = visitor.look(photo) if verb == "page" else visitor.ask(verb, photo, **form)
                answers.append(await way)
                if answers[-1].refused:
                    await asyncio.sleep(rng.uniform(0.5, 2.0))

    held: list[float] = []

    async def watch() -> None:
        while True:
            await asyncio.sleep(SAMPLE)
            held.append(server.memory_mb())

    started = time.monotonic()
    watching = asyncio.create_task(watch())
    await asyncio.gather(*(use(number) for number in range(users)))
    took = time.monotonic() - started
    watching.cancel()
    after = server.memory_mb()
    await asyncio.sleep(REST)
    return {
        "users": users,
        "seconds": took,
        "answers a second": sum(found.done for found in answers) / took,
        **_kinds(answers),
        "by verb": {verb: _times(a for a in answers if a.verb == verb)
                    for verb in sorted({found.verb for found in answers})},
        "memory before, MB": before,
        "memory, first and second half, MB": _halves(held),
        "memory highest, MB": max([before, *held, after]),
        f"memory {REST:.0f} s after, MB": server.memory_mb(),
        "bad": _bad(answers),
    }  # fmt: skip


def _halves(held: Sequence[float]) -> dict[str, float]:
    """Means of the two halves: what grows under load shows here."""
    middle = len(held) // 2
    return {
        name: statistics.fmean(part)
        for name, part in (("first", held[:middle]), ("second", held[middle:]))
        if part
    }


async def fairness(server: Running, photos: int, rounds: int) -> Figures:
    """A light user alone, and while another one's batch runs."""
    async with Visitor(server.url) as light, Visitor(server.url) as heavy:

        async def ask(first: int) -> list[Answer]:
            found = []
            for number in range(rounds):
                found.append(await light.ask("classify", fresh(first + number)))
                await asyncio.sleep(0.3)
            return found

        await ask(500_000)  # warm
        alone = await ask(600_000)
        paths = await heavy.give([(f"{i}.jpg", fresh(700_000 + i)) for i in range(photos)])
        if not isinstance(paths, list):
            return {"bad": [f"the batch was refused: {paths.status_code}"]}
        running = asyncio.create_task(heavy.batch(paths))
        await asyncio.sleep(2.0)
        beside, during = await ask(800_000), not running.done()
        if not during:
            running_note = "the batch ended before the light user did"
        batch = await running
    bad = _bad([*alone, *beside, batch])
    if not during:
        bad.append(running_note)
    return {
        "alone": _times(alone),
        "beside a batch": _times(beside),
        "p95 ratio": _times(beside)["p95, s"] / max(_times(alone)["p95, s"], 1e-9),
        "batch, photos": photos,
        "batch, s": batch.seconds,
        "bad": bad,
    }


async def leaks(server: Running, analyses: int) -> Figures:
    """New photos one after the other; memory after the first ones and at the end."""
    warm = min(WARM, analyses // 3)
    early, answers = 0.0, []
    async with Visitor(server.url) as visitor:
        for number in range(analyses):
            answers.append(await patient(visitor.classify, fresh(900_000 + number), "photo.jpg"))
            if number + 1 == warm:
                early = server.memory_mb()
    late = server.memory_mb()
    bad = _bad(answers)
    if late > early * (1 + GROWTH):
        bad.append(f"memory grew from {early:.0f} to {late:.0f} MB")
    return {
        "analyses": sum(found.done for found in answers), **_kinds(answers),
        f"memory after {warm}, MB": early, "memory after all, MB": late,
        "growth": late / early - 1, "bad": bad,
    }  # fmt: skip


def attacks() -> Figures:
    """The two-user attack suite, which is among the tests."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/server/test_attacks.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:]
    return {"result": last, "bad": [] if done.returncode == 0 else [last]}


def _kinds(answers: Sequence[Answer]) -> Figures:
    return {
        "done": sum(found.done for found in answers),
        "refused": sum(found.refused for found in answers),
        "failed": sum(found.failed for found in answers),
    }


def _bad(answers: Iterable[Answer]) -> list[str]:
    return [f"{a.verb}: {a.status} after {a.seconds:.1f} s {a.said}" for a in answers if a.failed]


def _times(answers: Iterable[Answer]) -> dict[str, float]:
    """Of those that were answered."""
    seconds = sorted(found.seconds for found in answers if found.done)
    if len(seconds) < 2:
        return {"count": len(seconds), "p50, s": sum(seconds), "p95, s": sum(seconds)}
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"count": len(seconds), "p50, s": statistics.median(seconds), "p95, s": cuts[18]}
