"""The app: `python app.py`, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from resnet import heap, images
from resnet.server import settings, storage
from resnet.server.settings import Settings

_MODEL = {
    "weights": ("he2015", "he2015, imagenet1k-v1, imagenet1k-v2, or a file with weights"),
    "labels": ("", "class names for your own weights, one a line"),
    "device": ("auto", "auto, cpu, cuda or cuda:N"),
    "precision": ("auto", "of passes and cuts: auto, fp32, bf16, fp16; other figures are float32"),
    "detector": ("auto", "auto, offline, offline-quick, fasterrcnn-v2 or another of torchvision's"),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options from the command line; each also from the environment, as RESNET_PORT and so on."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        usage="python app.py [OPTION …]",
        description="Serve the page that shows what a ResNet-50 sees.",
        epilog="Every option can also be set by an environment variable: --root-path by "
        "RESNET_ROOT_PATH, and so on. The command line wins.",
        allow_abbrev=False,
    )
    model = parser.add_argument_group("the network")
    for name, (default, text) in _MODEL.items():
        model.add_argument(
            f"--{name}", metavar="NAME", default=os.environ.get(f"RESNET_{name.upper()}", default),
            help=f"{text} (default: {default or 'none'})",
        )  # fmt: skip
    settings.add_options(parser)
    return parser.parse_args(arguments)


def load(options: argparse.Namespace) -> Any:
    """The engine that the options ask for.

    Raises:
        ValueError: weights, labels, device or detector cannot be used; one clear line.
    """
    from resnet import detectors
    from resnet.engine import Engine
    from resnet.network import ResNet50

    detectors.choose(options.detector)
    return Engine(
        ResNet50.load(options.weights, options.device, options.precision, options.labels or None)
    )


def assemble(engine: Any, options: argparse.Namespace, chosen: Settings) -> Any:
    """The page for an engine, behind the server's walls; `storage.open_folder` comes before."""
    from resnet.server.app import create_app
    from resnet.server.status import Status
    from resnet.ui.page import build

    status = Status()
    page = build(engine, options.detector, status)
    return create_app(engine, chosen, page, deleted=engine.forget, status=status)


def door(options: argparse.Namespace, chosen: Settings) -> Any:
    """The app to begin with: it answers at once, and makes the real one beside itself."""
    from resnet.server.door import Door

    engines: list[Any] = []

    def make() -> Any:
        with ThreadPoolExecutor(1, "load") as beside:
            loading = beside.submit(load, options)
            _import_page()
            engines.append(loading.result())
        return assemble(engines[0], options, chosen)

    return Door(chosen, make, lambda: engines[0].start(options.precision))


def _import_page() -> None:
    import resnet.ui  # noqa: F401 its settings for gradio come first
    from resnet import lazy

    lazy.gradio()


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    heap.prepare()  # before there are threads
    try:
        chosen = settings.from_options(options)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder is removed
        images.limit(int(chosen.max_file_mb * images.MB), int(chosen.max_megapixels * 1e6))
        folder = storage.open_folder(chosen.folder)  # before gradio is imported

        from resnet.server.serve import listen, serve

        serve(door(options, chosen), chosen, listen(chosen), started=_say, close=folder.close)
    except ValueError as error:  # of settings, users file, weights, device: one clear line each
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _say(url: str) -> None:
    print(f"The page is at {url}; Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
