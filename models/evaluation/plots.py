"""Pictures of a run: its curves, and the filters of conv1. Matplotlib is imported only when there is something to draw."""
from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MAGNIFY = 6             # pixels per weight
COLUMNS = 16            # of filters, as in the paper's Figure 3


def new_figure(width: float, height: float) -> Any:
    """A Matplotlib figure of width x height inches that knows no screen, only files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path) -> None:
    """As PNG. For a letter that the font has not, as in names of classes, there is a box, and no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(path, format="png", dpi=100)


def over_epochs(axes: Any) -> None:
    """Whole epochs along the x axis, a grid."""
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)


def draw_curves(path: Path, epochs: list[dict[str, Any]], top5: bool) -> None:
    """Loss and error, the top-5 error too if it is asked for, epoch by epoch, from the log's lines about epochs."""
    number = [e["epoch"] for e in epochs]
    figure = new_figure(10, 4)
    loss, error = figure.subplots(1, 2)
    loss.plot(number, [e["train_loss"] for e in epochs], marker=".", label="training, while learning")
    loss.plot(number, [e["test_loss"] for e in epochs], marker=".", label="held out")
    loss.set_ylabel("loss")
    shown = {"training, while learning": "train_top1", "held out": "test_top1", **({"held out, top-5": "test_top5"} if top5 else {})}
    for name, key in shown.items():
        error.plot(number, [100 * (1 - e[key]) for e in epochs], marker=".", label=name)
    error.set(ylabel="error in %", ylim=(0, None))
    for axes in (loss, error):
        over_epochs(axes)
        axes.legend()
    save_figure(figure, path)


def draw_filters(path: Path, weights: np.ndarray) -> None:
    """weights (F, 3, KH, KW) as a grid of colour patches: the paper's Figure 3."""
    sheet = filter_sheet(weights, COLUMNS)
    Image.fromarray(sheet).resize((sheet.shape[1] * MAGNIFY, sheet.shape[0] * MAGNIFY), Image.Resampling.NEAREST).save(path)


def filter_sheet(weights: np.ndarray, columns: int) -> np.ndarray:
    """weights (F, 3, KH, KW) as colour patches, each stretched to the full range, side by side -> uint8 (height, width, 3)"""
    patches = np.pad(_stretched(weights.transpose(0, 2, 3, 1)), ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    count, height, width, _ = patches.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    grid = np.full((rows * columns, height, width, 3), 255, np.uint8)
    grid[:count] = patches
    return grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)


def _stretched(patches: np.ndarray) -> np.ndarray:
    """Each patch (H, W, 3) from its lowest to its highest value -> uint8"""
    low, high = (f(patches, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return np.rint(255 * (patches - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
