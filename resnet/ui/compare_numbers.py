"""What the tab *Compare* works out of A and B, and what its downloads hold."""

from __future__ import annotations

import io

from resnet.compare import CompareError, compare_answers, where_they_part
from resnet.draw.ab_view import ab_picture
from resnet.engine import Engine
from resnet.ui import compare_source as source
from resnet.ui.compare_files import about
from resnet.ui.compare_source import Asked
from resnet.ui.compare_view import Seen, looks, maps_of, scale_words

Told = tuple[dict, list[dict]]  # all numbers, and the rows of the table


def both(engine: Engine, asked: Asked) -> tuple[Seen, Seen]:
    """Both sides with their heat maps.

    Raises:
        one of `compare_files.PROBLEMS`.
    """
    if not asked.path:
        raise CompareError("Choose a photo for A first.")
    a, b = source.sides(engine, asked)
    one, other = source.look(engine, a), source.look(engine, b)
    i, j = source.explained(engine, one, other, asked.wanted)
    return (
        Seen(a, one, source.heat_map(engine, a, i)),
        Seen(b, other, None if j is None else source.heat_map(engine, b, j)),
    )


def answers(a: Seen, b: Seen) -> dict:
    """Both top lists in one."""
    return compare_answers(a.analysis, b.analysis).to_dict()


def parting(engine: Engine, a: Seen, b: Seen) -> dict:
    """Where the two streams part; worked out once."""
    name = ("parting", source.key(a.side), b.side.photo, source.key(b.side))
    return engine.figure(
        a.side.photo, name, lambda _: where_they_part(a.analysis, b.analysis).to_dict()
    )


# Downloads.


def picture_numbers(engine: Engine, asked: Asked) -> Told:
    """Both heat maps, their scale, their likeness."""
    a, b = both(engine, asked)
    pair, alike = maps_of(a, b)
    rows = [
        {
            "side": letter, "class": s.analysis.net.labels[s.heat.index],
            "method": s.heat.method, "block": s.heat.block, "signed": s.heat.signed,
            "blank": s.heat.blank, "grid": s.heat.grid.round(6).tolist(),
        }
        for letter, s in (("A", a), ("B", b)) if s.heat is not None
    ]  # fmt: skip
    found = about(a, b) | {
        "scale": {"low": pair.low, "high": pair.high},
        "likeness": alike.to_dict() if alike else None,
        "heat_maps": rows,
    }
    return found, rows


def picture_file(engine: Engine, asked: Asked) -> bytes:
    """Both photos, both heat maps, as a PNG."""
    a, b = both(engine, asked)
    pair, _ = maps_of(a, b)
    file = io.BytesIO()
    ab_picture(*looks(a, b, pair), pair.signed, scale_words(pair)).save(file, "PNG")
    return file.getvalue()


def answers_numbers(engine: Engine, asked: Asked) -> Told:
    """Both top lists."""
    a, b = both(engine, asked)
    found = answers(a, b)
    return about(a, b) | {"answers": found}, found["rows"]


def parting_numbers(engine: Engine, asked: Asked) -> Told:
    """Likeness of the streams, block by block."""
    a, b = both(engine, asked)
    found = parting(engine, a, b)
    return about(a, b) | {"parting": found}, found["rows"]
