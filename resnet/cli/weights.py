"""`python -m resnet weights list|fetch|add`: which weights are here, and getting more of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet.cli import options as shared

SHIPPED = "ships with the project"


@dataclass(frozen=True)
class Row:
    """One set of weights, as the list tells it; the fields are those of `--json`.

    Attributes:
        kind: `classifier` or `detector`.
        here: it can be used without a network; whether it is whole is seen when it loads.
        path: of its file, also where it would be; url: "" if it ships.
        sha256: of the file, or the first 8 digits, which is what torchvision publishes.
        megabytes: of the file, 10^6 bytes.
        ap: COCO's average precision of the boxes, percent; None of a classifier.
        ap_from: where this figure is from.
    """

    name: str
    kind: str
    here: bool
    megabytes: float
    path: str
    url: str
    sha256: str
    source: str
    licence: str
    trained_on: str
    ap: float | None
    ap_from: str


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "weights",
        help="which weights are here; fetch or add more",
        description="Sets of weights, of classifiers and of detectors: what is here, and how to "
        "get more. They are kept in torch's own cache, where torchvision finds them as well; "
        "the environment variable TORCH_HOME moves it.",
    )
    actions = parser.add_subparsers(title="what to do", metavar="ACTION", required=True)

    listing = actions.add_parser(
        "list", help="every set, and whether it is here",
        description="Every set by name: its size, whether it is here, where it is from.",
    )  # fmt: skip
    listing.add_argument("--json", action="store_true", help="print one JSON array, a set a row")
    listing.set_defaults(run=run_list)

    fetching = actions.add_parser(
        "fetch", help="fetch a set by name",
        description="Fetch a set from where torchvision publishes it, and check its hash. "
        "If the download breaks off, the same command goes on from there.",
    )  # fmt: skip
    fetching.add_argument("name", metavar="NAME", help="as `weights list` shows it")
    shared.add_progress_option(fetching, "while it is fetched")
    fetching.set_defaults(run=run_fetch)

    adding = actions.add_parser(
        "add", help="add a file that you brought, for a machine without a network",
        description="Check a file (names, shapes and hash must be those of the published one) and "
        "copy it to where `--weights NAME` and `--detector NAME` find it.",
    )  # fmt: skip
    adding.add_argument("name", metavar="NAME", help="as `weights list` shows it")
    adding.add_argument("file", metavar="FILE", help="the .pth file that torchvision publishes")
    adding.set_defaults(run=run_add)


def run_list(options: argparse.Namespace) -> int:
    """Print every set."""
    found = rows()
    if options.json:
        print("[" + ",\n ".join(json.dumps(asdict(row)) for row in found) + "]")
    else:
        print(table(found))
    return 0


def run_fetch(options: argparse.Namespace) -> int:
    """Fetch one set, unless it is here already."""
    row = _find(options.name)
    if not row.url:
        print(f"{row.name} {SHIPPED}; there is nothing to fetch.")
        return 0
    title = f"{row.name} ({row.megabytes:.0f} MB)"
    fetch, _ = _ways(row)
    with _byte_bar(options.progress, title) as progress:
        path = fetch(progress)
    print(f"{row.name} is here: {shared.printable(str(path))}")
    return 0


def run_add(options: argparse.Namespace) -> int:
    """Check and copy one file.

    Raises:
        UsageError: the set ships with the project.
    """
    row = _find(options.name)
    if not row.url:
        raise shared.UsageError(f"{row.name} {SHIPPED}; there is nothing to add.")
    _, add = _ways(row)
    path = add(Path(options.file))
    print(f"{row.name} is here: {shared.printable(str(path))}")
    return 0


def rows() -> list[Row]:
    """Every set that has a name: classifiers, then detectors."""

    from resnet import downloads, weights
    from resnet.detectors import library, shipped

    sizes = _published_sizes()
    found = []
    for spec in weights.named().values():
        url = weights.url_of(spec)
        path = downloads.path_of(url) if url else weights.HE2015_FILE
        row = Row(
            name=spec.name,
            kind="classifier",
            here=weights.is_here(spec),
            megabytes=round(sizes[spec.name] if url else path.stat().st_size / 1e6, 1),
            path=str(path),
            url=url,
            sha256=spec.sha256,
            source=spec.source,
            licence=spec.licence,
            trained_on="ImageNet-1k",
            ap=None,
            ap_from="",
        )
        found.append(row)
    for info in (shipped.infos()[0], *library.infos()):
        row = Row(
            name=info.name,
            kind="detector",
            here=not info.url or library.is_here(info.name),
            megabytes=round(info.megabytes, 1),
            path=str(library.file_of(info.name) if info.url else shipped.FILE),
            url=info.url,
            sha256=info.sha256,
            source=library.source_of(info.name) if info.url else "trained by this project",
            licence=library.LICENCE if info.url else "MIT",
            trained_on=info.trained_on,
            ap=info.ap,
            ap_from=info.ap_from,
        )
        found.append(row)
    return found


def _published_sizes() -> dict[str, float]:
    """MB of torchvision's classification sets, by our names."""
    from torchvision.models import ResNet50_Weights

    in_mb = 2**20 / 1e6  # torchvision gives MiB
    return {
        member.name.lower().replace("_", "-"): member.meta["_file_size"] * in_mb
        for member in ResNet50_Weights
    }


