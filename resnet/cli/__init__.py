"""The subcommands of `python -m resnet`, one file each.

A file here is a subcommand if it has `add_parser(subparsers)`, which sets `run(options) -> int`
as the parser's default.  It imports torch inside `run` only, so that `--help` comes at once.
"""
