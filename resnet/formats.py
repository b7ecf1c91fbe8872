"""Untrusted bytes → an opened, not yet decoded Pillow image of an allowed format, or a clear error.

The format is read from the first bytes and the one plugin for it is called by name. `Image.open`
is not used: it tries every plugin that anyone registered, among them those that start another
program (EPS calls Ghostscript), and it only warns about sizes that we want to refuse.

Left out on purpose: EPS, PS and PDF (start programs), SVG (a program in itself), TGA (has no
signature, any bytes may be one), ICO and ICNS (containers, not photos), JPEG 2000 (OpenJPEG takes
more than 12 bytes a pixel and seconds for a hostile file) and all of Pillow's rare formats.
"""

import io
import re
import warnings
from collections.abc import Callable

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

# Set once, for the whole process: Pillow warns about odd metadata that a visitor cannot act upon.
# `warnings.catch_warnings` around each call would be neater, but it is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")

MB = 1 << 20

# What decoding one pixel costs at its peak, in bytes, measured (resident memory over the file's
# own bytes). Pillow keeps RGB in 4 bytes. TIFF adds libtiff's buffer, which for a one-strip file
# is the whole picture, 16 bits deep or more. WebP, AVIF and HEIC hold planes, canvas, a copy of it
# as Python bytes, and the image. Only JPEG can be shrunk while it is decoded.
BYTES_PER_PIXEL = {
    "JPEG": 4, "PNG": 4, "GIF": 4, "BMP": 4, "PNM": 4, "TIFF": 12, "WebP": 18, "AVIF": 16,
    "HEIC": 9.5,
}  # fmt: skip
DECODE_MEMORY = 224 * MB  # with the file (20 MB) and the result it stays under 300 MB

SLOW_PIXELS = 1_000_000  # for what Pillow decodes in Python, at about a million pixels a second
MAX_SCANS = 100  # of one progressive JPEG; encoders write about 10, each costs a pass over the data
MAX_SCAN_PIXELS = 1_000_000_000  # scans times pixels; 50 MP in 10 scans are half of it
MAX_EXIF = 1 << 16  # bytes; a JPEG segment cannot hold more

MAX_TILES = 100_000  # strips or tiles of a TIFF, each a Python object and a decoder
HEADER_READS, LOAD_READS = 10_000, 400_000  # honest files need hundreds; about a second at most

READABLE = "Use JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF."
UNREADABLE = f"This file is not an image this app can read. {READABLE}"


class ImageError(ValueError):
    """A photo that cannot be used; `str(e)` tells the visitor what is wrong and what to do."""


class TooMuchWork(RuntimeError):
    """A file asks for far more reads than any honest file of its format."""


class MeteredReader(io.BytesIO):
    """Bytes that may be read only so often.

    Pillow walks chunks, segments and directories in Python. 20 MB of empty ones keep it busy for
    minutes (GIF comments are joined in quadratic time), and a TIFF directory may point 65,535
    times at the same megabyte. Each step costs a read, so counting reads and bytes bounds all.
    """

    reads_left = HEADER_READS
    bytes_left = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.reads_left -= 1
        self.bytes_left -= len(data)
        if self.reads_left < 0 or self.bytes_left < 0:
            raise TooMuchWork
        return data


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG whose oversized EXIF is ignored; Pillow parses it while it opens the file.

    The plain class is used rather than Pillow's factory, so an MPO is its first picture.
    """

    def getexif(self) -> Image.Exif:
        return super().getexif() if len(self.info.get("exif", b"")) <= MAX_EXIF else Image.Exif()


def _open_heif(reader: io.BytesIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif.as_plugin import HeifImageFile  # optional, and slow to import
    except ImportError:
        raise ImageError(f"HEIC photos cannot be read here. {READABLE}") from None
    return HeifImageFile(reader)


_OPEN: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": _Jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "PNM": PpmImagePlugin.PpmImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIC": _open_heif,
}

_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "PNM": rb"P[1-6][\s#]",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "WebP": rb"RIFF....WEBP",
    "AVIF": rb"....ftyp(?=.{0,40}avi[fs])",
    "HEIC": rb"....ftyp(?=hei[cxms]|mif1|msf1)",
}

_REFUSED = {
    rb"%PDF": "This is a PDF, not a photo. Save the page as JPEG or PNG and try again.",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript files are not read here. Save it as JPEG or PNG.",
    rb"(?:\xef\xbb\xbf)?\s*<(?=.{0,1000}<svg|svg)":
        "This is a drawing (SVG), not a photo. Export it as PNG and try again.",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": f"JPEG 2000 is not read here. {READABLE}",
    rb"\xff\x0a|\0\0\0\x0cJXL ": f"JPEG XL is not read here. {READABLE}",
    rb"....ftyp": "This looks like a video. Send a single picture from it instead.",
}  # fmt: skip


def sniff(data: bytes) -> str:
    """Name the format of `data` by its first bytes.

    Raises:
        ImageError: no allowed format.
    """
    if not data:
        raise ImageError("This file is empty. Choose another one.")
    head = data[:1100]
    for name, pattern in _SIGNATURES.items():
        if re.match(pattern, head, re.DOTALL):
            return name
    for pattern, sentence in _REFUSED.items():
        if re.match(pattern, head, re.DOTALL):
            raise ImageError(sentence)
    raise ImageError(UNREADABLE)


def open_image(data: bytes, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Open `data` without decoding it, and refuse it if decoding would cost too much.

    Args:
        data: the whole file.
        name: its format, as `sniff` says.
        max_pixels: the most pixels for any format; some have a lower limit of their own.

    Returns:
        The lazy image, ready for `load`.

    Raises:
        ImageError: too large, or no pixels.
        TooMuchWork: made to be slow or to take much memory.
        Exception: whatever Pillow raises for a broken file; the caller turns it into a sentence.
    """
    if name == "AVIF" and _greedy_exif(data):
        raise TooMuchWork
    reader = MeteredReader(data)
    # A TIFF header may read the same bytes again and again and keep every copy.
    reader.bytes_left = 3 * MB if name == "TIFF" else len(data) + MB
    image = _OPEN[name](reader)
    if len(image.tile) > MAX_TILES:
        raise TooMuchWork
    reader.reads_left = LOAD_READS
    reader.bytes_left = 2 * len(data) + 16 * MB
    check_size(image.size, name, min(max_pixels, _format_limit(image, name, data)))
    return image


