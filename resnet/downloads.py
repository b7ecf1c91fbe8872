"""Files from the net, into torch's own cache: resumed after a break, checked, never half there.

What is on its way is called NAME.part.  It gets its good name only after its hash was right, so
whoever finds the good name finds a whole file.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

Progress = Callable[[int, int | None], None]  # bytes here, bytes in all (None: not known)

PATIENCE = 20.0  # seconds without a byte
PIECE = 1 << 18  # bytes read at a time
MB = 1e6


class DownloadError(ValueError):
    """A file that could not be had; the message says why and what to do."""


class Unreachable(DownloadError):
    """The server did not answer, or there is no network."""


class Damaged(DownloadError):
    """Something came, whole, but it is not the file that was published."""


def folder() -> Path:
    """Where torch and torchvision keep what they fetched; `TORCH_HOME` moves it."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def path_of(url: str) -> Path:
    """Where the file of this address is kept; it need not be there."""
    return folder() / Path(urlsplit(url).path).name


def sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches(path: Path, expected: str) -> bool:
    """Whether the file's sha256 is this one, or begins so (torchvision publishes 8 digits)."""
    if not expected:
        raise ValueError("a hash to compare with is needed")
    return sha256(path).startswith(expected.lower())


def fetch(url: str, expected: str, progress: Progress | None = None) -> Path:
    """A file from the net, or the one that is here already.

    A broken download goes on where it stopped, if the server can do that.  Any number of
    processes and threads may ask for the same file: one fetches, the others wait for it.

    Args:
        url: the last part of its path is the file's name in the cache.
        expected: the file's sha256 or its first digits.
        progress: called with bytes here and in all, at least once; what it raises ends the
            download, which can be resumed.

    Returns:
        The file's path in the cache.

    Raises:
        DownloadError: with a sentence.  Nothing damaged is left under the file's name.
    """
    target = path_of(url)
    part = target.with_name(target.name + ".part")
    report = progress or _silent
    if _is_good(target, expected, report):
        return target
    with _disk(part):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.with_name(target.name + ".lock"), part, report):
        if _is_good(target, expected, report):  # another fetched it while we waited
            return target
        _download(url, part, expected, report)
        with _disk(part):
            if not matches(part, expected):
                part.unlink()
                raise Damaged(
                    f"{target.name} arrived damaged: its sha256 does not begin with "
                    f"{expected[:12]}. Nothing was kept; try again later."
                )
            os.replace(part, target)
    return target


def adopt(file: Path, target: Path, expected: str) -> None:
    """Copy a file that somebody brought into the cache, all at once or not at all.

    Args:
        expected: sha256 of the right file, or its first digits.

    Raises:
        DownloadError: the file cannot be read, has another hash, or does not fit on the disk.
    """
    copy = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=target.name, suffix=".add", dir=target.parent)
        os.close(handle)
        copy = Path(name)
        shutil.copyfile(file, copy)
        if not matches(copy, expected):  # of the copy: the file may change meanwhile
            raise Damaged(
                f"{file.name} is not the published file {target.name}: its sha256 does not begin "
                f"with {expected[:12]}. It was not added."
            )
        copy.chmod(0o644)  # a temporary file is its maker's alone
        os.replace(copy, target)
    except OSError as error:
        raise DownloadError(
            f"{file.name} cannot be copied to {target.parent}: {error.strerror or error}."
        ) from error
    finally:
        if copy:
            copy.unlink(missing_ok=True)


def _silent(done: int, total: int | None) -> None:
    pass


def _is_good(target: Path, expected: str, report: Progress) -> bool:
    if not target.is_file() or not matches(target, expected):
        return False
    size = target.stat().st_size
    report(size, size)
    return True


@contextmanager
def _disk(part: Path) -> Iterator[None]:
    """Errors of the disk as sentences; a full disk gets its space back."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"The disk is full: {part.stem} does not fit into {part.parent}. "
                "Make room and try again."
            ) from error
        raise DownloadError(
            f"{part.parent} cannot be written: {error.strerror or error}."
        ) from error


@contextmanager
def _alone(lock: Path, part: Path, report: Progress) -> Iterator[None]:
    """One at a time, threads and processes; a lock ends with its holder, however that ends.

    Whoever waits is told how far the other has come.  Without `fcntl` (Windows) there is no lock.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with ExitStack() as stack:
        while True:
            with _disk(part):
                handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _named(handle, lock):
                    break
            except BlockingIOError:
                report(part.stat().st_size if part.exists() else 0, None)
                time.sleep(0.1)
            stack.close()
        # Removed before it is let go, so that nobody holds a lock that has lost its name.
        stack.callback(lock.unlink, missing_ok=True)
        yield


def _named(handle: int, path: Path) -> bool:
    """Whether the open file still has this name; who held the lock before removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _download(url: str, part: Path, expected: str, report: Progress) -> None:
    """Fetch what is missing of `part`.

    Raises:
        DownloadError: no answer, an error page, a break (`part` keeps what came), or the disk.
    """
    start = part.stat().st_size if part.exists() else 0
    answer = _ask(url, start)
    if answer is None:  # nothing lies beyond our end: it is all here, or it is another file
        if matches(part, expected):
            return
        start, answer = 0, _ask(url, 0)
    with answer:
        headers = getattr(answer, "headers", {})  # not every kind of answer has some
        if start and not _continues(answer, headers, start):
            start = 0  # the server sends the whole file, whatever was asked for
        length = headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with _disk(part):
            if total is not None and total - start > shutil.disk_usage(part.parent).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            file = part.open("r+b" if start else "wb")
        with file:
            file.seek(start)
            done = _copy(answer, file, part, total, report)
    if not done:
        part.unlink()
    if not done or (total is not None and done < total):
        of = "" if total is None else f" of {total / MB:.1f}"
        raise DownloadError(
            f"The download of {part.stem} broke off after {done / MB:.1f}{of} MB. "
            "Try again: it goes on from there."
        )


def _copy(answer: Any, file: BinaryIO, part: Path, total: int | None, report: Progress) -> int:
    """The answer's body to the end of the file; how many bytes the file has then."""
    done = file.tell()
    report(done, total)
    while piece := _read(answer):
        with _disk(part):
            file.write(piece)
        done += len(piece)
        report(done, total)
    with _disk(part):
        file.truncate()
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave the good name on a file of zeros
    return done


def _read(answer: Any) -> bytes:
    """The next piece; empty at the end, and where the connection broke."""
    try:
        return answer.read(PIECE)
    except (OSError, http.client.HTTPException):
        return b""


def _ask(url: str, start: int) -> Any:
    """The server's answer to a request from byte `start` on; None if it has nothing there.

    Raises:
        DownloadError: no answer, or an error.
    """
    headers = {"User-Agent": "resnet-view", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=PATIENCE
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return None
        if error.code in (404, 410):
            raise DownloadError(f"There is no file at {url} any more ({error.code}).") from error
        raise DownloadError(
            f"{urlsplit(url).hostname} refused the file with {error.code} {error.reason}. "
            "Try again later."
        ) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or reason  # without its number
        raise Unreachable(
            f"{urlsplit(url).hostname} cannot be reached ({reason}). Is there a network?"
        ) from error


def _continues(answer: Any, headers: Any, start: int) -> bool:
    """Whether the answer goes on at byte `start`."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range") or "")
    partial = getattr(answer, "status", 200) == 206
    return partial and found is not None and int(found[1]) == start
