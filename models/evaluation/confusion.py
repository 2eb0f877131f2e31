"""The report of an evaluation: errors in all and by class, and which class is taken for which.

As text, CSV and a figure.
"""
from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_file
from ..progress import printable
from .plots import new_figure, save_figure, shortened
from .scores import (Scores, best_classes, crop_log_probabilities, has_top5, interval,
                     mean_over_crops, with_interval)

LISTED = 20             # classes in the printed table; all are in classes.csv
CENTRE = {1: 0, 10: 4}  # where the centre crop is among so many crops
NUMBERED = 30           # classes up to which the confusion matrix shows names and numbers


class Tally:
    """Counts over labelled images.

    scores          of all images
    confusion       int64 (K, K): how many images of the row's class were taken for the column's
    top5_counts     int64 (K,): how many images of each class have it among their best five
    """

    def __init__(self, classes: Sequence[str]):
        self.classes = [printable(name) for name in classes]
        self.scores = Scores()
        self.confusion = np.zeros((len(classes), len(classes)), np.int64)
        self.top5_counts = np.zeros(len(classes), np.int64)

    def add(self, log_p: np.ndarray, labels: np.ndarray) -> None:
        """A batch: log_p (N, K), labels (N,)."""
        self.scores = self.scores.plus(log_p, labels)
        best = best_classes(log_p)
        np.add.at(self.confusion, (labels, best[:, 0]), 1)
        np.add.at(self.top5_counts, labels, (best == labels[:, None]).any(axis=1))

    @property
    def images(self) -> np.ndarray:
        """Of each class -> int64 (K,)"""
        return self.confusion.sum(axis=1)

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """(top-1, top-5) error of each class within 0..1 -> float64 (K,) each

        NaN where there are no images.
        """
        right = self.confusion.diagonal()
        with np.errstate(invalid="ignore"):
            return 1 - right / self.images, 1 - self.top5_counts / self.images

    def most_taken_for(self, label: int) -> tuple[str, int]:
        """The wrong class that images of a class are most often taken for, and how many are.

        ("", 0) for none.
        """
        row = self.confusion[label].copy()
        row[label] = 0
        return (self.classes[row.argmax()], int(row.max())) if row.any() else ("", 0)


def tallied(network: Any, batches: Iterable[tuple[np.ndarray, np.ndarray]],
            classes: Sequence[str], places: np.ndarray, device: str) -> dict[str, Tally]:
    """A Tally of each way of looking at images, the one with the most crops last.

    batches: images (N, 3, H, W) or (N, 10, 3, H, W), and labels (N,), of which places says where
    among classes each is.
    """
    views: dict[str, Tally] = {}
    for images, labels in batches:
        log_p = crop_log_probabilities(network, images, device)             # (N, crops, K)
        crops, labels = log_p.shape[1], places[labels]
        views.setdefault("centre crop", Tally(classes)).add(log_p[:, CENTRE[crops]], labels)
        if crops > 1:
            views.setdefault("mean of ten crops", Tally(classes)).add(mean_over_crops(log_p),
                                                                      labels)
    return views


# ---- text --------------------------------------------------------------------------------------

def totals(tallies: dict[str, Tally]) -> str:
    """One line for each way of looking at the images; a top-5 error where that says anything.

    In brackets the 95 % interval.
    """
    rows = [["", "top-1 error", "top-5 error", "accuracy", "loss"]]
    for view, tally in tallies.items():
        s = tally.scores
        shares = (1 - s.top1, 1 - s.top5, s.top1)
        rows.append([view, *(with_interval(share, s.images) for share in shares),
                     f"{s.loss:.4f}"])
    if not has_top5(len(next(iter(tallies.values())).classes)):
        rows = _without(2, rows)
    return _aligned(rows)


