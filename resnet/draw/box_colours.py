"""One colour per class: the same in every photo, detector and session."""

from __future__ import annotations

from zlib import crc32

# Twelve colours, found by a search of the sRGB gamut for the largest least distance between any
# two as seen with normal vision, protanopia, deuteranopia and tritanopia (simulated after Machado,
# Oliveira & Fernandes 2009, distances in OKLab); tests/test_draw_boxes.py measures them.  COCO's
# classes are dealt out so that those that stand together in photos rarely share a colour.
CLASSES = {
    "#eb9a04": "person, zebra, toaster",
    "#72c298": "chair, skis, traffic light, apple, toothbrush",
    "#2f12d6": "car, bowl, laptop, giraffe, bear, hair drier",
    "#6f388c": "handbag, baseball glove, pizza, cake, frisbee, bed, vase",
    "#9961fc": "bicycle, dining table, sports ball, kite, keyboard, toilet, microwave",
    "#6cf6fd": "dog, cup, bus, baseball bat, snowboard, elephant",
    "#d35985": "bottle, skateboard, cow, suitcase, donut, carrot, scissors",
    "#892312": "backpack, tv, wine glass, oven, sheep, sandwich, parking meter",
    "#cfef46": "cell phone, motorcycle, surfboard, potted plant, clock, orange, broccoli",
    "#4d7e32": "bird, umbrella, airplane, train, tennis racket, book, spoon, refrigerator, "
    "fire hydrant",
    "#c8a4f6": "cat, bench, boat, remote, knife, banana, hot dog, stop sign",
    "#4a91bf": "truck, couch, horse, tie, fork, sink, teddy bear, mouse",
}
PALETTE = tuple(CLASSES)
# Detectors that learned from Pascal VOC's list or from older COCO files say the same otherwise.
ALIASES = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "tvmonitor": "tv",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "hair dryer": "hair drier",
}
_COLOUR = {name: colour for colour, names in CLASSES.items() for name in names.split(", ")}
BLACK, WHITE = "#000000", "#ffffff"


def colour_of(name: str) -> str:
    """Class name -> "#rrggbb"; depends on nothing but the name (its case does not matter)."""
    plain = " ".join(name.casefold().replace("_", " ").split())
    plain = ALIASES.get(plain, plain)
    return _COLOUR.get(plain) or PALETTE[crc32(plain.encode()) % len(PALETTE)]


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on the colour; also the halo beside its lines."""
    return max(BLACK, WHITE, key=lambda ink: contrast(colour, ink))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two "#rrggbb" colours, 1..21 (WCAG 2.2, "contrast ratio")."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb", 0..1 (WCAG 2.2, "relative luminance")."""
    shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
