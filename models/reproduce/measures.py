"""What is read off finished trainings: errors at the end, speed of learning, what a deeper network
or more pictures change, filters."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minitensor import Generator, checkpoint

from ..evaluation.plots import Curve, draw_curves, filter_sheet, new_figure, save_figure
from ..networks.build import build
from ..training.run_folder import RunFolder
from .experiment import Finding, Runs
from .statistics import Summary, counted, crossing, summarise

TESTED = "validation_top1"              # in the log: an experiment's validation is the test images
Errors = dict[str, list[float]]         # in %, one a seed, by variant


def curve(folder: Path, accuracy: str) -> list[float]:
    """The error in % of a run, epoch by epoch; accuracy is a key of the log, "train_top1" say."""
    return RunFolder(folder).read().error_curve(accuracy)


# ---- errors at the end of training -------------------------------------------------------------

def final_errors(runs: Runs, accuracy: str = TESTED) -> Errors:
    """Of the last epoch, not of the best: nothing is chosen by looking at the test images."""
    return {variant: [curve(folder, accuracy)[-1] for folder in folders]
            for variant, folders in runs.items()}


class ErrorCurves:
    """Draws the test and training errors of all runs."""

    def draw(self, file: Path, runs: Runs, title: str) -> None:
        draw_curves(file, [*_curves(runs, "test", "-"), *_curves(runs, "training", "--")], title)


def _curves(runs: Runs, of: str, style: str) -> Iterable[Curve]:
    accuracy = TESTED if of == "test" else "train_top1"
    return (Curve(f"{variant}, {of}", curve(folder, accuracy), colour, style)
            for colour, (variant, folders) in enumerate(runs.items()) for folder in folders)


class TestError(ErrorCurves):
    """The test error of the only variant."""

    def finding(self, runs: Runs) -> Finding:
        (errors,) = final_errors(runs).values()
        summary = summarise(errors)
        return Finding(f"{summary} % test error over {counted(len(errors))}",
                       {"test_error": summary._asdict()})


@dataclass(frozen=True)
class Gain(ErrorCurves):
    """By how many points of test error `changed` beats `baseline`, seed by seed.

    Training errors tell how much either overfits.
    """

    baseline: str
    changed: str

    def finding(self, runs: Runs) -> Finding:
        errors, training = final_errors(runs), final_errors(runs, "train_top1")
        gains = summarise([before - after for before, after
                           in zip(errors[self.baseline], errors[self.changed])])
        each = [f"{variant} {summarise(errors[variant])} %, "
                f"in training {summarise(training[variant])} %"
                for variant in (self.baseline, self.changed)]
        text = (f"{gains} points of test error {'more' if gains.mean < 0 else 'less'} "
                f"over {counted(gains.number)} ({'; '.join(each)})").removeprefix("-")
        return Finding(text, {"gain": gains._asdict(), "test_error": _summaries(errors),
                              "training_error": _summaries(training)})


def _summaries(errors: Errors) -> dict[str, dict[str, Any]]:
    return {variant: summarise(values)._asdict() for variant, values in errors.items()}


@dataclass(frozen=True)
class Deepening:
    """By how many points the training error rises from a shallow network to a deep one.

    pairs: their variants, (shallow, deep), by what they are called.
    """

    pairs: dict[str, tuple[str, str]]

    def finding(self, runs: Runs) -> Finding:
        errors, tested = final_errors(runs, "train_top1"), final_errors(runs)
        rises = {name: summarise([after - before for before, after
                                  in zip(errors[shallow], errors[deep])])
                 for name, (shallow, deep) in self.pairs.items()}
        changes = ", ".join(f"{name} {rise.signed()}" for name, rise in rises.items())
        each = "; ".join(f"{variant} {summarise(values)} %, in the test "
                         f"{summarise(tested[variant])} %" for variant, values in errors.items())
        seeds = len(next(iter(errors.values())))
        return Finding(f"points of training error that more layers add: {changes}, over "
                       f"{counted(seeds)} ({each})",
                       {"added": {name: rise._asdict() for name, rise in rises.items()},
                        "training_error": _summaries(errors), "test_error": _summaries(tested)})

    def draw(self, file: Path, runs: Runs, title: str) -> None:
        deep = [pair[1] for pair in self.pairs.values()]
        curves = [Curve(variant, curve(folder, "train_top1"), colour,
                        "-" if variant in deep else "--")
                  for colour, (variant, folders) in enumerate(runs.items()) for folder in folders]
        draw_curves(file, curves, title, "training error in %, while learning")


# ---- speed -------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Speedup:
    """By what factor `fast` reaches `target` % training error sooner than `slow`, seed by seed."""

    fast: str
    slow: str
    target: float

    def finding(self, runs: Runs) -> Finding:
        times = {variant: [crossing(curve(folder, "train_top1"), self.target)
                           for folder in folders] for variant, folders in runs.items()}
        for variant, folders in runs.items():
            for folder, time in zip(folders, times[variant]):
                if time is None:
                    limit = len(curve(folder, "train_top1"))
                    return Finding(f"not measured: {variant} did not reach {self.target:g} % "
                                   f"training error within {limit} epochs",
                                   {"epochs_to_target": times})
        fast, slow = ([time for time in times[variant] if time is not None]
                      for variant in (self.fast, self.slow))
        factor = summarise([s / f for f, s in zip(fast, slow)])
        text = (f"{factor} times sooner over {counted(factor.number)} ({self.fast} after "
                f"{summarise(fast)} epochs, {self.slow} after {summarise(slow)})")
        return Finding(text, {"epochs_to_target": times, "factor": factor._asdict()})

    def draw(self, file: Path, runs: Runs, title: str) -> None:
        curves = [Curve(variant, curve(folder, "train_top1"), colour,
                        "-" if variant == self.fast else "--")
                  for colour, (variant, folders) in enumerate(runs.items()) for folder in folders]
        draw_curves(file, curves, title, "training error in %, while learning", self.target)


# ---- pictures ----------------------------------------------------------------------------------

@dataclass(frozen=True)
class AgainstPictures:
    """The test accuracy after training on so many pictures a class, in several ways.

    A variant is called "WAY, COUNT"; others are not drawn.
    """

    ways: tuple[str, ...]
    counts: tuple[int, ...]

    def finding(self, runs: Runs) -> Finding:
        accuracies = self._accuracies(runs)
        rows = [f"with {count} pictures a class "
                + ", ".join(f"{accuracies[way][count]} % {way}" for way in self.ways)
                for count in self.counts]
        seeds = accuracies[self.ways[0]][self.counts[0]].number
        return Finding(f"test accuracy {'; '.join(rows)}; over {counted(seeds)}",
                       {"test_accuracy": {way: {count: summary._asdict()
                                                for count, summary in each.items()}
                                          for way, each in accuracies.items()}})

    def draw(self, file: Path, runs: Runs, title: str) -> None:
        figure = new_figure(8, 4.5)
        axes = figure.subplots()
        for way, each in self._accuracies(runs).items():
            axes.errorbar(list(each), [summary.mean for summary in each.values()],
                          [summary.deviation or 0 for summary in each.values()],
                          marker="o", capsize=3, label=way)
        axes.set(xscale="log", xlabel="training pictures a class", ylabel="test accuracy in %",
                 title=title)
        axes.set_xticks(self.counts, self.counts, minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
        save_figure(figure, file)

    def _accuracies(self, runs: Runs) -> dict[str, dict[int, Summary]]:
        """In %, by way and count."""
        return {way: {count: summarise([_tested(folder) for folder in runs[f"{way}, {count}"]])
                      for count in self.counts} for way in self.ways}


def _tested(folder: Path) -> float:
    """The accuracy in % of a run on its test images, which it looked at once."""
    tested = RunFolder(folder).read().tested
    assert tested is not None       # a run is not over without
    return 100 * tested["top1_count"] / tested["images"]


# ---- filters -----------------------------------------------------------------------------------

def smoothness(filters: np.ndarray) -> float:
    """The correlation between neighbouring weights of filters (F, C, KH, KW), right and below.

    0 for noise, 1 for even patches.
    """
    w = filters - filters.mean()
    pairs = [(w[..., 1:], w[..., :-1]), (w[..., 1:, :], w[..., :-1, :])]
    products = sum(float((a * b).sum()) for a, b in pairs)
    squares = sum(float((a**2 + b**2).sum() / 2) for a, b in pairs)
    return products / squares


def filters_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """conv1's filters (F, 3, KH, KW) before and after the training in a run's folder."""
    arrays, metadata = checkpoint.load(RunFolder(folder).latest)
    settings = metadata["settings"]
    untrained = build(metadata["network"], **metadata["config"],
                      generator=Generator(settings["seed"]), init=settings["init"])
    return untrained.state_dict()["conv1.weight"], arrays["conv1.weight"]


class Filters:
    """conv1's filters before and after the training of the only variant; how smooth they are."""

    def finding(self, runs: Runs) -> Finding:
        (folders,) = runs.values()
        before, after = (summarise([smoothness(filters) for filters in each])
                         for each in zip(*map(filters_of, folders)))
        return Finding(f"neighbouring weights of a filter correlate by {before} before and {after} "
                       f"after training, over {counted(after.number)}",
                       {"before": before._asdict(), "after": after._asdict()})

    def draw(self, file: Path, runs: Runs, title: str) -> None:
        (folders,) = runs.values()
        figure = new_figure(8, 3)
        figure.suptitle(title)
        names = "before training", "after training"
        for axes, name, filters in zip(figure.subplots(1, 2), names, filters_of(folders[0])):
            axes.imshow(filter_sheet(filters, columns=8), interpolation="nearest")
            axes.set(title=name)
            axes.axis("off")
        save_figure(figure, file)
