"""Sentences for the visitor: what went wrong, what was done to the photo."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def problem(sentence: str) -> str:
    """An error in words, read out at once by a screen reader."""
    return f'<div class="message problem" role="alert">{escape(sentence)}</div>'


def notes(sentences: Sequence[str]) -> str:
    """What was done to the photo, quietly; nothing if there is nothing to say."""
    if not sentences:
        return ""
    return f'<div class="message" role="status">{escape(" ".join(sentences))}</div>'
