"""What the tab *Detect* shows: boxes on the photo, the table, words about the detector."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

from PIL import Image

from resnet.compare.base import listed
from resnet.detections import Detections
from resnet.detectors.catalogue import DetectorInfo
from resnet.draw.answers import percent
from resnet.draw.box_colours import colour_of
from resnet.draw.boxes import boxes_figure

EMPTY = (
    '<div class="empty"><p class="empty-title">Which things are in the photo, and where?</p>'
    "<p>Pick an example, or drop a photo here. The boxes appear on it.</p></div>"
)


def plural(count: int, noun: str) -> str:
    """1 cat, 2 cats, 3 people, 2 sheep."""
    if count == 1:
        return f"1 {noun}"
    irregular = {"person": "people", "mouse": "mice", "knife": "knives", "sheep": "sheep"}
    if noun in irregular:
        return f"{count} {irregular[noun]}"
    ending = "es" if noun.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{count} {noun}" if noun.endswith(("skis", "scissors")) else f"{count} {noun}{ending}"


def listed_things(found: Detections) -> str:
    """1 cat and 2 dogs; "nothing" for none."""
    kinds = [plural(count, name) for name, count in found.counts.items()]
    return listed(kinds) if kinds else "nothing"


def sentence(found: Detections, everything: Detections, score: float) -> str:
    """What was found, in words; an empty answer says what waits below the threshold."""
    if len(found):
        kinds = listed_things(found)
        return f"{kinds}." if len(found.counts) == 1 else f"{len(found)} things: {kinds}."
    if not len(everything):
        return "Nothing that this detector knows is in sight. Other photos, other luck."
    best = float(everything.scores[0])
    return (
        f"No box scores {percent(score)} or more. The best guess is a "
        f"{everything.label_names[0]} at {percent(best)}: lower the threshold to see it."
    )


def view_html(
    image: Image.Image,
    shown: Sequence[Detections],
    titles: Sequence[str],
    selected: int,
    words: str,
) -> str:
    """One photo with boxes and its table, or two detectors side by side with their counts.

    Args:
        image: the upright photo, any size.
        shown: what each detector reports at the threshold; the first one's boxes can be chosen.
        titles: a detector's name over each.
        selected: `index` of the chosen detection of the first, -1 for none.
        words: the sentence above the table.
    """
    figures = [
        _figure(image, found, title, selected if first else -1, choose=first)
        for first, found, title in zip((True, False), shown, titles, strict=False)
    ]
    table = _table(shown[0], selected) if len(shown) == 1 else counts_html(shown, titles)
    side = f'<aside><p class="found" role="status">{escape(words)}</p>{table}</aside>'
    kind = "detections" if len(shown) == 1 else "detections two"
    return f'<div class="{kind}">{"".join(figures)}{side}</div>'


def _figure(image: Image.Image, found: Detections, title: str, selected: int, choose: bool) -> str:
    drawn = boxes_figure(
        image,
        found.boxes_on(image.size),  # the decoded photo may be smaller
        found.label_names,
        found.scores.tolist(),
        title,
        ids=found.index.tolist(),
        selected=selected if choose else None,
        masks=found.masks,
    )
    return f'<div class="{"choose" if choose else "beside"}">{drawn}</div>'


def _table(found: Detections, selected: int) -> str:
    if not len(found):
        return ""
    rows = []
    for index, name, score, box in zip(
        found.index.tolist(), found.label_names, found.scores, found.boxes, strict=True
    ):
        x0, y0, x1, y1 = (float(edge) for edge in box)
        share = (x1 - x0) * (y1 - y0) / (found.size[0] * found.size[1])
        pressed = ' aria-selected="true"' if index == selected else ""
        rows.append(
            f'<tr data-index="{index}" tabindex="0"{pressed}>'
            f'<td data-value="{escape(name, quote=True)}"><span class="swatch" '
            f'style="background:{colour_of(name)}"></span>{escape(name)}</td>'
            f'<td data-value="{score:.6f}">{percent(float(score))}</td>'
            f'<td data-value="{share:.6f}">{percent(share)}</td>'
            f'<td class="where" data-value="{x0:.1f}">{x0:.0f}, {y0:.0f} – {x1:.0f}, {y1:.0f}</td>'
            "</tr>"
        )
    heads = [
        ("thing", "none"), ("score", "descending"), ("of photo", "none"), ("box, pixels", "none"),
    ]  # fmt: skip
    head = "".join(
        f'<th scope="col" aria-sort="{order}"><button type="button">{name}</button></th>'
        for name, order in heads
    )
    return (
        '<div class="table-scroll"><table class="things"><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def counts_html(shown: Sequence[Detections], titles: Sequence[str]) -> str:
    """How many of each thing, a column for each of `shown`."""
    names = dict.fromkeys(name for found in shown for name in found.counts)
    body = "".join(
        f'<tr><td><span class="swatch" style="background:{colour_of(name)}"></span>'
        f"{escape(name)}</td>"
        + "".join(f"<td>{found.counts.get(name, 0)}</td>" for found in shown)
        + "</tr>"
        for name in names
    )
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    return (
        '<div class="table-scroll"><table class="things counts"><thead><tr>'
        f'<th scope="col">thing</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def picker_html(
    info: DetectorInfo,
    infos: Iterable[DetectorInfo],
    here: Collection[str],
    seconds: Mapping[str, float],
) -> str:
    """What is known of the chosen detector in a line, and of all of them in a table to unfold.

    Args:
        info: the chosen one.
        infos: all that can be chosen.
        here: names of those that need no download.
        seconds: name -> what a photo took on this machine, of those that have run.
    """
    speed = f"{seconds[info.name]:.1f} s a photo here" if info.name in seconds else "not run yet"
    facts = [
        f"{info.classes} kinds of thing",
        f"{_ap(info)} on {info.ap_from}",
        f"trained on {info.trained_on}",
        f"{info.megabytes:.0f} MB, {_place(info, here)}",
        speed,
    ]
    rows = "".join(
        f"<tr{' class=chosen' if each.name == info.name else ''}>"
        f'<th scope="row">{escape(each.title)}</th><td>{each.classes}</td>'
        f"<td>{_ap(each)}<br><small>{escape(each.ap_from)}</small></td>"
        f"<td>{each.megabytes:.0f} MB, {_place(each, here)}</td>"
        f"<td>{f'{seconds[each.name]:.1f} s' if each.name in seconds else '–'}</td></tr>"
        for each in infos
    )
    heads = ("detector", "kinds", "AP of its boxes, and on what", "weights", "a photo here")
    head = "".join(f'<th scope="col">{title}</th>' for title in heads)
    return (
        f'<p class="hint">{escape(" · ".join(facts))}</p><details class="detectors"><summary>All '
        f'detectors</summary><div class="table-scroll"><table class="things"><thead><tr>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _ap(info: DetectorInfo) -> str:
    return f"AP {info.ap:.1f}" + (f", AP50 {info.ap50:.1f}" if info.ap50 is not None else "")


def _place(info: DetectorInfo, here: Collection[str]) -> str:
    if not info.url:
        return "ships with this page"
    return "on this server" if info.name in here else "a download"


def times_html(found: Detections, size: tuple[int, int], looks: int = 1) -> str:
    """What the passes took, split in trunk and head.

    Args:
        size: (width, height) of the first one's input, pixels.
        looks: how many passes there were.
    """
    trunk, head = found.trunk_seconds, found.seconds - found.trunk_seconds
    where = f"on {size[0]} × {size[1]} pixels"
    if looks > 1:
        where = f"{looks} looks, the first {where}"
    return (
        f'<p class="hint">{_time(found.seconds)}: {_time(trunk)} photo and trunk, '
        f"{_time(head)} head, {where}. Threshold and filter work on what was found; "
        "nothing runs again.</p>"
    )


def _time(seconds: float) -> str:
    """0.4213 -> "421 ms", 8.373 -> "8.4 s"."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
