"""What kinds of folders hold labelled images, and what is for training and validation in each."""
from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from .archives import is_archive
from .cifar import CIFAR10, CIFAR100
from .datasets import ImageFolder
from .ilsvrc import KAGGLE, ILSVRCValidation, is_flat_validation
from .packed import PackedPictures, is_packed
from .protocols import Dataset

SPLITS = ("train", "val", "all")
VALIDATION_FOLDERS = ("test", "val")

Splits = dict[str, Callable[[], Dataset]]


def find_splits(folder: str | os.PathLike[str], max_pixels: int | None = None,
                labels: str = "fine") -> Splits:
    """{"train": open, "val": open}, or one of them, or {"all": open}; `open()` gives the dataset.

    In this order: packed images (packed.py), CIFAR-10's or CIFAR-100's official files or archive,
    FOLDER/train/CLASS/IMAGE with FOLDER/test or FOLDER/val likewise or with ILSVRC's flat
    FOLDER/val (ilsvrc.py), FOLDER/CLASS/IMAGE. max_pixels: as load_image's; labels: as CIFAR100's.
    Raises ValueError for an unfinished packing, or another archive.
    """
    folder = os.fspath(folder)
    packed: Splits = {split: partial(PackedPictures, folder, split)
                      for split in SPLITS if is_packed(folder, split)}
    if packed:
        return packed
    if CIFAR10.is_in(folder):
        return {"train": partial(CIFAR10, folder), "val": partial(CIFAR10, folder, train=False)}
    if CIFAR100.is_in(folder):
        return {"train": partial(CIFAR100, folder, True, labels),
                "val": partial(CIFAR100, folder, False, labels)}
    if is_archive(folder):
        raise ValueError(f"{folder} is an archive of neither CIFAR-10 nor CIFAR-100; unpack it, "
                         "and give the folder")
    root = os.path.join(folder, KAGGLE)
    root = root if os.path.isdir(root) else folder
    validation = (os.path.join(root, name) for name in VALIDATION_FOLDERS)
    parts = {"train": os.path.join(root, "train"),
             "val": next(filter(os.path.isdir, validation), "")}
    found: Splits = {split: partial(ImageFolder, path, max_pixels)
                     for split, path in parts.items() if os.path.isdir(path)}
    if is_flat_validation(os.path.join(root, "val")):
        found["val"] = partial(ILSVRCValidation, root, (folder, root), max_pixels)
    return found or {"all": partial(ImageFolder, folder, max_pixels)}
