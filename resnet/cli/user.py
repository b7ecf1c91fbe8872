"""`python -m resnet user add|remove|key|list`: who may sign in to a shared server."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from resnet.cli import options as shared


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "user",
        help="who may sign in to a shared server",
        description="Users of a server that is started with --auth FILE. A running server sees "
        "a change at once; a new password or a removed user ends that user's sign-ins.",
    )
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", required=True)
    for name, help, run in (
        ("add", "add a user, or give one a new password", run_add),
        ("remove", "take a user away", run_remove),
        ("key", "a new API key for a user's programs", run_key),
        ("list", "every user's name", run_list),
    ):
        action = actions.add_parser(name, help=help, description=f"{help.capitalize()}.")
        if name != "list":
            action.add_argument("name", metavar="NAME", help="a-z, 0-9 and . _ @ -")
        if name == "add":
            action.add_argument(
                "--stdin", action="store_true",
                help="read the password from the first line of standard input",
            )  # fmt: skip
        if name == "key":
            action.add_argument(
                "--end", action="store_true", help="make none; end all keys the user has"
            )
        action.add_argument(
            "--auth", metavar="FILE", default=os.environ.get("RESNET_AUTH") or "users.txt",
            help="the users file (default: RESNET_AUTH, or users.txt)",
        )  # fmt: skip
        action.set_defaults(run=run)


def run_add(options: argparse.Namespace) -> int:
    """Ask for a password and keep its hash."""
    from resnet.server import users

    try:
        name = users.user_name(options.name)
        new = users.add(Path(options.auth), name, _password(options.stdin))
    except users.UsersError as error:
        raise shared.UsageError(str(error)) from None
    what = "may sign in" if new else "has a new password"
    print(f"{name} {what}: {shared.printable(options.auth)}")
    return 0


def run_remove(options: argparse.Namespace) -> int:
    """Take a user out of the file."""
    from resnet.server import users

    try:
        users.remove(Path(options.auth), options.name)
    except users.UsersError as error:
        raise shared.UsageError(str(error)) from None
    print(f"{options.name} may no longer sign in: {shared.printable(options.auth)}")
    return 0


def run_key(options: argparse.Namespace) -> int:
    """Print a new API key, this once; or end a user's keys."""
    from resnet.server import users

    path = Path(options.auth)
    try:
        if options.end:
            count = users.end_keys(path, options.name)
            print(f"{count} API key{'s' * (count != 1)} of {options.name} ended.")
        else:
            print(users.add_key(path, options.name))
    except users.UsersError as error:
        raise shared.UsageError(str(error)) from None
    return 0


def run_list(options: argparse.Namespace) -> int:
    """Print every name."""
    from resnet.server import users

    try:
        names = sorted(users.read(Path(options.auth)))
    except users.UsersError as error:
        raise shared.UsageError(str(error)) from None
    print("\n".join(names) if names else "Nobody may sign in.")
    return 0


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise shared.UsageError("There is no terminal to ask for a password; use --stdin.")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise shared.UsageError("These are two different passwords.")
    return first
