"""One photo's trace out of a batch's, on its own memory and in float32.

Figures (ledger, evidence, gradients) are exact statements about S, F and their sum, so they are
given a trace in which `relu(S + F)` is the output to the bit.  A pass in reduced precision rounds
the sum once more; that rounding is undone here: outputs and logits are made anew from S and F.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from resnet.network import ResNet50, Trace, Wires, join


def one_of(net: ResNet50, trace: Trace, index: int, count: int) -> Trace:
    """Photo `index` of a batch of `count`; the batch's own memory can go when all were taken."""
    whole = trace.stem.dtype == torch.float32
    if count == 1 and whole:
        return trace

    def own(tensor: Tensor) -> Tensor:
        part = tensor[index : index + 1]
        return part.clone() if whole else part.float()

    with torch.inference_mode():
        stem = stream = own(trace.stem)
        before, blocks = trace.stem, {}
        for name, (shortcut, branch, output) in trace.blocks.items():
            s = stream if shortcut is before else own(shortcut)  # an identity stays one
            f = own(branch)
            stream = own(output) if whole else join(s, f)
            blocks[name], before = Wires(s, f, stream), output
        logits = trace.logits[index : index + 1].clone() if whole else net.head(stream)
        return Trace(stem, blocks, logits)


def nbytes(trace: Trace) -> int:
    """Bytes of a trace; a tensor shared by two blocks counts once."""
    tensors = [trace.stem, trace.logits]
    for wires in trace.blocks.values():
        tensors += wires
    return unique(tensors)


def unique(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors, each once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())
