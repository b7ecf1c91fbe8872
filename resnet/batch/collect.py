"""Uploaded files → the photos of a batch: photos, ZIPs of photos, lists of names and labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resnet.batch.archive import Archive, Budget, is_zip
from resnet.batch.item import BatchError, Item, Limits, refused, shown_name, unique
from resnet.batch.lists import MAX_LIST, Line, is_list, match, read_list
from resnet.formats import MB
from resnet.images import ImageError


@dataclass(frozen=True)
class Collection:
    """The photos of a batch, to be read once and in order; iterates over `items`.

    Use it as a context manager, or call `close`: its ZIPs stay open until then.
    """

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()  # sentences for the visitor
    archives: tuple[Archive, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        for archive in self.archives:
            archive.close()


def collect(
    paths: Sequence[str | os.PathLike],
    *,
    truth: str | os.PathLike | None = None,
    limits: Limits | None = None,
    follow: bool = False,
) -> Collection:
    """The photos in some files.  Only ZIPs' directories and lists are read here.

    Args:
        paths: photos, ZIPs of photos, and lists (CSV, `resnet.batch.lists`), in any order and
            number.  A list may also lie in a ZIP.  It labels photos; photos that it does not name
            are looked at all the same, without a label.
        truth: one more list, whatever its name; it only labels.
        limits: of the batch.
        follow: open files that the lists among `paths` name but that were not given, from each
            list's own folder.  For one's own machine only: never for what a visitor sent.

    Returns:
        One item a photo, in the order given.  What cannot be read is an item too: opening it
        gives the reason.

    Raises:
        BatchError: there is nothing in them, or more than one batch may hold.
    """
    limits = limits or Limits()
    budget = Budget(limits.total)
    items: list[Item] = []
    lists: list[_List] = []
    archives: list[Archive] = []
    claimed = 0
    try:
        for path in map(Path, paths):
            name = shown_name(path.name)
            if is_zip(path):
                try:
                    archives.append(Archive(path, limits, budget))
                except ImageError as error:
                    items.append(refused(name, str(error)))
                    continue
                claimed += archives[-1].claimed
                for item in archives[-1].items():
                    if is_list(item.name):
                        lists.append(_List(item, inside=True))
                    else:
                        items.append(item)
            elif is_list(name):
                lists.append(_List(Item(name, _reader(path)), path.parent if follow else None))
            else:
                claimed += _size(path, limits)
                items.append(Item(name, _path(path)))
            _check(len(items), claimed, limits)
        if truth is not None:
            lists.append(_List(Item(shown_name(Path(truth).name), _reader(Path(truth)))))
        notes = _apply(lists, items, limits)
        _check(len(items), claimed, limits)
        if not items:
            named = f" {notes[0]}" if notes else ""
            raise BatchError(
                f"There is no photo in these files.{named} Send photos, or a ZIP of photos."
            )
    except BaseException:
        for archive in archives:
            archive.close()
        raise
    return Collection(tuple(unique(items)), tuple(notes), tuple(archives))


@dataclass(frozen=True)
class _List:
    """A list that waits until all photos are known."""

    item: Item
    folder: Path | None = None  # where files that it names may be opened
    inside: bool = False  # of a ZIP: it may be a table of something else


def _path(path: Path) -> Callable[[], str]:
    return lambda: str(path)


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with open(path, "rb") as file:
                return file.read(MAX_LIST + 1)
        except OSError:
            raise ImageError(f"The file “{shown_name(path.name)}” cannot be read.") from None

    return read


def _size(path: Path, limits: Limits) -> int:
    try:
        return min(path.stat().st_size, limits.member)  # a larger one is refused unread
    except (OSError, ValueError):
        return 0


def _check(count: int, claimed: int, limits: Limits) -> None:
    if count > limits.photos:
        raise BatchError(
            f"These are {count:,} photos; at most {limits.photos:,} go in one batch. Split them."
        )
    if claimed > limits.total:
        raise BatchError(
            f"These photos unpack to {claimed / MB:,.0f} MB; the limit for one batch is "
            f"{limits.total / MB:,.0f} MB. Split them, or make them smaller."
        )


def _apply(lists: Sequence[_List], items: list[Item], limits: Limits) -> list[str]:
    """Give the photos the lists' labels, add what is named and not there; sentences about it."""
    notes = []
    for one in lists:
        name = one.item.name
        try:
            lines = read_list(bytes(one.item.open()), name, limits.photos)  # type: ignore[arg-type]
            said, missing, several = match(lines, [item.name for item in items])
            if one.inside and len(missing) == len(lines):
                raise ImageError("This table names none of the photos.")
        except ImageError as error:
            items.append(refused(name, str(error)))
            continue
        except BatchError as error:
            if not one.inside:
                raise
            items.append(refused(name, str(error)))
            continue
        for at, label in said.items():
            items[at] = replace(items[at], said=label)
        notes.append(_said(name, len(lines), len(said), missing, one.folder is not None))
        if one.folder is not None:
            items += [
                Item(shown_name(line.file), _path(one.folder / line.file), line.said)
                for line in missing
            ]
        notes += [several] if several else []
    return notes


def _said(name: str, count: int, labels: int, missing: Sequence[Line], opened: bool) -> str:
    """What a list brought, in a sentence."""
    if opened:
        labels += sum(line.said is not None for line in missing)
    are = "is" if len(missing) == 1 else "are"
    lost = "" if opened or not missing else f"; {len(missing):,} of them {are} not among the files"
    return f"“{name}” names {count:,} photos and labels {labels:,}{lost}."
