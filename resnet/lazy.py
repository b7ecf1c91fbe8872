"""Modules that are slow to import and not always needed, and the one that is slow without need."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    """Stands for a module until one of its names is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def module(name: str) -> Any:
    """The module of that name, imported when it is first used.

    torchvision brings torch's compiler with it: seconds, and a hundred megabytes, that a page
    without boxes and damages does not need.
    """
    return _Lazy(name)


def gradio() -> Any:
    """gradio, imported in half of its time: without its type stubs.

    For each component it parses its own source and writes a stub file for editors, on every
    import and for every class made later; a server has no use for them.
    """
    with _no_source_of("gradio."):
        found = importlib.import_module("gradio")
        meta = importlib.import_module("gradio.component_meta")
    meta.create_or_modify_pyi = lambda *_: None  # type: ignore[attr-defined]
    return found


@contextmanager
def _no_source_of(package: str) -> Iterator[None]:
    """Classes of a package look as if they were typed in: gradio writes no stubs for these."""
    ordinary = inspect.getfile

    def getfile(thing: Any) -> str:
        if str(getattr(thing, "__module__", "")).startswith(package):
            raise OSError("no file is told while this is imported")
        return ordinary(thing)

    inspect.getfile = getfile  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = ordinary
