"""What the tab *Batch* shows: progress, the sum of it all, the table, the files that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from resnet.batch.pace import BatchProgress
from resnet.batch.results import BatchResult
from resnet.batch.row import BatchRow
from resnet.batch.table import choose
from resnet.draw.answers import percent
from resnet.draw.confidence_figure import photos
from resnet.draw.encode import data_uri

PAGE = 200  # rows; each brings a thumbnail of some 3 kB
FAILED = 50  # files that are listed with their reason
TITLES = {
    "confidences": "How sure the answers are",
    "reliability": "Can the confidence be trusted?",
    "confusion": "What is taken for what",
}
LIMITS = "Photos, ZIPs of photos, and a CSV with the columns file and label."

EMPTY = (
    '<div class="empty"><p class="empty-title">What is in all of these photos?</p>'
    "<p>Drop photos or a ZIP here. A CSV with the columns <i>file</i> and <i>label</i> adds what "
    "is really in them.</p></div>"
)


def span(seconds: float) -> str:
    """About how long: "8 s", "3 min 20 s", "2 h 5 min"; rounded as roughly as it is known."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        tens = round(seconds / 10)
        minutes, left = divmod(tens, 6)
        return f"{minutes} min {10 * left} s" if left else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def progress_html(step: BatchProgress) -> str:
    """Counts, a bar, and the remaining time as soon as it is known."""
    total = step.total or 0
    words = f"{step.done:,} of {photos(total)}" if total else photos(step.done)
    if step.failed:
        words += f", {step.failed:,} could not be used"
    if step.remaining is not None and step.done < total:
        words += f" · about {span(step.remaining)} left"
    most = f' max="{total}" value="{step.done}"' if total else ""
    return (
        f'<p class="figure-progress"><progress{most} aria-label="photos done"></progress> '
        f"{escape(words)}</p>"
    )


def summary_html(result: BatchResult) -> str:
    """One sentence a fact: photos, time, accuracy, calibration, what the lists said."""
    counts = result.counts
    sentences = [f"{photos(counts['seen'])} in {span(result.seconds)}."]
    if result.stopped:
        sentences[0] = (
            f"Stopped after {counts['seen']:,} of {photos(result.planned)}, {span(result.seconds)}."
        )
    if counts["failed"]:
        sentences.append(f"{counts['failed']:,} could not be used.")
    more = list(result.notes)
    if accuracy := result.accuracy:
        share = accuracy.to_dict()
        sentences.append(
            f"Right: {percent(share['top1'])} at first guess, {percent(share['top5'])} in five, "
            f"of {photos(accuracy.photos)} with a true label."
        )
        reliability = result.calibration()
        if reliability:
            more.append(
                f"Mean confidence {percent(reliability.confidence)}; "
                f"expected calibration error {percent(reliability.ece)}."
            )
    unknown = sum(row.truth is not None and row.truth.index is None for row in result.rows)
    if unknown:
        more.append(f"{unknown:,} true labels are no class of these weights; see the table.")
    quiet = f'<p class="hint">{escape(" ".join(more))}</p>' if more else ""
    return f'<p class="found" role="status">{escape(" ".join(sentences))}</p>{quiet}'


def failed_html(result: BatchResult, most: int = FAILED) -> str:
    """The files that could not be used, each with its reason; "" if there is none."""
    failed = result.failed
    if not failed:
        return ""
    rows = "".join(
        f"<li><b>{escape(row.name)}</b> <span>{escape(row.reason)}</span></li>"
        for row in failed[:most]
    )
    rest = len(failed) - most
    more = f'<p class="hint">and {rest:,} more; all are in the CSV.</p>' if rest > 0 else ""
    return (
        f'<details class="batch-failed"><summary>{len(failed):,} could not be used</summary>'
        f"<ul>{rows}</ul>{more}</details>"
    )


