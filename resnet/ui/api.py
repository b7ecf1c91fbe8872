"""The page's endpoints for programs: `/classify /explain /detect /trace /lesions /compare`.

`gradio_client` and two requests with curl reach them; everything else on the page is private.
Answers are what `resnet.verbs` gives, as JSON, with their types told at `/gradio_api/info`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, get_type_hints

import gradio as gr
from gradio.components.api_component import Api
from gradio_client.utils import python_type_to_json_schema

from resnet import answers, cam, verbs
from resnet.draw.overlay import COLOUR_MAPS
from resnet.engine import Engine
from resnet.ui.photo_input import PhotoInput

PHOTOS = ("photo", "a", "b")  # parameters that are files
LONGEST = 200  # letters of an option, and entries of a list

_TEXTS = {  # what each option means, for the people who read the list of endpoints
    "photo": "a photo that was uploaded",
    "a": "a photo that was uploaded",
    "b": "another, or the same",
    "top": "how many classes to name",
    "wanted": "class: a name, an unambiguous part of one, or an index; empty for the answer's own",
    "method": "of the heat map: " + ", ".join(cam.METHODS),
    "block": "of the heat map, 1.0 to 4.2; empty for the last",
    "colours": "of the picture: " + ", ".join(COLOUR_MAPS),
    "picture": "also the photo with what was found drawn over it, as a data: address of a PNG",
    "detector": "its name, or auto for the best one whose weights are here",
    "score": "the lowest score of a box, 0 to 1",
    "classes": "kinds of thing to report; empty for all",
    "weights_a": "he2015 or another named set that is on this server; empty for the page's own",
    "weights_b": "the same for the second photo",
}


def endpoints(engine: Engine) -> None:
    """Add the six endpoints to the current `gr.Blocks`; nothing of them is seen on the page."""

    def classify(photo: str, top: int = 5) -> answers.Classified:
        """What is in the photo: the most probable classes."""
        return verbs.classify(engine, photo, top)

    def explain(
        photo: str,
        wanted: str = "",
        method: str = "gradcam",
        block: str = "",
        picture: bool = False,
        colours: str = COLOUR_MAPS[0],
    ) -> answers.Explained:
        """Where in the photo a class is: a heat map as numbers, and drawn if asked for."""
        return verbs.explain(engine, photo, wanted, method, block, picture, colours)

    def detect(
        photo: str,
        detector: str = "auto",
        score: float = 0.5,
        classes: list[str] | None = None,
        picture: bool = False,
    ) -> answers.Detected:
        """Which things are in the photo, and where: boxes with names and scores."""
        return verbs.detect(engine, photo, detector, score, classes, picture)

    def trace(photo: str, wanted: str = "") -> answers.Traced:
        """What the shortcut and the branch of each block carry, and what cutting each does."""
        return verbs.trace(engine, photo, wanted)

    def lesions(photo: str, wanted: str = "") -> answers.Lesions:
        """The answer with each of the wires cut, one at a time."""
        return verbs.lesions(engine, photo, wanted)

    def compare(
        a: str, b: str, weights_a: str = "", weights_b: str = "", top: int = 5
    ) -> answers.Compared:
        """Two answers side by side: of two photos, or of one by two sets of weights."""
        return verbs.compare(engine, a, b, weights_a, weights_b, top)

    for verb in (classify, explain, detect, trace, lesions, compare):
        _offer(verb)


def _offer(verb: Callable[..., answers.Answer | answers.Compared]) -> None:
    """One endpoint: photos are checked as the page's are, options by the verb's own types."""
    hints = get_type_hints(verb)
    answer = Api(None, python_type_to_json_schema(hints.pop("return")), "answer")
    inputs = [
        PhotoInput(label=_TEXTS[name], visible=False)
        if name in PHOTOS
        else Api(given.default, python_type_to_json_schema(hints[name]), _TEXTS[name])
        for name, given in inspect.signature(verb).parameters.items()
    ]

    @wraps(verb)
    def call(*values: Any) -> dict[str, Any]:
        for (name, kind), value in zip(hints.items(), values, strict=True):
            _check(name, kind, value)
        try:
            return verb(*values).to_dict()
        except verbs.ERRORS as error:
            raise _refused(str(error)) from error

    gr.on(
        triggers=[],
        fn=call,
        inputs=inputs,
        outputs=answer,
        api_name=verb.__name__,
        api_description=verb.__doc__,
        api_visibility="public",
        show_progress="hidden",
        concurrency_id="model",
        concurrency_limit=2,
    )


def _check(name: str, kind: Any, value: Any) -> None:
    """Refuse what is not of the option's kind: anybody may post anything."""
    if name in PHOTOS:
        if value is None:
            raise _refused(f"There is no photo in “{name}”. Upload one first.")
        return
    sort = next(sort for sort in _KINDS if kind == sort.kind)
    if not sort.fits(value):
        raise _refused(f"“{name}” is {sort.text}: {_TEXTS[name]}.")


def _short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(sentence: str) -> gr.Error:
    return gr.Error(sentence, title="No answer", print_exception=False)


class _Kind(NamedTuple):
    kind: Any
    text: str
    fits: Callable[[Any], bool]


_KINDS = (
    _Kind(str, f"a text of at most {LONGEST} letters", _short),
    _Kind(bool, "true or false", lambda value: isinstance(value, bool)),
    _Kind(int, "a whole number", lambda value: _number(value) and isinstance(value, int)),
    _Kind(float, "a number", _number),
    _Kind(
        list[str] | None,
        f"a list of at most {LONGEST} names",
        lambda value: (
            value is None
            or (isinstance(value, list) and len(value) <= LONGEST and all(map(_short, value)))
        ),
    ),
)
