"""Which classes are taken for which others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from resnet.residual.plain import plain

Pair = tuple[int, int]  # class indices: true, answered
OTHERS = "others"


@dataclass(frozen=True)
class Mistake:
    """One class taken for another, so many times."""

    truth: str
    answer: str
    photos: int


@dataclass(frozen=True)
class Confusion:
    """Counts of (true class, answered class).

    Attributes:
        labels: of rows and columns; the last is `others` if not all classes have a row.
        counts: [row: true][column: answered], photos; all cells add to `photos`.
        photos: that have a true class and an answer.
        right: of them answered right.
        folded: how many classes are in `others`.
        mistakes: the most frequent first.
        kinds: how many different mistakes there are in all.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    photos: int
    right: int
    folded: int
    mistakes: tuple[Mistake, ...]
    kinds: int

    def to_dict(self) -> dict:
        return plain(self)


def confusion(
    pairs: Sequence[Pair], labels: Sequence[str], rows: int = 16, most: int = 12
) -> Confusion | None:
    """Count what was taken for what.

    The matrix has the classes that occur, in the order of their index.  If there are more than
    `rows`, those with most mistakes (as truth or as answer) get a row and the rest are one
    row and column, `others`, whose crossing holds right answers and mistakes together.

    Args:
        pairs: (true class, answered class) a photo.
        labels: names of all classes.
        rows: of the matrix, without `others`; at least 1.
        most: mistakes that are listed.

    Returns:
        None if there is no photo.
    """
    if not pairs:
        return None
    found = Counter(pairs)
    wrong = Counter({pair: count for pair, count in found.items() if pair[0] != pair[1]})
    blame: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    for (truth, answer), count in found.items():
        seen[truth] += count
        seen[answer] += count
        if truth != answer:
            blame[truth] += count
            blame[answer] += count
    ranked = sorted(seen, key=lambda index: (-blame[index], -seen[index], index))
    kept = sorted(ranked[:rows])
    place = {index: at for at, index in enumerate(kept)}
    folded = len(ranked) - len(kept)
    side = len(kept) + (folded > 0)
    counts = [[0] * side for _ in range(side)]
    for (truth, answer), count in found.items():
        counts[place.get(truth, side - 1)][place.get(answer, side - 1)] += count
    listed = sorted(wrong.items(), key=lambda entry: (-entry[1], entry[0]))
    return Confusion(
        labels=(*(labels[index] for index in kept), *((OTHERS,) if folded else ())),
        counts=tuple(map(tuple, counts)),
        photos=len(pairs),
        right=len(pairs) - wrong.total(),
        folded=folded,
        mistakes=tuple(Mistake(labels[t], labels[a], n) for (t, a), n in listed[:most]),
        kinds=len(wrong),
    )
