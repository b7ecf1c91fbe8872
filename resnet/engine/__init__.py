"""Many users, one network: analyses by file, in turns, in batches, each made once.

>>> engine = Engine(net)
>>> engine.open("cat.jpg").top(5)
"""

from resnet.engine.caller import CALLER, Busy, Caller, Cancelled, EngineError, NoMemory, TooLate
from resnet.engine.core import Engine

__all__ = [
    "CALLER",
    "Busy",
    "Caller",
    "Cancelled",
    "Engine",
    "EngineError",
    "NoMemory",
    "TooLate",
]
