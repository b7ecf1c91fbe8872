"""From logits to names: what the network says is in the photo."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

ClassLike = int | str


class UnknownClass(ValueError):
    """No class of that name or index; the message suggests the nearest ones."""


@dataclass(frozen=True)
class Prediction:
    """One answer; unpacks as `label, probability`."""

    index: int
    label: str
    probability: float  # 0..1, softmax over all classes

    def __iter__(self) -> Iterator:
        return iter((self.label, self.probability))


def top(probabilities: Tensor, labels: Sequence[str], k: int = 5) -> list[Prediction]:
    """The k most probable classes, most probable first.

    Args:
        probabilities: softmax of one photo's logits, [classes].
        labels: one name a class.
        k: how many; at most all of them are returned.
    """
    values, indices = probabilities.topk(min(k, len(labels)))
    pairs = zip(indices.tolist(), values.tolist(), strict=True)
    return [Prediction(index, labels[index], value) for index, value in pairs]


def find_class(wanted: ClassLike, labels: Sequence[str]) -> int:
    """A class index from an index, a digit string, a name, or an unambiguous part of a name.

    Raises:
        UnknownClass: nothing fits, or several do; the message names candidates.
    """
    # Not isdigit(): "²" is a digit too.  Beyond 4,300 digits int() refuses.
    if not isinstance(wanted, str) or (wanted.strip().isdecimal() and len(wanted) < 100):
        index = int(wanted)
        if 0 <= index < len(labels):
            return index
        raise UnknownClass(
            f"Class {index} does not exist; indices run from 0 to {len(labels) - 1}."
        )
    name = wanted.strip()
    if name in labels:  # "Cardigan" is a dog, "cardigan" a garment: exact case first
        return list(labels).index(name)
    folded = [label.casefold() for label in labels]
    fits = [i for i, label in enumerate(folded) if label == name.casefold()]
    fits = fits or [i for i, label in enumerate(folded) if name and name.casefold() in label]
    if len(fits) == 1:
        return fits[0]
    if fits:
        shown = ", ".join(f"{labels[i]} ({i})" for i in fits[:6])
        raise UnknownClass(
            f"“{name}” fits {len(fits)} classes: {shown}. Give the whole name or the index."
        )
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(labels[folded.index(n)] for n in near)}?" if near else ""
    raise UnknownClass(f"No class is called “{name}”.{hint}")
