"""`evaluate`: a checkpoint's accuracy on labelled pictures."""
from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .datasets import batches, make_loader, open_test_data
from .errors import UsageError, UserError, told
from .preprocessing import test_transform
from .run import checkpoint_path
from .saved import load_network
from .scores import scores_of
from .settings import Settings, resumed_settings


def evaluate(checkpoint: str, ten_crop: bool, given: dict[str, Any]) -> int:
    """Print the scores. What is not given (data, batch_size, workers ...) is as in training, so that the figures are training's own.

    given has "device", "kernels" and "precision", which need not be training's.
    """
    path = checkpoint_path(checkpoint)
    network, info = load_network(path, given["device"])
    training = _training_settings(path, info)
    settings = dataclasses.replace(training, **given)
    if not settings.data:
        raise UsageError("--data is required: these weights say nothing of the pictures they learned from")
    pictures = open_test_data(settings.data, training)
    if not set(pictures.classes) <= set(info["classes"]):
        raise UserError(f"{settings.data} has the classes {_names(pictures.classes)}, but {path} was trained on {_names(info['classes'])}")
    places = np.array([info["classes"].index(name) for name in pictures.classes])           # of the pictures' classes among the network's
    with told(ValueError):
        loader = make_loader(pictures, test_transform(info["preprocessing"], ten_crop), settings, shuffle=False)
    with loader:
        scores = scores_of(network, ((images, places[labels]) for images, labels in batches(loader)), settings.device)
    crops = "mean of ten crops" if ten_crop else "centre crop"
    epoch = f" (epoch {info['progress']['epoch']})" if "progress" in info else ""
    print(f"{path}{epoch} on {scores.pictures:,} pictures of {settings.data}, {crops}:\n{scores}")
    return 0


def _training_settings(path: str, info: dict[str, Any]) -> Settings:
    if "progress" not in info:          # published weights
        return Settings(network=info["network"], image_size=info["config"]["image_size"])
    with told(KeyError, TypeError, what=f"{path} holds no settings: "):
        return resumed_settings(info["settings"], {})


def _names(classes: Any) -> str:
    return f"{', '.join(classes[:4])}{', ...' if len(classes) > 4 else ''} ({len(classes)})"
