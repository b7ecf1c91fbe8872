"""What *Why this box?* shows: the box's heat map, its crop classified, its evidence."""

from __future__ import annotations

from html import escape

from PIL import Image

from resnet import why
from resnet.detectors.sighting import Sighting
from resnet.draw.answers import answers_html, percent
from resnet.draw.box_picture import draw_boxes
from resnet.draw.encode import image_uri, shrink
from resnet.draw.evidence_figure import evidence_figure
from resnet.draw.overlay import colourize
from resnet.network import ResNet50

SIDE = 720  # pixels of the pictures' longer side
FAINT = 0.2  # a map whose sum is a smaller share of the logit says where, not how much


def why_html(net: ResNet50, sighting: Sighting, i: int) -> str:
    """Heat map of the box's score, and the box as the classifier sees it.

    Args:
        net: the classifier.
        i: the detection's place in `sighting.found`.
    """
    found = sighting.found
    title = f"Why “{found.label_names[i]}”, {percent(float(found.scores[i]))}?"
    return (
        f'<h2 class="why-title">{escape(title)}</h2><div class="why">'
        f"{_map(sighting, i)}{_crop(net, sighting, i)}</div>"
    )


def _map(sighting: Sighting, i: int) -> str:
    found = why.box_map(sighting, i)
    photo = shrink(sighting.photo.image, SIDE).convert("RGB")
    heat = Image.blend(photo, colourize(found.on_photo(photo.size)), 0.55)
    width, height = sighting.photo.size
    fx, fy = photo.width / width, photo.height / height
    box = sighting.found.boxes[i : i + 1] * (fx, fy, fx, fy)
    drawn = draw_boxes(heat, box, [found.label], [found.score], selected=0)
    label = escape(found.label)
    if found.inside == found.inside:  # not NaN: something speaks for it
        words = (
            f"{percent(found.inside)} of what speaks for “{label}” lies in the box, which covers "
            f"{percent(found.area)} of the photo."
        )
    else:
        words = f"Nothing in the streams speaks for “{label}” by this method: the map is blank."
    if abs(found.total) < FAINT * abs(found.logit):
        words += (
            " This head normalises what it reads, so the map says where, not how much "
            f"(its sum is {found.total:+.2f} of a logit of {found.logit:+.2f})."
        )
    else:
        words += (
            f" The map adds to {found.total:+.2f} of the logit's {found.logit:+.2f}; biases and "
            f"norms of the head make up the rest."
        )
    if sighting.alone:
        words += (
            f" {sighting.detector.looks} looks were put together for the score above; map and "
            "evidence are of the first."
        )
    words += f" Sum of the map = ⟨gradient, streams⟩, error {found.error:.0e} logits."
    return (
        '<section class="why-map"><h3>Where this box’s score comes from</h3>'
        f'<img src="{image_uri(drawn)}" alt="Heat map of the box’s score over the photo">'
        f"<p>{words}</p></section>"
    )


def _crop(net: ResNet50, sighting: Sighting, i: int) -> str:
    analysis = why.analyze_crop(net, sighting, i)
    rows = [(p.index, p.label, p.probability) for p in analysis.top(5)]
    picture = image_uri(shrink(analysis.photo.image, 360))
    words = "The box with a margin, cut out and shown to the classifier of 1,000 ImageNet classes."
    return (
        '<section class="why-crop"><h3>The box by itself, classified</h3><div class="crop">'
        f'<img src="{picture}" alt="The box, cut out">'
        f"{answers_html(rows, buttons=False)}</div><p>{words}</p></section>"
    )


def river_html(sighting: Sighting, i: int) -> str:
    """The evidence for the box through both wires of all 16 blocks, within the box."""
    found = why.box_evidence(sighting, i)
    label = escape(found.label)
    figure = evidence_figure(found.within().to_dict())
    return (
        '<div class="figure-panel" data-name="box-evidence">'
        "<h3>Its evidence through shortcuts and branches</h3>"
        f'<p class="figure-text">Gradient times signal at every plus of the detector’s trunk, '
        f"summed over the cells inside the box, for the score of this “{label}”.</p>{figure}</div>"
    )


def heat_panel_html() -> str:
    """For a box that was drawn around a heat map."""
    return (
        '<h2 class="why-title">Why this box?</h2><p class="figure-text">It is the edge of a bright '
        "region of the class’s heat map, nothing more. The tab Classify shows the map itself, and "
        "a detector above explains its boxes one by one.</p>"
    )
