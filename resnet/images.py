"""Untrusted bytes → an upright RGB photo in sRGB, or a sentence that says why not.

Memory is bounded at about 300 MB over the idle process: sizes are checked before decoding, big
JPEGs are shrunk while they are decoded, and everything after decoding runs in bands of rows.
No global state of Pillow is changed, so any number of threads may decode at once.  Whoever runs a
server may set other limits than these, once, at its start (`limit`).
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from resnet.formats import MAX_EXIF, MB, ImageError, TooMuchWork, check_size, open_image, sniff
from resnet.pixels import SHORT_SIDE, to_rgb

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "ImageError",
    "Photo",
    "decode",
    "largest_file",
    "limit",
    "read_photo",
]

MAX_BYTES = 20 * MB
MAX_PIXELS = 50_000_000  # 50 MP: what large phone cameras write; 4 bytes a pixel when decoded

_most = {"bytes": MAX_BYTES, "pixels": MAX_PIXELS}  # of this process; see `limit`

_UPRIGHT = {  # EXIF orientation → what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photo:
    """A photo that is safe to use.

    Attributes:
        image: mode RGB, upright, sRGB; may be smaller than the file's picture.
        size: (width, height) of the upright photo in the file's own pixels.
        format: "JPEG", "PNG", …; "array" or "image" for what was not a file.
        notes: what was done that a visitor should know, a sentence each.
        digest: SHA-256 in hex of the file's bytes; of mode, size and pixels for arrays and images.
    """

    image: Image.Image
    size: tuple[int, int]
    format: str
    notes: tuple[str, ...]
    digest: str


def limit(max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> None:
    """What this process takes from now on where a call names no limits of its own."""
    _most.update(bytes=max_bytes, pixels=max_pixels)


def largest_file() -> int:
    """Bytes of the largest file that this process takes."""
    return _most["bytes"]


def decode(
    data: bytes,
    *,
    max_bytes: int | None = None,
    max_pixels: int | None = None,
    full: bool = False,
) -> Image.Image:
    """The upright RGB image in `data`; see `read_photo`."""
    return read_photo(data, max_bytes=max_bytes, max_pixels=max_pixels, full=full).image


def read_photo(
    source: str | os.PathLike | bytes | Image.Image | np.ndarray,
    *,
    max_bytes: int | None = None,
    max_pixels: int | None = None,
    full: bool = False,
) -> Photo:
    """Read a photo that may be hostile.

    Args:
        source: a path, a file's bytes, a Pillow image, or uint8 [H, W], [H, W, 3] or [H, W, 4]
            (grey, RGB, RGBA).
        max_bytes: the largest file; as `limit` says unless given.
        max_pixels: the most pixels, likewise; WebP, AVIF, HEIC and TIFF have lower limits
            of their own.
        full: decode a JPEG at its full size instead of the power of two below
            that keeps the shorter side at 512 or more.

    Returns:
        The photo, upright, on white where it was transparent, in sRGB.

    Raises:
        ImageError: it cannot be used; the text is meant for the visitor.
    """
    # Hostile files make Pillow raise nearly anything: OSError, SyntaxError, ValueError, KeyError,
    # struct.error, zlib.error, OverflowError, RecursionError, MemoryError, SystemError … None of
    # it helps a visitor, and none of it may end a server's worker.
    name = "picture"
    max_bytes = _most["bytes"] if max_bytes is None else max_bytes
    max_pixels = _most["pixels"] if max_pixels is None else max_pixels
    try:
        if isinstance(source, np.ndarray):
            return _from_image(_from_array(source), "array", max_pixels)
        if isinstance(source, Image.Image):
            return _from_image(source, source.format or "image", max_pixels)
        if isinstance(source, bytes | bytearray | memoryview):
            data = bytes(source)
        else:
            data = read_file(source, max_bytes)
        _check_bytes(len(data), max_bytes)
        name = sniff(data)
        image = open_image(data, name, max_pixels)
        return _from_file(image, name, full, hashlib.sha256(data).hexdigest())
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("This picture needs too much memory. Make it smaller.") from None
    except TooMuchWork:
        raise ImageError(
            "This file is built so that reading it would take too long. Save it again as JPEG."
        ) from None
    except Exception:
        raise ImageError(
            f"This {name} is cut off or damaged. Save it again, or send the original."
        ) from None


def read_file(path: str | os.PathLike, max_bytes: int | None = None) -> bytes:
    """A file's bytes; one more than `max_bytes` (see `limit`) of a larger file.

    Raises:
        ImageError: there is no such file, or it cannot be read.
    """
    if not isinstance(path, str | os.PathLike):
        raise ImageError("A photo must be a path, a file's bytes, an image or an array.")
    name = Path(path).name
    try:
        with open(path, "rb", opener=_open_now) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ImageError(f"“{name}” is not a file.")
            return file.read((_most["bytes"] if max_bytes is None else max_bytes) + 1)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"There is no file “{name}”.") from None
    except (OSError, ValueError):  # ValueError: a null byte in the name
        if Path(path).is_dir():
            raise ImageError(f"“{name}” is a folder, not a file.") from None
        raise ImageError(f"The file “{name}” cannot be read.") from None


def _open_now(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe must not hang a worker


def _check_bytes(size: int, limit: int) -> None:
    if size > limit:
        raise ImageError(
            f"This file is too large; the limit is {limit / MB:.3g} MB. "
            "Make the picture smaller and try again."
        )


def _from_array(array: np.ndarray) -> Image.Image:
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not shaped:
        raise ImageError(
            "An array must hold uint8 values (0 to 255) in the shape [height, width], "
            f"[height, width, 3] or [height, width, 4]; this is {array.dtype} {list(array.shape)}."
        )
    check_size((array.shape[1], array.shape[0]), "picture", array.size)
    return Image.fromarray(np.ascontiguousarray(array))


def _from_image(image: Image.Image, name: str, max_pixels: int) -> Photo:
    check_size(image.size, "picture", max_pixels)
    image.load()
    photo = _finish(image, name, image.size, "")
    pixels = hashlib.sha256(f"RGB {photo.size}".encode())
    for top in range(0, photo.image.height, 256):  # in bands: tobytes copies
        box = (0, top, photo.image.width, min(top + 256, photo.image.height))
        pixels.update(photo.image.crop(box).tobytes())
    return Photo(photo.image, photo.size, name, photo.notes, pixels.hexdigest())


def _from_file(image: Image.Image, name: str, full: bool, digest: str) -> Photo:
    size = image.size
    if name == "JPEG" and not full:
        image.draft(image.mode, (SHORT_SIDE, SHORT_SIDE))  # 1/2, 1/4 or 1/8, by the DCT itself
        image.load()
    else:
        image.load()
        size = image.size  # a TIFF is turned upright by `load`
    return _finish(image, name, size, digest)


def _finish(image: Image.Image, name: str, size: tuple[int, int], digest: str) -> Photo:
    """A loaded image of any mode → Photo; `size` is (width, height) before draft and turning."""
    orientation = _orientation(image)
    notes = []
    if getattr(image, "is_animated", False):
        what = "pages" if name == "TIFF" else "pictures"
        notes.append(
            f"Animated {name}: the first frame is used."
            if name in ("GIF", "WebP", "PNG", "AVIF")
            else f"This {name} holds several {what}: the first is used."
        )
    rgb, more = to_rgb(image)
    notes += more
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        notes.append("Turned upright as the camera recorded it.")
        size = size[::-1] if orientation >= 5 else size
    return Photo(rgb, size, name, tuple(notes), digest)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 … 8; 1 for broken or oversized EXIF, which is no reason to refuse."""
    try:
        if len(image.info.get("exif") or b"") > MAX_EXIF:
            return 1
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1
