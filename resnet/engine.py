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

from resnet import detect, detectors
from resnet.analysis import Analysis, analyze
from resnet.detectors.run import run
from resnet.detectors.sighting import Sighting
from resnet.images import Photo, read_photo
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
        self._kept: OrderedDict[tuple, Analysis | Sighting] = OrderedDict()
        self._figures: dict[tuple, dict[Hashable, Any]] = {}  # go when what they show goes
        self._lock = threading.Lock()  # of the dictionary
        self._model = threading.Lock()  # one forward pass at a time: they share the cores

    @property
    def model(self) -> threading.Lock:
        """Hold it while the network runs: `with engine.model:`; `open` and its like do."""
        return self._model

    def open(self, path: str | os.PathLike) -> Analysis:
        """The analysis of the photo in a file; from memory if the file was seen before.

        Raises:
            resnet.images.ImageError: the file is not a photo this app can read.
        """

        def make() -> Analysis:
            photo = read_photo(path)  # decoding runs beside the model, not in its way
            with self._model:
                return analyze(self.net, photo)

        return self._once(_identity(path), make)

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

        def changed() -> Analysis:
            with self._model:
                return make(base)

        return self._once((*_identity(path), name), changed)

    def sight(self, path: str | os.PathLike, detector: str = "auto") -> Sighting:
        """What a detector finds in the photo, above a low floor; kept as `open`'s analyses are.

        Thresholds and class filters are `sighting.found.above(…)`: no further pass.

        Raises:
            resnet.images.ImageError: as `open`.
            detectors.DetectorError: no such detector, or its weights are not here.
        """
        name = detectors.choose(detector)

        def make() -> Sighting:
            chosen = detectors.load(name, self.net)
            photo = read_photo(path, full=chosen.info.full)
            with self._model:
                return run(chosen, photo, detect.FLOOR)

        return self._once((*_identity(path), "sighting", name), make)

    def _once(self, key: tuple, make: Callable[[], Any]) -> Any:
        with self._lock:
            if found := self._kept.get(key):
                self._kept.move_to_end(key)
                return found
        made = make()
        self._keep(key, made)
        return made

    def _keep(self, key: tuple, made: Analysis | Sighting) -> None:
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(map(size, self._kept.values())) > self.memory:
                gone, _ = self._kept.popitem(last=False)
                self._figures.pop(gone, None)

    def figure(
        self,
        path: str | os.PathLike,
        name: Hashable,
        make: Callable[[Any], Any],
        detector: str | None = None,
    ) -> Any:
        """What `make` works out from the photo's analysis; worked out once and kept beside it.

        Args:
            name: of the figure and everything it depends on besides the photo.
            detector: work it out from this detector's sighting instead.

        Raises:
            resnet.images.ImageError: as `open`.
            detectors.DetectorError: as `sight`.
        """
        key: tuple = _identity(path)
        if detector is None:
            source: Analysis | Sighting = self.open(path)
        else:
            source = self.sight(path, detector)
            key = (*key, "sighting", detectors.choose(detector))
        with self._lock:
            known = self._figures.setdefault(key, {}) if key in self._kept else {}
        if name not in known:
            known[name] = make(source)
        return known[name]

    def known(
        self, path: str | os.PathLike, name: Hashable, detector: str | None = None
    ) -> Any | None:
        """What `figure` has worked out already, or None; nothing is run."""
        key: tuple = _identity(path)
        if detector is not None:
            key = (*key, "sighting", detectors.choose(detector))
        with self._lock:
            return self._figures.get(key, {}).get(name)

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


def size(kept: Analysis | Sighting) -> int:
    """Bytes that a result keeps alive; a tensor shared by two blocks counts once."""
    if isinstance(kept, Sighting):
        tensors: list[Tensor] = [kept.input, *kept.streams.values()]
        masks = kept.found.masks
        more = 0 if masks is None else masks.nbytes
    else:
        tensors, more = [kept.trace.stem, kept.trace.logits], 0
        for wires in kept.blocks.values():
            tensors += wires
    unique = {tensor.data_ptr(): tensor.nbytes for tensor in tensors}
    return sum(unique.values()) + more + _pixels(kept.photo)


def _pixels(photo: Photo) -> int:
    width, height = photo.image.size
    return 3 * width * height
