"""The private folder: photos, results and temporary files, gone when the server ends.

Call `open_folder` before gradio is imported: it tells gradio where to write.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

from resnet.server.settings import SettingsError

PREFIX = "resnet-uploads-"
MARK = ".resnet-photos"  # we made what lies beside it, and may delete it


class Folder:
    """An open private folder, locked against a second server.

    Attributes:
        path: resolved, mode 0700.
    """

    def __init__(self, path: Path, lock: int, ours: bool):
        self.path, self._lock, self._ours = path, lock, ours

    def close(self) -> None:
        """Delete everything in it, and itself if it was not given."""
        if self._lock < 0:
            return
        clean(self.path)
        if self._ours:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1


def open_folder(given: str = "") -> Folder:
    """Open the folder and make it the process's place for everything temporary.

    Args:
        given: its path; a new one in the system's temporary folder if "".  What an earlier
            server left behind is deleted, in either case.

    Raises:
        SettingsError: it cannot be used, holds other files, or another server uses it.
    """
    os.umask(0o077)  # gradio writes results as 0644 otherwise
    given = given or os.environ.get("GRADIO_TEMP_DIR", "")
    folder = _given(Path(given)) if given else _temporary()
    for name in ("uploads", "tmp"):
        (folder.path / name).mkdir(exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(folder.path)
    tempfile.tempdir = str(folder.path / "tmp")  # what is spooled while it arrives is a photo too
    atexit.register(folder.close)  # also when the app never gets as far as serving
    return folder


def clean(path: Path) -> None:
    """Delete everything but the mark."""
    for entry in path.iterdir():
        if entry.name == MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _given(path: Path) -> Folder:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = path.resolve()
        if any(path.iterdir()) and not (path / MARK).exists():
            raise SettingsError(
                f"The folder “{path}” holds files that are not this app's; name an empty one, "
                "for everything in it is deleted."
            )
        path.chmod(0o700)
        lock = _lock(path)
    except OSError as error:
        raise SettingsError(f"The folder “{path}” cannot be used: {error.strerror}.") from None
    if lock is None:
        raise SettingsError(f"The folder “{path}” is used by another server.")
    clean(path)
    return Folder(path, lock, ours=False)


def _temporary() -> Folder:
    parent = Path(tempfile.gettempdir()).resolve()
    _remove_left_over(parent)
    try:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = _lock(path)
    except OSError as error:
        raise SettingsError(f"No folder for photos in “{parent}”: {error.strerror}.") from None
    assert lock is not None  # it is new
    return Folder(path, lock, ours=True)


def _remove_left_over(parent: Path) -> None:
    """Delete the folders of servers that were killed: ours, and not locked by a running one."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if not mine or not (path / MARK).exists():
                continue
            lock = _lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """An open descriptor that holds the folder's lock; None if another process has it."""
    handle = os.open(path / MARK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
