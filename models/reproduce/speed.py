"""How many epochs a network takes to reach a training error, and how much sooner than another."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .experiment import Finding
from .figures import Curve, draw_curves
from .logs import curve
from .statistics import counted, crossing, summarise


@dataclass(frozen=True)
class Sooner:
    """By what factor the variant `fast` reaches `target` % training error sooner than `slow`, seed by seed."""

    fast: str
    slow: str
    target: float

    def finding(self, runs: dict[str, list[Path]]) -> Finding:
        times = {variant: [crossing(curve(folder, "train_top1"), self.target) for folder in folders] for variant, folders in runs.items()}
        for variant, folders in runs.items():
            for folder, time in zip(folders, times[variant]):
                if time is None:
                    limit = len(curve(folder, "train_top1"))
                    return Finding(f"not measured: {variant} did not reach {self.target:g} % training error within {limit} epochs",
                                   {"epochs_to_target": times})
        fast, slow = ([time for time in times[variant] if time is not None] for variant in (self.fast, self.slow))
        factor = summarise([s / f for f, s in zip(fast, slow)])
        text = (f"{factor} times sooner over {counted(factor.number)} ({self.fast} after {summarise(fast)} epochs, "
                f"{self.slow} after {summarise(slow)})")
        return Finding(text, {"epochs_to_target": times, "factor": factor._asdict()})

    def draw(self, file: Path, runs: dict[str, list[Path]], title: str) -> None:
        curves = [Curve(variant, curve(folder, "train_top1"), colour, "-" if variant == self.fast else "--")
                  for colour, (variant, folders) in enumerate(runs.items()) for folder in folders]
        draw_curves(file, curves, title, ylabel="training error in %, while learning", target=self.target)
