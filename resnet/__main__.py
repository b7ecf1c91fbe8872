"""`python -m resnet COMMAND …`: parse, run the command, turn errors into one line.

Exit status: 0 done; 1 a photo could not be used; 2 a wrong option, weights or device;
130 stopped with Ctrl-C; 141 the reader of our output went away.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

import resnet.cli
from resnet.cli.options import UsageError, say

PROGRAM = "python -m resnet"
EXAMPLES = """examples:
  python -m resnet classify cat.jpg
  python -m resnet classify holiday/ --top 3 --json > answers.json
  python -m resnet explain cat.jpg --class tabby --method hirescam --out tabby.png
  python -m resnet detect street.jpg --score 0.4 --draw boxes/

Errors go to standard error, one line each. Exit status: 0 done, 1 a photo could not
be used, 2 a wrong option, weights or device."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and takes no abbreviations that a later option may break."""

    def __init__(self, *args, **kwargs):
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str):
        say(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


def build_parser() -> Parser:
    """The parser with every subcommand found in `resnet/cli/`."""
    parser = Parser(
        prog=PROGRAM,
        description="See what a ResNet-50 sees in a photo, and where.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for found in pkgutil.iter_modules(resnet.cli.__path__):
        module = importlib.import_module(f"resnet.cli.{found.name}")
        if hasattr(module, "add_parser"):
            module.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after `python -m resnet`; those of the process if None.

    Returns:
        The exit status; see the top of this file.
    """
    try:
        try:
            options = build_parser().parse_args(argv)
            status = options.run(options)
        except SystemExit as finished:  # argparse, after --help or an error
            status = int(finished.code or 0)
        sys.stdout.flush()  # here, where a broken pipe is still ours to handle
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # What is left in the buffer would be flushed, and fail, once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        status = _expected(error)
        if not status:
            fault = f"{type(error).__name__}: {error}"
            say(f"something unforeseen went wrong: {fault} (python -X dev shows where)")
        else:
            say(str(error))
        return status or 1


def _expected(error: Exception) -> int:
    """The exit status of an error whose text is meant for the user; 0 for any other error."""
    from resnet.cam import CamError  # here, because these bring torch with them
    from resnet.classify import UnknownClass
    from resnet.compare import CompareError
    from resnet.detectors import DetectorError
    from resnet.device import DeviceError
    from resnet.images import ImageError
    from resnet.train.scenes import SceneError
    from resnet.weights import WeightsError

    if isinstance(error, ImageError):
        return 1
    asked = (UsageError, CamError, UnknownClass, CompareError, SceneError)
    wrong = (*asked, WeightsError, DeviceError, DetectorError)
    return 2 if isinstance(error, wrong) else 0


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name may hold what the terminal cannot show
            stream.reconfigure(errors="replace")
    sys.exit(main())
