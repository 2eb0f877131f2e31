"""What an experiment is made of: a claim, a published figure, and trainings that test it."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Run(NamedTuple):
    """One training: its variant, its seed, its folder within the experiment's, its Settings.

    The settings' "weights" are such a folder too.
    """

    variant: str
    seed: int
    folder: str
    settings: dict[str, Any]


class Finding(NamedTuple):
    """A finding in words, after "here", and in numbers, ready for JSON."""

    text: str
    numbers: dict[str, Any]


Runs = dict[str, list[Path]]        # by variant: its runs' folders, one a seed, in their order


class Measure(Protocol):
    """What is read off finished trainings."""

    def finding(self, runs: Runs) -> Finding: ...

    def draw(self, file: Path, runs: Runs, title: str) -> None: ...


@dataclass(frozen=True)
class Experiment:
    """A claim of a paper's as a table of trainings.

    claim       in a sentence, with its place
    published   the figure that goes with it
    differs     how ours differs from what was published
    settings    of all trainings (see models/settings.py)
    variants    the settings in which the trainings differ, by name; their "weights" are those of
                another variant, further up
    measure     what is read off them
    full        settings on CIFAR-10
    quick       settings on built-in images
    seeds       how many on CIFAR-10, unless the command line says; at most QUICK_SEEDS if quick
    """

    claim: str
    published: str
    differs: str
    settings: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    measure: Measure
    full: dict[str, Any]
    quick: dict[str, Any]
    seeds: int = 3

    def runs(self, source: str, quick: bool, seeds: int) -> Iterator[Run]:
        """Seed by seed, so that an experiment stopped early has compared all variants."""
        mode = self.quick if quick else self.full
        for seed in range(seeds):
            for variant, own in self.variants.items():
                settings = {**CURVES, **self.settings, **own, **mode, "data": source,
                            "seed": seed}
                if "weights" in own:
                    settings["weights"] = _folder(own["weights"], seed)
                yield Run(variant, seed, _folder(variant, seed), settings)


def _folder(variant: str, seed: int) -> str:
    return f"{variant.replace(', ', '-').replace(' ', '-')}-seed{seed}"


BUILTIN = "builtin"
# All training images train, and test errors are drawn epoch by epoch, unless an experiment says
# otherwise; findings are of the last epoch, so that the test images choose nothing.
CURVES = {"validation": "test"}
QUICK_SEEDS = 2
