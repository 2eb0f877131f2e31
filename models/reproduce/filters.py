"""Figure 3: what conv1's filters look like once they are trained."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from minitensor import Generator, checkpoint

from ..networks.build import build
from ..training.run_folder import RunFolder
from .cifar10_18pct import FULL, QUICK, SETTINGS
from .experiment import Experiment, Finding
from .statistics import counted, summarise


def smoothness(filters: np.ndarray) -> float:
    """The correlation between neighbouring weights, right and below, of filters (F, C, KH, KW): 0 for noise, 1 for even patches."""
    w = filters - filters.mean()
    pairs = [(w[..., 1:], w[..., :-1]), (w[..., 1:, :], w[..., :-1, :])]
    products, squares = (sum(float(f(a, b)) for a, b in pairs) for f in (lambda a, b: (a * b).sum(), lambda a, b: (a**2 + b**2).sum() / 2))
    return products / squares


def filters_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """conv1's filters (F, 3, KH, KW) before and after the training in a run's folder."""
    arrays, info = checkpoint.load(RunFolder(folder).latest)
    settings = info["settings"]
    untrained = build(info["network"], **info["config"], generator=Generator(settings["seed"]), init=settings["init"])
    return untrained.state_dict()["conv1.weight"], arrays["conv1.weight"]


class Filters:
    """conv1's filters before and after the training of the only variant, and how smooth they are."""

    def finding(self, runs: dict[str, list[Path]]) -> Finding:
        (folders,) = runs.values()
        before, after = (summarise([smoothness(filters) for filters in each]) for each in zip(*map(filters_of, folders)))
        text = f"neighbouring weights of a filter correlate by {before} before and {after} after training, over {counted(after.number)}"
        return Finding(text, {"before": before._asdict(), "after": after._asdict()})

    def draw(self, file: Path, runs: dict[str, list[Path]], title: str) -> None:
        from ..evaluation.plots import filter_sheet, new_figure, save_figure
        (folders,) = runs.values()
        figure = new_figure(8, 3)
        figure.suptitle(title)
        for axes, name, filters in zip(figure.subplots(1, 2), ("before training", "after training"), filters_of(folders[0])):
            axes.imshow(filter_sheet(filters, columns=8), interpolation="nearest")
            axes.set(title=name)
            axes.axis("off")
        save_figure(figure, file)


FILTERS = Experiment(
    claim="conv1's filters become edges of many orientations and frequencies, and blobs of colour (2012 paper, section 6.1, Figure 3)",
    published="a picture of 96 smooth filters of 11 x 11, no figure",
    departures="the 32 filters of 5 x 5 of cuda-convnet's network for CIFAR-10, in the training of cifar10-18pct",
    settings=SETTINGS,
    variants={"cifar10-18pct": {}},
    measure=Filters(),
    full=FULL,
    quick=QUICK,
    seeds=1,
)
