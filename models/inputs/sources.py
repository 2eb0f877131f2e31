"""From the name of a source to pictures in batches: what is trained on, and what is held out."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import data
from data import BuiltinPictures, Compose, DataLoader, UnreadableImage

from ..errors import UserError, told
from ..settings import Settings

ON_ERROR = {"stop": "raise", "skip": "skip"}  # the command line's words for the loader's
HELD_OUT = 0.2                              # of a folder that has no test pictures of its own
TRAIN_SEED, TEST_SEED = 0, 1                # of built-in pictures: always the same, whatever a run's seed


# ---- sources ------------------------------------------------------------------------------------------------------------------

def open_data(settings: Settings) -> tuple[Any, Any]:
    """(training pictures, held-out pictures) of settings.data. Raises UserError for what is missing, empty or does not fit together."""
    with told(ValueError, OSError):
        train, test = _open(settings)
    if list(train.classes) != list(test.classes):
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise UserError(f"{settings.data}: training and test pictures have different classes ({', '.join(odd[:3])}, ...)")
    if len(train.classes) < 2:
        raise UserError(f"{settings.data} holds one class, {train.classes[0]!r}; at least two are needed")
    return train, test


def open_test_data(source: str, training: Settings) -> Any:
    """The pictures to evaluate on: those held out in training if source is its data, else a source's test pictures or all of its folder."""
    if source == training.data or source == "builtin":
        return open_data(replace(training, data=source))[1]
    with told(ValueError, OSError):
        splits = data.find_splits(source)
        return splits[next(name for name in ("val", "all", "train") if name in splits)]()


def _open(settings: Settings) -> tuple[Any, Any]:
    source = settings.data
    if source == "builtin":
        return (BuiltinPictures(settings.pictures, settings.image_size, TRAIN_SEED),
                BuiltinPictures(settings.pictures // 4, settings.image_size, TEST_SEED))
    splits = data.find_splits(source)
    if "all" in splits:
        return data.split(splits["all"](), HELD_OUT)
    if "train" not in splits:
        raise UserError(f"{source} has pictures to test on, but no train/")
    if "val" not in splits:
        raise UserError(f"{source} has train/ but neither test/ nor val/")
    return splits["train"](), splits["val"]()


# ---- batches ------------------------------------------------------------------------------------------------------------------

def make_loader(pictures: Any, transform: Compose, settings: Settings, shuffle: bool) -> DataLoader:
    """settings gives batch_size, seed, workers and on_error."""
    return DataLoader(pictures, settings.batch_size, transform, shuffle=shuffle, seed=settings.seed, num_workers=settings.workers,
                      on_error=ON_ERROR[settings.on_error])


def batches(loader: DataLoader, epoch: int = 0, start: int = 0, report: Callable[[str], None] = print) -> Iterator[tuple]:
    """loader's (images, labels) of epoch from batch start on; report is told each picture that is skipped.

    Raises UserError for a picture that cannot be read or transformed, and for a worker that died.
    """
    known = len(loader.skipped)
    with told(UnreadableImage, data.DeadWorker, ValueError):
        for batch in loader.epoch(epoch, start):
            for path, reason in loader.skipped[known:]:
                report(f"skipped {path}: {reason}")
            known = len(loader.skipped)
            yield batch
