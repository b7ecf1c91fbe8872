"""A GPU's pass: folded, channels last, recorded once for each of a few batch sizes.

A recorded pass (CUDA graph) is started by one call instead of some hundred: at batch 1 launching
kernels takes longer than running them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from resnet.backends.base import BackendError
from resnet.backends.plain import Plain
from resnet.network import ResNet50, Trace, Wires

SIZES = (1, 2, 4, 8, 16)  # batches that are recorded; others run as they are


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    input: Tensor  # where the graph reads
    trace: Trace  # where it writes


class Graphed:
    """`Plain` on a GPU, recorded.

    Raises:
        BackendError: the network is not on a GPU.
    """

    name = "cuda graphs"

    def __init__(self, net: ResNet50, precision: str = "bf16"):
        if net.device.type != "cuda":
            raise BackendError("CUDA graphs need a GPU")
        self.net = net
        self.precision = precision
        self._plain = Plain(net, precision)
        self._device, self._side = net.device, net.spec.crop
        self._copies = torch.cuda.Stream(self._device)
        self._recorded: dict[int, _Recorded] = {}

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """As `Backend`; the wires are copies, which the next pass does not overwrite."""
        if len(x) not in SIZES or x.shape[2:] != (self._side, self._side):
            return self._plain.trace(x, brief)
        kept = self._recorded.get(len(x)) or self._record(len(x))
        self._send(x, kept.input)
        kept.graph.replay()
        with torch.inference_mode():
            return _copied(kept.trace, self.net.last_stage if brief else self.net.block_names)

    def logits(self, x: Tensor) -> Tensor:
        """As `Backend`."""
        return self._plain.logits(x)

    def _send(self, x: Tensor, to: Tensor) -> None:
        """Host to device beside what the device computes; the pass waits for it, we do not."""
        if x.device.type == "cpu":
            x = x.pin_memory()
        self._copies.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._copies), torch.inference_mode():
            to.copy_(x, non_blocking=True)
        torch.cuda.current_stream(self._device).wait_stream(self._copies)

    def _record(self, size: int) -> _Recorded:
        x = torch.zeros(size, 3, self._side, self._side, device=self._device)
        for _ in range(3):  # cuDNN chooses its kernels before the recording
            self._plain.trace(x)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            trace = self._plain.trace(x)
        self._recorded[size] = kept = _Recorded(graph, x, trace)
        return kept


def _copied(trace: Trace, names: tuple[str, ...]) -> Trace:
    stem = stream = trace.stem.clone()
    blocks: dict[str, Wires] = {}
    before = trace.stem
    for name in names:
        shortcut, branch, output = trace.blocks[name]
        s = stream if shortcut is before else shortcut.clone()
        blocks[name] = Wires(s, branch.clone(), output.clone())
        stream, before = blocks[name].output, output
    return Trace(stem, blocks, trace.logits.clone())
