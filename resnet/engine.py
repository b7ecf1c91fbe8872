"""The one place that knows there are many users: one model, a lock, and a bounded memory."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from resnet.analysis import Analysis, analyze
from resnet.images import read_photo
from resnet.network import ResNet50

MB = 1 << 20


class Engine:
    """Analyses by file, each made once and kept while there is room.

    Args:
        net: the network that everybody shares.
        memory: bytes of traces to keep; one photo's trace takes about 50 MB in float32.
    """

    def __init__(self, net: ResNet50, memory: int = 400 * MB):
        self.net = net
        self.memory = memory
        self._kept: OrderedDict[tuple, Analysis] = OrderedDict()
        self._figures: dict[tuple, dict[Hashable, Any]] = {}  # go when their analysis goes
        self._lock = threading.Lock()  # of the dictionary
        self._model = threading.Lock()  # one forward pass at a time: they share the cores

    def open(self, path: str | os.PathLike) -> Analysis:
        """The analysis of the photo in a file; from memory if the file was seen before.

        Raises:
            resnet.images.ImageError: the file is not a photo this app can read.
        """
        key = _identity(path)
        with self._lock:
            if found := self._kept.get(key):
                self._kept.move_to_end(key)
                return found
        photo = read_photo(path)  # decoding runs beside the model, not in its way
        with self._model:
            made = analyze(self.net, photo)
        self._keep(key, made)
        return made

    def variant(
        self, path: str | os.PathLike, name: Hashable, make: Callable[[Analysis], Analysis]
    ) -> Analysis:
        """A changed network's analysis of the photo, made once and kept as `open`'s are.

        Args:
            name: of the change.

        Raises:
            resnet.images.ImageError: as `open`.
        """
        base = self.open(path)
        key = (*_identity(path), name)
        with self._lock:
            if found := self._kept.get(key):
                self._kept.move_to_end(key)
                return found
        made = make(base)
        self._keep(key, made)
        return made

    def _keep(self, key: tuple, made: Analysis) -> None:
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(map(size, self._kept.values())) > self.memory:
                gone, _ = self._kept.popitem(last=False)
                self._figures.pop(gone, None)

    def figure(
        self, path: str | os.PathLike, name: Hashable, make: Callable[[Analysis], Any]
    ) -> Any:
        """What `make` works out from the photo's analysis; worked out once and kept beside it.

        Args:
            name: of the figure and everything it depends on besides the photo.

        Raises:
            resnet.images.ImageError: as `open`.
        """
        analysis = self.open(path)
        with self._lock:
            key = _identity(path)
            known = self._figures.setdefault(key, {}) if key in self._kept else {}
        if name not in known:
            known[name] = make(analysis)
        return known[name]

    def warm_up(self) -> None:
        """Make one heat map of a blank picture, so that the first visitor is not the slow one."""
        side = self.net.spec.crop
        analyze(self.net, read_photo(Image.new("RGB", (side, side), "grey"))).cam()


def _identity(path: str | os.PathLike) -> tuple:
    """Path, size and time: a file that was written anew is another photo."""
    try:
        found = Path(path).stat()
    except OSError:
        return (str(path),)  # read_photo says what is wrong with it
    return (str(path), found.st_size, found.st_mtime_ns)


def size(analysis: Analysis) -> int:
    """Bytes that an analysis keeps alive; a tensor shared by two blocks counts once."""
    tensors: list[Tensor] = [analysis.trace.stem, analysis.trace.logits]
    for wires in analysis.blocks.values():
        tensors += wires
    unique = {tensor.data_ptr(): tensor.nbytes for tensor in tensors}
    width, height = analysis.photo.image.size
    return sum(unique.values()) + 3 * width * height
