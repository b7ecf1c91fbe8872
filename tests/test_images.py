"""Every format and mode gives the exact picture; everything else gives a clear error."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from resnet import images
from resnet.images import ImageError, decode, read_photo

# Pytest resets the filters that `resnet.formats` sets; `test_warnings_do_not_leak` tests them.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

LOSSLESS = ["PNG", "BMP", "TIFF", "PPM", "WEBP"]
LOSSY = ["JPEG", "AVIF"]


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def scene(width: int = 60, height: int = 40) -> np.ndarray:
    """A smooth picture without symmetry, uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / (width - 1), 255 * y / (height - 1)
    blue = 127 + 100 * np.sin(6 * x / width + 9 * y / height)
    return np.stack([red, green, blue], -1).astype(np.uint8)


PIXELS = scene()
PICTURE = Image.fromarray(PIXELS)


def apart(image: Image.Image, pixels: np.ndarray) -> float:
    """Mean absolute difference in levels."""
    return float(np.abs(np.asarray(image, float) - pixels).mean())


def refused(source, **options) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(source, **options)
    text = str(caught.value)
    assert text.endswith(".") and "/" not in text and "Error" not in text and "0x" not in text
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return text


# ---- formats and modes


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_are_exact(format):
    options = {"lossless": True} if format == "WEBP" else {}
    photo = read_photo(saved(PICTURE, format, **options))
    assert photo.image.mode == "RGB" and photo.size == (60, 40) and photo.notes == ()
    assert photo.format == {"PPM": "PNM", "WEBP": "WebP"}.get(format, format)
    assert np.array_equal(photo.image, PIXELS)


@pytest.mark.parametrize("format", LOSSY)
def test_lossy_formats_are_close(format):
    photo = read_photo(saved(PICTURE, format, quality=95))
    assert photo.format == format and photo.size == (60, 40)
    assert apart(photo.image, PIXELS) < 3


def test_heic():
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(PICTURE).save(buffer, quality=95)
    photo = read_photo(buffer.getvalue())
    assert photo.format == "HEIC" and photo.size == (60, 40)
    assert apart(photo.image, PIXELS) < 4
    refused(buffer.getvalue()[:-200])


def test_heic_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    assert "HEIC" in refused(b"\0\0\0\x18ftypheic" + bytes(99))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_compressions(compression):
    assert np.array_equal(decode(saved(PICTURE, "TIFF", compression=compression)), PIXELS)


def test_grey_one_bit_and_palette():
    grey = PICTURE.convert("L")
    assert np.array_equal(decode(saved(grey, "PNG")), np.stack([grey] * 3, -1))
    bits = grey.point(lambda v: 255 * (v > 99)).convert("1")
    assert np.array_equal(decode(saved(bits, "PNG")), bits.convert("RGB"))
    palette = PICTURE.quantize(16)
    for format in ("PNG", "GIF", "BMP"):
        assert np.array_equal(decode(saved(palette, format)), palette.convert("RGB"))


def test_animation_uses_the_first_frame_and_says_so():
    first, second = PICTURE.quantize(16), Image.new("RGB", PICTURE.size, "red").quantize(4)
    photo = read_photo(saved(first, "GIF", save_all=True, append_images=[second]))
    assert photo.notes == ("Animated GIF: the first frame is used.",)
    assert np.array_equal(photo.image, first.convert("RGB"))
    for format in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if format == "WEBP" else {}
        other = Image.new("RGB", PICTURE.size)
        photo = read_photo(saved(PICTURE, format, save_all=True, append_images=[other], **options))
        assert len(photo.notes) == 1 and "first" in photo.notes[0]
        assert np.array_equal(photo.image, PIXELS)


def test_cmyk_with_and_without_adobes_inversion():
    cmyk = Image.new("CMYK", (32, 32), (0, 255, 255, 0))  # full magenta and yellow: red
    assert decode(saved(cmyk, "TIFF")).getpixel((9, 9)) == (255, 0, 0)
    adobe = saved(cmyk, "JPEG", quality=95)  # Pillow writes Adobe's marker and inverts
    assert b"Adobe" in adobe
    red, green, blue = decode(adobe).getpixel((9, 9))
    assert red > 250 and green < 5 and blue < 5


