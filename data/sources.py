"""What kinds of folders hold labelled pictures, and what is for training and what is held out in each."""
import os
from functools import partial

from .datasets import CIFAR10, ImageFolder
from .ilsvrc import KAGGLE, ILSVRCValidation, is_flat_validation
from .packed import PackedPictures, is_packed

SPLITS = ("train", "val", "all")
HELD_OUT_FOLDERS = ("test", "val")


def find_splits(folder):
    """{"train": open, "val": open}, or one of them, or {"all": open}; `open()` gives the dataset.

    In this order: packed pictures (packed.py), CIFAR-10's official files, FOLDER/train/CLASS/PICTURE with FOLDER/test or FOLDER/val
    likewise or with ILSVRC's flat FOLDER/val (ilsvrc.py), FOLDER/CLASS/PICTURE. Raises ValueError for an unfinished packing.
    """
    packed = {split: partial(PackedPictures, folder, split) for split in SPLITS if is_packed(folder, split)}
    if packed:
        return packed
    if CIFAR10.is_in(folder):
        return {"train": partial(CIFAR10, folder), "val": partial(CIFAR10, folder, train=False)}
    root = os.path.join(folder, KAGGLE)
    root = root if os.path.isdir(root) else folder
    held_out = (os.path.join(root, name) for name in HELD_OUT_FOLDERS)
    parts = {"train": os.path.join(root, "train"), "val": next(filter(os.path.isdir, held_out), "")}
    found = {split: partial(ImageFolder, path) for split, path in parts.items() if os.path.isdir(path)}
    if is_flat_validation(os.path.join(root, "val")):
        found["val"] = partial(ILSVRCValidation, root, (folder, root))
    return found or {"all": partial(ImageFolder, folder)}
