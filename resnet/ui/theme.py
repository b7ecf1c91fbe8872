"""Looks: system fonts (nothing is fetched), one accent, light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent
SHEETS = (
    "page.css",
    "figures.css",
    "blockpanel.css",
    "boxes.css",
    "detect.css",
    "compare_figures.css",
    "compare.css",
    "batch.css",
    "gallery.css",
    "status.css",
    "live.css",
)
CSS = [HERE / name for name in SHEETS]
HEAD = f"<style>{(HERE / 'boxes_widths.css').read_text('utf-8')}</style>"


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
