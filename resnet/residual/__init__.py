"""Inside: what each wire of each block carries, and what happens when it is cut or turned up.

Pure functions over a trace; results are small frozen dataclasses of plain values with `to_dict`.
"""

from resnet.residual.budget import Budget, signal_budget
from resnet.residual.depth import DepthStudy, depth_study
from resnet.residual.evidence import Evidence, evidence
from resnet.residual.gains import RewiredTrace, logits_of, plan_of, run
from resnet.residual.highway import Highway, gradient_highway
from resnet.residual.ledger import Ledger, logit_ledger
from resnet.residual.lesions import Lesion, LesionBoard, lesions
from resnet.residual.paths import PathLengths, path_lengths
from resnet.residual.plan import (
    Gains,
    Plan,
    PlanError,
    Step,
    all_shortcuts_off,
    baseline,
    branches_off_after,
    gains_of,
    identity_blocks,
    identity_branch_gain,
    one_lesion,
    plan_of_gains,
    random_blocks_cut,
    repeated,
    swap_pairs,
    swapped,
)
from resnet.residual.readouts import Timeline, shortcut_readouts
from resnet.residual.reference import NoReference, Reference, load_reference

__all__ = [
    "Budget",
    "DepthStudy",
    "Evidence",
    "Gains",
    "Highway",
    "Ledger",
    "Lesion",
    "LesionBoard",
    "NoReference",
    "PathLengths",
    "Plan",
    "PlanError",
    "Reference",
    "RewiredTrace",
    "Step",
    "Timeline",
    "all_shortcuts_off",
    "baseline",
    "branches_off_after",
    "depth_study",
    "evidence",
    "gains_of",
    "gradient_highway",
    "identity_blocks",
    "identity_branch_gain",
    "lesions",
    "load_reference",
    "logit_ledger",
    "logits_of",
    "one_lesion",
    "path_lengths",
    "plan_of",
    "plan_of_gains",
    "random_blocks_cut",
    "repeated",
    "run",
    "shortcut_readouts",
    "signal_budget",
    "swap_pairs",
    "swapped",
    "with_gains",
    "with_plan",
]


def __getattr__(name: str):
    # These two stand above `resnet.analysis`, which may itself use this package.
    if name in ("with_gains", "with_plan"):
        from resnet.residual import rewired

        return getattr(rewired, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
