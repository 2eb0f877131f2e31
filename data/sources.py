"""What kinds of folders hold labelled images, and what is for training and for tests in each."""
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

PARTS = ("train", "val", "test")
SPLITS = (*PARTS, "all")

Splits = dict[str, Callable[[], Dataset]]


def find_splits(folder: str | os.PathLike[str], max_pixels: int | None = None,
                labels: str = "fine") -> Splits:
    """By name, those of "train", "val" and "test" that are there, or "all".

    Called, each gives its dataset. In this order: packed images (packed.py), CIFAR-10's or
    CIFAR-100's official files or archive, FOLDER/train/CLASS/IMAGE with FOLDER/val and FOLDER/test
    likewise or with ILSVRC's flat FOLDER/val (ilsvrc.py), FOLDER/CLASS/IMAGE. max_pixels: as
    load_image's; labels: as CIFAR100's. Raises ValueError for an unfinished packing, or another
    archive.
    """
    folder = os.fspath(folder)
    packed: Splits = {split: partial(PackedPictures, folder, split)
                      for split in SPLITS if is_packed(folder, split)}
    if packed:
        return packed
    if CIFAR10.is_in(folder):
        return {"train": partial(CIFAR10, folder), "test": partial(CIFAR10, folder, train=False)}
    if CIFAR100.is_in(folder):
        return {"train": partial(CIFAR100, folder, True, labels),
                "test": partial(CIFAR100, folder, False, labels)}
    if is_archive(folder):
        raise ValueError(f"{folder} is an archive of neither CIFAR-10 nor CIFAR-100; unpack it, "
                         "and give the folder")
    root = os.path.join(folder, KAGGLE)
    root = root if os.path.isdir(root) else folder
    parts = {part: os.path.join(root, part) for part in PARTS}
    found: Splits = {part: partial(ImageFolder, path, max_pixels)
                     for part, path in parts.items() if os.path.isdir(path)}
    if is_flat_validation(parts["val"]):
        found["val"] = partial(ILSVRCValidation, root, (folder, root), max_pixels)
    if "val" in found and "test" in found and not _has_folders(parts["test"]):
        del found["test"]                   # pictures without labels, as ImageNet's
    return found or {"all": partial(ImageFolder, folder, max_pixels)}


def _has_folders(folder: str) -> bool:
    return any(os.path.isdir(os.path.join(folder, name))
               for name in os.listdir(folder) if not name.startswith("."))
