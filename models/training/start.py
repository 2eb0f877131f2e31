"""From settings to a training that runs, begun anew or where a checkpoint left it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..compute import computing
from ..errors import SettingError, UserError, as_user_error
from ..inputs.preprocessing import (colour_noise, evaluation_transform, preprocessing,
                                    train_transform)
from ..inputs.sources import make_loader, open_data
from ..networks.transfer import take_over
from ..progress import Progress
from ..settings import CHANGEABLE, Settings
from .checkpoints import load_checkpoint, without_arrays
from .class_weights import class_weights
from .feature_cache import FeatureCache, is_possible
from .loop import Trainer
from .view import TrainingProgress
from .run_folder import RunFolder
from .samples import write_samples
from .step import Training


class Trained(NamedTuple):
    """Weights to begin with: arrays by name, and the metadata that came with them."""

    arrays: Mapping[str, np.ndarray]
    metadata: dict[str, Any]


def start(settings: Settings, progress: Progress, out: str | None = None,
          begin_with: Trained | None = None) -> int:
    """Train from the beginning, in the new folder out; default: runs/DATE-TIME.

    begin_with: the weights that settings.weights names. Returns the exit status: 0, or 128 + the
    signal that stopped it.
    """
    with computing(**settings.compute):
        images = open_data(settings)
        p = begin_with.metadata["preprocessing"] if begin_with else None
        training = Training(settings, images[0].classes,
                            p or preprocessing(settings, images[0], progress))
        if begin_with:
            with as_user_error(ValueError, what=f"{settings.weights} cannot be begun with: "):
                take_over(training.network, begin_with.arrays)
        loaders = _loaders(training, images, progress)
        # Last, when nothing else can be wrong.
        folder = RunFolder.create(out, without_arrays(training.metadata))
        if settings.data == "builtin":
            write_samples(folder.samples, images[1])
        return _run(training, loaders, folder, progress)


class Stopped(NamedTuple):
    """A run as its latest checkpoint left it."""

    folder: RunFolder
    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]
    settings: Settings
    epochs: int                 # that it has trained for


def stopped(path: str) -> Stopped:
    """The run in the folder path. Raises CheckpointError or UserError."""
    folder = RunFolder.reopen(path)
    arrays, metadata = load_checkpoint(str(folder.latest))
    with as_user_error(KeyError, TypeError, what=f"{folder.latest} cannot be resumed: "):
        settings, epochs = Settings.saved(metadata["settings"]), metadata["progress"]["epoch"]
    return Stopped(folder, arrays, metadata, settings, epochs)


def changed(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """A stopped run's settings with those that are given.

    Raises SettingError for one that differs and is not CHANGEABLE.
    """
    for name in given:
        own = getattr(settings, name)
        if name not in CHANGEABLE and given[name] != own:
            raise SettingError(name, f" cannot change in a resumed run, which has {own!r}")
    return replace(settings, **given)


def resume(run: Stopped, settings: Settings, progress: Progress) -> int:
    """Go on exactly where run stopped. Returns the exit status, as `start` does."""
    folder, (classes, p) = run.folder, (run.metadata["classes"], run.metadata["preprocessing"])
    if settings.epochs < run.epochs:
        raise SettingError("epochs", f" {settings.epochs} cannot be: {folder.path} has trained for "
                           f"{run.epochs} already; give a number above {run.epochs}")
    with computing(**settings.compute):
        with as_user_error(ValueError, KeyError, TypeError,
                           what=f"{folder.latest} cannot be resumed: "):
            training = Training(settings, classes, p)
            training.load_state(run.arrays, run.metadata)
        images = open_data(settings)
        if list(images[0].classes) != classes:
            raise UserError(f"{settings.data} no longer has the {len(classes)} classes that "
                            f"{folder.path} was trained on")
        loaders = _loaders(training, images, progress)
        folder.rewind(training.counters.step, training.counters.epoch)
        return _run(training, loaders, folder, progress)


def _loaders(training: Training, images: tuple[Any, Any], progress: Progress) -> tuple[Any, Any]:
    """Of the training images and of the validation images."""
    settings, p = training.settings, training.metadata["preprocessing"]
    if settings.pca_noise and not training.metadata["colours"]:     # a resumed run knows them
        training.metadata["colours"] = colour_noise(settings, images[0], progress)
    if settings.class_weights and not training.metadata["class_weights"]:
        training.metadata["class_weights"] = class_weights(
            settings.class_weights, training.metadata["classes"], images[0].labels)
    with as_user_error(ValueError, TypeError):
        transform = train_transform(settings, p, training.metadata["colours"])
        return (make_loader(images[0], transform, settings, shuffle=True),
                make_loader(images[1], evaluation_transform(p), settings, shuffle=False))


def _run(training: Training, loaders: tuple[Any, Any], folder: RunFolder,
         progress: Progress) -> int:
    cache = FeatureCache(folder.features, training, progress) if is_possible(training) else None
    shown = TrainingProgress(progress, training, folder)
    with loaders[0], loaders[1]:
        items: tuple[Any, Any] = loaders
        if cache:
            items = cache.loader("train", loaders[0]), cache.loader("test", loaders[1])
            training.learner = cache.learner
        status = Trainer(training, items, folder, shown).run()
    if status == 0:
        if cache:
            cache.remove()
        shown.samples()
    return status
