"""Downloads of the tab *Detect*: picture, COCO JSON, CSV, YOLO."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from resnet.detections import Detections
from resnet.detectors import DetectorError
from resnet.detectors.convert import to_coco_file, to_csv, to_yolo
from resnet.draw.box_picture import draw_boxes
from resnet.draw.encode import encode
from resnet.engine import Engine
from resnet.images import ImageError
from resnet.ui import detect_source as source
from resnet.ui.download import as_file, offer

NAME = "photo"  # an upload's own name may say more than the visitor wants to hand on


def downloads_row(engine: Engine, inputs: Sequence[Any]) -> None:
    """Build the buttons inside the current `gr.Blocks`.

    Args:
        inputs: path, look, detector, second detector, score, classes, class and share of the heat
            map: what the tab shows.
    """
    with gr.Row(elem_classes="presets"):
        png = gr.Button("Picture (PNG)", size="sm", elem_id="detect-png", min_width=110, scale=0)
        coco = gr.Button("COCO (JSON)", size="sm", elem_id="detect-coco", min_width=110, scale=0)
        rows = gr.Button("Table (CSV)", size="sm", elem_id="detect-csv", min_width=110, scale=0)
        yolo = gr.Button("YOLO (ZIP)", size="sm", elem_id="detect-yolo", min_width=110, scale=0)

    def shown(path, look, name, second, score, only, index, share) -> tuple[Detections, str]:
        if not path or not look.path:
            raise gr.Error("Choose a photo first.", title="Nothing yet", print_exception=False)
        try:
            found = source.everything(engine, path, name, int(index or 0), share)
        except (ImageError, DetectorError) as error:
            raise gr.Error(str(error), title="No download", print_exception=False) from error
        known = [n for n in only if n in found.names]
        return found.above(0.0 if name == source.HEAT else score, known if only else None), name

    def download(make: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
        def made(*values):
            found, name = shown(*values)
            return make(found, values[0], name)

        return made

    def as_png(found: Detections, path: str, name: str):
        photo = source.photo_of(engine, path, name)
        boxes = found.boxes_on(photo.size)
        what = source.title_of(name)
        drawn = draw_boxes(
            photo, boxes, found.label_names, found.scores.tolist(), masks=found.masks,
            caption=f"{len(found)} boxes by {what}, ResNet-50 {engine.net.spec.name}",
        )  # fmt: skip
        return as_file("boxes.png", encode(drawn, "PNG"), "image/png")

    def as_coco(found: Detections, path: str, name: str):
        text = to_coco_file(found, f"{NAME}.jpg")
        return as_file("boxes.coco.json", text.encode(), "application/json")

    def as_csv(found: Detections, path: str, name: str):
        return as_file("boxes.csv", to_csv(found, f"{NAME}.jpg").encode(), "text/csv")

    def as_yolo(found: Detections, path: str, name: str):
        labels, classes = to_yolo(found)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{NAME}.txt", labels)
            archive.writestr("classes.txt", classes)
        return as_file("boxes.yolo.zip", file.getvalue(), "application/zip")

    for button, make in ((png, as_png), (coco, as_coco), (rows, as_csv), (yolo, as_yolo)):
        offer(button, download(make), inputs)