def pages(count: int, size: int = PAGE) -> int:
    """How many pages so many rows fill; at least one."""
    return max(1, -(-count // size))


def table_html(
    rows: Sequence[BatchRow],
    page: int = 0,
    size: int = PAGE,
    order: str = "confidence",
    rising: bool = True,
    only: str = "all",
    text: str = "",
    selected: int = -1,
) -> str:
    """One page of the rows; by default the least certain first and the failed ones last.

    `batch.js` sorts in place where all rows are on the page; else it triggers `order` with
    {key, rising} and `turn` with {page}.  A click on a row triggers `choose` with {index}.

    Args:
        rows: of the whole batch; `data-index` is the position in it.
        page: from 0; too high a page is the last.
        size: rows a page.
        order, rising, only, text: as `resnet.batch.choose`.
        selected: position of the chosen row, -1 for none.

    Raises:
        KeyError: no such order or choice.
    """
    found = choose(rows, order, rising, only, text)
    last = pages(len(found), size) - 1
    page = min(max(page, 0), last)
    shown = found[page * size : (page + 1) * size]
    if not shown:
        return '<p class="hint">No photo fits.</p>'
    labelled = any(row.truth is not None for row in rows)
    heads = [("photo", "file"), ("answer", "answer"), ("confidence", "confidence"),
             ("next four", "margin"), *([("true label", "truth")] if labelled else []),
             ("seconds", "seconds")]  # fmt: skip
    body = "".join(_row(at, row, labelled, at == selected) for at, row in shown)
    head = "".join(
        f'<th scope="col" data-key="{key}" aria-sort="{_sorted(key, order, rising)}">'
        f'<button type="button">{name}</button></th>'
        for name, key in heads
    )
    return (
        f'<div class="table-scroll batch-scroll"><table class="things batch" '
        f'data-pages="{last + 1}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        + _pager(page, last, len(found), size)
    )


def _sorted(key: str, order: str, rising: bool) -> str:
    return "none" if key != order else "ascending" if rising else "descending"


def _cell(value: object, shown: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<td{name} data-value="{escape(str(value), quote=True)}">{shown}</td>'


def _row(at: int, row: BatchRow, labelled: bool, selected: bool) -> str:
    kind = "bad" if not row.ok else "wrong" if row.correct is False else ""
    pressed = ' aria-selected="true"' if selected else ""
    stamp = '<span class="stamp none"></span>'
    if row.thumbnail:
        picture = data_uri(row.thumbnail, "image/jpeg")
        stamp = f'<img class="stamp" src="{picture}" alt="" loading="lazy">'
    about = " ".join(row.notes)
    name = f'<span class="name" title="{escape(about, quote=True)}">{escape(row.name)}</span>'
    cells = [_cell(row.name, f'<div class="photo">{stamp}{name}</div>')]
    if row.ok:
        (label, confidence), *rest = row.top5
        others = ", ".join(f"{escape(other)} {percent(p)}" for other, p in rest)
        cells += [
            _cell(label, escape(label), "guess"),
            _cell(f"{confidence:.6f}", _bar(confidence)),
            _cell(f"{row.margin or 0.0:.6f}", f'<span class="rest">{others}</span>', "others"),
        ]
    else:
        cells += [
            _cell("", f'<span class="reason">{escape(row.reason)}</span>', "guess"),
            _cell("", ""),
            _cell("", "", "others"),
        ]
    if labelled:
        cells.append(_truth(row))
    cells.append(_cell(f"{row.seconds:.4f}", f"{row.seconds:.2f}"))
    return f'<tr data-index="{at}" class="{kind}" tabindex="0"{pressed}>{"".join(cells)}</tr>'


def _bar(confidence: float) -> str:
    wide = 100 * confidence
    return (
        f'<span class="sure">{percent(confidence)}<span class="answer-track">'
        f'<span class="answer-bar" style="width:{wide:.1f}%"></span></span></span>'
    )


def _truth(row: BatchRow) -> str:
    truth = row.truth
    if truth is None:
        return _cell("", "–", "truth")
    if truth.index is None:
        note = escape(truth.note, quote=True)
        shown = f'<span class="unknown" title="{note}">{escape(truth.said)} (no such class)</span>'
        return _cell(truth.said, shown, "truth")
    mark = {True: "✓", False: f"✗ {_ordinal(truth.rank)}", None: ""}[row.correct]
    return _cell(truth.label, f"{escape(truth.label)} <b>{mark}</b>", "truth")


def _ordinal(rank: int | None) -> str:
    return "" if rank is None else f"(rank {rank:,})"


def _pager(page: int, last: int, count: int, size: int) -> str:
    """Where we are, and the ways on; nothing if all rows are here."""
    if last == 0:
        return f'<p class="hint batch-pager">{photos(count)}.</p>'
    first, end = page * size + 1, min((page + 1) * size, count)

    def button(words: str, to: int) -> str:
        off = "" if 0 <= to <= last else " disabled"
        return f'<button type="button" data-page="{to}"{off}>{words}</button>'

    return (
        '<p class="batch-pager" role="navigation" aria-label="pages">'
        f"{button('‹ before', page - 1)} "
        f"<span>{first:,} to {end:,} of {photos(count)}</span> {button('next ›', page + 1)}</p>"
    )


def figures_html(drawn: Mapping[str, str]) -> str:
    """The figures of `resnet.batch.export.figures`, each with a button that saves it.

    Two small ones abreast, large ones alone; `batch_figures.js` answers the buttons.
    """
    if not drawn:
        return ""
    body = "".join(
        f'<section class="{escape(name, quote=True)}" data-name="{escape(name, quote=True)}">'
        f'<div class="figure-head"><h3>{escape(TITLES.get(name, name.title()))}</h3>'
        f'<button type="button" class="save-figure">Picture (PNG)</button></div>'
        f"{markup}</section>"
        for name, markup in drawn.items()
    )
    return f'<div class="batch-figures">{body}</div>'


def chosen_html(row: BatchRow) -> str:
    """The row that was chosen: its thumbnail, its name, its answer or what is wrong with it."""
    stamp = ""
    if row.thumbnail:
        stamp = f'<img src="{data_uri(row.thumbnail, "image/jpeg")}" alt="">'
    said = row.reason
    if row.answer is not None:
        said = f"{row.answer.label}, {percent(row.answer.probability)}"
    return (
        f'<div class="batch-chosen" role="status">{stamp}<p><b>{escape(row.name)}</b>'
        f"<span>{escape(said)}</span></p></div>"
    )