def table(found: list[Row]) -> str:
    """The list for people: a line a set, then where they come from."""
    cells = [("NAME", "KIND", "MB", "AP", "HERE", "LICENCE", "TRAINED ON")]
    for row in found:
        here = "yes" if row.here else "no"
        ap = "" if row.ap is None else f"{row.ap:.1f}"
        size = f"{row.megabytes:.0f}"
        cells.append((row.name, row.kind, size, ap, here, row.licence, row.trained_on))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if title in ("MB", "AP") else cell.ljust(width)
            for cell, width, title in zip(line, widths, cells[0], strict=True)
        ).rstrip()
        for line in cells
    ]
    fetched = [row for row in found if row.url]
    folder = shared.printable(str(Path(fetched[0].path).parent))
    lines += [
        "",
        *(f"{row.name}: {row.source}; {SHIPPED}." for row in found if not row.url),
        f"The others are torchvision's ({fetched[0].licence}) and are fetched on demand:",
        "  python -m resnet weights fetch NAME",
        f"They are kept in {folder}.",
        "AP is COCO's average precision of the boxes in percent, from:",
    ]
    for source in dict.fromkeys(row.ap_from for row in found if row.ap is not None):
        names = ", ".join(row.name for row in found if row.ap_from == source)
        lines.append(f"  {names}: {source}.")
    return "\n".join(lines)


def _find(name: str) -> Row:
    """One set.

    Raises:
        UsageError: there is none of this name.
    """
    found = {row.name: row for row in rows()}
    if name not in found:
        raise shared.UsageError(f"There are no weights named “{name}”. Use {', '.join(found)}.")
    return found[name]


def _ways(row: Row) -> tuple[Callable, Callable]:
    """(fetch, add) of the part of the project that knows this set; both give the file's path."""
    from functools import partial

    from resnet import weights
    from resnet.detectors import library

    if row.kind == "detector":
        return partial(library.fetch, row.name), partial(library.add, row.name)
    spec = weights.named()[row.name]
    return partial(weights.fetch, spec), partial(weights.add, spec)


@contextmanager
def _byte_bar(wanted: bool | None, title: str):
    """Gives a function to call with the bytes here and in all; it moves a bar on a terminal."""
    with shared.bar((), wanted, title, "B") as bar:
        bar.unit_scale = True

        def progress(done: int, total: int | None) -> None:
            if total is not None:
                bar.total = total
            if not bar.n and done:
                bar.initial = done  # a resumed download's rate counts from here
            bar.update(done - bar.n)
            if done == total:
                bar.refresh()  # a fast download ends before the bar would be drawn again

        yield progress
