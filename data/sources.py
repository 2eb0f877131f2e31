"""What kinds of folders hold labelled images, and what is for training and for tests in each."""
from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from functools import partial

from .archives import is_archive
from .cifar import CIFAR10, CIFAR100
from .datasets import ImageFolder, subfolders
from .ilsvrc import KAGGLE, ILSVRCValidation, is_flat_validation
from .packed import PackedPictures, is_packed
from .protocols import Dataset

PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"),
         "test": ("test", "testing")}           # what their folders are called, in any case
SPLITS = (*PARTS, "all")

Splits = dict[str, Callable[[], Dataset]]


def find_splits(folder: str | os.PathLike[str], max_pixels: int | None = None,
                labels: str = "fine") -> Splits:
    """By name, those of "train", "val" and "test" that are there, or "all".

    Called, each gives its dataset. In this order: packed images (packed.py), CIFAR-10's or
    CIFAR-100's official files or archive, FOLDER/train/CLASS/IMAGE with FOLDER/val and FOLDER/test
    likewise or with ILSVRC's flat FOLDER/val (ilsvrc.py), FOLDER/CLASS/IMAGE. PARTS says what else
    such folders may be called. max_pixels: as load_image's; labels: as CIFAR100's. Raises
    ValueError for an unfinished packing, another archive, or two folders for one part.
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
    if is_archive(folder) or zipfile.is_zipfile(folder):
        raise ValueError(f"{folder} is an archive of neither CIFAR-10 nor CIFAR-100 (.tar.gz); "
                         "unpack it, and give the folder")
    root = os.path.join(folder, KAGGLE)
    root = root if os.path.isdir(root) else folder
    parts = _parts(root)
    found: Splits = {part: partial(ImageFolder, path, max_pixels) for part, path in parts.items()}
    if is_flat_validation(os.path.join(root, "val")):
        found["val"] = partial(ILSVRCValidation, root, (folder, root), max_pixels)
    if "val" in found and "test" in found and not subfolders(parts["test"]):
        del found["test"]                   # pictures without labels, as ImageNet's
    return found or {"all": partial(ImageFolder, folder, max_pixels)}


def _parts(root: str) -> dict[str, str]:
    """The parts' folders; none where other folders stand beside them, and they hold no classes.

    Then "train" is a class like any other.
    """
    folders = subfolders(root)
    parts = {name: part for name in folders for part, names in PARTS.items()
             if name.lower() in names}
    paths = {name: os.path.join(root, name) for name in parts}
    if len(parts) < len(folders) and not any(map(subfolders, paths.values())):
        return {}
    twice = [name for name in parts if list(parts.values()).count(parts[name]) > 1]
    if twice:
        raise ValueError(f"{root} holds both {twice[0]} and {twice[1]}, of which one must go: "
                         f"which is its {parts[twice[0]]} part?")
    return {part: path for part in PARTS for name, path in paths.items() if parts[name] == part}
