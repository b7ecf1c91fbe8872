"""The users file: a name, an Argon2 hash and hashes of API keys a line; read when it changes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import stat
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_LINE = re.compile(
    rf"(?P<name>{_NAME.pattern}):"
    r"(?P<hashed>\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[\w+/]+\$[\w+/]+)"
    r"(:(?P<keys>[0-9a-f]{64}(,[0-9a-f]{64})*))?"
)
SHORTEST, LONGEST = 10, 256  # characters of a password
_HASHER = PasswordHasher()  # RFC 9106's second choice: Argon2id, 64 MiB, 3 passes
_HEADER = "# Users of the ResNet-50 page; made by: python -m resnet user add|remove|key|list\n"
KEYS = 10  # API keys of one user
_KEY = "resnet_"  # how each begins, so that a leaked one is recognised


class UsersError(ValueError):
    """The users file, a name or a password cannot be used; the text is for the person there."""


@dataclass(frozen=True)
class User:
    """Attributes: hashed: Argon2 hash of the password; keys: SHA-256 of each API key, in hex."""

    hashed: str
    keys: tuple[str, ...] = ()


def user_name(text: str) -> str:
    """A name as it is kept: lower case.  Raises UsersError if it cannot be one."""
    name = unicodedata.normalize("NFKC", text).strip().lower()
    if not _NAME.fullmatch(name):
        raise UsersError(
            f"“{text[:64]}” cannot be a user's name: use up to 64 of a-z, 0-9 and . _ @ - "
        )
    return name


class Users:
    """Who may sign in.

    Args:
        path: of the users file.

    Raises:
        UsersError: it cannot be read, is damaged, or others may write to it.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._lock = threading.Lock()
        self._seen: tuple = ()
        self._users: dict[str, User] = {}
        self._keys: dict[str, str] = {}  # hash → name
        self._nobody = _HASHER.hash("nobody")  # what a try for an unknown name is checked against
        self._turn = threading.Semaphore(2)  # each check takes 64 MiB
        self._refresh()

    def check(self, name: str, password: str) -> str | None:
        """The user's name if the password is right, else None; takes as long for unknown names."""
        try:
            name = user_name(name)
        except UsersError:
            name = ""
        known = self._current().get(name)
        with self._turn:
            right = _matches(known.hashed if known else self._nobody, password)
        return name if right and known is not None else None

    def stamp(self, name: str) -> str | None:
        """Changes when the password does; None once the user is gone.  Ends running sign-ins."""
        known = self._current().get(name)
        return None if known is None else _digest(known.hashed)

    def by_key(self, key: str) -> str | None:
        """The user whose API key this is; None if it is nobody's.

        A key is 256 random bits: unlike a password it needs no slow hash, and what is looked up
        is a hash that nobody can choose.
        """
        self._current()
        return self._keys.get(_digest(key)) if key.startswith(_KEY) else None

    def _current(self) -> dict[str, User]:
        with self._lock:
            with suppress(UsersError):  # being changed, or gone: nobody new, and nobody lost
                self._refresh()
            return self._users

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
        except OSError:
            raise UsersError(f"The users file “{self.path}” cannot be read.") from None
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._users = read(self.path)
            self._keys = {key: name for name, user in self._users.items() for key in user.keys}
            self._seen = seen


def read(path: Path) -> dict[str, User]:
    """Every user by name.

    Raises:
        UsersError: it cannot be read, is damaged, or others may write to it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1 << 20)
    except (OSError, UnicodeDecodeError):
        raise UsersError(f"The users file “{path}” cannot be read.") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsersError(f"Others may write to the users file “{path}”; run chmod 600 on it.")
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if not found or found["name"] in users:
            raise UsersError(f"Line {number} of the users file “{path}” is not NAME:HASH.")
        keys = tuple(found["keys"].split(",")) if found["keys"] else ()
        users[found["name"]] = User(found["hashed"], keys)
    return users


def add(path: Path, name: str, password: str) -> bool:
    """Add a user, or give one a new password; makes the file.  Returns whether the name is new.

    Raises:
        UsersError: the name, the password or the file cannot be used.
    """
    name = user_name(name)
    check_password(password, name)
    hashed = _HASHER.hash(_plain(password))
    with _changing(path) as users:
        new = name not in users
        users[name] = User(hashed) if new else replace(users[name], hashed=hashed)
    return new


def add_key(path: Path, name: str) -> str:
    """A new API key for a user; only its hash is kept.  The oldest goes if there are too many.

    Raises:
        UsersError: there is no such user, or the file cannot be used.
    """
    key = _KEY + secrets.token_urlsafe(32)
    with _existing(path, name) as (users, name):
        users[name] = replace(users[name], keys=(*users[name].keys, _digest(key))[-KEYS:])
    return key


def end_keys(path: Path, name: str) -> int:
    """End all API keys of a user; how many there were.  Raises UsersError as `add_key`."""
    with _existing(path, name) as (users, name):
        count = len(users[name].keys)
        users[name] = replace(users[name], keys=())
    return count


def remove(path: Path, name: str) -> None:
    """Take a user away.  Raises UsersError if there is none of that name."""
    with _existing(path, name) as (users, name):
        del users[name]


def check_password(password: str, name: str) -> None:
    """Raise UsersError if it is too short, too long, or the user's own name."""
    if len(password) < SHORTEST:
        raise UsersError(f"A password needs at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise UsersError(f"A password has at most {LONGEST} characters.")
    if name in password.lower() and len(password) < 2 * len(name):
        raise UsersError("The password must not be the user's name.")


def _plain(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _matches(hashed: str, password: str) -> bool:
    if len(password) > LONGEST:
        password = ""  # refused all the same, in the same time
    try:
        return _HASHER.verify(hashed, _plain(password))
    except (VerificationError, InvalidHashError):
        return False


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _existing(path: Path, name: str) -> Iterator[tuple[dict[str, User], str]]:
    """As `_changing`, with the name of a user who is there."""
    name = user_name(name)
    if not path.is_file():
        raise UsersError(f"There is no users file “{path}”.")
    with _changing(path) as users:
        if name not in users:
            raise UsersError(f"There is no user “{name}”.")
        yield users, name


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, User]]:
    """The users, to be changed; written as a whole at the end, so that no reader sees a half."""
    if not path.parent.is_dir():
        raise UsersError(f"There is no folder “{path.parent}”.")
    try:
        with open(path.with_name(path.name + ".lock"), "w", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            users = read(path) if path.exists() else {}
            yield users
            handle, new = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # 0600
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(_HEADER)
                file.writelines(_line(name, user) for name, user in sorted(users.items()))
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, path)
    except OSError as error:
        raise UsersError(f"“{path}” cannot be written: {error.strerror}.") from None


def _line(name: str, user: User) -> str:
    return ":".join([name, user.hashed, *([",".join(user.keys)] if user.keys else [])]) + "\n"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
