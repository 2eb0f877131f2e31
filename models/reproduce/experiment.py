"""What an experiment is made of: a claim, the figure that was published, and the trainings that put it to the test."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Run(NamedTuple):
    """One training: its variant, its seed, its folder within the experiment's, and what the command line's `train` would be told."""

    variant: str
    seed: int
    folder: str
    settings: dict[str, Any]


class Finding(NamedTuple):
    """A finding in words, after "here", and in numbers, ready for JSON."""

    text: str
    numbers: dict[str, Any]


class Measure(Protocol):
    """What is read off finished trainings. `runs` maps each variant to its runs' folders, one a seed, in the order of the seeds."""

    def finding(self, runs: dict[str, list[Path]]) -> Finding: ...

    def draw(self, file: Path, runs: dict[str, list[Path]], title: str) -> None: ...


@dataclass(frozen=True)
class Experiment:
    """A claim of the paper's as a table of trainings.

    claim       in a sentence, with its place
    published   the figure that goes with it
    departures  in which ours differs from what was published
    settings    of all trainings (see models/settings.py)
    variants    the settings in which the trainings differ, by name
    measure     what is read off them
    full        settings on CIFAR-10
    quick       settings on built-in pictures
    seeds       how many on CIFAR-10, unless the command line says; in quick mode at most QUICK_SEEDS
    """

    claim: str
    published: str
    departures: str
    settings: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    measure: Measure
    full: dict[str, Any]
    quick: dict[str, Any]
    seeds: int = 3

    def runs(self, source: str, quick: bool, seeds: int) -> Iterator[Run]:
        """Seed by seed, so that an experiment that is stopped early has compared all variants."""
        mode = self.quick if quick else self.full
        for seed in range(seeds):
            for variant, own in self.variants.items():
                settings = {**self.settings, **own, **mode, "data": source, "seed": seed}
                yield Run(variant, seed, f"{variant.replace(', ', '-').replace(' ', '-')}-seed{seed}", settings)


# cuda-convnet's network sees CIFAR-10's pictures as they are: no crops, no mirroring, no noise.
PLAIN = {"network": "cifar10-18pct", "image_size": 32, "resize": 32, "random_crop": False, "flip": False, "pca_noise": 0.0}
COMPARED = {"epochs": 20}          # on CIFAR-10, of trainings that are compared with one another
BUILTIN = "builtin"
QUICK_SEEDS = 2
