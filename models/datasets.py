"""From the name of a source to pictures in batches: what is trained on, what is held out, and what is done to each picture."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import data
from data import BuiltinPictures, CenterCrop, Compose, DataLoader, Normalize, PCANoise, RandomCrop
from data import RandomHorizontalFlip, Resize, TenCrop, UnreadableImage

from .errors import UserError, told
from .settings import Settings

ON_ERROR = {"stop": "raise", "skip": "skip"}  # the command line's words for the loader's
HELD_OUT = 0.2                              # of a folder that has no test pictures of its own
TRAIN_SEED, TEST_SEED = 0, 1                # of built-in pictures: always the same, whatever a run's seed
MARGIN = 256 / 227                          # a folder's pictures are made this much larger than the crops taken from them
COLOURS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}        # of ImageNet's pictures


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


# ---- what is done to each picture -----------------------------------------------------------------------------------------------

def preprocessing(settings: Settings) -> dict[str, Any]:
    """What a checkpoint must remember to see pictures as in training: {"resize", "crop": pixels, "mean", "std": of red, green, blue}."""
    crop = settings.image_size
    return {"resize": crop if settings.data == "builtin" else round(crop * MARGIN), "crop": crop, **COLOURS}


def train_transform(settings: Settings, p: dict[str, Any], pictures: Any) -> Compose:
    """A random crop (built-in pictures have no margin to crop), a mirrored half, colour noise if asked for. p: preprocessing."""
    steps: list[Callable] = [Resize(p["resize"]), (RandomCrop if settings.random_crop else CenterCrop)(p["crop"])]
    if settings.flip:
        steps.append(RandomHorizontalFlip())
    if settings.pca_noise:
        with told(UnreadableImage):
            steps.append(PCANoise.fit(pictures, settings.pca_noise, on_error=ON_ERROR[settings.on_error]))
    return Compose([*steps, Normalize(p["mean"], p["std"])])


def test_transform(p: dict[str, Any], ten_crop: bool = False) -> Compose:
    return Compose([Resize(p["resize"]), (TenCrop if ten_crop else CenterCrop)(p["crop"]), Normalize(p["mean"], p["std"])])


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
