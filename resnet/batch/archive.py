"""Photos in a ZIP that may be hostile: one member at a time, in memory, counted while unpacking.

What a ZIP says of itself is used to refuse it early and is never trusted: the bytes that come out
are counted.  Bombs are of three kinds (Fifield, “A better zip bomb”, WOOT 2019): one member that
unpacks to gigabytes (stopped at its own limit), members that share their packed bytes (overlaps
are refused), and ZIPs in ZIPs (never opened).
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from resnet.batch.item import BatchError, Item, Limits, refused, shown_name
from resnet.formats import MB
from resnet.images import ImageError

ENTRY_BYTES = 512  # of the directory, for each entry on average; 46 and the name are usual
FREE_RATIO = MB  # unpacked bytes to which no ratio applies: a blank BMP packs very well
TRASH = ("thumbs.db", "desktop.ini")
MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack without any bound in Python

NESTED = "A ZIP inside a ZIP is not opened. Unpack it and send its photos."
LOCKED = "This photo is encrypted. Pack it without a password."


@dataclass
class Budget:
    """Bytes that may still be unpacked; shared by all archives of a batch."""

    left: int


class _Guarded(io.FileIO):
    """A file that gives no more than `most` bytes at once, unless that is None.

    `zipfile` reads a ZIP's directory in one go, of whatever size the file claims.
    """

    most: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is None:
            return super().read(size)
        asked = self.most + 1 if size is None or size < 0 else min(size, self.most + 1)
        found = super().read(asked)
        if len(found) > self.most:
            raise BatchError(f"The ZIP's table of contents is larger than {self.most / MB:.2g} MB.")
        return found


def is_zip(path: str | Path) -> bool:
    """By its first bytes, or by its name if it cannot be a photo."""
    try:
        if not Path(path).is_file():  # a pipe would hang
            return False
        with open(path, "rb") as file:
            return file.read(4) in MAGIC or Path(path).suffix.lower() == ".zip"
    except (OSError, ValueError):
        return False


class Archive:
    """The photos in one ZIP.

    Args:
        path: of the ZIP; it is opened once and stays open until `close`.
        limits: of the batch.
        budget: what the batch may still unpack.

    Raises:
        BatchError: too many entries, or a directory made to fill the memory.
        ImageError: it is no ZIP, or it is damaged.
    """

    def __init__(self, path: str | Path, limits: Limits, budget: Budget):
        self.name = shown_name(Path(path).name)
        self.limits, self.budget = limits, budget
        # Folders, resource forks and thumbnails come on top of the photos themselves.
        self.most = 2 * limits.photos + 1000
        self._zip = self._open(path)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._zip.close()
        self._file.close()

    def _open(self, path: str | Path) -> zipfile.ZipFile:
        try:
            self._file = _Guarded(path, "rb")
        except (OSError, ValueError):
            raise ImageError(f"The file “{self.name}” cannot be read.") from None
        try:
            self._file.most = self.most * ENTRY_BYTES
            opened = zipfile.ZipFile(self._file)
            self._file.most = None
            return opened
        except BatchError as error:
            self._file.close()
            raise BatchError(f"{error} {self._split()}") from None
        except Exception:  # BadZipFile, struct.error, UnicodeDecodeError, NotImplementedError …
            self._file.close()
            raise ImageError("This ZIP is cut off or damaged. Pack it again.") from None

    def _check(self) -> None:
        entries = self._zip.infolist()
        if len(entries) > self.most:
            raise BatchError(f"“{self.name}” has {len(entries):,} entries. {self._split()}")
        end = 0
        for info in sorted(entries, key=lambda entry: entry.header_offset):
            if info.header_offset < end:
                raise ImageError(
                    "Parts of this ZIP lie on top of each other, as in a ZIP bomb. Pack it again."
                )
            end = info.header_offset + 30 + info.compress_size  # 30: the least local header

    def _split(self) -> str:
        return f"At most {self.limits.photos:,} photos go in one batch; split them."

    @property
    def claimed(self) -> int:
        """Bytes that it says it unpacks to, each member up to its own limit."""
        return sum(min(i.file_size, self.limits.member) for i in self._zip.infolist())

    def items(self) -> Iterator[Item]:
        """Its photos and what may be one; folders and the systems' own files are left out."""
        for info in self._zip.infolist():
            if info.is_dir() or _hidden(info.filename):
                continue
            name = shown_name(info.filename)
            if reason := _refusal(info):
                yield refused(name, reason)
            else:
                yield Item(name, partial(self.read, info))

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """A member's bytes.

        Raises:
            ImageError: damaged, larger than it may be, or a ZIP itself.
        """
        bounds = {
            "ratio": max(FREE_RATIO, self.limits.ratio * info.compress_size),
            "member": self.limits.member,
            "total": self.budget.left,
        }
        which, most = min(bounds.items(), key=lambda bound: bound[1])
        try:
            with self._zip.open(info) as member:
                data = member.read(most + 1)
        except Exception:  # zlib.error, BadZipFile, EOFError, struct.error, MemoryError …
            raise ImageError("This photo is damaged inside its ZIP. Pack it again.") from None
        self.budget.left -= min(len(data), most)
        if len(data) > most:
            raise ImageError(self._too_much(which))
        if data[:4] in MAGIC:
            raise ImageError(NESTED)
        return data

    def _too_much(self, which: str) -> str:
        if which == "ratio":
            return (
                f"It unpacks to more than {self.limits.ratio} times its packed size, as a ZIP bomb "
                "does. Send the photo itself."
            )
        if which == "member":
            return (
                f"This file is too large; the limit is {self.limits.member / MB:.3g} MB. "
                "Make the picture smaller and try again."
            )
        return (
            f"The limit of {self.limits.total / MB:,.0f} MB, unpacked, for one batch is reached. "
            "Send the rest as another batch."
        )


def _hidden(name: str) -> bool:
    """What systems add without being asked; `..` is not hidden but an attempt to get out."""
    parts = name.replace("\\", "/").split("/")
    dotted = any(part.startswith(".") and part.strip(".") for part in parts)
    return dotted or "__MACOSX" in parts or parts[-1].lower() in TRASH


def _refusal(info: zipfile.ZipInfo) -> str:
    """Why a member is not even looked at; "" if it is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 0x2041:  # encrypted, strongly encrypted, or its header masked
        return LOCKED
    if kind == stat.S_IFLNK:
        return "This is a link to another file, not a photo. Pack the photo itself."
    if kind not in (0, stat.S_IFREG):
        return "This is not an ordinary file."
    if info.filename.lower().endswith(".zip"):
        return NESTED
    if info.compress_type not in PACKINGS:
        return "It is packed in a way that is not read here. Use an ordinary ZIP (deflate)."
    return ""