def test_sixteen_bits():
    values = np.array([[0, 257, 25700, 65535]], np.uint16).repeat(3, 0)
    for format in ("PNG", "TIFF"):
        photo = read_photo(saved(Image.fromarray(values), format))
        assert np.asarray(photo.image)[0, :, 0].tolist() == [0, 1, 100, 255]
        assert photo.notes == ("More than 8 bits a channel: scaled to 8.",)
    twelve = Image.fromarray(np.array([[0, 819, 4095]], np.uint16).repeat(2, 0))
    assert np.asarray(decode(saved(twelve, "TIFF")))[0, :, 0].tolist() == [0, 51, 255]


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.array([[0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0, 100.0, 255]], np.float32), [0, 100, 255]),
        (np.array([[-2, 0.0, 2]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, np.inf, 1]], np.float32), [0, 255, 255]),
        (np.array([[7, 7, 7]], np.float32), [7, 7, 7]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 25700, 65535]], np.int32), [0, 100, 255]),
        (np.array([[-10, 0, 10]], np.int32), [0, 128, 255]),
        (np.array([[-10, -10, -10]], np.int32), [0, 0, 0]),
    ],
)
def test_floats_and_wide_integers(values, expected):
    photo = read_photo(saved(Image.fromarray(values.repeat(2, 0)), "TIFF"))
    assert np.asarray(photo.image)[0, :, 0].tolist() == expected


# ---- transparency and colour


def test_alpha_is_shown_on_white():
    clear = read_photo(saved(Image.new("RGBA", (4, 4), (200, 0, 100, 51)), "PNG"))
    assert clear.image.getpixel((0, 0)) == (244, 204, 224)  # 0.2 · colour + 0.8 · 255
    assert clear.notes == ("Transparent parts are shown on white.",)
    grey = read_photo(saved(Image.new("LA", (4, 4), (100, 0)), "PNG"))
    assert grey.image.getpixel((0, 0)) == (255, 255, 255)
    opaque = read_photo(saved(Image.new("RGBA", (4, 4), (1, 2, 3, 255)), "PNG"))
    assert opaque.image.getpixel((0, 0)) == (1, 2, 3) and opaque.notes == ()


def test_palette_and_colour_key_transparency():
    palette = Image.new("P", (4, 2))
    palette.putpalette([9, 8, 7, 1, 2, 3])
    palette.putpixel((1, 0), 1)
    for options in ({"transparency": 0}, {"transparency": b"\0\xff"}):
        image = decode(saved(palette, "PNG", **options))
        assert image.getpixel((0, 0)) == (255, 255, 255) and image.getpixel((1, 0)) == (1, 2, 3)
    assert decode(saved(palette, "GIF", transparency=0)).getpixel((3, 1)) == (255, 255, 255)
    keyed = saved(Image.new("RGB", (2, 2), (5, 6, 7)), "PNG", transparency=(5, 6, 7))
    assert decode(keyed).getpixel((0, 0)) == (255, 255, 255)


def swapped_profile() -> bytes:
    """sRGB's profile with the red and the blue primary exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ").replace(b"tmp_", b"bXYZ")
    at = profile.index("sRGB".encode("utf-16-be"))
    return profile[:at] + "swap".encode("utf-16-be") + profile[at + 8 :]


def test_profiles():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    photo = read_photo(saved(red, "PNG", icc_profile=swapped_profile()))
    r, g, b = photo.image.getpixel((0, 0))
    assert r < 10 and g < 10 and b > 245
    assert photo.notes == ("Colours were converted from the photo's own profile to sRGB.",)

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for harmless in (srgb, b"broken", srgb[:200], bytes(500)):
        photo = read_photo(saved(PICTURE, "PNG", icc_profile=harmless))
        assert np.array_equal(photo.image, PIXELS) and photo.notes == ()
    for mode in ("L", "CMYK"):  # a profile for other channels is ignored
        other = saved(PICTURE.convert(mode), "TIFF", icc_profile=srgb)
        assert apart(decode(other), np.asarray(PICTURE.convert(mode).convert("RGB"))) <= 1


def test_lab():
    lab = ImageCms.profileToProfile(
        PICTURE, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert apart(decode(saved(lab, "TIFF")), PIXELS) < 3


# ---- orientation

UNDO = {  # orientation → how a camera held that way stores the upright picture
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF", "JPEG"])
@pytest.mark.parametrize("orientation", UNDO)
def test_orientations_give_the_same_upright_pixels(format, orientation):
    stored = Image.fromarray(np.ascontiguousarray(UNDO[orientation](PIXELS)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 95}, "JPEG": {"quality": 95}}
    photo = read_photo(saved(stored, format, exif=exif, **options.get(format, {})))
    assert photo.size == photo.image.size == (60, 40)
    if format in LOSSY:
        assert apart(photo.image, PIXELS) < 3
    else:
        assert np.array_equal(photo.image, PIXELS)
    if format != "TIFF":
        assert len(photo.notes) == (orientation != 1)


def test_broken_exif_is_ignored():
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(50), b"junk"):
        assert np.array_equal(decode(saved(PICTURE, "PNG", exif=exif)), PIXELS)


# ---- big pictures


@pytest.fixture(scope="module")
def large() -> bytes:
    """A 12-megapixel JPEG with detail at every scale."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
    smooth = np.asarray(small.resize((4000, 3000), Image.Resampling.BICUBIC), np.int16)
    grain = np.tile(rng.integers(-12, 13, (300, 400, 1), np.int16), (10, 10, 1))
    return saved(Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)), "JPEG")