def by_class(tally: Tally) -> str:
    """A line for each class that has images; of many, for those with the highest error.

    Top-5 error and intervals as in totals.
    """
    rows = class_rows(tally)
    seen = [row for row in rows[1:] if row[1]]
    shown = seen if len(seen) <= LISTED else sorted(seen, key=lambda row: -row[2])[:LISTED]
    text = [["class", "pictures", "top-1 error", "top-5 error", "  most often taken for"]]
    text += [[name, f"{images:,}", with_interval(top1, images), with_interval(top5, images),
              f"{confused} ({count:,})" if count else ""]
             for name, images, top1, top5, confused, count, *_ in shown]
    if not has_top5(len(tally.classes)):
        text = _without(3, text)
    table = _aligned(text, last_left=True)
    if len(shown) == len(seen):
        return table
    return f"{table}\n... the {LISTED} classes with the highest error of {len(seen)}"


def class_rows(tally: Tally) -> list[list[Any]]:
    """A header, and a row for each class."""
    top1, top5 = tally.errors()
    rows: list[list[Any]] = [["class", "pictures", "top-1 error", "top-5 error",
                              "most often taken for", "how often",
                              "top-1 error, 95 % from", "to"]]
    for label, name in enumerate(tally.classes):
        error, images = float(top1[label]), int(tally.images[label])
        rows.append([name, images, error, float(top5[label]), *tally.most_taken_for(label),
                     *interval(error, images)])
    return rows


def _without(column: int, rows: list[list[str]]) -> list[list[str]]:
    return [[*row[:column], *row[column + 1:]] for row in rows]


def _aligned(rows: list[list[str]], last_left: bool = False) -> str:
    """Columns as wide as they need to be: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        cells = [row[0].ljust(widths[0]), *others]
        if last_left:
            cells[-1] = f"  {row[-1].strip()}"
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


# ---- files -------------------------------------------------------------------------------------

def write_report(folder: Path, tally: Tally, title: str) -> None:
    """confusion.csv, confusion.png and classes.csv in folder, each written whole.

    Raises UserError when the disk refuses.
    """
    matrix: list[list[Any]] = [["correct class \\ taken for", *tally.classes]]
    matrix += [[name, *row] for name, row in zip(tally.classes, tally.confusion.tolist())]
    write_file(folder / "confusion.csv", lambda path: _write_csv(path, matrix))
    write_file(folder / "classes.csv", lambda path: _write_csv(path, class_rows(tally)))
    write_file(folder / "confusion.png", lambda path: draw_confusion(path, tally, title))


def _write_csv(path: Path, rows: Iterable[list[Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def draw_confusion(path: Path, tally: Tally, title: str) -> None:
    """The confusion matrix, each row coloured by the share of its images.

    Classes without images stay grey.
    """
    from matplotlib.colors import PowerNorm
    count, images = len(tally.classes), tally.images[:, None]
    share = np.ma.masked_invalid(
        np.where(images, tally.confusion / np.maximum(images, 1), np.nan))
    side = 3 + 0.5 * min(count, NUMBERED)
    figure = new_figure(side + 1, side)
    axes = figure.subplots()
    axes.set_facecolor("lightgrey")
    image = axes.imshow(share, cmap="Blues",
                        norm=PowerNorm(0.5, 0, 1),      # the few mistaken are what one looks for
                        interpolation="nearest" if count <= NUMBERED else "antialiased")
    figure.colorbar(image, ax=axes, label="share of the pictures of the correct class", shrink=0.8)
    axes.set(xlabel="taken for", ylabel="correct class")
    axes.set_title(title, fontsize=10, parse_math=False)
    if count <= NUMBERED:
        names = [shortened(name) for name in tally.classes]
        axes.set_xticks(range(count), names, rotation=90, parse_math=False)
        axes.set_yticks(range(count), names, parse_math=False)
        for row, column in np.argwhere(tally.confusion):
            axes.text(column, row, f"{tally.confusion[row, column]:,}", ha="center", va="center",
                      fontsize=8, color="white" if share[row, column] > 0.3 else "black")
    save_figure(figure, path)
