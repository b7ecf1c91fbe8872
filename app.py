"""The app: `python app.py`, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

# The directory for uploads must be known before gradio is imported.
from resnet.ui import uploads


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options from the command line; each also from the environment, as RESNET_PORT and so on."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Serve the page that shows what a ResNet-50 sees.",
        epilog="Every option can also be set by an environment variable: --root-path by "
        "RESNET_ROOT_PATH, and so on. The command line wins.",
    )

    def option(name: str, default: str, text: str, **extra) -> None:
        variable = "RESNET_" + name.replace("-", "_").upper()
        value = os.environ.get(variable, default)
        shown = f"{text} (default: {default or 'none'})"
        parser.add_argument(f"--{name}", default=value, help=shown, **extra)

    # A Hugging Face Space tells gradio, not us, where to listen.
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    option("host", host, "address to listen on; 0.0.0.0 opens it to the network")
    option("port", "7860", "port to listen on", type=int)
    option("weights", "he2015", "he2015, imagenet1k-v1, imagenet1k-v2, or a file with weights")
    option("labels", "", "class names for your own weights, one a line")
    option("device", "auto", "auto, cpu, cuda or cuda:N")
    option("precision", "auto", "auto, fp32, bf16 or fp16; figures are float32 all the same")
    option("detector", "auto", "auto, offline, fasterrcnn-v2 or another of torchvision's")
    option("root-path", "", "path behind a reverse proxy, such as /resnet")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    folder = uploads.private_folder()

    from resnet import detectors
    from resnet.engine import Engine
    from resnet.network import ResNet50
    from resnet.ui.page import build
    from resnet.ui.serve import launch_options

    try:
        detectors.choose(options.detector)
        net = ResNet50.load(
            options.weights, options.device, options.precision, options.labels or None
        )
    except ValueError as error:  # WeightsError, DeviceError, DetectorError: one clear line each
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    engine = Engine(net)
    page = build(engine, options.detector)
    warm_up = threading.Thread(target=engine.warm_up, daemon=True, name="warm-up")
    warm_up.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that uploads are removed
    try:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            root_path=options.root_path or None,
            prevent_thread_lock=True,
            **launch_options(),
        )
        print(f"The page is at http://{options.host}:{options.port}; Ctrl-C ends it.", flush=True)
        page.block_thread()
    except OSError as error:
        print(f"app.py: cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        warm_up.join()  # Python must not end while torch works in a thread
        return 2
    finally:
        uploads.remove(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
