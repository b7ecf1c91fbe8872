"""The six addresses.  Each takes a form with a photo, and answers JSON, or PNG where it draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resnet import answers, cam, verbs
from resnet.draw.overlay import COLOUR_MAPS
from resnet.server.api.negotiate import JSON, PNG, chosen
from resnet.server.api.work import Work

Photo = Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC")]
Wanted = Annotated[
    str, Form(max_length=200, description="a class: a name, an unambiguous part of one, or an "
              "index; empty for the network's own answer")
]  # fmt: skip
Top = Annotated[int, Form(ge=1, le=1000, description="how many classes to name")]
Weights = Annotated[
    str, Form(max_length=200, description="a named set that is on this server; empty for its own")
]


def text(what: str) -> Any:
    """A short text field."""
    return Form(max_length=200, description=what)


Method = Annotated[str, text(", ".join(cam.METHODS))]
Block = Annotated[str, text("whose map it is, 1.0 to 4.2; empty for the last")]
Colours = Annotated[str, text(f"of the PNG: {', '.join(COLOUR_MAPS)}")]
Detector = Annotated[str, text("its name, or auto for the best whose weights are here")]


def router(engine: Any, work: Work) -> APIRouter:
    """The addresses for an engine."""
    routes = APIRouter(tags=["verbs"])

    def offer(name: str, answer: type, drawn: bool = False) -> Callable:
        content = {PNG: {"schema": {"type": "string", "format": "binary"}}} if drawn else {}
        return routes.post(
            f"/{name}", response_model=answer, operation_id=name,
            responses={200: {"content": content, "description": "The answer."}},
        )  # fmt: skip

    async def answer(
        request: Request, photos: Sequence[UploadFile], say: Callable[..., Any],
        draw: Callable[..., bytes] | None = None,
    ) -> Response:  # fmt: skip
        kinds = (JSON, PNG) if draw else (JSON,)
        if draw and chosen(request.headers.get("accept", ""), kinds) == PNG:
            return Response(await work.run(request, photos, draw), media_type=PNG)
        chosen(request.headers.get("accept", ""), kinds)
        found = await work.run(request, photos, lambda *paths: say(*paths).to_dict())
        return JSONResponse(found)

    @offer("classify", answers.Classified)
    async def classify(request: Request, photo: Photo, top: Top = 5) -> Response:
        """What is in the photo: the most probable classes."""
        return await answer(request, [photo], lambda path: verbs.classify(engine, path, top))

    @offer("explain", answers.Explained, drawn=True)
    async def explain(
        request: Request, photo: Photo, wanted: Wanted = "", method: Method = "gradcam",
        block: Block = "", colours: Colours = COLOUR_MAPS[0],
    ) -> Response:  # fmt: skip
        """Where in the photo a class is: a heat map as numbers, or as a PNG over the photo."""
        asked = (wanted or None, method, block or None)
        return await answer(
            request, [photo],
            lambda path: verbs.explain(engine, path, *asked, colours=colours),
            lambda path: verbs.explain_picture(engine, path, *asked, colours),
        )  # fmt: skip

    @offer("detect", answers.Detected, drawn=True)
    async def detect(
        request: Request, photo: Photo, detector: Detector = "auto",
        score: Annotated[float, Form(ge=0, le=1, description="the lowest score of a box")] = 0.5,
        classes: Annotated[
            str, Form(max_length=2000, description="kinds of thing to report, with commas between; "
                      "empty for all")
        ] = "",
    ) -> Response:  # fmt: skip
        """Which things are in the photo, and where: boxes as numbers, or as a PNG of the photo."""
        named = [name.strip() for name in classes.split(",") if name.strip()]
        asked = (detector, score, named)
        return await answer(
            request, [photo],
            lambda path: verbs.detect(engine, path, *asked),
            lambda path: verbs.detect_picture(engine, path, *asked),
        )  # fmt: skip

    @offer("trace", answers.Traced)
    async def trace(request: Request, photo: Photo, wanted: Wanted = "") -> Response:
        """What the shortcut and the branch of each block carry, and what cutting each does."""
        return await answer(
            request, [photo], lambda path: verbs.trace(engine, path, wanted or None)
        )

    @offer("lesions", answers.Lesions)
    async def lesions(request: Request, photo: Photo, wanted: Wanted = "") -> Response:
        """The answer with each of the wires cut, one at a time."""
        return await answer(
            request, [photo], lambda path: verbs.lesions(engine, path, wanted or None)
        )

    @offer("compare", answers.Compared)
    async def compare(
        request: Request, a: Photo, b: Photo, weights_a: Weights = "", weights_b: Weights = "",
        top: Top = 5,
    ) -> Response:  # fmt: skip
        """Two answers side by side: of two photos, or of one by two sets of weights."""
        return await answer(
            request, [a, b],
            lambda one, other: verbs.compare(engine, one, other, weights_a, weights_b, top),
        )  # fmt: skip

    return routes
