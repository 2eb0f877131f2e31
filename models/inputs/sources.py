"""From the name of a source to images in batches: to train on, and to validate on."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import data
from data import BuiltinPictures, Compose, DataLoader, UnreadableImage

from ..errors import UserError, as_user_error
from ..settings import Settings

ON_ERROR = {"stop": "raise", "skip": "skip"}    # the command line's words for the loader's
VALIDATION_SHARE = 0.2                  # of a folder that has no validation images of its own
TRAIN_SEED, VALIDATION_SEED = 0, 1      # of built-in images: the same whatever a run's seed


# ---- sources -----------------------------------------------------------------------------------

def open_data(settings: Settings) -> tuple[Any, Any]:
    """(training images, validation images) of settings.data.

    Raises UserError for what is missing, empty or does not fit together.
    """
    with as_user_error(ValueError, OSError):
        training, validation = _open(settings)
    if list(training.classes) != list(validation.classes):
        odd = sorted(set(training.classes) ^ set(validation.classes))
        raise UserError(f"{settings.data}: training and test pictures have different classes "
                        f"({', '.join(odd[:3])}, ...)")
    if len(training.classes) < 2:
        raise UserError(f"{settings.data} holds one class, {training.classes[0]!r}; "
                        "at least two are needed")
    return training, validation


def open_test_data(source: str, training: Settings) -> Any:
    """The images to evaluate on: the validation images of a training if source is its data.

    Else a source's test images, or all of its folder.
    """
    if source == training.data or source == "builtin":
        return open_data(replace(training, data=source))[1]
    with as_user_error(ValueError, OSError):
        splits = data.find_splits(source, training.max_pixels, training.labels)
        return splits[next(name for name in ("val", "all", "train") if name in splits)]()


def _open(settings: Settings) -> tuple[Any, Any]:
    source, count = settings.data, settings.pictures
    if source == "builtin":
        return (BuiltinPictures(count, settings.image_size, TRAIN_SEED),
                BuiltinPictures(count // 4, settings.image_size, VALIDATION_SEED))
    splits = data.find_splits(source, settings.max_pixels, settings.labels)
    if "all" in splits:
        return data.split(splits["all"](), VALIDATION_SHARE)
    if "train" not in splits:
        raise UserError(f"{source} has pictures to test on, but no train/")
    if "val" not in splits:
        raise UserError(f"{source} has train/ but neither test/ nor val/")
    return splits["train"](), splits["val"]()


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
