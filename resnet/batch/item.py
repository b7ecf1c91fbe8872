"""One thing to look at in a batch: its name for people, and how to get at its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from resnet.formats import MB
from resnet.images import ImageError, largest_file

MAX_PHOTOS = 2_000  # in one batch
MAX_TOTAL = 1024 * MB  # bytes of all photos of one batch, unpacked
MAX_NAME = 120  # letters of a name that is shown


class BatchError(ValueError):
    """The whole batch cannot be had; the text tells the visitor what is wrong and what to do."""


@dataclass(frozen=True)
class Limits:
    """How much one batch may hold.

    Attributes:
        photos: the most photos.
        total: bytes of all of them, unpacked.
        member: bytes of one, unpacked; as `images.limit` says unless given.
        ratio: how many times its packed size a member of a ZIP may unpack to, beyond 1 MB.
    """

    photos: int = MAX_PHOTOS
    total: int = MAX_TOTAL
    member: int = field(default_factory=largest_file)
    ratio: int = 100


@dataclass(frozen=True)
class Item:
    """A photo of a batch, not yet read.

    Attributes:
        name: printable, without any way out of a folder; unique in its batch.
        open: gives what `read_photo` takes, a path or the file's bytes; raises ImageError with
            the reason if it cannot be had.  Nothing is ever written to disk.
        said: the true label as a list gave it, a name or an index; None without one.
    """

    name: str
    open: Callable[[], str | bytes]
    said: str | None = None


def refused(name: str, reason: str) -> Item:
    """An item that only says why it is none."""

    def fail() -> bytes:
        raise ImageError(reason)

    return Item(name, fail)


def shown_name(name: str) -> str:
    """A file's name for people: no `..`, no drive, no control characters, not too long."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if parts and len(parts[0]) == 2 and parts[0][1] == ":":
        parts = parts[1:]
    # Direction marks are not printable either: “gpj.exe” must not read as “exe.jpg”.
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in "/".join(parts))
    if len(clean) > MAX_NAME:
        clean = f"…{clean[1 - MAX_NAME :]}"
    return clean or "unnamed"


def unique(items: list[Item]) -> list[Item]:
    """The same items; the second `cat.jpg` is called `cat (2).jpg`."""
    taken: set[str] = set()
    count: dict[str, int] = {}
    found = []
    for item in items:
        name = item.name
        path = PurePosixPath(name)
        while name in taken:
            count[item.name] = count.get(item.name, 1) + 1
            name = str(path.with_name(f"{path.stem} ({count[item.name]}){path.suffix}"))
        taken.add(name)
        found.append(item if name == item.name else replace(item, name=name))
    return found
