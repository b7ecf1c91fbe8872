"""The engine: files to analyses, each made once and kept while there is room."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from resnet import heap, view
from resnet.analysis import Analysis
from resnet.backends.base import Backend, Eager
from resnet.engine import exact, lane
from resnet.engine.caller import EngineError
from resnet.engine.later import Later
from resnet.engine.memory import Memory, weight
from resnet.engine.stats import Stats
from resnet.images import Photo, read_file, read_photo
from resnet.network import ResNet50, Trace, Wires

if TYPE_CHECKING:
    from resnet.detectors.sighting import Sighting

MB = 1 << 20
FEW = 4  # jobs that wait: so many go between two looks; in a crowd, turns would make all wait
PATHS = 10_000  # files whose content is known without reading them again


class Engine:
    """Analyses by file, each made once and kept while there is room.

    What is kept belongs to a photo's content, not to its name: the same photo sent twice is
    looked at once.  The network runs in turns (`lane`), photos that wait together as one batch.

    Args:
        net: the network that everybody shares.
        memory: bytes of results to keep; one photo's trace takes about 50 MB in float32.
        backend: how the trunk runs; the ordinary pass until `tune` has chosen, if None.
        line: where the network's turns are given; the process's own if None.
    """

    def __init__(
        self,
        net: ResNet50,
        memory: int = 400 * MB,
        backend: Backend | None = None,
        line: lane.Lane | None = None,
    ):
        self.net = net
        self.backend: Backend = backend or Eager(net, net.precision)
        self.why = "the ordinary pass"  # this back end
        self.told = Stats()
        self.lane = line or lane.shared()
        self._memory = Memory(memory, self.told.tell)
        self._digests: OrderedDict[tuple, str] = OrderedDict()  # content by path, size and time
        self._lock = threading.Lock()  # of the digests
        self._tuned = threading.Event()  # clear while back ends are being timed
        self._tuned.set()
        self._turn = lane.Turn(self.lane)

    @property
    def memory(self) -> int:
        """Bytes of results that are kept at most."""
        return self._memory.room

    @property
    def model(self) -> lane.Turn:
        """Hold it while the network runs: `with engine.model:`; `open` and its like do."""
        return self._turn

    def open(self, path: str | os.PathLike) -> Analysis:
        """The analysis of the photo in a file; from memory if its content was seen before.

        Raises:
            resnet.images.ImageError: the file is not a photo this app can read, or, as an
                `EngineError`, it did not get its turn.
        """
        key, data = self._content(path)

        def made() -> Analysis:
            analysis = self.look(data or read_file(path))
            if isinstance(analysis.trace.blocks, Later):
                analysis.trace.blocks.tell = partial(self._memory.reweigh, key, size)
            return analysis

        return self._memory.once(key, made, size)

    def look(self, data: bytes, brief: bool = False) -> Analysis:
        """The analysis of a file's bytes, past the memory: a photo that nobody asks for twice.

        Args:
            brief: for the answer and its heat map alone; see `trace`.

        Raises:
            resnet.images.ImageError: as `open`.
        """
        started = time.perf_counter()
        with self.timed("decode"):  # beside the model, not in its way
            photo = read_photo(data)
        with self.timed("resize"):
            seen = view.look(photo, self.net.spec)
            x = view.to_tensor(seen.image, self.net.spec)
        trace = self.trace(x, brief)
        return Analysis(self.net, photo, seen, trace, time.perf_counter() - started)

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """One input's trace, by the back end and in turn; float32, whatever ran.

        In a crowd, when photos share a pass, it keeps what their answers and heat maps need;
        whoever asks for the other blocks' wires has them made by a pass of their own.

        Args:
            x: [1, 3, H, W], normalised.
            brief: so it is for a lone photo, too.
        """
        backend = self.backend

        def run(inputs: list[Tensor]) -> list[tuple]:
            several = len(inputs) > 1
            trace = backend.trace(torch.cat(inputs) if several else inputs[0], brief or several)
            return [(trace, i, len(inputs)) for i in range(len(inputs))]

        kind = ("trace", id(backend), tuple(x.shape))
        batch = self.lane.do(run, x, kind, tell=self.told.tell)
        with self.timed("copy"):
            trace = exact.one_of(self.net, *batch)
        if len(trace.blocks) == len(self.net.block_names):
            return trace
        blocks = Later(self.net.block_names, trace.blocks, x, self._wires)
        return replace(trace, blocks=blocks)

    def _wires(self, x: Tensor) -> Mapping[str, Wires]:
        backend = self.backend
        kind = ("wires", id(backend), tuple(x.shape))
        trace = self.lane.do(lambda inputs: [backend.trace(inputs[0])], x, kind, 1, self.told.tell)
        with self.timed("copy"):
            return exact.one_of(self.net, trace, 0, 1).blocks

    def logits(self, x: Tensor) -> Tensor:
        """A batch's logits, float32 [N, classes] on the CPU, in turn; nothing is kept.

        Args:
            x: [N, 3, H, W], normalised.
        """
        return self.lane.do(lambda batch: [self.backend.logits(batch[0]).cpu()], x)

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
            return self.lane.do(lambda _: [make(base)])

        return self._memory.once((base.photo.digest, "variant", name), changed, size)

    def sight(self, path: str | os.PathLike, detector: str = "auto") -> Sighting:
        """What a detector finds in the photo, above a low floor; kept as `open`'s analyses are.

        Thresholds and class filters are `sighting.found.above(…)`: no further pass.

        Raises:
            resnet.images.ImageError: as `open`.
            detectors.DetectorError: no such detector, or its weights are not here.
        """
        from resnet import detectors

        name = detectors.choose(detector)
        key, data = self._content(path)
        return self._memory.once(
            (*key, "sighting", name), lambda: self.spot(data or read_file(path), name), size
        )

    def spot(self, data: bytes, detector: str = "auto") -> Sighting:
        """`sight` for a file's bytes, past the memory.

        Raises:
            resnet.images.ImageError, detectors.DetectorError: as `sight`.
        """
        from resnet import detect, detectors
        from resnet.detectors.run import Answer, answer, finish

        chosen = detectors.load(detectors.choose(detector), self.net)
        with self.timed("decode"):
            photo = read_photo(data, full=chosen.info.full)
        made: list[Answer] = []

        def look(_: object) -> list[Sighting | None]:
            """Look on until all is seen, or somebody else should have a turn."""
            while True:
                made.append(answer(chosen, photo, len(made)))
                if len(made) == chosen.looks:
                    return [finish(chosen, photo, made, detect.FLOOR)]
                if 0 < self.lane.waiting <= FEW:
                    return [None]

        while (seen := self.lane.do(look)) is None:
            pass
        return seen

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
        if detector is None:
            source: Any = self.open(path)
            key: tuple = (source.photo.digest,)
        else:
            from resnet import detectors

            source = self.sight(path, detector)
            key = (source.photo.digest, "sighting", detectors.choose(detector))

        def worked_out() -> Any:
            with self.lane.spare_cores(), self.timed("tail"):
                return make(source)

        return self._memory.once((*key, "figure", name), worked_out, weight, of=key)

    def known(
        self, path: str | os.PathLike, name: Hashable, detector: str | None = None
    ) -> Any | None:
        """What `figure` has worked out already, or None; nothing is run."""
        digest = self._digests.get(_identity(path))
        if digest is None:
            return None
        key: tuple = (digest,)
        if detector is not None:
            from resnet import detectors

            key = (*key, "sighting", detectors.choose(detector))
        return self._memory.get((*key, "figure", name))

    def forget(self, path: str | os.PathLike) -> None:
        """Keep nothing that was made from this file, unless another file holds the same photo.

        The file may be gone already.
        """
        with self._lock:
            mine = [key for key in self._digests if key[0] == str(path)]
            digests = {self._digests.pop(key) for key in mine}
            gone = digests - set(self._digests.values())
        for digest in gone:
            for key in self._memory.keys():  # noqa: SIM118 not a dictionary
                if key[0] == digest:
                    self._memory.forget(key)

    def timed(self, stage: str) -> Any:
        """`with engine.timed("draw"):` the block counts towards that stage of the work."""
        return self.told.timed(stage)

    def stats(self) -> dict[str, Any]:
        """How it is doing: plain numbers and words for a status page."""
        return {
            "backend": self.backend.name,
            "precision": self.backend.precision,
            "why": self.why,
            "threads": self.lane.threads,
            "waiting": self.lane.waiting,
            "running": self.lane.running,
            "kept": len(self._memory),
            "kept_bytes": self._memory.bytes,
            "room_bytes": self._memory.room,
            "hits": self._memory.hits,
            "misses": self._memory.misses,
            **self.told.summary(),
        }

    def tune(self, precision: str = "auto") -> None:
        """Choose the fastest back end by a few passes of a blank photo; takes seconds.

        Photos that come meanwhile are looked at between two passes, the ordinary way.

        Args:
            precision: `auto` or one of `device.PRECISIONS`.
        """
        from resnet import backends

        self._tuned.clear()
        self.why = "the ordinary pass, while the others are being timed"
        try:
            choice = backends.choose(
                self.net, precision, run=lambda work: self.lane.do(lambda _: [work()])
            )
            self.backend, self.why = choice.backend, choice.reason
            self.net.precision = choice.backend.precision  # what answers say of themselves
        except EngineError:  # no turn
            self.why = "the ordinary pass, for there was no time to try the others"
        finally:
            self._tuned.set()

    def settled(self, patience: float) -> Engine:
        """This engine, as soon as its back end is chosen; as it is if that takes too long.

        Args:
            patience: seconds.
        """
        self._tuned.wait(patience)
        return self

    def start(self, precision: str = "auto") -> None:
        """For a server, once, in a thread beside it: choose the back end, and be ready.

        From then on torch has all cores in the lane and one thread anywhere else.
        """
        lane.settle()
        self.tune(precision)
        self.warm_up()
        heap.trim()

    def warm_up(self) -> None:
        """Make one heat map of a blank picture, so that the first visitor is not the slow one."""
        side = self.net.spec.crop
        photo = read_photo(Image.new("RGB", (side, side), "grey"))
        seen = view.look(photo, self.net.spec)
        trace = self.trace(view.to_tensor(seen.image, self.net.spec))
        Analysis(self.net, photo, seen, trace, 0.0).cam()

    def _content(self, path: str | os.PathLike) -> tuple[tuple, bytes | None]:
        """The key of a file's content, and the content if it had to be read."""
        identity = _identity(path)
        with self._lock:
            if digest := self._digests.get(identity):
                self._digests.move_to_end(identity)
                return (digest,), None
        with self.timed("read"):
            data = read_file(path)
            digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._digests[identity] = digest
            while len(self._digests) > PATHS:
                self._digests.popitem(last=False)
        return (digest,), data


def _identity(path: str | os.PathLike) -> tuple:
    """Path, size and time: a file that was written anew is another photo."""
    try:
        found = Path(path).stat()
    except OSError:
        return (str(path),)  # read_file says what is wrong with it
    return (str(path), found.st_size, found.st_mtime_ns)


def size(kept: Any) -> int:
    """Bytes that an analysis or a sighting keeps alive; a tensor two blocks share counts once."""
    if isinstance(kept, Analysis):
        return exact.nbytes(kept.trace) + _pixels(kept.photo)
    tensors: list[Tensor] = [kept.input, *kept.streams.values()]
    masks = kept.found.masks
    more = 0 if masks is None else masks.nbytes
    return exact.unique(tensors) + more + _pixels(kept.photo)


def _pixels(photo: Photo) -> int:
    width, height = photo.image.size
    return 3 * width * height
