"""Looks: system fonts (nothing is fetched), one accent, light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

CSS = Path(__file__).with_name("page.css")


def theme() -> gr.themes.Base:
    """The page's theme; colours of our own components come from its CSS variables."""
    sans = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        secondary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        font=sans,
        font_mono=mono,
        radius_size=gr.themes.sizes.radius_md,
    )
