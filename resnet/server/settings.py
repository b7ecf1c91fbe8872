"""Everything that can be set about the server, and the one sentence for each wrong setting."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import socket
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from resnet.images import MAX_BYTES, MAX_PIXELS, MB

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = ("127.0.0.0/8", "::1/128")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


class SettingsError(ValueError):
    """A setting that cannot be used; the text is one line for whoever starts the server."""

    def __init__(self, text: str):
        super().__init__(" ".join(text.split()))


def _setting(default: object, text: str) -> typing.Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """The server's options: `--keep-minutes 30`, or RESNET_KEEP_MINUTES=30, is `keep_minutes`.

    Lists are written with commas; an empty one is an empty string.

    Raises:
        SettingsError: on creation, if the settings cannot be used together.
    """

    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 opens it to the network")
    port: int = _setting(7860, "port to listen on; 0 takes a free one")
    root_path: str = _setting("", "path behind a reverse proxy, such as /resnet, or the whole URL")
    hosts: tuple[str, ...] = _setting((), "host names that the page is opened by, besides this one")
    auth: str = _setting("", "users file; with it visitors sign in (python -m resnet user add)")
    auth_header: str = _setting("", "header in which a trusted proxy names the user")
    trusted_proxy: tuple[str, ...] = _setting(
        (), "addresses of the reverse proxy, such as 10.0.0.2"
    )
    allow_open: bool = _setting(False, "open to the network without any sign-in")
    cors_origins: tuple[str, ...] = _setting((), "origins whose pages may call the HTTP API")
    frame_origins: tuple[str, ...] = _setting(
        (), "origins whose pages may show this one in a frame"
    )
    metrics_from: tuple[str, ...] = _setting(LOOPBACK, "addresses that may read /metrics")
    folder: str = _setting("", "private folder for photos; a new temporary one unless given")

    keep_minutes: float = _setting(
        30.0, "delete a visitor's photos this long after the last action"
    )
    session_hours: float = _setting(12.0, "a sign-in or a visit ends after this long")
    max_file_mb: float = _setting(MAX_BYTES / MB, "largest photo")
    max_megapixels: float = _setting(
        MAX_PIXELS / 1e6, "largest picture when decoded; one takes 4 bytes a pixel"
    )
    max_files: int = _setting(500, "most photos in one upload")
    max_request_mb: float = _setting(1000.0, "largest request; an upload of several photos is one")
    max_json_kb: float = _setting(512.0, "largest request without a photo")
    user_disk_mb: float = _setting(2000.0, "room for one user's photos; the oldest go first")
    disk_mb: float = _setting(10000.0, "room for everybody's photos")
    free_disk_mb: float = _setting(500.0, "refuse photos when the disk has less than this left")
    free_memory_mb: float = _setting(500.0, "refuse work when the memory left is less than this")
    rate: float = _setting(30.0, "requests a second that one user may send for long")
    burst: int = _setting(300, "requests that one user may send at once")
    jobs_per_user: int = _setting(16, "jobs of one user that may wait or run at once")
    streams_per_user: int = _setting(32, "open connections of one user")
    job_seconds: float = _setting(1800.0, "a job that takes longer is stopped")
    queue_length: int = _setting(200, "jobs that may wait, of all users")
    connections: int = _setting(2000, "open connections, of all users")
    request_seconds: float = _setting(30.0, "a request's head must have arrived by then")
    body_kb_per_second: float = _setting(8.0, "an upload that is slower than this is given up")
    grace_seconds: float = _setting(20.0, "at the end, what runs may finish for this long")

    def __post_init__(self) -> None:
        for check in (_numbers, _addresses, _names, _sign_in):
            check(self)

    @property
    def proxies(self) -> tuple[Network, ...]:
        """Networks whose `X-Forwarded-*` headers are believed."""
        return networks(self.trusted_proxy)

    @property
    def open(self) -> bool:
        """Whether anybody may use it; visitors are told apart by a cookie."""
        return not (self.auth or self.auth_header)

    @property
    def prefix(self) -> str:
        """Path of `root_path`, without a slash at its end: "" or "/resnet"."""
        return urlsplit(self.root_path).path.rstrip("/")

    def warnings(self) -> list[str]:
        """What whoever starts the server should know, a sentence each."""
        if _is_loopback(self.host):
            return []
        found = []
        if self.open:
            found.append(
                f"Everybody who reaches {self.host}:{self.port} can use this page: "
                "there is no sign-in (--auth FILE)."
            )
        elif not self.trusted_proxy:
            found.append(
                "Passwords cross the network unencrypted unless a proxy in front of this server "
                "does TLS; name it with --trusted-proxy."
            )
        return found


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses and ranges as networks.  Raises ValueError if one is neither."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


# What a setting must be.


def _numbers(settings: Settings) -> None:
    for each in fields(settings):
        value = getattr(settings, each.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        floor = (
            0 if each.name in ("port", "free_disk_mb", "free_memory_mb", "grace_seconds") else 1e-3
        )
        if not floor <= value < 1e9:  # also refuses "nan"
            raise SettingsError(f"{option_name(each)} must be a number above 0, not {value:g}.")
    if settings.port > 65535:
        raise SettingsError(f"--port must be at most 65535, not {settings.port}.")
    if settings.max_file_mb > settings.max_request_mb:
        raise SettingsError("--max-file-mb is larger than --max-request-mb, which holds the file.")
    if settings.grace_seconds > 20:
        raise SettingsError("--grace-seconds must be at most 20.")


def _addresses(settings: Settings) -> None:
    for name in ("trusted_proxy", "metrics_from"):
        for text in getattr(settings, name):
            try:
                networks((text,))
            except ValueError:
                option = "--" + name.replace("_", "-")
                raise SettingsError(
                    f"{option} takes addresses such as 10.0.0.2 or 10.0.0.0/24, not “{text}”."
                ) from None
    if any(net.prefixlen == 0 for net in settings.proxies):
        raise SettingsError(
            "--trusted-proxy covers every address, so anybody could claim to be the proxy; "
            "name the proxy's own address."
        )


def _names(settings: Settings) -> None:
    for name in ("cors_origins", "frame_origins"):
        for text in getattr(settings, name):
            parts = urlsplit(text)
            whole = f"{parts.scheme}://{parts.netloc}"
            odd = re.search(r"[\s;,'\"*]", text)
            if parts.scheme not in ("http", "https") or text != whole or odd:
                option = "--" + name.replace("_", "-")
                raise SettingsError(f"{option} takes origins such as https://a.org, not “{text}”.")
    for host in settings.hosts:
        if not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]", host):
            raise SettingsError(f"--hosts takes names such as photos.example.org, not “{host}”.")
    root = settings.root_path
    if root and not re.fullmatch(r"(https?://[A-Za-z0-9.:\[\]-]+)?(/[A-Za-z0-9._~-]+)*/?", root):
        raise SettingsError(f"--root-path takes a path such as /resnet or a URL, not “{root}”.")


def _sign_in(settings: Settings) -> None:
    if settings.auth and settings.auth_header:
        raise SettingsError("Give --auth or --auth-header, not both.")
    if settings.auth and not Path(settings.auth).is_file():
        raise SettingsError(
            f"There is no users file “{settings.auth}”; make one with "
            f"python -m resnet user add NAME --auth {settings.auth}."
        )
    if settings.auth_header and not _HEADER.fullmatch(settings.auth_header):
        raise SettingsError(f"“{settings.auth_header}” cannot be the name of a header.")
    if settings.auth_header and not settings.trusted_proxy:
        raise SettingsError(
            "--auth-header needs --trusted-proxy: from anywhere else the header could be forged."
        )
    if settings.open and not _is_loopback(settings.host) and not settings.allow_open:
        raise SettingsError(
            f"On {settings.host} everybody in the network could use this page. "
            "Give --auth FILE so that they sign in, or --allow-open if that is meant."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


# From the command line and the environment.


def option_name(each: Field) -> str:
    return "--" + each.name.replace("_", "-")


def add_options(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
    """Add every setting as an option; RESNET_KEEP_MINUTES in the environment is its default."""
    group = parser.add_argument_group("the server, and who may use it")
    for each in fields(Settings):
        if each.name == "keep_minutes":
            group = parser.add_argument_group("how long, how much, how fast")
        variable = "RESNET_" + each.name.upper()
        shown = _written(each.default)
        given = environ.get(variable, shown)
        if each.name == "host":  # a Hugging Face Space tells gradio, not us, where to listen
            given = environ.get(variable) or environ.get("GRADIO_SERVER_NAME") or shown
        text = f"{each.metadata['help']} (default: {shown or 'none'})"
        if each.default is False:
            group.add_argument(
                option_name(each), nargs="?", const="yes", default=given, type=_yes_or_no,
                metavar="YES", help=text,
            )  # fmt: skip
        else:
            group.add_argument(
                option_name(each), default=given, type=_reader(each), metavar=_metavar(each),
                help=text,
            )  # fmt: skip


def from_options(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that `add_options` has read; other options are ignored.

    Raises:
        SettingsError: they cannot be used.
    """
    values = {each.name: getattr(options, each.name) for each in fields(Settings)}
    if space := environ.get("SPACE_HOST"):  # a Hugging Face Space is open, and shown in a frame
        values["allow_open"] = True
        values["hosts"] = (*values["hosts"], space, socket.gethostname())
        values["frame_origins"] = values["frame_origins"] or ("https://huggingface.co",)
        values["trusted_proxy"] = values["trusted_proxy"] or ("10.0.0.0/8",)
    return Settings(**values)


def _metavar(each: Field) -> str:
    if isinstance(each.default, tuple):
        return "A,B"
    return "TEXT" if isinstance(each.default, str) else "N"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "no"
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _reader(each: Field) -> Callable[[str], object]:
    kind = typing.get_type_hints(Settings)[each.name]
    if isinstance(kind, types.GenericAlias):
        return _parts
    return {int: _whole, float: _number}.get(kind, str.strip)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole(text: str) -> int:
    if not re.fullmatch(r"\s*\d{1,9}\s*", text):
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"“{text}” is not a number") from None


def _yes_or_no(text: str) -> bool:
    answers = dict.fromkeys(("1", "yes", "true", "on"), True)
    answers |= dict.fromkeys(("", "0", "no", "false", "off"), False)
    if text.strip().lower() not in answers:
        raise argparse.ArgumentTypeError(f"“{text}” is neither yes nor no")
    return answers[text.strip().lower()]
