"""Small things that every tab does with `gr.HTML`."""

from __future__ import annotations

from typing import Any

import gradio as gr


def shown(html: str) -> dict[str, Any]:
    """Update for a `gr.HTML` that takes no room while it is empty."""
    return gr.update(value=html, visible=bool(html))


def hidden() -> dict[str, Any]:
    """Update that empties and hides it."""
    return shown("")
