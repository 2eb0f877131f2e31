"""From settings to a training that runs, begun anew or where a checkpoint left it."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minitensor import Tensor, no_grad
from minitensor.ops.norm import statistics_kept

from ..compute import computing
from ..errors import SettingError, UserError, as_user_error
from ..inputs.preprocessing import (colour_noise, evaluation_transform, preprocessing,
                                    train_transform)
from ..inputs.sources import Parts, make_loader, open_data
from ..networks.heads import auxiliary_logits
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
    if out:
        RunFolder(Path(out)).check_new()
    with computing(**settings.compute):
        images = _opened(settings)
        p = begin_with.metadata["preprocessing"] if begin_with else None
        training = Training(settings, images.training.classes,
                            p or preprocessing(settings, images.training, progress))
        if begin_with:
            with as_user_error(ValueError, what=f"{settings.weights} cannot be begun with: "):
                take_over(training.network, begin_with.arrays)
        loaders = _loaders(training, images, progress)
        # Last, when nothing else can be wrong.
        folder = RunFolder.create(out, without_arrays(training.metadata))
        with folder.alone():
            if settings.data == "builtin":
                write_samples(folder.samples, images.test or images.validation)
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


def changed(settings: Settings, given: Mapping[str, Any],
            changeable: Collection[str] = CHANGEABLE) -> Settings:
    """A stopped run's settings with those that are given.

    Raises SettingError for one that differs and is not changeable.
    """
    for name in given:
        own = getattr(settings, name)
        if name not in changeable and given[name] != own:
            raise SettingError(name, f" cannot change in a resumed run, which has {own!r}")
    return replace(settings, **given)


def resume(run: Stopped, settings: Settings, progress: Progress) -> int:
    """Go on exactly where run stopped. Returns the exit status, as `start` does."""
    folder, (classes, p) = run.folder, (run.metadata["classes"], run.metadata["preprocessing"])
    if settings.epochs < run.epochs:
        raise SettingError("epochs", f" {settings.epochs} cannot be: {folder.path} has trained for "
                           f"{run.epochs} already; give a number above {run.epochs}")
    with folder.alone(), computing(**settings.compute):
        with as_user_error(ValueError, KeyError, TypeError,
                           what=f"{folder.latest} cannot be resumed: "):
            training = Training(settings, classes, p)
            training.load_state(run.arrays, run.metadata)
        images = _opened(settings)
        _check_same(classes, list(images.training.classes), settings.data, folder.path)
        loaders = _loaders(training, images, progress)
        _tell_changes(run.metadata.get("images"), training, progress)
        folder.rewind(training.counters.step, training.counters.epoch)
        return _run(training, loaders, folder, progress)


def _opened(settings: Settings) -> Parts:
    """The images. Raises UserError, also where the schedule needs others."""
    images = open_data(settings)
    if settings.schedule == "plateau" and images.validation is None:
        raise SettingError("schedule", " plateau watches the validation error, for which no "
                           "pictures are held out: choose another, or validation above 0")
    return images


def _check_same(known: list[str], found: list[str], source: str, run: Path) -> None:
    """Raises UserError for other classes than a run has learned."""
    if found == known:
        return
    lost, new = (sorted(set(a) - set(b)) for a, b in ((known, found), (found, known)))
    differ = [f"{verb} {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
              for verb, names in (("lacks", lost), ("adds", new)) if names]
    raise UserError(f"{source} no longer has the {len(known)} classes that {run} was trained on: "
                    f"it {' and '.join(differ) or 'has them in another order'}")


def _tell_changes(before: Mapping[str, int] | None, training: Training,
                  progress: Progress) -> None:
    """before: how many images there were in each part, if the run remembers."""
    settings, c = training.settings, training.counters
    changes = [f"{count:,} {part} pictures, not {before[part]:,}"
               for part, count in training.metadata["images"].items()
               if before and count != before[part]]
    if changes:
        progress.warn(f"{settings.data} now has {'; '.join(changes)} as before: the run goes on, "
                      "but not as it would have" + (
                          f", and of epoch {c.epoch + 1} some pictures come twice or not at all"
                          if c.batch else ""))


def _loaders(training: Training, images: Parts, progress: Progress) -> Parts:
    """Of the training, validation and test images; None where there are none."""
    settings, p = training.settings, training.metadata["preprocessing"]
    _check_last_batch(training, len(images.training))
    training.metadata["images"] = {part: 0 if some is None else len(some)
                                   for part, some in images._asdict().items()}
    if settings.pca_noise and not training.metadata["colours"]:     # a resumed run knows them
        training.metadata["colours"] = colour_noise(settings, images.training, progress)
    if settings.class_weights and not training.metadata["class_weights"]:
        training.metadata["class_weights"] = class_weights(
            settings.class_weights, training.metadata["classes"], images.training.labels)
    with as_user_error(ValueError, TypeError):
        learn, look = (train_transform(settings, p, training.metadata["colours"]),
                       evaluation_transform(p))
        return Parts(make_loader(images.training, learn, settings, shuffle=True),
                     *(None if some is None else make_loader(some, look, settings, shuffle=False)
                       for some in images[1:]))


def _check_last_batch(training: Training, count: int) -> None:
    """Raises SettingError where one of count images is left for an epoch's last step, and the
    network normalises it by itself: BatchNorm needs more than one value a channel."""
    settings, drawn = training.settings, training.generator.step
    if count % settings.batch_size != (1 if settings.batch_size > 1 else 0):
        return
    shape = (1, *training.network.input_shape)
    try:
        with no_grad(), statistics_kept(), auxiliary_logits():
            training.network(Tensor(np.zeros(shape, np.float32)).to(settings.device))
    except ValueError as error:
        raise SettingError("batch_size", f" {settings.batch_size} leaves one of {count:,} training "
                           f"pictures for the last step, which does not do: {error}") from error
    finally:
        training.generator.step = drawn     # dropout's masks


def _run(training: Training, loaders: Parts, folder: RunFolder, progress: Progress) -> int:
    cache = FeatureCache(folder.features, training, progress) if is_possible(training) else None
    shown = TrainingProgress(progress, training, folder)
    with ExitStack() as opened:
        for loader in loaders:
            if loader is not None:
                opened.enter_context(loader)
        if cache:
            training.learner = cache.learner
            loaders = loaders._replace(training=cache.loader("train", loaders.training),
                                       validation=cache.loader("validation", loaders.validation))
        status = Trainer(training, loaders, folder, shown).run()
    if status == 0:
        if cache:
            cache.remove()
        shown.samples()
    return status
