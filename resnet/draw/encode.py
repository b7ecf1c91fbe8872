"""Pictures as text that a page can hold, so that no file of a visitor's photo is left anywhere."""

from __future__ import annotations

import base64
import io

from PIL import Image


def encode(image: Image.Image, kind: str = "JPEG", quality: int = 85) -> bytes:
    """RGB image -> bytes of a JPEG or PNG file (PNG ignores the quality)."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def data_uri(data: bytes, mime: str) -> str:
    """Bytes -> `data:` address."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def image_uri(image: Image.Image, kind: str = "JPEG", quality: int = 85) -> str:
    """RGB image -> `data:` address of a JPEG or PNG."""
    return data_uri(encode(image, kind, quality), f"image/{kind.lower()}")


def shrink(image: Image.Image, longest: int) -> Image.Image:
    """A copy whose longer side is at most `longest` pixels; never enlarged."""
    ratio = longest / max(image.size)
    if ratio >= 1:
        return image
    width, height = (max(1, round(side * ratio)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
