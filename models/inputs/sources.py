"""From the name of a source to images in batches: to train on, to validate on, to test on."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import data
from data import BuiltinPictures, Compose, DataLoader, UnreadableImage
from data.datasets import subfolders

from ..errors import UserError, as_user_error
from ..settings import Settings

ON_ERROR = {"stop": "raise", "skip": "skip"}    # the command line's words for the loader's
VALIDATION_SHARE = 0.1          # of training images that have test images beside them
ONLY_SHARE = 0.2                # of a folder that has nothing beside it
# Of built-in images: the same whatever a run's seed. val and test have a quarter as many as train.
SEEDS = {"train": 0, "test": 1, "val": 2}


# ---- sources -----------------------------------------------------------------------------------

class Parts(NamedTuple):
    """What a run learns from, what chooses its best epoch, and what scores that once, at the end.

    Where nothing is to choose with there is no validation, where nothing is left to score with no
    test.
    """

    training: Any
    validation: Any | None
    test: Any | None


def open_data(settings: Settings) -> Parts:
    """The parts of settings.data, as settings.validation says.

    "auto"      val validates; where there is only train and test, a tenth of train, held out, if
                it has enough images; where there is one folder for all, a fifth of it. What is val
                or held out of one folder chooses, and no test is left
    a share     of train, held out; 0 for none. test, or val where there is no test, is the test
    "test"      test, or val where there is no test, validates: what earlier versions did, and what
                draws test errors epoch by epoch

    Raises UserError for what is missing, empty or does not fit together.
    """
    with as_user_error(ValueError, OSError):
        parts = _chosen(_open(settings), settings)
    classes = list(parts.training.classes)
    for other in parts[1:]:
        if other is not None and list(other.classes) != classes:
            odd = sorted(set(classes) ^ set(other.classes))
            raise UserError(f"{settings.data}: its parts have different classes "
                            f"({', '.join(odd[:3])}, ...): {parts.training!r}, {other!r}")
    if len(classes) < 2:
        inner = os.path.join(settings.data, classes[0])
        meant = f"; is {inner} meant?" if subfolders(inner) else ""
        raise UserError(f"{settings.data} holds one class, {classes[0]!r}; at least two are needed"
                        f"{meant}")
    return parts


def open_test_data(source: str, training: Settings) -> tuple[Any, str]:
    """(the images to evaluate on, "test", "validation", "training", or "" for another source's).

    Those that the training tests on if source is its data, else those that it validates on; of
    another source its test images, or what there is.
    """
    if source == training.data or source == "builtin":
        parts = open_data(replace(training, data=source))
        return next((images, part) for images, part in (
            (parts.test, "test"), (parts.validation, "validation"), (parts.training, "training"))
            if images is not None)
    with as_user_error(ValueError, OSError):
        splits = data.find_splits(source, training.max_pixels, training.labels)
        return splits[next(name for name in ("test", "val", "all", "train")
                           if name in splits)](), ""


def _open(settings: Settings) -> Parts:
    source, choice = settings.data, settings.validation
    splits = (_builtin(settings) if source == "builtin"
              else data.find_splits(source, settings.max_pixels, settings.labels))
    if "all" in splits:
        share = choice if isinstance(choice, float) else ONLY_SHARE
        return Parts(*_held_out(splits["all"](), share), None)
    if "train" not in splits:
        raise UserError(f"{source} has pictures to test on, but no train/")
    if len(splits) == 1:
        raise UserError(f"{source} has train/ but neither test/ nor val/; of its train folder "
                        "alone a part would be held out")
    training, last = splits["train"](), splits["test" if "test" in splits else "val"]
    if choice == "test":
        return Parts(training, last(), None)
    if choice == "auto" and "val" in splits:
        return Parts(training, splits["val"](), last() if "test" in splits else None)
    if choice == "auto":
        choice = VALIDATION_SHARE
        if not round(choice * int(np.bincount(training.labels).max(initial=0))):
            choice = 0.0
    return Parts(*_held_out(training, float(choice)), last())


def _chosen(parts: Parts, settings: Settings) -> Parts:
    """Images of settings.classes alone; of them at most settings.pictures_per_class to train on."""
    if settings.classes:
        names, last = parts.training.classes, max(settings.classes)
        if last >= len(names):
            raise UserError(f"{settings.data} has {len(names)} classes; "
                            f"at least {last + 1} are needed")
        parts = Parts(*(None if some is None else data.of_classes(some, settings.classes)
                        for some in parts))
    if settings.pictures_per_class:
        fewer = data.at_most(parts.training, settings.pictures_per_class, settings.seed)
        parts = parts._replace(training=fewer)
    return parts


def _builtin(settings: Settings) -> data.sources.Splits:
    return {part: partial(BuiltinPictures, settings.pictures // (1 if part == "train" else 4),
                          settings.image_size, seed) for part, seed in SEEDS.items()}


def _held_out(images: Any, share: float) -> tuple[Any, Any | None]:
    return data.split(images, share) if share else (images, None)


# ---- batches -----------------------------------------------------------------------------------

def make_loader(images: Any, transform: Compose, settings: Settings, shuffle: bool) -> DataLoader:
    """settings gives batch_size, seed, workers and on_error."""
    return DataLoader(images, settings.batch_size, transform, shuffle=shuffle, seed=settings.seed,
                      num_workers=settings.workers, on_error=ON_ERROR[settings.on_error])


def batches(loader: DataLoader, report: Callable[[str], None]) -> Iterator[tuple]:
    """loader's (images, labels), as numbered_batches."""
    return ((images, labels) for _, images, labels in numbered_batches(loader, report))


def numbered_batches(loader: DataLoader, report: Callable[[str], None], epoch: int = 0,
                     start: int = 0) -> Iterator[tuple]:
    """loader's (number, images, labels) of epoch from batch start on.

    report is told each image that is skipped. Raises UserError for an image that cannot be read or
    transformed, and for a worker that died.
    """
    known = len(loader.skipped)

    def tell() -> None:
        nonlocal known
        for path, reason in loader.skipped[known:]:
            report(f"skipped {path}: {reason}")
        known = len(loader.skipped)

    with as_user_error(UnreadableImage, data.DeadWorker, ValueError):
        for batch in loader.numbered(epoch, start):
            tell()
            yield batch
    tell()