def test_draft_keeps_the_size_and_the_picture(large):
    photo = read_photo(large)
    assert photo.size == (4000, 3000) and photo.image.size == (1000, 750)
    full = read_photo(large, full=True)
    assert full.size == full.image.size == (4000, 3000)
    small, exact = (
        np.asarray(p.image.resize((341, 256), Image.Resampling.BILINEAR), float)
        for p in (photo, full)
    )
    assert np.abs(small - exact).mean() < 0.5 and np.abs(small - exact).max() < 12


def test_draft_and_orientation(large):
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = saved(decode(large, full=True).resize((2400, 1800)), "JPEG", exif=exif)
    photo = read_photo(sideways)
    assert photo.size == (1800, 2400) and photo.image.size == (900, 1200)


def test_short_sides_are_not_drafted_below_512():
    assert decode(saved(Image.new("RGB", (1600, 1100)), "JPEG")).size == (800, 550)
    assert decode(saved(Image.new("RGB", (1600, 1000)), "JPEG")).size == (1600, 1000)


def test_large_lossless_pictures_are_reduced():
    photo = read_photo(saved(Image.new("L", (6001, 3000), 77), "PNG"))
    assert photo.size == (6001, 3000) and photo.image.size == (3001, 1500)
    assert photo.image.getcolors() == [(3001 * 1500, (77, 77, 77))]


# ---- refusals


