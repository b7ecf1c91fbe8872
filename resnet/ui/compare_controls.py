"""The controls of the tab *Compare*: what fills A and B, and which of them each way needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency

from resnet import cam
from resnet.compare import DAMAGES, WAYS
from resnet.network import ResNet50
from resnet.ui import detect_source
from resnet.ui.bench import Bench
from resnet.ui.compare_box import box_input
from resnet.ui.compare_fetch import choices, fetch_offer
from resnet.ui.compare_source import ANSWER_OF_A, FROM_INSIDE, OWN_ANSWERS, STREAMS, Slots
from resnet.ui.compare_view import card_html
from resnet.ui.examples import example_strip
from resnet.ui.photo_button import PhotoButton
from resnet.ui.switchboard import PRESETS


@dataclass(frozen=True)
class Controls:
    """The components; `slots` is what a visitor has put into A and B besides them."""

    slots: gr.State
    way: gr.Radio
    card_a: gr.HTML
    strip_a: gr.HTML
    own_a: PhotoButton
    weights_a: gr.Dropdown
    method_a: gr.Dropdown
    detector_a: gr.Dropdown
    card_b: gr.HTML
    note: gr.HTML
    photos_b: gr.Row
    strip_b: gr.HTML
    own_b: PhotoButton
    swap: gr.Button
    weights_b: gr.Dropdown
    method_b: gr.Dropdown
    detector_b: gr.Dropdown
    damage: gr.Dropdown
    cuts: gr.Dropdown
    wanted: gr.Dropdown
    score: gr.Slider
    damage_row: gr.Row
    strength: gr.Slider
    seed: gr.Number
    boxes_too: gr.Checkbox
    fetch: gr.Button
    fetched: Dependency
    boxed: gr.HTML

    @property
    def asked(self) -> list[Any]:
        """What `Asked` holds between the page's photo and the bench, in its order."""
        return [
            self.slots, self.way, self.weights_a, self.weights_b, self.method_a, self.method_b,
            self.wanted, self.damage, self.strength, self.seed, self.cuts, self.detector_a,
            self.detector_b, self.score, self.boxes_too,
        ]  # fmt: skip

    @property
    def arranged(self) -> list[Any]:
        """What `arrange` updates."""
        return [
            self.weights_a, self.weights_b, self.method_a, self.method_b, self.detector_a,
            self.detector_b, self.damage, self.damage_row, self.cuts, self.photos_b, self.note,
            self.wanted, self.score, self.boxes_too,
        ]  # fmt: skip


def build_controls(net: ResNet50) -> Controls:
    """Build them inside the current `gr.Blocks`."""
    own = net.spec.name
    slots = gr.State(Slots())
    way = gr.Radio(
        [(entry.title, name) for name, entry in WAYS.items()], value="damage", show_label=False,
        container=False, elem_id="compare-way",
    )  # fmt: skip
    with gr.Row(elem_id="compare-slots"):
        with gr.Column(min_width=320):
            card_a = gr.HTML(card_html("A", None, ""), apply_default_css=False, elem_id="slot-a")
            with gr.Row(elem_classes="slot-photos"):
                strip_a = example_strip("slot-a-examples")
                own_a = _own_photo("slot-a-upload")
            with gr.Row(elem_classes="controls"):
                weights_a = _weights(net, "Weights of A", "weights-a", own)
                method_a = _methods("Heat map", "method-a")
                detector_a = _detectors("Detector of A", "detector-a")
        with gr.Column(min_width=320):
            card_b = gr.HTML(card_html("B", None, ""), apply_default_css=False, elem_id="slot-b")
            note = gr.HTML(
                note_html("damage"), apply_default_css=False, elem_id="compare-note", min_height=44
            )
            with gr.Row(elem_classes="slot-photos", visible=False) as photos_b:
                strip_b = example_strip("slot-b-examples")
                own_b = _own_photo("slot-b-upload")
                swap = gr.Button("Swap", size="sm", elem_id="compare-swap", scale=0, min_width=70)
            with gr.Row(elem_classes="controls"):
                weights_b = _weights(net, "Weights of B", "weights-b", own)
                method_b = _methods("Heat map of B", "method-b", "eigencam", visible=False)
                detector_b = _detectors("Detector of B", "detector-b")
                damage = gr.Dropdown(
                    [(entry.title, name) for name, entry in DAMAGES.items()], value="blur",
                    label="Damage", filterable=False, elem_id="damage", min_width=150,
                )  # fmt: skip
                cuts = gr.Dropdown(
                    [("As set on Inside", FROM_INSIDE), *((p.title, p.title) for p in PRESETS)],
                    value=PRESETS[1].title, label="Cuts", filterable=False, visible=False,
                    elem_id="compare-cuts", min_width=150,
                )  # fmt: skip
                wanted = gr.Dropdown(
                    [("A's answer", ANSWER_OF_A), ("each side's own answer", OWN_ANSWERS),
                     *((label, index) for index, label in enumerate(net.labels))],
                    value=ANSWER_OF_A, label="Class", elem_id="compare-class",
                    min_width=150,
                )  # fmt: skip
    fetch, fetched = fetch_offer(net, [weights_a, weights_b])
    with gr.Row(elem_classes="controls second", elem_id="damage-row") as damage_row:
        strength = gr.Slider(
            0, 1, 0.4, step=0.01, label="Strength of the damage, 0 … 1", elem_id="strength",
            buttons=[], min_width=260, scale=4,
        )  # fmt: skip
        seed = gr.Number(
            0, label="Seed", precision=0, minimum=0, elem_id="compare-seed", min_width=80, scale=1
        )
    with gr.Row(elem_classes="controls second", elem_id="boxes-row"):
        boxes_too = gr.Checkbox(
            False, label="Boxes of things too", elem_id="compare-boxes-too", min_width=170, scale=1
        )
        score = gr.Slider(
            0.05, 0.95, 0.5, step=0.01, label="Boxes that score at least", visible=False,
            elem_id="compare-score", min_width=260, scale=4, buttons=[],
        )  # fmt: skip
    boxed = box_input("compare-box")
    return Controls(
        slots=slots, way=way, card_a=card_a, strip_a=strip_a, own_a=own_a, weights_a=weights_a,
        method_a=method_a, detector_a=detector_a, card_b=card_b, note=note, photos_b=photos_b,
        strip_b=strip_b, own_b=own_b, swap=swap, weights_b=weights_b, method_b=method_b,
        detector_b=detector_b, damage=damage, cuts=cuts, wanted=wanted, score=score,
        damage_row=damage_row, strength=strength, seed=seed, boxes_too=boxes_too, fetch=fetch,
        fetched=fetched, boxed=boxed,
    )  # fmt: skip


