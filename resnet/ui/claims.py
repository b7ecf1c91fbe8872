"""What papers say, beside what was measured on this network; with sources."""

from __future__ import annotations

from html import escape

from resnet.residual import Reference
from resnet.residual.reference import NoReference


def claim_html(key: str, reference: Reference | NoReference | None) -> str:
    """A paper's claim about a figure, and this network's figure over the reference photos.

    Args:
        key: of the figure.
        reference: only the claim is printed where there is none for the weights loaded.
    """
    if key not in _CLAIMS:
        return ""
    claim, measured = _CLAIMS[key]
    here = measured(reference) if reference else ""
    return f'<p class="claim"><b>Published:</b> {escape(claim)} {escape(here)}</p>'


def _cost(reference: Reference) -> str:
    science = reference.science
    base = science["accuracy"]["baseline"][0]
    branch = {b: base - row[0] for b, row in science["accuracy.branch_cut"].items()}
    least, most = min(branch, key=lambda b: branch[b]), max(branch, key=lambda b: branch[b])
    early = [b for b in branch if b < "4"]
    shortcut = [science["accuracy.shortcut_cut"][b][0] for b in early]
    return (
        f"Here, over {reference.photos} easy photos ({100 * base:.1f} % right untouched): one "
        f"branch cut costs {100 * branch[least]:.1f} ({least}) to {100 * branch[most]:.1f} points "
        f"({most}); one shortcut of stages 1–3 cut leaves {100 * min(shortcut):.1f} to "
        f"{100 * max(shortcut):.1f} % right. Another network, another data set: read both."
    )


def _along(reference: Reference) -> str:
    medians = [q[1] for q in reference.quartiles("highway.cos_branch_loss_gradient").values()]
    return (
        f"Here the medians of the 16 blocks over {reference.photos} photos run from "
        f"{_signed(min(medians))} to {_signed(max(medians))}: no such rule in this network."
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _early(reference: Reference) -> str:
    agrees = reference.shares["readouts.agrees"]
    shown = [block for block in ("2.3", "3.5", "4.0", "4.1") if block in agrees]
    parts = ", ".join(f"{block}: {100 * agrees[block]:.0f} %" for block in shown)
    return (
        f"Here, over {reference.photos} photos, the shortcuts alone from a block on give the full "
        f"network's answer: {parts}."
    )


_CLAIMS = {
    "lesions": (
        "Veit et al. 2016 (arXiv 1605.06431): cutting any single block of ResNet-110 that does not "
        "downsample has no noticeable effect on CIFAR-10; removing any layer of VGG brings chance.",
        _cost,
    ),
    "highway": (
        "Jastrzębski et al. 2018 (arXiv 1710.04773): on CIFAR networks the branch points against "
        "the gradient of the loss, cos(F, ∂L/∂h) about −0.1 in the last blocks.",
        _along,
    ),
    "timeline": (
        "Jastrzębski et al. 2018 (arXiv 1710.04773): late blocks refine an answer that is already "
        "there; He et al. 2016 (arXiv 1603.05027) call the shortcut the path that carries it.",
        _early,
    ),
    "paths": (
        "Veit et al. 2016 (arXiv 1605.06431), 54 blocks: more than 95 % of the paths are 19 to 35 "
        "branches long, the gradient comes from lengths 5 to 17.",
        lambda reference: "",
    ),
    "depth": (
        "He et al. 2015 (arXiv 1512.03385), trained on CIFAR-10: error 8.75 % with 20 layers and "
        "6.43 % with 110 with shortcuts; the plain network of 110 layers stays above 60 %.",
        lambda reference: "",
    ),
}
