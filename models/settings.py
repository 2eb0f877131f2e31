"""What a training can be told: every setting with its default, and recipes of several at once."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Everything that a training is told. Saved in every checkpoint."""

    data: str = ""                  # "builtin", or the absolute path of a folder
    labels: str = "fine"            # of CIFAR-100; or "coarse"
    pictures: int = 4000            # built-in images to train on; a quarter as many in val and test
    classes: Sequence[int] = ()     # places of those that take part, of the data's; none: all
    pictures_per_class: int | None = None   # training images at most
    # Which images choose the best epoch, as inputs/sources.py explains: "auto", the share of the
    # training images that is held out for it, or "test".
    validation: str | float = "auto"
    # The shorter side before a crop; None: 256/227 of image_size, image_size for built-in images.
    resize: int | None = None
    random_crop: bool = True        # else the centre
    crop_padding: int = 0           # black pixels on every side before a random crop
    flip: bool = True               # mirror half of the training images
    pca_noise: float = 0.0          # sigma; 0.1 in the paper
    # In place of resize and crop: the least share of the area that a random part of it has.
    random_resized_crop: float | None = None
    color_jitter: Sequence[float] = ()      # brightness, contrast, saturation, hue
    random_erasing: float = 0.0     # the share of training images of which a part is erased
    normalize: str = "imagenet"     # one of NORMALIZATIONS, which inputs/preprocessing.py explains

    network: str = "alexnet"        # a name in the family
    image_size: int = 227
    width: float = 1.0
    dropout: float | None = None    # None: the network's own
    ablations: Sequence[str] = ()   # what is changed in the network
    init: str = "he"
    departures: Sequence[str] = ()  # from the paper's initial values, where init is "paper"

    weights: str | None = None      # a trained network to begin with, all but its last layer
    # Layers that do not learn: "none", "features" (the convolutions), or how many, from the first.
    freeze: str = "none"
    new_lr_multiplier: float = 10.0     # how much faster the new last layer learns than others
    # Compute what frozen layers make of an image once, where that never changes.
    cache_features: bool = True

    epochs: int = 30
    optimizer: str = "sgd"          # one of training.optimizers.OPTIMIZERS
    batch_size: int = 128
    lr: float = 0.01
    warmup: int = 100               # steps
    momentum: float = 0.9           # of sgd
    lr_in_velocity: bool = False    # sgd's update is that of the 2012 paper, else PyTorch's
    weight_decay: float = 5e-4
    layer_weight_decay: dict[str, float] | None = None      # where it differs from weight_decay
    label_smoothing: float = 0.0
    class_weights: str | dict[str, float] | None = None     # "balanced", or by name
    schedule: str = "cosine"        # one of training.optimizers.SCHEDULES
    step_size: int | None = None    # epochs; None: a third of all
    milestones: list[int] | None = None     # epochs; None: after a half and three quarters
    patience: int = 3
    cuts: int | None = None         # at most, by the plateau schedule
    gamma: float = 0.1
    # Of the training images, while learning: the epoch that reaches it is the last one.
    target_error: float | None = None
    seed: int = 0

    workers: int = 1
    on_error: str = "stop"
    max_pixels: int | None = None   # of an image; None: Pillow's own limit
    device: str = "cpu"
    kernels: str | None = None      # None: the fastest for the device
    precision: str = "fp32"         # of products on the GPU, one of kernels.PRECISIONS
    save_minutes: float = 10.0

    @classmethod
    def saved(cls, settings: Mapping[str, Any]) -> Settings:
        """Those of a checkpoint, which may be older or newer than this program."""
        older = {"lr_in_velocity": True, "validation": "test"}      # before there was a choice
        return cls(**{name: value for name, value in {**older, **settings}.items()
                      if name in FIELDS})

    @property
    def network_config(self) -> dict[str, Any]:
        """The arguments of `build` but for the name and the number of classes."""
        return {name: getattr(self, name)
                for name in ("image_size", "width", "dropout", "ablations")}

    @property
    def compute(self) -> dict[str, Any]:
        """The arguments of `compute.computing`."""
        return {name: getattr(self, name) for name in COMPUTE}


FIELDS = {field.name for field in dataclasses.fields(Settings)}
COMPUTE = ("device", "kernels", "precision")
# What a resumed run may be told anew. workers and save_minutes change no result; the others may,
# and are the user's to change: data may have moved, epochs stretches a schedule, a lower lr saves a
# run that diverged, device, kernels and precision round differently, on_error and max_pixels decide
# about an image that has become unreadable.
CHANGEABLE = ("data", "epochs", "lr", "workers", "on_error", "max_pixels", *COMPUTE,
              "cache_features", "save_minutes")
NORMALIZATIONS = ("imagenet", "mean-pixel", "mean-image")


RECIPES: dict[str, dict[str, Any]] = {
    # Drawn images, nothing to download, and AlexNet in full: a few minutes on two cores.
    "demo": {"data": "builtin", "pictures": 2000, "epochs": 4, "batch_size": 32, "lr": 0.004,
             "warmup": 60, "dropout": 0.0},
    # CIFAR-10, enlarged; give data. A quarter of an hour on two cores.
    "cifar10": {"image_size": 99, "width": 0.25, "epochs": 8, "batch_size": 64, "dropout": 0.2},
    # CIFAR-10 as it is, by He et al.'s network of 20 layers in a fraction of their 164 epochs; give
    # data, packed or in folders: within an hour on two cores. All training images train, and the
    # last epoch is tested.
    "resnet20": {"network": "resnet20", "resize": 32, "crop_padding": 4, "validation": 0.0,
                 "epochs": 15, "batch_size": 128, "lr": 0.1, "warmup": 200, "weight_decay": 5e-4},
    # Krizhevsky et al. 2012, point by point as in docs/recipe.md; give data. Without departures it
    # is the paper's own.
    "paper": {"network": "alexnet-paper", "dropout": 0.5, "init": "paper",
              "departures": ["biases-0.1", "sigma-0.03"], "normalize": "mean-image",
              "random_crop": True, "flip": True, "pca_noise": 0.1, "epochs": 90,
              "batch_size": 128, "lr": 0.01, "warmup": 0, "momentum": 0.9, "lr_in_velocity": True,
              "weight_decay": 5e-4, "schedule": "plateau", "cuts": 3, "gamma": 0.1},
}
