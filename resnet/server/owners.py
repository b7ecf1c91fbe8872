"""Whose photos, results and sessions are whose; all of it forgotten some time after the last use.

Gradio asks for a file's path and a session's name, and gives both to whoever knows them.  Here a
file belongs to who sent it, and a session's real name is made from the visitor's name for it and
the visitor, so that nobody can name another's.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from resnet.images import MB
from resnet.server.settings import Settings
from resnet.server.visit import Refusal, not_found

SESSIONS = 24  # of one owner; a page is one
OWNERS = 5_000
_SESSION = re.compile(r"[A-Za-z0-9_-]{4,64}")


@dataclass
class Owner:
    """Attributes: files: path → bytes, oldest first; sessions: real names; last: on the clock."""

    files: OrderedDict[str, int] = field(default_factory=OrderedDict)
    sessions: OrderedDict[str, None] = field(default_factory=OrderedDict)
    last: float = 0.0


class Owners:
    """The register.

    Args:
        folder: the private folder; nothing outside of it can belong to anybody.
        end_session: forget a session by its real name, and whether it could be: not while it works.
        deleted: told the path of each file that goes.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        end_session: Callable[[str], bool] = lambda name: True,
        deleted: Callable[[str], None] = lambda path: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.folder = folder
        self._settings, self._clock = settings, clock
        self._end_session, self._deleted = end_session, deleted
        self._key = secrets.token_bytes(32)
        self._owners: dict[str, Owner] = {}
        self._holders: dict[str, set[str]] = {}
        self._bytes: dict[str, int] = {}
        self._lock = threading.RLock()
        self._inside = re.compile(re.escape(str(folder)) + r"(?![\w.-])")

    def session(self, owner: str, name: str) -> str:
        """The real name of an owner's session; begins it.  Raises Refusal if it is no name."""
        real = self.real_name(owner, name)
        with self._lock:
            sessions = self._use(owner).sessions
            sessions[real] = None
            sessions.move_to_end(real)
            for old in list(sessions)[:-SESSIONS]:
                if self._end_session(old):
                    del sessions[old]
            if len(sessions) > 2 * SESSIONS:
                del sessions[real]
                raise Refusal(429, "This page is open too many times. Close some of them.",
                              "sessions", 10)  # fmt: skip
        return real

    def real_name(self, owner: str, name: object) -> str:
        """As `session`, but begins nothing."""
        if not isinstance(name, str) or not _SESSION.fullmatch(name):
            raise not_found()
        mixed = f"{owner}\n{name}".encode()
        return hmac.new(self._key, mixed, hashlib.sha256).hexdigest()[:40]

    def sessions(self, owner: str) -> set[str]:
        """Real names of an owner's sessions."""
        with self._lock:
            found = self._owners.get(owner)
            return set(found.sessions) if found else set()

    def add(self, owner: str, path: str, size: int) -> None:
        """A file that the owner has sent; the owner's oldest go if there is no room for it."""
        with self._lock:
            files = self._use(owner).files
            files[path] = self._bytes[path] = size
            self._holders.setdefault(path, set()).add(owner)
            while len(files) > 1 and sum(files.values()) > self._settings.user_disk_mb * MB:
                self._let_go(owner, next(iter(files)))

    def remove(self, owner: str, path: str) -> None:
        """A file that the owner needs no longer: it is deleted."""
        with self._lock:
            if owner in self._owners:
                self._let_go(owner, path)

    def claim(self, owner: str, path: str) -> None:
        """A file that was made for the owner.  Uploads cannot be claimed: they were sent.

        Gradio names what it makes by content, so the same may be made for several.
        """
        inside = os.path.normpath(path)
        if inside != path or not path.startswith(f"{self.folder}/"):
            return
        if path.startswith((f"{self.folder}/uploads/", f"{self.folder}/tmp/")):
            return
        with contextlib.suppress(OSError):
            self.add(owner, path, os.lstat(path).st_size)

    def owns(self, owner: str, path: object) -> bool:
        """Whether exactly this path belongs to the owner."""
        with self._lock:
            return isinstance(path, str) and bool(owner) and owner in self._holders.get(path, ())

    def mentions_strange(self, owner: str, text: str) -> bool:
        """Whether a path in our folder that is not the owner's occurs anywhere in a text."""
        if self.owns(owner, text):  # the usual case; a batch names hundreds
            return False
        for found in self._inside.finditer(text):
            with self._lock:
                own = list(self._owners[owner].files) if owner in self._owners else []
            at = found.start()
            if not any(text.startswith(path, at) and _ends(text, at + len(path)) for path in own):
                return True
        return False

    def use(self, owner: str) -> None:
        """The owner has done something: everything is kept a while longer."""
        with self._lock:
            self._use(owner)

    def sweep(self) -> int:
        """Forget owners who have done nothing for long, and delete their files; how many."""
        before = len(self._bytes)
        keep = 60 * self._settings.keep_minutes
        with self._lock:
            for name, owner in list(self._owners.items()):
                if self._clock() - owner.last < keep:
                    continue
                for path in list(owner.files):
                    self._let_go(name, path)
                for session in list(owner.sessions):
                    if self._end_session(session):
                        del owner.sessions[session]
                if not owner.sessions:
                    del self._owners[name]
        return before - len(self._bytes)

    def sweep_strays(self) -> int:
        """Delete files that belong to nobody: results never fetched, uploads that broke off."""
        keep, count, now = 60 * self._settings.keep_minutes, 0, time.time()
        for root, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(root, name)
                if path in self._holders or name.startswith("."):
                    continue
                with contextlib.suppress(OSError):
                    age = now - os.lstat(path).st_mtime
                    if not -keep < age < keep:  # a clock set back must not keep it for ever
                        _delete(path)
                        self._deleted(path)
                        count += 1
        return count

    def used(self) -> int:
        """Bytes of all files."""
        with self._lock:
            return sum(self._bytes.values())

    def counts(self) -> tuple[int, int]:
        """(owners, files)."""
        return len(self._owners), len(self._bytes)

    def _use(self, owner: str) -> Owner:
        found = self._owners.get(owner)
        if found is None:
            if len(self._owners) >= OWNERS:  # rather than to forget somebody who is here
                raise Refusal(503, "There are too many visitors at the moment. Try again in a few "
                              "minutes.", "visitors", 60)  # fmt: skip
            found = self._owners[owner] = Owner()
        found.last = self._clock()
        return found

    def _let_go(self, owner: str, path: str) -> None:
        self._owners[owner].files.pop(path, None)
        holders = self._holders.get(path, set())
        holders.discard(owner)
        if not holders:
            self._holders.pop(path, None)
            self._bytes.pop(path, None)
            _delete(path)
            self._deleted(path)


def _ends(text: str, at: int) -> bool:
    return not re.match(r"[\w./-]", text[at : at + 1])


def _delete(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
    parent = os.path.dirname(path)
    if os.path.basename(parent) not in ("uploads", "tmp"):
        with contextlib.suppress(OSError):
            os.rmdir(parent)  # gradio makes a folder a file
