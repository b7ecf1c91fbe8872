"""Photos in and out: uploads in folders of random names, and files for their owners only."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import IO

import anyio.to_thread
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from resnet.formats import MB, ImageError, sniff
from resnet.server.limits import Room
from resnet.server.metrics import Metrics
from resnet.server.owners import Owners
from resnet.server.routes import G
from resnet.server.settings import Settings
from resnet.server.visit import Refusal, not_found, visit_of

# What a browser may show, by content; anything else is handed over for saving.
SHOWN = {
    "JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "BMP": "image/bmp",
    "WebP": "image/webp", "TIFF": "image/tiff", "AVIF": "image/avif", "HEIC": "image/heic",
}  # fmt: skip
_NAME = 80  # characters of a file's own name that are kept; at most 240 bytes
_UPLOAD_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_POLL = 0.1  # seconds between two looks at an upload's progress


class Photos(MultiPartParser):
    """Starlette's parser, which stops at the first file that is too large."""

    max_file = 0

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self._so_far = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._so_far += end - start
        if self._so_far > self.max_file:
            raise Refusal(
                413, f"This file is too large; the limit is {self.max_file / MB:.3g} MB. "
                "Make the picture smaller and try again.", "size",
            )  # fmt: skip
        super().on_part_data(data, start, end)


class Files:
    """The three addresses at which files come and go."""

    def __init__(
        self, settings: Settings, owners: Owners, room: Room, metrics: Metrics, public: Path
    ):
        """Args: public: the folder of the example photos, which everybody may see."""
        self.settings, self.owners, self.room, self.metrics = settings, owners, room, metrics
        self._public = {str(path) for path in public.resolve().glob("*.jpg")}
        self._progress = Progress()
        (owners.folder / "uploads").mkdir(mode=0o700, exist_ok=True)

    async def upload(self, request: Request) -> Response:
        """Take photos in; the answer lists their paths, as Gradio's page expects it."""
        owner = visit_of(request.scope).owner
        told = request.headers.get("content-length", "")
        self.room.for_photos(int(told) if told.isdecimal() else 0)
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise Refusal(400, "An upload is a form with files.", "upload")
        asked = request.query_params.get("upload_id", "")
        key = (owner, asked) if _UPLOAD_ID.fullmatch(asked) else None
        parser = Photos(
            request.headers, self._progress.counted(key, request.stream()),
            max_files=self.settings.max_files, max_fields=4, max_part_size=4096,
        )  # fmt: skip
        parser.max_file = int(self.settings.max_file_mb * MB)
        kept: list[str] = []
        try:
            form = await parser.parse()
            try:
                sent = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
                for part in sent:
                    self.room.for_photos(part.size or 0)
                    name = part.filename or ""
                    kept.append(
                        await anyio.to_thread.run_sync(keep, self.owners.folder, part.file, name)
                    )
            finally:
                await form.close()
        except MultiPartException as error:
            if "Too many files" in error.message:
                raise Refusal(
                    413, f"These are too many files; send up to {self.settings.max_files} at once.",
                    "files",
                ) from None  # fmt: skip
            raise Refusal(400, "This upload is damaged. Try again.", "upload") from None
        except (UnicodeError, LookupError, KeyError, OverflowError):  # an odd charset, no boundary
            raise Refusal(400, "This upload is damaged. Try again.", "upload") from None
        except OSError:  # the disk is full after all
            for path in kept:
                shutil.rmtree(Path(path).parent, ignore_errors=True)
            raise Refusal(503, "The server could not keep this photo. Try again in a few minutes.",
                          "disk", 60) from None  # fmt: skip
        finally:
            self._progress.end(key)
        for path in kept:
            size = os.stat(path).st_size
            self.owners.add(owner, path, size)
            self.metrics.uploads.inc(size)
        return JSONResponse(kept)

    async def file(self, request: Request) -> Response:
        """A file of one's own, or an example."""
        owner = visit_of(request.scope).owner
        path = request.scope["path"].removeprefix(f"{G}/file=")
        if path not in self._public and not self.owners.owns(owner, path):
            raise not_found()
        kind = await anyio.to_thread.run_sync(_kind, path)
        self.owners.use(owner)
        return FileResponse(
            path,
            media_type=kind or "application/octet-stream",
            filename=Path(path).name,
            content_disposition_type="inline" if kind else "attachment",
        )

    async def progress(self, request: Request) -> Response:
        """How far one's own upload is, as Gradio's page asks for it."""
        key = (visit_of(request.scope).owner, request.query_params.get("upload_id", ""))
        for _ in range(30):
            if key in self._progress:
                return StreamingResponse(self._progress.told(key), media_type="text/event-stream")
            await asyncio.sleep(_POLL)
        raise not_found()


def keep(private: Path, file: IO[bytes], name: str) -> str:
    """Copy a file's content into a folder of a random name; the path.

    Args:
        private: the folder of everything private.
        name: the file's own.

    Raises:
        OSError: there is no room; nothing is left behind.
    """
    folder = private / "uploads" / secrets.token_urlsafe(24)
    folder.mkdir(mode=0o700)
    path = folder / clean_name(name)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as new:
            shutil.copyfileobj(file, new, 1 << 20)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return str(path)


def clean_name(name: str) -> str:
    """A file's own name without what is special to paths, addresses, headers or people.

    It is kept because a table of many photos names them so; it is as private as the photo.
    """
    name = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    name = re.sub(r"[^\w.,() -]", "", name).rstrip(" .-")
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 8:
        return name[:_NAME].strip(" .-") or "photo"
    return f"{stem[: _NAME - 9].strip(' .-') or 'photo'}.{suffix}"


def _kind(path: str) -> str | None:
    """The media type of a picture, by its first bytes; None if it is not one to show."""
    try:
        with open(path, "rb") as file:
            return SHOWN.get(sniff(file.read(2048)))
    except ImageError:
        return None
    except OSError:
        raise not_found() from None


class Progress:
    """Uploads under way, by owner and the page's own name for them; a bounded number."""

    def __init__(self, most: int = 1000):
        self._most = most
        self._sent: OrderedDict[tuple[str, str], list[int]] = OrderedDict()  # [bytes, ended]

    def __contains__(self, key: object) -> bool:
        return key in self._sent

    async def counted(
        self, key: tuple[str, str] | None, stream: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        """The stream, with its bytes counted under the key."""
        count = [0, 0]
        if key is not None:
            self._sent[key] = count
            while len(self._sent) > self._most:
                self._sent.popitem(last=False)
        async for chunk in stream:
            count[0] += len(chunk)
            yield chunk

    def end(self, key: tuple[str, str] | None) -> None:
        """The upload has ended, well or badly."""
        if key in self._sent:
            self._sent[key][1] = 1  # type: ignore[index]

    async def told(self, key: tuple[str, str]) -> AsyncIterator[str]:
        """Events: updates with the bytes since the last one, then `done`."""
        before, until = 0, time.monotonic() + 3600
        while (count := self._sent.get(key)) is not None and time.monotonic() < until:
            if count[0] > before:
                news = {"msg": "update", "orig_name": "photo", "chunk_size": count[0] - before}
                before = count[0]
                yield f"data: {json.dumps(news)}\n\n"
            if count[1]:
                self._sent.pop(key, None)
                break
            await asyncio.sleep(_POLL)
        yield 'data: {"msg": "done"}\n\n'
