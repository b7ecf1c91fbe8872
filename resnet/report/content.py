"""Everything that a report of one photo shows, worked out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from resnet import cam
from resnet.analysis import Analysis
from resnet.classify import ClassLike
from resnet.cli.trace import Traced
from resnet.detections import Detections
from resnet.detectors import DetectorError
from resnet.detectors.sighting import Sighting
from resnet.draw.overlay import COLOUR_MAPS
from resnet.residual import load_reference, path_lengths
from resnet.residual.backward import backward
from resnet.residual.evidence import evidence_of
from resnet.residual.highway import highway_of

STEPS = ("The heat map", "The boxes", "The wires", "The cuts", "The drawings")
Progress = Callable[[float, str], None]  # share done, 0..1, and what is being made
Sight = Callable[[str], Sighting]  # a detector's name -> what it sees in the photo


class ReportError(ValueError):
    """A report that cannot be made as asked; `str(e)` is meant for the user."""


@dataclass(frozen=True)
class Choices:
    """What a report is asked to show.  The same choices, photo and weights give the same bytes."""

    wanted: ClassLike | None = None  # class explained; the network's answer if None
    method: str = "gradcam"  # a key of cam.METHODS
    block: str | None = None  # of the heat map; the last if None
    colours: str = COLOUR_MAPS[0]
    detector: str = "offline"  # a name of the catalogue; "" for no boxes
    score: float = 0.5  # lowest score of a box, 0..1
    paths: bool = False  # the gradient by path length, which takes longest
    seed: int = 0  # of the paths that are drawn


@dataclass(frozen=True)
class Report:
    """One photo, one class: the heat map, the boxes, and what every wire carries.

    Attributes:
        choices: with class, block and detector resolved.
        heat: the heat map.
        found: every box above the detectors' floor, best first; None if there are none to show.
        no_boxes: why there are none, in words.
    """

    choices: Choices
    traced: Traced
    heat: cam.HeatMap
    found: Detections | None
    no_boxes: str = ""

    @property
    def analysis(self) -> Analysis:
        return self.traced.analysis

    @property
    def shown(self) -> Detections | None:
        """The boxes that score enough."""
        return None if self.found is None else self.found.above(self.choices.score)

    def options(self) -> dict:
        """The choices as plain values: the class by its index."""
        return asdict(self.choices)


def gather(
    analysis: Analysis,
    choices: Choices = Choices(),
    sight: Sight | None = None,
    progress: Progress = lambda share, words: None,
) -> Report:
    """Work everything out: one backward pass, the 32 cuts, the read-outs, the boxes.

    Args:
        analysis: of the network as trained.
        sight: runs a detector on the same photo; no boxes if None.
        progress: hears what is being made.

    Raises:
        resnet.classify.UnknownClass, resnet.cam.CamError, ReportError: with a sentence.
    """
    if choices.colours not in COLOUR_MAPS:
        raise ReportError(f"There are no colours “{choices.colours}”: {', '.join(COLOUR_MAPS)}.")
    if not 0 <= choices.score <= 1:
        raise ReportError("The lowest score of a box lies between 0 and 1.")
    index = analysis.find(choices.wanted)
    progress(0.0, STEPS[0])
    heat = analysis.cam(index, choices.method, choices.block)
    progress(0.15, STEPS[1])
    found, no_boxes = _boxes(choices, sight)
    wires = traced(analysis, index, choices.paths, choices.seed, progress)
    resolved = Choices(
        index, heat.method, heat.block, choices.colours, choices.detector if found else "",
        choices.score, choices.paths, choices.seed,
    )  # fmt: skip
    progress(0.8, STEPS[4])
    return Report(resolved, wires, heat, found, no_boxes)


def traced(
    analysis: Analysis,
    index: int,
    paths: bool = False,
    seed: int = 0,
    progress: Progress = lambda share, words: None,
) -> Traced:
    """What every wire carries: one backward pass, the 32 cuts, the read-outs.

    Args:
        index: class.
        paths: also the gradient by path length, which takes longest; drawn with `seed`.
    """
    net = analysis.net
    progress(0.3, STEPS[2])
    passed = backward(net, analysis.trace, index)
    evidence, highway = evidence_of(passed, index), highway_of(passed, index, "logit")
    progress(0.45, STEPS[3])
    return Traced(
        analysis=analysis,
        index=index,
        budget=analysis.budget(),
        evidence=evidence,
        ledger=analysis.ledger(index),
        lead=analysis.ledger(index, against="mean"),
        lesions=analysis.lesions(index),
        readouts=analysis.readouts(index),
        highway=highway,
        paths=path_lengths(net, analysis.trace, index, seed=seed) if paths else None,
        reference=load_reference(net.spec),
        seconds=0.0,  # a report says nothing that differs from run to run
    )


def _boxes(choices: Choices, sight: Sight | None) -> tuple[Detections | None, str]:
    """The boxes, or why there are none: a report without them is still a report."""
    if not choices.detector or sight is None:
        return None, "No detector was asked."
    try:
        return sight(choices.detector).found, ""
    except DetectorError as error:
        return None, str(error)
