"""What one visitor looks at on the tab *Detect*."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """One wire of the detector's trunk, cut."""

    block: str
    wire: str  # "shortcut" or "branch"

    @property
    def title(self) -> str:
        """For people."""
        return f"With the {self.wire} of {self.block} cut"


@dataclass(frozen=True)
class Look:
    """The state of the tab for one visitor."""

    path: str = ""  # of the photo; "" for none
    detector: str = ""  # whose boxes `selected` counts
    selected: int = -1  # `Detections.index` of the chosen box; -1 for none
    cut: Cut | None = None  # the picture beside shows the boxes under this cut
