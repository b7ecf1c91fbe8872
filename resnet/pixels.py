"""A decoded image of any mode → 8-bit RGB in sRGB, on white, in bands of rows to bound memory."""

import io

import numpy as np
from PIL import Image, ImageCms

from resnet.formats import DECODE_MEMORY, MB

MAX_SIDE = 4096  # longer side kept; the network looks at 224 to 1,333 pixels
SHORT_SIDE = 512  # never shrunk below: twice what the classifier sees
MAX_PROFILE = 4 * MB
_BAND = 1 << 18  # pixels handled at once after decoding
_WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def to_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Any mode → RGB in sRGB on white, band by band; see `_shrink` for its size."""
    width, height = image.size
    factor = _shrink(width, height)
    rows = factor * max(1, _BAND // (width * factor))
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    notes = []

    levels = _levels(image, boxes) if image.mode in _WIDE else None
    transform, source = _to_srgb(image)
    rgb = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    transparent = False
    for box in boxes:
        band = image.crop(box)
        if levels:
            band = _eight_bit(band, *levels)
        elif band.has_transparency_data:
            band, any_clear = _on_white(band)
            transparent |= any_clear
        elif band.mode not in ("L", "RGB", "CMYK", "LAB"):
            band = band.convert("L" if band.mode == "1" else "RGB")
        band = band.reduce(factor) if factor > 1 else band
        if transform:
            # Not in place, so it is an image and never None.
            band = ImageCms.applyTransform(band.convert(source), transform)  # type: ignore[assignment]
        rgb.paste(band.convert("RGB"), (0, box[1] // factor))

    if levels and levels[2]:
        notes.append("More than 8 bits a channel: scaled to 8.")
    if transparent:
        notes.append("Transparent parts are shown on white.")
    if transform and source != "LAB":
        notes.append("Colours were converted from the photo's own profile to sRGB.")
    return rgb, notes


def _shrink(width: int, height: int) -> int:
    """By which whole number to shrink so that the result fits beside the decoded picture.

    Both take 4 bytes a pixel, and the result is held twice while it is turned upright.
    """
    factor, most = 1, max(1, min(width, height) // SHORT_SIDE)
    while factor < most and (
        max(width, height) > factor * MAX_SIDE
        or 4 * width * height * (1 + 2 / factor**2) > DECODE_MEMORY
    ):
        factor += 1
    return factor


def _on_white(band: Image.Image) -> tuple[Image.Image, bool]:
    """A band with alpha → RGB on white, and whether any of it was see-through."""
    if band.mode == "La":
        band = band.convert("LA")
    band = band.convert("RGBA")
    alpha = band.getchannel("A")
    white = Image.new("RGB", band.size, "white")
    white.paste(band.convert("RGB"), mask=alpha)
    lowest, _ = alpha.getextrema()
    return white, lowest < 255  # type: ignore[operator]  # one band: a pair of ints


def _levels(image: Image.Image, boxes: list) -> tuple[float, float, bool]:
    """(black, white) of a wide mode, and whether values are rescaled.

    Files seldom say where white is, so the smallest of the usual ranges that holds all values is
    taken (1 for floats, 255, 65535), else their own range. 16 bits span 0 … 65535, or 0 … 4095
    where nothing is brighter: that is a 12-bit sensor's picture in 16-bit words.
    """
    whites: tuple[float, ...] = (255.0, 65535.0)
    if image.mode.startswith("I;16"):
        whites = (4095.0, 65535.0)
    elif image.mode == "F":
        whites = (1.0, 255.0, 65535.0)
    lo, hi = np.inf, -np.inf
    for box in boxes:
        values = np.asarray(image.crop(box), np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            lo, hi = min(lo, values.min()), max(hi, values.max())
    if hi < lo:
        return 0.0, 1.0, True  # nothing finite: black
    for white in whites:
        if lo >= 0 and hi <= white:
            return 0.0, white, white != 255
    return lo, max(hi, np.nextafter(lo, np.inf)), True


def _eight_bit(band: Image.Image, black: float, white: float, _rescaled: bool) -> Image.Image:
    values = np.nan_to_num(np.asarray(band, np.float64), nan=black, posinf=white, neginf=black)
    scaled = (values - black) * (255 / (white - black))
    return Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The transform from the image's own colours to sRGB and the mode it takes, or (None, "").

    A broken or mismatched profile is ignored: the picture without it is still the picture.
    """
    profile_bytes = image.info.get("icc_profile") or b""
    try:
        if image.mode == "LAB":
            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
            source = "LAB"
        elif profile_bytes and len(profile_bytes) <= MAX_PROFILE:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
            grey, cmyk = image.mode in ("1", "L", "LA", "La", *_WIDE), image.mode == "CMYK"
            space = profile.profile.xcolor_space.strip()
            source = {"RGB": "" if cmyk else "RGB", "GRAY": "L" if grey else "",
                      "CMYK": "CMYK" if cmyk else ""}.get(space, "")  # fmt: skip
            if not source or ImageCms.getProfileDescription(profile).startswith("sRGB"):
                return None, ""
        else:
            return None, ""
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(profile, srgb, source, "RGB"), source
    except Exception:
        return None, ""
