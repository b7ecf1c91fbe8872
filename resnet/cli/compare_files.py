"""A comparison as a folder: numbers, tables, figures, both heat maps, and a manifest."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from html import unescape
from typing import TYPE_CHECKING

from resnet.cli.trace import MANIFEST, unwritable
from resnet.cli.trace_figures import STYLES

if TYPE_CHECKING:
    from resnet.analysis import Analysis
    from resnet.cam import HeatMap
    from resnet.verbs import Compared

FORMAT = 1  # of manifest.json


def save(a: Analysis, b: Analysis, found: Compared, options: argparse.Namespace) -> int:
    """Write every file, the manifest last: where there is one, the folder is complete.

    Returns:
        the number of files.

    Raises:
        UsageError: the folder cannot be written.
        UnknownClass, CamError: the heat maps cannot be made as asked.
    """
    files = {"numbers.json": _json(found.to_dict())} | _tables(found)
    drawn, captions = _figures(a, b, options.top)
    files |= drawn | _pictures(a, b, options)
    manifest = _json(_manifest(a, b, files, captions, options))
    try:
        options.out.mkdir(exist_ok=True)
        for name, data in {**files, MANIFEST: manifest}.items():
            (options.out / name).write_bytes(data)
    except OSError as error:
        raise unwritable(options.out, error) from error
    return len(files) + 1


def _tables(found: Compared) -> dict[str, bytes]:
    from resnet.report.figures import table

    values = found.to_dict()
    return {"answers.csv": table(values["answers"]), "streams.csv": table(values["streams"])}


def _figures(a: Analysis, b: Analysis, top: int) -> tuple[dict[str, bytes], dict[str, str]]:
    """File name -> SVG, and what stands below each on the page."""
    from resnet.compare import compare_answers, where_they_part
    from resnet.draw.chart import standalone
    from resnet.draw.pairs_compare import pairs_figure
    from resnet.draw.parting_figure import parting_figure

    titles = [side.net.spec.name for side in (a, b)]
    css = (STYLES / "figures.css").read_text("utf-8") + "\n.chart { background: var(--paper); }"
    markup = {
        "answers.svg": pairs_figure(compare_answers(a, b, top).to_dict(), titles),
        "streams.svg": parting_figure(where_they_part(a, b).to_dict()),
    }
    captions = {}
    for name, text in markup.items():
        caption = re.search(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)
        captions[name] = unescape(re.sub(r"<[^>]+>", "", caption[1])) if caption else ""
    return {name: standalone(text, css).encode() for name, text in markup.items()}, captions


def _pictures(a: Analysis, b: Analysis, options: argparse.Namespace) -> dict[str, bytes]:
    """Both photos with the heat maps of one class; B has none where it does not know the class."""
    from resnet.compare.maps import on_one_scale

    index = a.find(options.wanted)
    maps = [a.cam(index, options.method), None]
    label, names = a.net.labels[index], b.net.labels
    at = index if names == a.net.labels else names.index(label) if label in names else None
    if at is not None:
        maps[1] = b.cam(at, options.method)
    pair = on_one_scale(maps[0], maps[1], same_units=a.net is b.net)
    return {
        "a.png": _picture(a, maps[0], pair.a),
        "b.png": _picture(b, maps[1], pair.b),
    }


def _picture(analysis: Analysis, heat: HeatMap | None, values) -> bytes:
    from resnet.draw.encode import encode
    from resnet.heat_picture import heat_picture

    if heat is None or values is None:
        return encode(analysis.photo.image, "PNG")
    return encode(heat_picture(analysis, heat, values=values), "PNG")


def _manifest(
    a: Analysis,
    b: Analysis,
    files: dict[str, bytes],
    captions: dict[str, str],
    options: argparse.Namespace,
) -> dict:
    from resnet.report.manifest import versions

    index = a.find(options.wanted)
    return {
        "format": FORMAT,
        **{
            name: {
                "photo_sha256": side.photo.digest,
                "weights": {
                    "name": side.net.spec.name,
                    "variant": side.net.spec.variant,
                    "sha256": side.net.spec.sha256,
                },
            }
            for name, side in (("a", a), ("b", b))
        },
        "device": str(a.net.device),
        "precision": a.net.precision,
        "class": {"index": index, "label": a.net.labels[index]},
        "options": {"top": options.top, "method": options.method},
        "versions": versions(),
        "captions": captions,
        "files": [
            {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(files.items())
        ],
    }


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
