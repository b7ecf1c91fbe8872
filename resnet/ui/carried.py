"""Settings that a link carries: how each is written into its query, and what is taken from one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from resnet.network import ResNet50
from resnet.residual.plan import PlanError
from resnet.ui.switchboard import PRESETS, Setting, plan_of

NAME = re.compile(r"[^\x00-\x1f,<>]{1,40}")  # of a thing
WIRE = re.compile(r"(\d\.\d)(shortcut|branch)(\d(?:\.\d{1,3})?)")
SWAP = re.compile(r"swap(\d\.\d)-(\d\.\d)")


@dataclass(frozen=True)
class Carried:
    """One control, or one state, of a tab.

    Attributes:
        key: in the query.
        read: text to value; ValueError if it says nothing that is known here.
        write: value to text; "" to leave it out, as a value that the page starts with is.
        always: written though the page starts with it: another page may start with another.
    """

    key: str
    component: Any
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    always: bool = False

    @property
    def start(self) -> Any:
        """The value that the page starts with."""
        return self.component.value


def written(carried: Sequence[Carried], values: Sequence[Any]) -> dict[str, str]:
    """The part of a query for these values: only what is not as the page starts.

    Args:
        values: one for each of `carried`.
    """
    said = {}
    for one, value in zip(carried, values, strict=True):
        if value is None or (value == one.start and not one.always):
            continue
        if text := one.write(value):
            said[one.key] = text
    return said


def taken(
    carried: Sequence[Carried], query: Mapping[str, str]
) -> tuple[tuple[tuple[str, Any], ...], list[str]]:
    """What a query asks for: (key, value) pairs, and the keys whose text is not known here."""
    found, lost = [], []
    for one in carried:
        if one.key in query:
            try:
                found.append((one.key, one.read(query[one.key])))
            except ValueError:
                lost.append(one.key)
    return tuple(found), lost


# Ways to read.


def one_of(values: Collection[str]) -> Callable[[str], str]:
    """A word of a list."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A number in a range."""

    def read(text: str) -> float:
        value = float(text) if re.fullmatch(r"\d{1,3}(\.\d{1,6})?", text, re.ASCII) else math.nan
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def whole_number(text: str) -> int:
    """Such as a seed: 0 to 999,999,999."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError(text)
    return int(text)


def yes(text: str) -> bool:
    """1 or 0."""
    return one_of(("0", "1"))(text) == "1"


def say_yes(value: bool) -> str:
    """As `yes` reads it."""
    return "1" if value else "0"


def names(text: str) -> tuple[str, ...]:
    """Names of things, with commas between them."""
    found = tuple(text.split(","))
    if len(found) > 80 or not all(map(NAME.fullmatch, found)):
        raise ValueError(text)
    return found


def say_names(value: Sequence[str]) -> str:
    """As `names` reads them."""
    return ",".join(value)


def cuts(net: ResNet50) -> Callable[[str], Setting]:
    """What the switchboard has set, such as "2.1shortcut0,3.2branch1.5,swap3.2-3.3"."""

    def read(text: str) -> Setting:
        gains: dict[str, dict[str, float]] = {}
        swap = None
        for part in text.split(","):
            if wire := WIRE.fullmatch(part):
                gains.setdefault(wire[1], {})[wire[2]] = float(wire[3])
            elif pair := SWAP.fullmatch(part):
                swap = (pair[1], pair[2])
            else:
                raise ValueError(text)
        setting = Setting(gains, swap)
        try:
            plan_of(net, setting)
        except PlanError as error:
            raise ValueError(text) from error
        same = (one for one in _presets(net) if (one.gains, one.swap) == (gains, swap))
        return next(same, setting)  # a preset has words of its own

    return read


def _presets(net: ResNet50) -> Iterator[Setting]:
    """Those that this network can have."""
    for preset in PRESETS:
        with suppress(PlanError):
            yield preset.make(net, 0)


def say_cuts(value: Setting) -> str:
    """As `cuts` reads it; "" as trained."""
    said = [
        f"{block}{wire}{gain:.3f}".rstrip("0").rstrip(".")
        for block, wires in value.gains.items()
        for wire, gain in wires.items()
    ]
    return ",".join([*said, f"swap{value.swap[0]}-{value.swap[1]}"] if value.swap else said)
