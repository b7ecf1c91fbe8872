"""`python -m resnet check`: is the server well?  For cron, Docker and people."""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from typing import Any

from resnet.cli import options as shared

MOST = 65536  # bytes of an answer


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "check",
        help="whether a server is well; for cron",
        description="Ask a running server whether it can serve visitors: its model looks at a "
        "bundled photo, disk and memory are looked at. Exit status 0 if it is well, 1 if not.",
    )
    port = os.environ.get("RESNET_PORT") or "7860"
    parser.add_argument(
        "--url", metavar="URL", default=f"http://127.0.0.1:{port}",
        help="of the server itself, past any proxy (default: http://127.0.0.1:PORT)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=shared.count, default=20,
        help="for an answer (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--quiet", action="store_true", help="say nothing if it is well, as cron likes it"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line; 0 if the server is well, else 1."""
    wrong = look(options.url.rstrip("/"), options.timeout)
    if wrong:
        print(f"{shared.printable(options.url)}: {wrong}")
        return 1
    if not options.quiet:
        print(f"{shared.printable(options.url)}: well")
    return 0


def look(url: str, timeout: float) -> str:
    """What is wrong with the server at an address; "" if nothing is.

    Raises:
        UsageError: the address cannot be one.
    """
    if not url.startswith(("http://", "https://")):
        raise shared.UsageError(f"“{url}” is not an address such as http://127.0.0.1:7860.")
    try:
        status, answer = _ask(f"{url}/readyz", timeout)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"does not answer ({shared.printable(str(reason))})"
    checks = answer.get("checks")
    if not isinstance(checks, dict):
        return f"answers {status}, but is not this app"
    bad = [f"{name}: {said}" for name, said in checks.items() if said != "fine"]
    if status != 200 or bad:
        return shared.printable("; ".join(bad) or f"answers {status}")
    return ""


def _ask(url: str, timeout: float) -> tuple[int, dict[str, Any]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    try:
        with opener.open(url, timeout=timeout) as answer:
            status, text = answer.status, answer.read(MOST)
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read(MOST)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return status, found if isinstance(found, dict) else {}
