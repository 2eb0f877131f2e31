"""Test errors at the end of training: of one network, or of two that differ in one thing."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .experiment import Finding
from .figures import Curve, draw_curves
from .logs import curve
from .statistics import counted, summarise

FinalErrors = dict[str, list[float]]        # in %, one a seed, by variant


def final_errors(runs: dict[str, list[Path]], on: str = "test") -> FinalErrors:
    """Of the last epoch, not of the best: nothing is chosen by looking at the test pictures. on: "test", or "train" for while learning."""
    return {variant: [curve(folder, f"{on}_top1")[-1] for folder in folders] for variant, folders in runs.items()}


class _DrawsErrors:
    def draw(self, file: Path, runs: dict[str, list[Path]], title: str) -> None:
        test = [Curve(f"{variant}, test", curve(folder, "test_top1"), colour, "-")
                for colour, (variant, folders) in enumerate(runs.items()) for folder in folders]
        training = [Curve(f"{variant}, training", curve(folder, "train_top1"), colour, "--")
                    for colour, (variant, folders) in enumerate(runs.items()) for folder in folders]
        draw_curves(file, [*test, *training], title)


class TestError(_DrawsErrors):
    """The test error of the only variant."""

    def finding(self, runs: dict[str, list[Path]]) -> Finding:
        (errors,) = final_errors(runs).values()
        summary = summarise(errors)
        return Finding(f"{summary} % test error over {counted(len(errors))}", {"test_error": summary._asdict()})


@dataclass(frozen=True)
class Gain(_DrawsErrors):
    """By how many points of test error `changed` beats `baseline`, seed by seed; training errors tell how much either overfits."""

    baseline: str
    changed: str

    def finding(self, runs: dict[str, list[Path]]) -> Finding:
        errors, training = final_errors(runs), final_errors(runs, "train")
        gains = summarise([before - after for before, after in zip(errors[self.baseline], errors[self.changed])])
        each = [f"{variant} {summarise(errors[variant])} %, in training {summarise(training[variant])} %"
                for variant in (self.baseline, self.changed)]
        text = (f"{gains} points of test error {'more' if gains.mean < 0 else 'less'} over {counted(gains.number)} "
                f"({'; '.join(each)})").removeprefix("-")
        return Finding(text, {"gain": gains._asdict(), "test_error": _summaries(errors), "training_error": _summaries(training)})


def _summaries(errors: FinalErrors) -> dict[str, dict[str, Any]]:
    return {variant: summarise(values)._asdict() for variant, values in errors.items()}
