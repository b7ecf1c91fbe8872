"""How the page is launched; the tests launch it the same way."""

from __future__ import annotations

from typing import Any

from resnet.images import MAX_BYTES
from resnet.ui.examples import FOLDER
from resnet.ui.theme import CSS, HEAD, theme

# A class is searched by typing: what stands in the box is replaced, not added to.
_SELECT_ALL = """
() => document.addEventListener('focusin', (event) => {
  if (event.target.matches('#chosen input, #inside-class input')) event.target.select();
})
"""


def launch_options() -> dict[str, Any]:
    """Arguments for `Blocks.launch`: quiet, private, nothing asked of other hosts."""
    return {
        "theme": theme(),
        "css_paths": CSS,
        "head": HEAD,
        "js": _SELECT_ALL,
        "footer_links": [],
        "run_history": False,  # it would keep visitors' inputs in shared browsers
        "share": False,
        "quiet": True,
        "show_error": False,  # our own sentences are shown; others could name server paths
        "max_file_size": MAX_BYTES,
        "allowed_paths": [str(FOLDER)],
        "ssr_mode": False,
        "pwa": False,
    }