def arrange(
    controls: Controls, net: ResNet50, way: str, boxes: bool, now: Bench, a: str, b: str
) -> dict[Any, Any]:
    """Show what belongs to a way, set so that there is a B.

    Args:
        boxes: whether boxes are asked for as well.
        now: what is set on *Inside*.
        a, b: the weights chosen for A and B.
    """
    other = next((n for _, n in choices(net) if n != a), b)
    detectors = way == "detectors"
    return {
        controls.weights_a: gr.update(visible=not detectors),
        controls.weights_b: gr.update(value=other if way == "weights" else a,
                                      visible=not detectors),
        controls.method_a: gr.update(visible=not detectors),
        controls.method_b: gr.update(visible=way == "methods"),
        controls.detector_b: gr.update(visible=detectors),
        controls.damage: gr.update(visible=way == "damage"),
        controls.damage_row: gr.update(visible=way == "damage"),
        controls.cuts: gr.update(
            visible=way == "cuts", value=PRESETS[1].title if now.setting.trained else FROM_INSIDE
        ),
        controls.photos_b: gr.update(visible=way == "photos"),
        controls.note: gr.update(value=note_html(way), visible=way != "photos"),
        controls.wanted: gr.update(
            visible=not detectors, value=OWN_ANSWERS if way == "photos" else ANSWER_OF_A
        ),
        **arrange_boxes(controls, way, boxes),
    }  # fmt: skip


def arrange_boxes(controls: Controls, way: str, boxes: bool) -> dict[Any, Any]:
    """Show what belongs to boxes: the question whether they are wanted, detector, threshold."""
    detectors = way == "detectors"
    there = detectors or (boxes and way in STREAMS)
    return {
        controls.boxes_too: gr.update(visible=way in STREAMS),
        controls.detector_a: gr.update(
            visible=there, label="Detector of A" if detectors else "Detector"
        ),
        controls.score: gr.update(visible=there),
    }


def note_html(way: str) -> str:
    """What a way compares, in a line."""
    return f'<p class="hint slot-note">{WAYS[way].note}</p>'


def _own_photo(elem_id: str) -> PhotoButton:
    return PhotoButton(
        "Your photo", file_types=["image"], size="sm", elem_id=elem_id, scale=0, min_width=100
    )


def _weights(net: ResNet50, label: str, elem_id: str, value: str) -> gr.Dropdown:
    return gr.Dropdown(
        choices(net), value=value, label=label, filterable=False, elem_id=elem_id, min_width=150
    )


def _methods(label: str, elem_id: str, value: str = "gradcam", visible: bool = True) -> gr.Dropdown:
    return gr.Dropdown(
        [(entry.title, name) for name, entry in cam.METHODS.items()], value=value, label=label,
        filterable=False, elem_id=elem_id, min_width=170, visible=visible,
    )  # fmt: skip


def _detectors(label: str, elem_id: str) -> gr.Dropdown:
    first = detect_source.default()
    value = first if elem_id.endswith("a") else detect_source.HEAT
    return gr.Dropdown(
        detect_source.choices(), value=value, label=label, filterable=False, visible=False,
        elem_id=elem_id, min_width=320,
    )  # fmt: skip
