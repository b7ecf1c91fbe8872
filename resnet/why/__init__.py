"""Why this box?  For any detector: a map, the evidence, the crop, and what cuts do to the boxes."""

from resnet.why.box_evidence import BoxEvidence, box_evidence
from resnet.why.box_map import BoxMap, box_map
from resnet.why.crop import analyze_crop, crop_box, crop_of
from resnet.why.cuts import Cut, CutBoard, Fate, cut_board, first_look, under, under_plan

__all__ = [
    "BoxEvidence",
    "BoxMap",
    "Cut",
    "CutBoard",
    "Fate",
    "analyze_crop",
    "box_evidence",
    "box_map",
    "crop_box",
    "crop_of",
    "cut_board",
    "first_look",
    "under",
    "under_plan",
]
