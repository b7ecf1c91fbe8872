"""The app as its users start it: `python app.py` in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 180  # seconds; a start takes about ten on a quiet machine


@dataclass(frozen=True)
class App:
    """A started app."""

    url: str  # without a slash at the end
    process: subprocess.Popen
    temporary: Path  # its TMPDIR: everything it writes
    log: Path  # its standard output and error


def environment(temporary: Path, **changes: str) -> dict[str, str]:
    """Ours without the app's own variables, with a TMPDIR of its own."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("RESNET_", "GRADIO_"))
    }
    return kept | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"} | changes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_app(temporary: Path, *arguments: str) -> Iterator[App]:
    """Start `python app.py` on a free port, wait until it is ready, stop it as Ctrl-C does."""
    port = free_port()
    log = temporary / "app.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), *arguments],
            cwd=ROOT,
            env=environment(temporary),
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_hear_interrupts,
        )
    app = App(f"http://127.0.0.1:{port}", process, temporary, log)
    try:
        _wait(app)
        yield app
    finally:
        stop(app)


def stop(app: App) -> int:
    """Ctrl-C; the exit status.  Harmless if it has ended already."""
    if app.process.poll() is None:
        app.process.send_signal(signal.SIGINT)
    try:
        return app.process.wait(30)
    except subprocess.TimeoutExpired:
        app.process.kill()
        return app.process.wait()


def _hear_interrupts() -> None:
    # A shell starts background jobs, and what they start, deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait(app: App) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if app.process.poll() is not None:
            raise RuntimeError(f"app.py ended at once:\n{app.log.read_text()}")
        try:
            urllib.request.urlopen(f"{app.url}/readyz", timeout=20).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"app.py was not ready within {PATIENCE} s:\n{app.log.read_text()}")
