"""The figures of *Inside* on the page: those that take time, and the button that saves one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gradio as gr

from resnet.analysis import Analysis
from resnet.draw.depth_figure import depth_figure
from resnet.draw.paths_figure import paths_figure
from resnet.report.figures import FIGURES, PARTNERS, Figure, drawn, manifest, reference_for, table
from resnet.residual import depth_study, path_lengths
from resnet.ui.background import watched
from resnet.ui.claims import claim_html

__all__ = [
    "FIGURES", "PARTNERS", "Figure", "depth_steps", "drawn", "manifest", "paths_steps",
    "reference_for", "save_picture", "table",
]  # fmt: skip
SEED = 0

# Serialises the drawing with its computed colours, so that the file looks as the page does.
_SAVE_PICTURE = """
(kind) => {
  const panel = [...document.querySelectorAll('.figure-panel')].find(e => e.offsetParent !== null);
  const svg = panel && panel.querySelector('svg.chart');
  if (!svg) return;
  const copy = svg.cloneNode(true);
  const keep = ['fill','fill-opacity','stroke','stroke-width','stroke-dasharray','stroke-linecap',
    'stroke-opacity','opacity','font-family','font-size','font-weight','text-anchor','visibility',
    'dominant-baseline','paint-order'];
  const from = [svg, ...svg.querySelectorAll('*')], to = [copy, ...copy.querySelectorAll('*')];
  from.forEach((e, i) => { const s = getComputedStyle(e);
    to[i].setAttribute('style', keep.map(k => `${k}:${s.getPropertyValue(k)}`).join(';')); });
  const box = svg.viewBox.baseVal;
  copy.setAttribute('width', box.width); copy.setAttribute('height', box.height);
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  const text = new XMLSerializer().serializeToString(copy);
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement('canvas');
    canvas.width = 2 * box.width; canvas.height = 2 * box.height;
    const pen = canvas.getContext('2d');
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    const link = document.createElement('a');
    link.href = canvas.toDataURL('image/png');
    link.download = (panel.dataset.name || 'figure') + '.png'; link.click();
  };
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(text);
}
"""


def paths_steps(analysis: Analysis, index: int) -> Iterator[str]:
    """Path lengths with progress, as HTML after every step."""

    def work(progress, cancelled):
        return path_lengths(
            analysis.net, analysis.trace, index, seed=SEED, progress=progress, cancelled=cancelled
        )

    words = (
        "Veit et al. 2016 (arXiv 1605.06431): 2<sup>16</sup> paths lead through the network. Most "
        "are about 8 branches long; which lengths carry the gradient? Measured by sampling paths "
        f"of every length, seed {SEED}."
    )
    yield from _steps(work, lambda found: paths_figure(found.to_dict()), "paths", words)


def depth_steps() -> Iterator[str]:
    """The depth study with progress, as HTML after every step."""

    def work(progress, cancelled):
        return depth_study(progress=progress, cancelled=cancelled)

    words = (
        "Random, untrained networks of growing depth, with and without shortcuts: the gradient at "
        "neighbouring inputs turns to noise in the plain ones (Balduzzi et al. 2017, "
        "arXiv 1702.08591). No training and no photo involved."
    )
    yield from _steps(work, lambda found: depth_figure(found.to_dict()), "depth", words)


def _steps(work, draw: Callable[..., str], name: str, words: str) -> Iterator[str]:
    head = f'<div class="figure-panel" data-name="{name}"><p class="figure-text">{words}</p>'
    for found in watched(work):
        if isinstance(found, tuple):
            done, total = found
            bar = f'<progress value="{done}" max="{total}"></progress> {done} of {total}'
            yield f'{head}<p class="figure-progress" role="status">{bar}</p></div>'
        else:
            yield f"{head}{draw(found)}{claim_html(name, None)}</div>"


def save_picture(button: gr.Button, panel: str = ".figure-panel") -> None:
    """A click saves the visible figure as a PNG at twice its size, made by the browser.

    Args:
        panel: CSS selector of what holds the figure; the first that is in view is taken.
    """
    js = _SAVE_PICTURE.replace("'.figure-panel'", f"'{panel}'")
    button.click(None, None, None, js=js)
