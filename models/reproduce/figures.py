"""Curves of several trainings in one figure."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Curve(NamedTuple):
    """One value an epoch; curves of one name are told apart by nothing, and have one line in the legend."""

    name: str
    values: Sequence[float]
    colour: int
    style: str


def draw_curves(file: Path, curves: Sequence[Curve], title: str, ylabel: str = "error in %", target: float | None = None) -> None:
    """target: a level that the curves are meant to reach."""
    from ..evaluation.plots import new_figure, over_epochs, save_figure
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    named: set[str] = set()
    for curve in curves:
        label = None if curve.name in named else curve.name
        named.add(curve.name)
        axes.plot(range(1, len(curve.values) + 1), curve.values, curve.style, color=f"C{curve.colour % 10}", marker=".", label=label)
    if target is not None:
        axes.axhline(target, color="black", linewidth=0.8, label=f"{target:g} %")
    axes.set(ylabel=ylabel, ylim=(0, None), title=title)
    over_epochs(axes)
    axes.legend(fontsize="small")
    save_figure(figure, file)
