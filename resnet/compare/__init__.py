"""Compare: two answers side by side, and how faithful a picture of one answer is.

Pure functions over analyses; results are small frozen dataclasses of plain values with `to_dict`
and a `sentence` for the visitor.
"""

from resnet.compare.ab import WAYS, Side, Way, look_at
from resnet.compare.answers import AnswerComparison, AnswerRow, compare_answers
from resnet.compare.base import CompareError
from resnet.compare.damage import DAMAGES, Damage, apply, damaged, scene
from resnet.compare.detections import Matches, match
from resnet.compare.faithful import Faithfulness, curves, picture_at
from resnet.compare.league import League, LeagueRow
from resnet.compare.league_job import league
from resnet.compare.maps import Likeness, MapPair, likeness, on_one_scale
from resnet.compare.measures import Curve
from resnet.compare.pointing import Pointed, Pointing, pointing
from resnet.compare.streams import Parting, StreamRow, linear_cka, where_they_part
from resnet.compare.sweep import Sweep, SweepStep, sweep

__all__ = [
    "DAMAGES",
    "WAYS",
    "AnswerComparison",
    "AnswerRow",
    "CompareError",
    "Curve",
    "Damage",
    "Faithfulness",
    "League",
    "LeagueRow",
    "Likeness",
    "MapPair",
    "Matches",
    "Parting",
    "Pointed",
    "Pointing",
    "Side",
    "StreamRow",
    "Sweep",
    "SweepStep",
    "Way",
    "apply",
    "compare_answers",
    "curves",
    "damaged",
    "league",
    "likeness",
    "linear_cka",
    "look_at",
    "match",
    "on_one_scale",
    "picture_at",
    "pointing",
    "scene",
    "sweep",
    "where_they_part",
]
