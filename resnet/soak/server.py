"""The app in a process of its own, and what it holds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0  # seconds for the start


@dataclass(frozen=True)
class Running:
    """A started app."""

    url: str
    process: subprocess.Popen
    log: Path

    def memory_mb(self) -> float:
        """Megabytes of memory it holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def alive(self) -> bool:
        return self.process.poll() is None

    def failures(self) -> int:
        """Requests and callbacks that failed in a way that nobody foresaw, by its log."""
        text = self.log.read_text("utf-8", "replace")
        return text.count('"a request failed"') + text.count('"a callback failed"')


@contextmanager
def running(options: Sequence[str] = ()) -> Iterator[Running]:
    """Start `python app.py`, wait until its model answers, end it as Ctrl-C does."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="resnet-soak-") as folder:
        log = Path(folder) / "app.log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RESNET_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "app.py", "--port", str(port), *options],
                cwd=ROOT, env=kept | {"TMPDIR": folder}, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        found = Running(f"http://127.0.0.1:{port}", process, log)
        try:
            _wait(found)
            yield found
        finally:
            if found.alive():
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Running) -> None:
    end = time.monotonic() + PATIENCE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end:
        if not server.alive():
            raise RuntimeError(f"app.py ended at once:\n{server.log.read_text()}")
        try:
            with opener.open(f"{server.url}/readyz", timeout=20):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"app.py was not ready within {PATIENCE:g} s")
