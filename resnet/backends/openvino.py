"""The pass by OpenVINO, an optional library: one model with all wires among its outputs.

The model is written down operation by operation from the folded weights: nothing is traced or
converted, and the library's converter, which would report its use to its makers, is not loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnet.backends.base import BackendError
from resnet.backends.folded import Folded, FoldedBlock, fold_block, fold_stem
from resnet.network import ResNet50, Trace, Wires

HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVino:
    """A CPU pass compiled for the shape of input that the weights are meant for, any batch.

    Args:
        net: its weights are copied.
        precision: `fp32`, or `bf16` where the processor has it; outputs are float32 either way.
        threads: of the pass; torch's in the calling thread if 0.

    Raises:
        BackendError: the library is not installed, or cannot do it.
    """

    name = "openvino"

    def __init__(self, net: ResNet50, precision: str = "fp32", threads: int = 0):
        if net.device.type != "cpu" or precision not in HINTS:
            raise BackendError("OpenVINO is used on the CPU, in fp32 or bf16")
        try:
            import openvino
        except ImportError as error:
            raise BackendError("OpenVINO is not installed") from error
        self.precision = precision
        self.net = net
        core = openvino.Core()
        how = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        }
        self._tensor = openvino.Tensor
        side = net.spec.crop
        self._compile = lambda kept: core.compile_model(_model(net, side, kept), "CPU", how)
        self._requests: dict[tuple[str, ...], Any] = {}  # by the blocks that are kept
        self._request(net.block_names)
        self._side = side

    def trace(self, x: Tensor, brief: bool = False) -> Trace:
        """As `Backend`; inputs of another height or width go through the ordinary pass."""
        if x.shape[2:] != (self._side, self._side):
            return self.net.trace(x, brief=brief)
        kept = self.net.last_stage if brief else self.net.block_names
        with torch.inference_mode():
            outs = self._run(self._request(kept), x)
            logits, stem = outs[:2]
            rest, stream = iter(outs[2:]), stem
            blocks: dict[str, Wires] = {}
            for name in kept:
                shortcut = stream if self.net.block(name).downsample is None else next(rest)
                blocks[name] = wires = Wires(shortcut, next(rest), next(rest))
                stream = wires.output
            return Trace(stem, blocks, logits)

    def logits(self, x: Tensor) -> Tensor:
        """As `Backend`."""
        if x.shape[2:] != (self._side, self._side):
            return self.net.trace(x).logits
        return self._run(self._request(()), x)[0]

    def _request(self, kept: tuple[str, ...]) -> Any:
        """What runs the model that keeps these blocks; compiled when it is first asked for."""
        if kept not in self._requests:
            self._requests[kept] = self._compile(kept).create_infer_request()
        return self._requests[kept]

    def _run(self, request: Any, x: Tensor) -> list[Tensor]:
        outs = []
        for i, out in enumerate(request.model_outputs):
            shape = [len(x), *(int(n.get_length()) for n in list(out.get_partial_shape())[1:])]
            made = torch.empty(shape)
            request.set_output_tensor(i, self._tensor(made.numpy(), shared_memory=True))
            outs.append(made)
        request.infer([self._tensor(x.float().contiguous().numpy(), shared_memory=True)])
        return outs


def _model(net: ResNet50, side: int, keep: tuple[str, ...]) -> Any:
    """The network in OpenVINO's operations; outputs logits, stem, then S (if projected), F, H.

    Args:
        keep: the blocks whose wires are among the outputs; without any, the logits stand alone.
    """
    import openvino
    from openvino import opset13 as op

    def conv(x: Any, folded: Folded) -> Any:
        weight = op.constant(folded.weight.contiguous().numpy())
        pad, stride = [folded.padding] * 2, [folded.stride] * 2
        y = op.convolution(x, weight, stride, pad, pad, [1, 1])
        return op.add(y, op.constant(folded.bias.view(1, -1, 1, 1).numpy()))

    def branch(x: Any, block: FoldedBlock) -> Any:
        x = op.relu(conv(x, block.convs[0]))
        x = op.relu(conv(x, block.convs[1]))
        return conv(x, block.convs[2])

    start = op.parameter([-1, 3, side, side], np.float32)
    x = op.relu(conv(start, fold_stem(net)))
    stem = x = op.max_pool(x, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
    kept = []
    for name in net.block_names:
        block = fold_block(net, name)
        shortcut = x if block.projection is None else conv(x, block.projection)
        f = branch(x, block)
        x = op.relu(op.add(shortcut, f))
        if name in keep:
            kept += [f, x] if block.projection is None else [shortcut, f, x]
    mean = op.reduce_mean(x, op.constant(np.array([2, 3])), False)
    logits = op.matmul(mean, op.constant(net.fc.weight.numpy()), False, True)
    logits = op.add(logits, op.constant(net.fc.bias.view(1, -1).numpy()))
    outs = [op.result(out) for out in ([logits, stem, *kept] if keep else [logits])]
    return openvino.Model(outs, [start], "resnet")
