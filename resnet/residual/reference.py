"""Reference quartiles: what is usual for these weights, to set one photo's bars against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resnet.weights import ASSETS, WeightSet

FOLDER = ASSETS / "reference"
FORMAT = 1  # of the file

Quartiles = tuple[float, float, float]  # 25 %, 50 %, 75 %


@dataclass(frozen=True)
class Reference:
    """Quartiles over a set of photos, measured by `python -m resnet.train.reference`."""

    weights: str  # name
    sha256: str  # of the weights' file
    photos: int
    date: str  # ISO, of the measurement
    inputs: str  # what the photos were, in words
    figures: dict[str, dict[str, Quartiles]]  # "budget.ratio" -> "3.2" -> quartiles
    shares: dict[str, dict[str, float]]  # "lesions.branch.flips" -> "3.2" -> 0 ... 1
    science: dict  # figures over labelled photos, as the script describes them

    def quartiles(self, figure: str) -> dict[str, Quartiles]:
        """Part -> (25 %, 50 %, 75 %) of a figure such as "budget.ratio"; {} if not measured."""
        return self.figures.get(figure, {})

    @property
    def caption(self) -> str:
        """Where the quartiles come from, in a line."""
        return f"Quartiles over {self.photos} photos, weights {self.weights}, {self.date}."


@dataclass(frozen=True)
class NoReference:
    """There are no quartiles for these weights; falsy, with the reason for the visitor."""

    reason: str

    def __bool__(self) -> bool:
        return False


def load_reference(spec: WeightSet, folder: Path = FOLDER) -> Reference | NoReference:
    """The shipped quartiles for a set of weights, or why there are none.

    Quartiles of other weights would mislead, so the weights' hash must be the same.
    """
    path = folder / f"{spec.name}.json"
    # A user's own file may carry any name; only plain names are looked up.
    if Path(spec.name).name != spec.name or not path.is_file():
        return NoReference(f"No reference was measured for the weights {spec.name}.")
    content = _read(path)
    if not spec.sha256 or content["weights"]["sha256"] != spec.sha256:
        return NoReference(
            f"The reference was measured with another file of weights called {spec.name}."
        )
    return Reference(
        weights=content["weights"]["name"],
        sha256=content["weights"]["sha256"],
        photos=content["photos"],
        date=content["date"],
        inputs=content["inputs"]["what"],
        figures={
            figure: {part: tuple(values) for part, values in parts.items()}
            for figure, parts in content["figures"].items()
        },
        shares=content["shares"],
        science=content["science"],
    )


@cache
def _read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))
