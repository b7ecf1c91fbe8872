"""Modules that are slow to import and not always needed."""

from __future__ import annotations

import importlib
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