def test_caps_come_before_decoding(monkeypatch):
    def load(self):
        raise AssertionError("decoded")

    data = saved(Image.new("RGB", (100, 80)), "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    monkeypatch.setattr("PIL.Image.Image.load", load)
    assert refused(data, max_pixels=7999) == (
        "This PNG has 0.008 million pixels; the limit is 0.008 million. "
        "Make it smaller or save it as JPEG and try again."
    )
    assert "too large" in refused(data, max_bytes=49)
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    huge += struct.pack(">I", zlib.crc32(huge[12:])) + b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
    assert refused(huge).startswith("This PNG has 900 million pixels; the limit is 50 million.")


def test_ribbons_and_large_files():
    assert "1 by 500" in refused(saved(Image.new("RGB", (1, 500)), "PNG"))
    assert decode(saved(Image.new("RGB", (20, 400)), "PNG")).size == (20, 400)
    assert "limit is 20 MB" in refused(b"\xff\xd8\xff" + bytes(20 << 20))


def test_a_server_may_set_other_limits_at_its_start(tmp_path):
    file = tmp_path / "photo.png"
    Image.new("RGB", (100, 80)).save(file)
    length = file.stat().st_size
    try:
        images.limit(max_pixels=7999)
        assert "the limit is 0.008 million" in refused(file)
        assert read_photo(file, max_pixels=8000).size == (100, 80)  # a call's own limit wins
        images.limit(max_pixels=8000, max_bytes=length)
        assert read_photo(file).size == (100, 80)
        images.limit(max_bytes=length - 1)
        assert "This file is too large" in refused(file)
    finally:
        images.limit()
    assert read_photo(file).size == (100, 80)


@pytest.mark.parametrize("format", [*LOSSLESS, *LOSSY, "GIF", "TIFF_LZW", "PROGRESSIVE"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_truncated_files_are_refused(format, share):
    options = {"TIFF_LZW": {"compression": "tiff_lzw"}, "PROGRESSIVE": {"progressive": True}}
    kind = {"TIFF_LZW": "TIFF", "PROGRESSIVE": "JPEG"}.get(format, format)
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8))
    data = saved(noise, kind, **options.get(format, {}))
    text = refused(data[: int(len(data) * share)])
    assert "is cut off or damaged. Save it again, or send the original." in text


@pytest.mark.parametrize(
    "data, word",
    [
        (b"", "empty"),
        (b"hello", "not an image"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<svg></svg>", "SVG"),
        (b"\0\0\0\x20ftypisom", "video"),
        (b"\xff\x0a", "JPEG XL"),
    ],
)
def test_other_files_get_their_own_sentence(data, word):
    assert word in refused(data)


def test_no_error_of_pillow_gets_out(monkeypatch):
    data = saved(PICTURE, "PNG")
    for error in (MemoryError, RecursionError, SystemError, KeyError, AssertionError):

        def load(self, error=error):
            raise error("/secret/path")

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
        assert "secret" not in refused(data)


# ---- sources


def test_every_source_gives_the_same_picture(tmp_path):
    data = saved(PICTURE, "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    photos = [read_photo(s) for s in (data, path, str(path), bytearray(data), PICTURE, PIXELS)]
    assert all(np.array_equal(p.image, PIXELS) and p.size == (60, 40) for p in photos)
    assert len({p.digest for p in photos[:4]}) == 1 and photos[4].digest == photos[5].digest
    assert [p.format for p in photos] == ["PNG"] * 4 + ["image", "array"]
    with Image.open(path) as opened:
        assert np.array_equal(read_photo(opened).image, PIXELS)
    photos[4].image.putpixel((0, 0), (1, 1, 1))
    assert np.array_equal(PICTURE, PIXELS)  # the caller's image is left alone


def test_arrays():
    grey = PIXELS[..., 0]
    assert np.array_equal(read_photo(grey).image, np.stack([grey] * 3, -1))
    clear = np.zeros((4, 4, 4), np.uint8)
    assert read_photo(clear).image.getpixel((0, 0)) == (255, 255, 255)
    assert np.array_equal(read_photo(PIXELS[::-1, ::2]).image, PIXELS[::-1, ::2])
    assert read_photo(PIXELS).digest != read_photo(PIXELS[::-1]).digest
    for bad in (PIXELS / 255, PIXELS[None], PIXELS[..., :2], PIXELS[..., 0, 0], PIXELS > 3):
        assert "uint8" in refused(bad)
    assert "no pixels" in refused(np.zeros((0, 5, 3), np.uint8))
    assert "million" in refused(PIXELS, max_pixels=100)


def test_paths_that_cannot_be_read(tmp_path):
    assert refused(tmp_path / "gone.jpg") == "There is no file “gone.jpg”."
    assert tmp_path.parent.name not in refused(tmp_path)
    refused("nul\0byte.png")
    (tmp_path / "big.png").write_bytes(bytes(100))
    assert "limit" in refused(tmp_path / "big.png", max_bytes=99)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refused(tmp_path / "pipe")


def test_other_sources_are_refused():
    for source in (None, 3, [1, 2]):
        assert "must be a path" in refused(source)


# ---- being one of many


def test_warnings_do_not_leak():
    """In a process of its own, since pytest sets the filters anew for each test."""
    code = (
        "import io, sys; sys.path.insert(0, '.'); from PIL import Image\n"
        "from resnet.images import decode\n"
        "b = io.BytesIO(); e = Image.Exif(); e[0x0112] = 1\n"
        "Image.new('P', (8, 8)).save(b, 'PNG', transparency=b'\\0\\1')\n"
        "d = b.getvalue(); i = d.index(b'IDAT') - 4\n"
        "import zlib; c = b'acTL' + bytes(8)\n"
        "c = bytes([0, 0, 0, 8]) + c + zlib.crc32(c).to_bytes(4, 'big')\n"
        "assert decode(d[:i] + c + d[i:]).size == (8, 8)\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_many_threads_decode_at_once():
    files = [saved(PICTURE, format) for format in ("PNG", "BMP", "TIFF", "PPM")] * 4
    wrong = []

    def read(data):
        for _ in range(5):
            if not np.array_equal(decode(data), PIXELS):
                wrong.append(data)

    threads = [threading.Thread(target=read, args=[data]) for data in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
