"""What is saved, measured here and now: `python -m resnet.bench [--quick] [--json F] [--peers]`."""

from resnet.bench.compare import Row, Skipped, compare

__all__ = ["Row", "Skipped", "compare"]
