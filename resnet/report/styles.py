"""The report's style sheet: the page's figures, light or dark as the reader's system asks."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "ui"  # the page's sheets; no Python of it is needed

# A rule for dark, as the page writes it; ".dark & .x" where Gradio nests the sheet.
_DARK = re.compile(r"\.dark (?:& )?([^{}]+)\{([^{}]*)\}")


@cache
def sheet() -> str:
    """CSS without any address in it: nothing is asked of any host."""
    nested = "#wires {\n" + _asks(_read(PAGE / "wiring.css")) + "\n}"
    sheets = ("figures.css", "boxes.css", "boxes_widths.css")
    parts = [*(_read(PAGE / name) for name in sheets), nested]
    return "\n".join([*map(_asks, parts), _read(HERE / "report.css")])


def _asks(css: str) -> str:
    """`.dark X {…}` for the reader's system instead of the page's class, and never on paper."""
    asked = "@media screen and (prefers-color-scheme: dark)"
    css = _DARK.sub(lambda m: f"{asked} {{ {m[1].strip()} {{{m[2]}}} }}", css)
    return re.sub(r"cursor:\s*url\([^;]*;", "", css)  # scissors: there is nothing to cut here


def _read(path: Path) -> str:
    return path.read_text("utf-8")
