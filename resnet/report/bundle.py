"""The report as a ZIP: pictures, arrays, numbers, and the manifest that says what made them."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping

import numpy as np

from resnet.cli.trace import numbers as trace_numbers
from resnet.cli.trace_figures import figures as trace_figures
from resnet.cli.trace_files import maps
from resnet.detectors.convert import to_coco_file, to_csv
from resnet.draw.box_picture import draw_boxes
from resnet.draw.encode import encode
from resnet.heat_picture import heat_picture
from resnet.report import manifest as about
from resnet.report.content import Report
from resnet.report.figures import table
from resnet.report.html import to_html
from resnet.report.rows import block_rows
from resnet.view import to_tensor

PHOTO = "photo"  # an upload's own name may say more than its owner wants to hand on


def files(report: Report) -> dict[str, bytes]:
    """File name -> content, the manifest last: where there is one, the rest is complete.

    `input.npy` is float32 [1, 3, crop, crop], what the network was given: with the weights alone
    every figure but the boxes can be made again from it.
    """
    made = {"report.html": to_html(report).encode(), "numbers.json": _json(numbers(report))}
    for part in (_pictures(report), _figures(report), _tables(report), _arrays(report)):
        made |= part
    return made | {about.NAME: _json(about.manifest(report, made))}


def to_zip(report: Report) -> bytes:
    """The files as a ZIP; the same report gives the same bytes."""
    return pack(files(report))


def pack(made: Mapping[str, bytes]) -> bytes:
    """Files as a ZIP whose entries all carry one date, see `manifest.date`."""
    moment = max(about.date() or about.EARLIEST, about.EARLIEST).timetuple()[:6]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in made.items():
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def numbers(report: Report) -> dict:
    """All numbers of the report as plain values, without anything that differs from run to run."""
    heat, found = report.heat, report.found
    grid = {
        "method": heat.method, "block": heat.block, "class": heat.index, "signed": heat.signed,
        "blank": heat.blank, "grid": heat.grid.tolist(),
    }  # fmt: skip
    boxes = [] if found is None else [
        {"label": name, "score": float(score), "box": [float(edge) for edge in box]}
        for name, score, box in zip(found.label_names, found.scores, found.boxes, strict=True)
    ]  # fmt: skip
    return trace_numbers(report.traced) | {
        "heatmap": grid,
        "blocks": block_rows(report.traced),
        "boxes": boxes,
        "no_boxes": report.no_boxes or None,
    }


def _pictures(report: Report) -> dict[str, bytes]:
    analysis, shown = report.analysis, report.shown
    heat = heat_picture(analysis, report.heat, report.choices.colours)
    made = {
        "pictures/photo.jpg": encode(analysis.photo.image, quality=92),
        "pictures/crop.png": encode(analysis.view.image, "PNG"),
        "pictures/heatmap.png": encode(heat, "PNG"),
    }
    if shown is not None:
        picture = analysis.photo.image
        boxes = shown.boxes_on(picture.size)
        drawn = draw_boxes(
            picture, boxes, shown.label_names, shown.scores.tolist(), masks=shown.masks
        )
        made["pictures/boxes.png"] = encode(drawn, "PNG")
    return made


def _figures(report: Report) -> dict[str, bytes]:
    drawn = trace_figures(report.traced)
    return {f"figures/{name}": one.data for name, one in drawn.items() if name.endswith(".svg")}


def _tables(report: Report) -> dict[str, bytes]:
    traced, found = report.traced, report.found
    made = {
        "tables/blocks.csv": _csv(block_rows(traced)),
        "tables/lesions.csv": table(traced.lesions.to_dict()["rows"]),
        "tables/budget.csv": table(traced.budget.to_dict()["blocks"]),
        "tables/evidence.csv": table(traced.evidence.to_dict()["blocks"]),
        "tables/ledger.csv": table(traced.ledger.to_dict()["entries"]),
        "tables/timeline.csv": table(traced.readouts.to_dict()["rows"]),
        "tables/highway.csv": table(traced.highway.to_dict()["blocks"]),
    }
    if found is not None:
        made["tables/boxes.csv"] = to_csv(found, f"{PHOTO}.jpg").encode()
        made["tables/boxes.coco.json"] = to_coco_file(found, f"{PHOTO}.jpg").encode()
    return made


def _arrays(report: Report) -> dict[str, bytes]:
    analysis, found = report.analysis, report.found
    arrays = {
        "input": to_tensor(analysis.view.image, analysis.net.spec).float().cpu().numpy(),
        "logits": analysis.trace.logits[0].float().cpu().numpy(),
        "probabilities": analysis.probabilities.float().numpy(),
        "heatmap": report.heat.grid,
    }
    if found is not None:
        arrays |= {"boxes": found.boxes, "scores": found.scores, "labels": found.labels}
    made = {f"arrays/{name}.npy": _npy(values) for name, values in arrays.items()}
    inside = {name.replace("maps/", "arrays/"): _npy(v) for name, v in maps(report.traced).items()}
    return made | inside


def _csv(rows: list[dict]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
