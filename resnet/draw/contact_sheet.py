"""Several pictures on one sheet, in rows of one height, each with a small caption."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from resnet.draw.box_labels import font

GROUND, INK = "#ffffff", "#334155"
LETTERS = 13  # pixels on a sheet of SHEET pixels
SHEET = 1200


def contact_sheet(
    images: Sequence[Image.Image], columns: int, width: int, captions: Sequence[str] = ()
) -> Image.Image:
    """Pictures of any shape in full rows, RGB on white.

    Each row holds `columns` pictures, scaled to one height so that the row is as wide as the
    sheet; a last row with fewer keeps the height of the row before it.

    Args:
        images: RGB, at least one.
        columns: pictures in a row, at least 1.
        width: of the sheet, pixels.
        captions: one for each image, or none at all.

    Raises:
        ValueError: no image, no column, or captions that do not fit the images.
    """
    if not images or columns < 1 or (captions and len(captions) != len(images)):
        raise ValueError("a sheet needs images, columns, and a caption for each image or none")
    gap = max(4, round(width / 100))
    letters = max(10, round(LETTERS * width / SHEET))
    strip = 2 * letters if captions else 0
    rows = [
        list(range(at, min(at + columns, len(images)))) for at in range(0, len(images), columns)
    ]
    heights: list[int] = []
    for row in rows:
        shapes = [images[at].width / images[at].height for at in row]
        full = (width - gap * (len(row) + 1)) / sum(shapes)
        if len(row) < columns:
            full = min(full, heights[-1] if heights else full * len(row) / columns)
        heights.append(max(1, int(full)))
    height = gap + sum(one + strip + gap for one in heights)
    sheet = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(sheet)
    y = gap
    for row, high in zip(rows, heights, strict=True):
        x = float(gap)
        for place, at in enumerate(row):
            wide = images[at].width * high / images[at].height
            end = round(x + wide)
            if place == columns - 1:
                end = width - gap  # rounding must not leave a ragged edge
            left = round(x)
            picture = images[at].convert("RGB")
            room = (max(1, end - left), high)
            sheet.paste(picture.resize(room, Image.Resampling.LANCZOS), (left, y))
            if captions:
                words = clipped(captions[at], end - left, letters)
                pen.text((left, y + high + 0.5 * letters), words, INK, font("", letters))
            x += wide + gap
        y += high + strip + gap
    return sheet


def with_caption(image: Image.Image, caption: str, letters: float) -> Image.Image:
    """The image with a line of text under it on white; a text too long ends in an ellipsis."""
    size = max(9, round(letters))
    strip = round(2.2 * size)
    whole = Image.new("RGB", (image.width, image.height + strip), GROUND)
    whole.paste(image, (0, 0))
    margin = round(0.7 * size)
    words = clipped(caption, image.width - 2 * margin, size)
    place = (margin, image.height + strip / 2)
    ImageDraw.Draw(whole).text(place, words, INK, font("", size), anchor="lm")
    return whole


def clipped(text: str, room: float, letters: int) -> str:
    """As much of a line as fits into `room` pixels, with an ellipsis if any is missing."""
    text = " ".join(text.split())
    if font("", letters).getlength(text) <= room:
        return text
    while text and font("", letters).getlength(text + "…") > room:
        text = text[:-1].rstrip()
    return text + "…"