def check_size(size: tuple[int, int], name: str, limit: int) -> None:
    """Raise ImageError unless `size` (width, height) is positive, within `limit` and not a ribbon.

    The classifier scales the shorter side to 256, so a ribbon would become a huge picture there.
    """
    short, long = sorted(size)
    if short < 1:
        raise ImageError("This picture has no pixels. Choose another one.")
    if short * long > limit:
        other = "" if name in ("JPEG", "picture") else " or save it as JPEG"
        raise ImageError(
            f"This {name} has {_millions(short * long)} million pixels; the limit is "
            f"{_millions(limit)} million. Make it smaller{other} and try again."
        )
    if long > 20 * short:
        raise ImageError(
            f"This picture is {size[0]} by {size[1]} pixels, too long and thin to look at. "
            "Cut out a part of it."
        )


def _millions(pixels: int) -> str:
    if pixels > 1e9:
        return "over 1,000"
    return f"{pixels / 1e6:.0f}" if pixels >= 9.95e6 else f"{pixels / 1e6:.2g}"


def _format_limit(image: ImageFile.ImageFile, name: str, data: bytes) -> int:
    """The most pixels that this file's format and way of coding allow."""
    per_pixel = BYTES_PER_PIXEL[name]
    if name == "JPEG" and image.info.get("progressive"):
        per_pixel = 2 * len(image.getbands()) + 1  # libjpeg holds all coefficients, 2 bytes each
        # Markers cannot occur inside the coded data, so this counts scans (and a thumbnail's).
        scans = data.count(b"\xff\xda")
        pixels = image.size[0] * image.size[1]
        if scans > MAX_SCANS or scans * pixels > MAX_SCAN_PIXELS:
            raise TooMuchWork
    if name == "HEIC" and image.info.get("bit_depth") != 8:
        per_pixel = 16
    if any(tile[0] in Image.DECODERS for tile in image.tile):  # a decoder written in Python
        return SLOW_PIXELS
    return int(DECODE_MEMORY / per_pixel)


def _greedy_exif(data: bytes) -> bool:
    """Whether an EXIF directory in `data` asks for far more bytes than a real one.

    Pillow's AVIF plugin parses EXIF of any length while it opens the file and keeps a copy of
    every entry's bytes; 65,000 entries may share one megabyte.
    """
    for match in re.finditer(rb"II\*\0|MM\0\*", data):
        order = "little" if match.group() == b"II*\0" else "big"

        def number(at: int, size: int, order=order) -> int:
            return int.from_bytes(data[at : at + size], order)

        start = match.start()
        first = start + number(start + 4, 4)
        room, total = len(data) - start, 0
        for i in range(number(first, 2)):
            count = number(first + 2 + 12 * i + 4, 4)
            total += count if count <= room else 0
        if total > 4 * MB:
            return True
    return False
