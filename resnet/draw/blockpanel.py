"""One block as an equation of pictures: shortcut + branch = sum, and what the ReLU lets through.

All four share one colour scale.  Below them the evidence of both wires and their sum share another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from resnet.draw.encode import image_uri
from resnet.draw.overlay import SIGNED_MAP, palette
from resnet.draw.wiring_marks import number

SIDE = 224  # pixels of a smooth picture: what the network saw, enough for a quarter of a page
SIZE_MAP = "magma"  # where nothing is negative
OPACITY = 0.8
FAINT = 0.05  # of the limit: below it a map looks blank, but is not

SCALES = {
    "local": "the largest value in this block",
    "stage": "the largest value in this stage",
    "global": "the largest value in all blocks",
}
_TITLES = {
    "shortcut": ("shortcut", "S"),
    "branch": ("branch", "F"),
    "sum": ("sum", "S + F"),
    "output": ("output", "relu(S + F)"),
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNS = {"branch": "+", "sum": "=", "output": "→"}


@dataclass(frozen=True)
class WireCams:
    """A block's evidence for a class, as `BlockEvidence` has it; in logits."""

    label: str  # of the class
    shortcut: np.ndarray  # float [h, w]
    branch: np.ndarray  # float [h, w]
    totals: tuple[float, float, float]  # <Gm, S>, <Gm, F>, <G, H>


@dataclass(frozen=True)
class Look:
    """How the pictures are painted.

    Args:
        opacity: of the maps over the photo, 0..1; 1 shows them bare.
        raw: the bare cells of the block's grid instead of a smooth picture.
    """

    opacity: float = OPACITY
    raw: bool = False


def blockpanel_html(
    photo_crop: Image.Image,
    maps: Mapping[str, np.ndarray],
    limit: float,
    signed: bool,
    *,
    heading: str = "",
    sentence: str = "",
    note: str = "",
    scale: str = SCALES["local"],
    adds: bool = True,
    gains: tuple[float, float] = (1.0, 1.0),
    cams: WireCams | None = None,
    look: Look | None = None,
) -> str:
    """The panel of one block.

    Args:
        photo_crop: RGB, what the network saw.
        maps: "shortcut", "branch", "sum", "output": float [h, w], as `BlockMaps.pictures`.
        limit: the magnitude of the strongest colour; values beyond it are clipped.
        signed: diverging colours from -limit to limit, else one-sided from 0.
        heading: plain text, for instance "Block 3.2 · identity shortcut · 14 × 14".
        sentence: the block's numbers in words, see `block_sentence`.
        note: what a position's value is, see `map_note`.
        scale: what `limit` is, in words.
        adds: whether the pictures add up point by point (RMS does not; its signs are dimmed).
        gains: of shortcut and branch; other than 1 they stand in the titles.
        cams: the evidence of both wires; None leaves that row out.
    """
    look = look or Look()
    parts = [f'<h3 class="bp-heading">{_text(heading)}</h3>'] if heading else []
    parts += [f'<p class="bp-sentence">{_text(sentence)}</p>'] if sentence else []
    apart = "" if adds else " apart"
    parts.append(
        f'<div class="bp-row{apart}" role="group" '
        'aria-label="Shortcut plus branch is the sum; its ReLU is the output">'
    )
    for name, gain in zip(_TITLES, (*gains, 1.0, 1.0), strict=True):
        parts += [_sign(_SIGNS[name])] if name in _SIGNS else []
        word, symbol = _TITLES[name]
        turned = "" if gain == 1 else "cut" if gain == 0 else f"× {number(gain)}"
        parts.append(_tile(word, symbol, maps[name], limit, signed, look, turned))
    parts.append("</div>")
    words = f"Full colour: {scale}."
    parts.append(_foot(_legend(limit, signed), f"{words} {note}".strip()))
    if cams is not None:
        parts += _cam_row(cams, look)
    # One copy of the photo for all pictures.  Grey, so that colour means the map and nothing else.
    photo = image_uri(photo_crop.convert("L").convert("RGB"))
    style = f"--bp-photo:url({photo});--bp-opacity:{min(max(look.opacity, 0.0), 1.0):g}"
    return f'<section class="blockpanel" style="{style}">{"".join(parts)}</section>'


def map_note(
    how: str, count: int, channels: Sequence[int] = (), share: float | None = None, label: str = ""
) -> str:
    """What one position of the pictures is, in words; the fields are those of `BlockMaps`.

    Args:
        label: of the class, for "class".
    """
    apart = "The ReLU acts in each channel before the mean is taken."
    if how == "mean":
        return f"Each point is the mean over all {count} channels, sign kept. {apart}"
    if how == "rms":
        return (
            f"Each point is the root mean square over all {count} channels: size without sign. "
            "The signals add up; these pictures of their size do not."
        )
    if how == "channel":
        return f"Channel {channels[0]} of {count} (counted from 0) alone."
    names = ", ".join(str(channel) for channel in channels)
    part = "" if share is None else f", {100 * share:.0f} % of the total in size"
    return (
        f"Each point is the mean over the {len(channels)} of {count} channels with the most "
        f"evidence for or against “{label}”{part}: {names}. {apart}"
    )


