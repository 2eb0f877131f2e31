"""What a training run can be told: every setting with its default, and recipes that change several at once."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .networks.initial import DEPARTURES
from .errors import UsageError, told
from .networks.build import FAMILY, table_of


@dataclass(frozen=True)
class Settings:
    """Everything that a run is told. Saved in every checkpoint; a resumed run keeps all but the CHANGEABLE ones."""

    data: str = ""                  # "builtin", or the absolute path of a folder
    pictures: int = 4000            # how many built-in pictures to train on; a quarter as many are held out
    resize: int | None = None       # the shorter side, before a crop; None: 256/227 of image_size, or image_size for built-in pictures
    random_crop: bool = True        # else the centre
    flip: bool = True               # mirror half of the training pictures
    pca_noise: float = 0.0          # sigma; 0.1 in the paper
    normalize: str = "imagenet"     # one of NORMALIZATIONS, which preprocessing.py explains

    network: str = "alexnet"        # a name in the family
    image_size: int = 227
    width: float = 1.0
    dropout: float = 0.5
    ablations: Sequence[str] = ()   # what is changed in the network
    init: str = "he"
    departures: Sequence[str] = ()  # from the paper's initial values, where init is "paper"

    weights: str | None = None      # a trained network to begin with, all but its last layer
    freeze: str = "none"            # layers that do not learn: "none", "features" (the convolutions), or how many, from the first
    new_lr_multiplier: float = 10.0     # how much faster the new last layer learns than those that weights brought
    cache_features: bool = True     # compute what frozen layers make of a picture once, where that never changes

    epochs: int = 30
    batch_size: int = 128
    lr: float = 0.01
    warmup: int = 100               # steps
    momentum: float = 0.9
    weight_decay: float = 5e-4
    layer_weight_decay: dict[str, float] | None = None     # of the layers that differ from weight_decay
    label_smoothing: float = 0.0
    schedule: str = "cosine"
    step_size: int | None = None    # epochs; None: a third of all
    milestones: list[int] | None = None     # epochs; None: after a half and three quarters
    patience: int = 3
    cuts: int | None = None         # at most, by the plateau schedule
    gamma: float = 0.1
    target_error: float | None = None       # of the training pictures, while learning: the epoch that reaches it is the last one
    seed: int = 0

    workers: int = 1
    on_error: str = "stop"
    device: str = "cpu"
    kernels: str | None = None      # None: the fastest for the device
    precision: str = "fp32"         # of products on the GPU, one of kernels.PRECISIONS
    save_minutes: float = 10.0

    @property
    def network_config(self) -> dict[str, Any]:
        """The arguments of `family.build` but for the name and the number of classes."""
        return {name: getattr(self, name) for name in ("image_size", "width", "dropout", "ablations")}

    @property
    def machine(self) -> dict[str, Any]:
        """The arguments of `machine.machine`."""
        return {name: getattr(self, name) for name in MACHINE}


FIELDS = {field.name for field in dataclasses.fields(Settings)}
NORMALIZATIONS = ("imagenet", "mean-pixel", "mean-image")

# When a run is resumed. Workers and save_minutes change no result; the others may, and are the user's to change: epochs stretches a
# schedule, device, kernels and precision round differently, on_error decides what happens to a picture that has become unreadable.
MACHINE = ("device", "kernels", "precision")
CHANGEABLE = ("epochs", "workers", "on_error", *MACHINE, "cache_features", "save_minutes")
PREPROCESSING = ("resize", "normalize")     # comes with weights, if any are given
FINE_TUNING = {"lr": 0.001}         # the default where weights are given

RECIPES: dict[str, dict[str, Any]] = {
    # Drawn pictures, nothing to download, and AlexNet in full: a few minutes on two cores.
    "demo": {"data": "builtin", "pictures": 2000, "epochs": 4, "batch_size": 32, "lr": 0.004, "warmup": 60, "dropout": 0.0},
    # CIFAR-10, enlarged; give --data. A quarter of an hour on two cores.
    "cifar10": {"image_size": 99, "width": 0.25, "epochs": 8, "batch_size": 64, "dropout": 0.2},
    # Krizhevsky et al. 2012, point by point as in docs/recipe.md; give --data. --departures alone takes the departures back.
    "paper": {"network": "alexnet-paper", "dropout": 0.5, "init": "paper", "departures": list(DEPARTURES),
              "normalize": "mean-image", "random_crop": True, "flip": True, "pca_noise": 0.1,
              "epochs": 90, "batch_size": 128, "lr": 0.01, "warmup": 0, "momentum": 0.9, "weight_decay": 5e-4,
              "schedule": "plateau", "cuts": 3, "gamma": 0.1},
}


def new_settings(given: dict[str, Any], recipe: str | None, inherited: dict[str, Any] | None = None) -> Settings:
    """The defaults, changed by what suits the network, by the recipe, by what was given; inherited: what given weights bring."""
    inherited = {name: value for name, value in (inherited or {}).items() if name in FIELDS}
    for name in inherited:
        if name != "dropout" and given.get(name, inherited[name]) != inherited[name]:
            raise UsageError(f"{option(name)} {given[name]} does not fit --weights, whose network has {inherited[name]}")
    for name in given:
        if "weights" in given and name in PREPROCESSING:
            raise UsageError(f"{option(name)} does not go with --weights, whose pictures are prepared as in their own training")
        if "weights" not in given and name == "new_lr_multiplier":
            raise UsageError("--new-lr-multiplier needs --weights: without them every layer is new")
    chosen = {**(FINE_TUNING if "weights" in given else {}), **RECIPES.get(recipe or "", {}), **inherited, **given}
    design = FAMILY[chosen.get("network", Settings.network)]
    settings = Settings(**{"image_size": design.image_size, "init": design.init, **chosen})
    if settings.departures and settings.init != "paper":
        raise UsageError(f"--departures are from --init paper, not {settings.init}; --departures with nothing behind it takes them back")
    with told(ValueError, error=UsageError):
        table_of(settings.network, **settings.network_config)
    if not settings.data:
        raise UsageError("--data is required: 'builtin', or a folder of pictures")
    return settings


def resumed_settings(saved: dict[str, Any], given: dict[str, Any]) -> Settings:
    """A run's own settings, with those of CHANGEABLE that were given. Raises UsageError for any other that differs."""
    fixed = [name for name in given if name not in CHANGEABLE and given[name] != saved.get(name)]
    if fixed:
        raise UsageError(f"{option(fixed[0])} cannot change in a resumed run, which has {saved.get(fixed[0])!r}; "
                         f"only {', '.join(map(option, CHANGEABLE))} can")
    return Settings(**{name: value for name, value in {**saved, **given}.items() if name in FIELDS})


def option(name: str) -> str:
    """How the command line writes a setting."""
    return f"--{name.replace('_', '-')}"
