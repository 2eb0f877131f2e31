"""Where labelled images come from: folders of files, and parts of any dataset.

A dataset is what protocols.Dataset says: `classes`, `labels`, `len()`, `dataset[i]` and `name(i)`.
One of equal square images that lie in memory, or in mapped files, may also have `side`, in pixels,
and `crops(indices, top, left, size)`: its batches are made at once (see batch_at_once.py).
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from .images import load_image, load_rgb
from .protocols import Dataset

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm",
            ".pgm", ".pbm")
# Folders that programs leave behind, besides hidden ones.
LITTER = {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"}


class ImageFiles:
    """Files below `root`, their labels and classes; reading one may raise UnreadableImage.

    max_pixels: as load_image's.
    """

    def __init__(self, root: str, paths: list[str], labels: np.ndarray, classes: Sequence[str],
                 max_pixels: int | None = None):
        self.root, self.paths, self.labels, self.classes = root, paths, labels, classes
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """-> (image uint8 (H, W, 3), label)"""
        image = load_image(self.paths[index], max_pixels=self.max_pixels)
        return image, int(self.labels[index])

    def pillow_image(self, index: int) -> Image.Image:
        """The image as Pillow's, for whoever goes on with it there."""
        return load_rgb(self.paths[index], max_pixels=self.max_pixels)

    def name(self, index: int) -> str:
        return self.paths[index]

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({self.root!r}): {len(self)} pictures of "
                f"{len(self.classes)} classes")


class ImageFolder(ImageFiles):
    """Images sorted into folders, ROOT/CLASS/**/IMAGE; the classes are the sorted folder names.

    Raises FileNotFoundError for a missing root, ValueError for a root without class folders or a
    class without images.
    """

    def __init__(self, root: str | os.PathLike[str], max_pixels: int | None = None):
        root = os.fspath(root)
        classes = class_folders(root)
        files = [_files_of_class(os.path.join(root, name)) for name in classes]
        labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files])
        super().__init__(root, [path for paths in files for path in paths], labels, classes,
                         max_pixels)


def class_folders(root: str) -> list[str]:
    """The names of the folders in `root`, sorted.

    Raises FileNotFoundError or ValueError where there are none.
    """
    if not os.path.isdir(root):
        raise FileNotFoundError(f"{root} is not a folder")
    names = subfolders(root)
    if not names:
        raise ValueError(f"{root} has no class folders; pictures are expected in "
                         f"{os.path.join(root, 'CLASS', 'PICTURE.jpg')}")
    return names


def subfolders(root: str) -> list[str]:
    """The names of the folders in root, sorted; none where there is no root."""
    if not os.path.isdir(root):
        return []
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if not _is_litter(entry.name) and (
            os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()))


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name in LITTER


def _files_of_class(folder: str) -> list[str]:
    paths = image_files(folder)
    if not paths:
        raise ValueError(f"the class folder {folder} has no pictures "
                         f"({', '.join(SUFFIXES)})")
    return paths


def image_files(folder: str) -> list[str]:
    """Paths of the files in `folder`, and below it, that have an image's suffix; sorted.

    Hidden ones and LITTER do not count. Links are followed once.
    """
    found: list[str] = []
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=_refused, followlinks=True):
        # Sorted, so that of two ways to a folder the same is taken always.
        folders[:] = sorted(name for name in folders if not _is_litter(name))
        place = os.path.realpath(parent)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        found += [os.path.join(parent, name) for name in names
                  if name.lower().endswith(SUFFIXES) and not _is_litter(name)]
    return sorted(found)


def _refused(error: OSError) -> None:
    """os.walk passes over a folder that may not be read, and its images would be missing."""
    raise error


class Subset:
    """The images of `dataset` at `indices`, as a dataset; `side` and `crops` are those of it."""

    def __init__(self, dataset: Any, indices: Any):
        self.dataset = dataset
        self.indices = np.asarray(indices)
        self.classes: Sequence[str] = dataset.classes
        self.labels: np.ndarray = dataset.labels[self.indices]
        self.side: int | None = getattr(dataset, "side", None)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.dataset[self.indices[index]][0], int(self.labels[index])

    def crops(self, indices: np.ndarray, top: np.ndarray, left: np.ndarray,
              size: int) -> np.ndarray:
        return self.dataset.crops(self.indices[indices], top, left, size)

    def name(self, index: int) -> str:
        return self.dataset.name(self.indices[index])

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


def of_classes(dataset: Dataset, places: Sequence[int]) -> Subset:
    """The images of the classes at these places in `dataset.classes`, which are 0, 1, ... now."""
    new = np.full(len(dataset.classes), -1)
    new[list(places)] = np.arange(len(places))
    subset = Subset(dataset, np.flatnonzero(new[dataset.labels] >= 0))
    subset.classes = [dataset.classes[place] for place in places]
    subset.labels = new[subset.labels]
    return subset


def at_most(dataset: Dataset, count: int, seed: int = 0) -> Subset:
    """`count` random images of every class, or all of a class with fewer, in their order.

    Those of a smaller count are among those of a larger one.
    """
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(dataset.labels == label))[:count]
              for label in range(len(dataset.classes))]
    return Subset(dataset, np.sort(np.concatenate(chosen)))


def split(dataset: Dataset, fraction: float, seed: int = 0) -> tuple[Subset, Subset]:
    """Take a random `fraction` of every class for validation -> the rest, that, both in order.

    One image of a class, at least, stays in the rest.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"split: fraction must lie between 0 and 1, not {fraction}")
    rng = np.random.default_rng(seed)
    taken = np.zeros(len(dataset), bool)
    for label in range(len(dataset.classes)):
        members = rng.permutation(np.flatnonzero(dataset.labels == label))
        taken[members[:-1][:round(fraction * len(members))]] = True
    if taken.all() or not taken.any():
        raise ValueError(
            f"split: a fraction of {fraction} of each class leaves one part empty: "
            f"{len(dataset)} pictures in {len(dataset.classes)} classes are too few; "
            "add pictures, or a test part of their own beside a train part")
    return Subset(dataset, np.flatnonzero(~taken)), Subset(dataset, np.flatnonzero(taken))