def _cam_row(cams: WireCams, look: Look) -> list[str]:
    total = cams.shortcut + cams.branch
    limit = max(float(np.abs(values).max()) for values in (cams.shortcut, cams.branch, total))
    rows = (
        ("shortcut", cams.shortcut, cams.totals[0]),
        ("branch", cams.branch, cams.totals[1]),
        ("sum", total, cams.totals[0] + cams.totals[1]),
    )
    what = f"Where each wire carries evidence for “{cams.label}”"
    parts = [
        f'<h4 class="bp-heading">{_text(what)}</h4>'
        f'<div class="bp-row three" role="group" aria-label="{escape(what, quote=True)}">'
    ]
    for sign, (word, values, amount) in zip(("", "+", "="), rows, strict=True):
        parts += [_sign(sign)] if sign else []
        parts.append(_tile(word, _signed(amount), values, limit, True, look))
    whole = cams.totals[2]
    error = abs(cams.totals[0] + cams.totals[1] - whole)
    parts.append(
        '<div class="bp-words">'
        f"{_legend(limit, True, ('against', 'for'))}"
        "<p>Gradient × activation, split between the two wires at their addition, in logits; one "
        "scale for the three. Dropping one wire’s evidence is not the same as cutting the wire.</p>"
        f'<p class="bp-invariant">adds to ⟨G,\u00a0H⟩\u00a0=\u00a0{_signed(whole)}: '
        f"error\u00a0{_power(error)}</p></div></div>"
    )
    return parts


def _tile(
    word: str,
    symbol: str,
    values: np.ndarray,
    limit: float,
    signed: bool,
    look: Look,
    turned: str = "",
) -> str:
    low, high = float(values.min()), float(values.max())
    span = f"{_rounded(low, limit)} to {_rounded(high, limit)}"
    if values.any():
        alt = f"Map of the {word}, from {span}"
        uri = image_uri(_paint(values, limit, signed, look.raw), "PNG")
        kind = "bp-map raw" if look.raw else "bp-map"
        inside = f'<img class="{kind}" src="{uri}" alt="{escape(alt, quote=True)}">'
        if max(abs(low), abs(high)) < FAINT * limit:
            span += " · faint"
    else:
        span, inside = "0", '<span class="bp-blank">blank: all zero</span>'
    mark = f' <span class="bp-turned">{escape(turned)}</span>' if turned else ""
    return (
        f'<figure class="bp-tile"><figcaption>{escape(word)} <b>{escape(symbol)}</b>{mark}'
        f'</figcaption><div class="bp-frame">{inside}</div>'
        f'<div class="bp-span">{span}</div></figure>'
    )


def painted(
    photo: Image.Image, values: np.ndarray, limit: float, signed: bool, raw: bool = False
) -> Image.Image:
    """One map over the photo as the panel shows it, RGB of the photo's size.

    Args:
        photo: RGB, grey.
        values, limit, signed, raw: as in `blockpanel_html`.
    """
    how = Image.Resampling.NEAREST if raw else Image.Resampling.BILINEAR
    layer = _paint(values, limit, signed, raw).convert("RGB").resize(photo.size, how)
    return Image.blend(photo, layer, OPACITY)


def _paint(values: np.ndarray, limit: float, signed: bool, raw: bool) -> Image.Image:
    """Of the grid's own size if raw, else smooth: interpolated as values, not as colours."""
    # With gains above 1 half precision can overflow; such a point gets the strongest colour.
    scaled = np.nan_to_num(np.asarray(values, np.float32) / (limit or 1.0), posinf=1, neginf=-1)
    if not raw:
        grid = Image.fromarray(scaled.astype(np.float32))
        scaled = np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    unit = (scaled + 1) / 2 if signed else scaled
    picture = Image.fromarray((np.clip(unit, 0, 1) * 255).round().astype(np.uint8))
    # Indexed, not RGB: a third of the bytes, and seven pictures come at every click.
    picture.putpalette(palette(SIGNED_MAP if signed else SIZE_MAP).tobytes())
    return picture


def _sign(sign: str) -> str:
    name = '<span class="bp-relu">relu</span>' if sign == "→" else ""
    return f'<div class="bp-sign" aria-hidden="true">{name}{sign}</div>'


def _foot(legend: str, words: str) -> str:
    return f'<div class="bp-foot">{legend}<p>{_text(words)}</p></div>'


def _legend(limit: float, signed: bool, ends: tuple[str, str] = ("", "")) -> str:
    colours = palette(SIGNED_MAP if signed else SIZE_MAP)
    stops = ",".join(f"#{bytes(colours[i]).hex()}" for i in range(0, 256, 17))
    low, high = (f"−{number(limit)}", f"+{number(limit)}") if signed else ("0", number(limit))
    low, high = f"{ends[0]} {low}".strip(), f"{high} {ends[1]}".strip()
    zero = '<span class="bp-zero">0</span>' if signed else ""
    return (
        f'<div class="bp-legend"><span>{low}</span><span class="bp-ramp" '
        f'style="--bp-stops:linear-gradient(90deg,{stops})">{zero}</span><span>{high}</span></div>'
    )


def _rounded(value: float, limit: float) -> str:
    """As many decimals as the scale bears, so that numbers below one another compare."""
    if not 0.01 <= limit < 1000:
        return number(value)
    text = f"{value:.{3 if limit < 1 else 2 if limit < 10 else 1}f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def _power(value: float) -> str:
    """An error's order of magnitude: 2·10⁻⁸."""
    if value == 0:
        return "0"
    digit, exponent = f"{value:.0e}".split("e")
    return f"{digit}·10{str(int(exponent)).translate(_RAISED)}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _text(words: str) -> str:
    """Escaped, and numbers stay with their units when the line breaks."""
    return escape(words).replace(" %", "\u00a0%").replace(" × ", "\u00a0×\u00a0")
