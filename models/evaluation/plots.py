"""Figures: the curves of trainings, and the filters of conv1.

Matplotlib and Pillow are imported only when there is something to draw.
"""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..progress import printable

MAGNIFY = 6             # pixels per weight
COLUMNS = 16            # of filters, as in the paper's Figure 3
LABEL = 32              # letters of a name


def new_figure(width: float, height: float) -> Any:
    """A Matplotlib figure of width x height inches that knows no screen, only files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def shortened(name: str) -> str:
    """A class's or a file's name as a figure has room for it."""
    name = printable(name)
    return name if len(name) <= LABEL else f"{name[:LABEL - 1]}…"


def save_figure(figure: Any, path: Path) -> None:
    """As PNG. A letter that the font has not, as in names of classes, is a box, without warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(path, format="png", dpi=100)


# ---- curves ------------------------------------------------------------------------------------

def draw_run(path: Path, epochs: list[dict[str, Any]], top5: bool) -> None:
    """Loss and error of a run, epoch by epoch, from its log's lines about epochs.

    top5: the top-5 error too.
    """
    number = [e["epoch"] for e in epochs]
    figure = new_figure(10, 4)
    loss, error = figure.subplots(1, 2)
    losses = {"training, while learning": "train_loss", "validation": "validation_loss"}
    errors = {"training, while learning": "train_top1", "validation": "validation_top1"}
    errors |= {"validation, top-5": "validation_top5"} if top5 else {}
    for name, key in _known(losses, epochs):
        loss.plot(number, [e[key] for e in epochs], marker=".", label=name)
    loss.set_ylabel("loss")
    for name, key in _known(errors, epochs):
        error.plot(number, [100 * (1 - e[key]) for e in epochs], marker=".", label=name)
    error.set(ylabel="error in %", ylim=(0, None))
    for axes in (loss, error):
        _over_epochs(axes)
        axes.legend()
    save_figure(figure, path)


def _known(keys: dict[str, str], epochs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """A run has no figures of validation images where none are held out."""
    return [(name, key) for name, key in keys.items() if key in epochs[0]]


class Curve(NamedTuple):
    """One value an epoch; curves of one name look alike, and have one line in the legend."""

    name: str
    values: Sequence[float]
    colour: int
    style: str


def draw_curves(file: Path, curves: Sequence[Curve], title: str, ylabel: str = "error in %",
                target: float | None = None) -> None:
    """Curves of several trainings in one figure. target: a level they are meant to reach."""
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    named: set[str] = set()
    for curve in curves:
        epochs = range(1, len(curve.values) + 1)
        axes.plot(epochs, curve.values, curve.style, color=f"C{curve.colour % 10}", marker=".",
                  label=None if curve.name in named else curve.name)
        named.add(curve.name)
    if target is not None:
        axes.axhline(target, color="black", linewidth=0.8, label=f"{target:g} %")
    axes.set(ylabel=ylabel, ylim=(0, None), title=title)
    _over_epochs(axes)
    axes.legend(fontsize="small")
    save_figure(figure, file)


def _over_epochs(axes: Any) -> None:
    """Whole epochs along the x axis, a grid."""
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)


# ---- filters -----------------------------------------------------------------------------------

def draw_filters(path: Path, weights: np.ndarray) -> None:
    """weights (F, 3, KH, KW) as a grid of colour patches: the paper's Figure 3."""
    from PIL import Image
    sheet = filter_sheet(weights, COLUMNS)
    height, width, _ = sheet.shape
    image = Image.fromarray(sheet)
    image.resize((width * MAGNIFY, height * MAGNIFY), Image.Resampling.NEAREST).save(path)


def filter_sheet(weights: np.ndarray, columns: int) -> np.ndarray:
    """weights (F, 3, KH, KW) as colour patches side by side -> uint8 (height, width, 3)

    Each patch is stretched to the full range.
    """
    patches = np.pad(_stretched(weights.transpose(0, 2, 3, 1)),
                     ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    count, height, width, _ = patches.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    grid = np.full((rows * columns, height, width, 3), 255, np.uint8)
    grid[:count] = patches
    grid = grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, 3)


def _stretched(patches: np.ndarray) -> np.ndarray:
    """Each patch (H, W, 3) from its lowest to its highest value -> uint8"""
    low, high = (f(patches, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return np.rint(255 * (patches - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
