"""The report of one photo: a single HTML file, or a bundle from which it can be made again.

report = gather(net.analyze("cat.jpg"), Choices(wanted="tabby"))
Path("report.html").write_text(to_html(report))
Path("bundle.zip").write_bytes(to_zip(report))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnet.report.bundle import files, to_zip
    from resnet.report.content import Choices, Report, ReportError, gather
    from resnet.report.html import to_html

__all__ = ["Choices", "Report", "ReportError", "files", "gather", "to_html", "to_zip"]

_PLACES = {"files": "bundle", "to_zip": "bundle", "to_html": "html"}


def __getattr__(name: str):
    # The page's figures import `resnet.report.figures`; they should not wait for the rest.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'content')}"), name)
