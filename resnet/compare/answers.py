"""Two answers side by side: one table of both top lists, and how far they agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from resnet.analysis import Analysis
from resnet.compare.base import CompareError, percent
from resnet.residual.plain import plain


@dataclass(frozen=True)
class AnswerRow:
    """One class in both answers; None where a side does not know the class."""

    label: str
    index: int | None  # of the class in A's list
    index_b: int | None  # in B's; the same number if the two lists agree
    p_a: float | None  # probability, 0..1
    p_b: float | None
    difference: float | None  # p_b - p_a, -1..1
    rank_a: int | None  # among all of A's classes by logit, 1 = the answer
    rank_b: int | None
    rank_change: int | None  # rank_a - rank_b: positive if the class stands higher in B


@dataclass(frozen=True)
class AnswerComparison:
    """The union of both top lists: A's in its order, then those that only B has, in B's."""

    k: int  # length of the longer of the two lists
    rows: tuple[AnswerRow, ...]
    same_answer: bool  # the two first classes have the same name
    overlap: int  # classes in both top lists, 0..k
    divergence: float  # Jensen-Shannon, bits: 0 the same distribution, 1 nothing in common
    logit_cosine: float | None  # of the logits of the shared classes, -1..1; None: undefined
    shared: int  # classes that both know
    same_classes: bool  # both lists of labels are the same

    @property
    def sentence(self) -> str:
        """What both say and how far they agree."""
        first_a = self.rows[0]
        first_b = next(row for row in self.rows if row.rank_b == 1)
        p_a, p_b = percent(first_a.p_a or 0.0), percent(first_b.p_b or 0.0)
        if self.same_answer:
            said = f"Both say “{first_a.label}” (A {p_a}, B {p_b})"
        else:
            said = f"A says “{first_a.label}” ({p_a}), B “{first_b.label}” ({p_b})"
        text = (
            f"{said}; {self.overlap} of the top {self.k} are in both lists; the Jensen–Shannon "
            f"divergence is {self.divergence:.3f} bits, where 0 is the same answer and 1 nothing "
            "in common."
        )
        if not self.same_classes:
            text += (
                f" The two sets of weights have different lists of classes: the {self.shared} "
                "that both know are paired by name, all others count as unknown to the other."
            )
        return text

    def to_dict(self) -> dict:
        return plain(self) | {"sentence": self.sentence}


class _Side(NamedTuple):
    names: tuple  # of its classes, all different
    labels: tuple[str, ...]
    logits: Tensor  # float64 [classes]
    probabilities: Tensor  # float64 [classes]
    order: list[int]  # class indices, most probable first


def compare_answers(a: Analysis, b: Analysis, k: int = 5) -> AnswerComparison:
    """What two analyses say: of two photos, or by two sets of weights, or after a change.

    Classes are paired by index if both label lists are the same, else by name (exact; a name that
    stands for several classes is paired in order).  Classes that one side lacks count there with
    probability 0 in the divergence,

        JSD(P, Q) = H((P + Q) / 2) - (H(P) + H(Q)) / 2,   H in bits (Lin 1991),

    and are left out of the cosine.  That one is of the raw logits; a constant added to all logits
    of a side would change it, though not the answer.

    Args:
        k: how long the two lists are, 1 or more.

    Raises:
        CompareError: k is less than 1.
    """
    if k < 1:
        raise CompareError("At least one answer is needed on either side.")
    one, other = _side(a), _side(b)
    same_classes = one.labels == other.labels
    place_a = {name: i for i, name in enumerate(one.names)}
    place_b = {name: i for i, name in enumerate(other.names)}
    top_a = [one.names[i] for i in one.order[:k]]
    top_b = [other.names[i] for i in other.order[:k]]
    ranks_a = {i: rank for rank, i in enumerate(one.order, start=1)}
    ranks_b = {i: rank for rank, i in enumerate(other.order, start=1)}
    rows = []
    for name in dict.fromkeys(top_a + top_b):
        i, j = place_a.get(name), place_b.get(name)
        p_a = None if i is None else float(one.probabilities[i])
        p_b = None if j is None else float(other.probabilities[j])
        rank_a = None if i is None else ranks_a[i]
        rank_b = None if j is None else ranks_b[j]
        both = p_a is not None and p_b is not None and rank_a is not None and rank_b is not None
        difference = p_b - p_a if both else None  # type: ignore[operator]
        change = rank_a - rank_b if both else None  # type: ignore[operator]
        label = one.labels[i] if i is not None else other.labels[j]  # type: ignore[index]
        rows.append(AnswerRow(label, i, j, p_a, p_b, difference, rank_a, rank_b, change))
    shared = [name for name in one.names if name in place_b]
    at_a, at_b = [place_a[name] for name in shared], [place_b[name] for name in shared]
    return AnswerComparison(
        k=min(k, max(len(one.names), len(other.names))),
        rows=tuple(rows),
        same_answer=top_a[0] == top_b[0],
        overlap=len(set(top_a) & set(top_b)),
        divergence=_divergence(one, other, at_a, at_b),
        logit_cosine=cosine(one.logits[at_a], other.logits[at_b]),
        shared=len(shared),
        same_classes=same_classes,
    )


def cosine(x: Tensor, y: Tensor) -> float | None:
    """<x, y> / (||x|| ||y||) over all values in float64; None if either is zero or empty."""
    x, y = x.double().flatten(), y.double().flatten()
    size = float(x.norm() * y.norm())
    return max(-1.0, min(1.0, float(x @ y) / size)) if size else None


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """Jensen-Shannon divergence of two distributions [n], in bits, 0..1."""
    p, q = p.double(), q.double()
    middle = (p + q) / 2
    bits = (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2) / math.log(2)
    return max(0.0, min(1.0, float(bits)))


def _entropy(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p).sum()


def _divergence(one: _Side, other: _Side, at_a: Sequence[int], at_b: Sequence[int]) -> float:
    """Over the union of the classes: the shared ones, A's own, B's own."""
    only_a = torch.ones(len(one.names), dtype=torch.bool)
    only_b = torch.ones(len(other.names), dtype=torch.bool)
    only_a[list(at_a)], only_b[list(at_b)] = False, False
    own_a, own_b = one.probabilities[only_a], other.probabilities[only_b]
    p = torch.cat([one.probabilities[list(at_a)], own_a, torch.zeros_like(own_b)])
    q = torch.cat([other.probabilities[list(at_b)], torch.zeros_like(own_a), own_b])
    return jensen_shannon(p, q)


def _side(analysis: Analysis) -> _Side:
    labels = tuple(analysis.net.labels)
    logits = analysis.trace.logits[0].detach().double().cpu()
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        names.append((label, seen[label]))
        seen[label] += 1
    order = logits.argsort(descending=True, stable=True).tolist()
    return _Side(tuple(names), labels, logits, logits.softmax(0), order)
