"""Packed images: equal squares of bytes in a few large files, ready to be mapped into memory.

A packed folder holds one folder a split ("train", "val", "test", or "all"), each with

shard-00000.npy ...     uint8 (n, side, side, 3), red, green, blue, to read by
                        `np.load(path, mmap_mode="r")`
labels.npy              int64 (N,), places in the manifest's "classes"
mean.npy                float64 (side, side, 3), 0..255: the mean of all images, pixel by pixel
names.json              what each image was made from
unreadable.txt          the files left out, and why; absent if there are none
manifest.json           classes, counts, what was done to the images, and each file's SHA-256;
                        written last
"""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .crops import crops_of
from .files import sha256

FORMAT, VERSION = "minitensor packed pictures", 1
MANIFEST = "manifest.json"
PLAN = "packing.json"       # while packing has not ended, in the manifest's place: what is packed
KEYS = {"classes": list, "side": int, "pictures": int, "pictures_per_class": list,
        "unreadable": int, "shards": list, "sha256": dict}
SHARD_KEYS = {"file": str, "pictures": int, "sha256": str}

Manifest = dict[str, Any]


class PackedPictures:
    """One split of a packed folder, as a dataset whose batches the loader makes at once.

    Raises FileNotFoundError where there is none, and ValueError, with the path, for a file that is
    not what the manifest says. Only sizes are compared; `python -m data verify` compares checksums.
    """

    def __init__(self, folder: str | os.PathLike[str], split: str = "train"):
        self.folder = os.path.join(folder, split)
        self.manifest = read_manifest(self.folder)
        self.classes: list[str] = self.manifest["classes"]
        self.side: int = self.manifest["side"]
        self.labels = self._load("labels.npy", (self.manifest["pictures"],), np.int64)
        per_class = np.bincount(np.maximum(self.labels, 0), minlength=len(self.classes))
        if (self.labels.min(initial=0) < 0
                or per_class.tolist() != self.manifest["pictures_per_class"]):
            raise ValueError(f"{self.folder}/labels.npy does not hold the labels that the manifest "
                             "counts")
        counts = [shard["pictures"] for shard in self.manifest["shards"]]
        self.starts = np.cumsum([0, *counts])
        square = self.side, self.side, 3
        self.shards = [self._load(shard["file"], (count, *square), np.uint8)
                       for shard, count in zip(self.manifest["shards"], counts)]

    def _load(self, file: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        path = os.path.join(self.folder, file)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} is truncated, or no array: {error}") from error
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise ValueError(f"{path} holds {array.dtype} {array.shape}, "
                             f"not {np.dtype(dtype)} {shape} as the manifest says")
        return np.asarray(array)        # np.memmap's own indexing is slow

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """-> (image uint8 (side, side, 3), read-only, and its label)"""
        index = range(len(self))[index]
        shard = int(np.searchsorted(self.starts, index, "right")) - 1
        return self.shards[shard][index - self.starts[shard]], int(self.labels[index])

    def crops(self, indices: np.ndarray, top: np.ndarray, left: np.ndarray,
              size: int) -> np.ndarray:
        """Crops of images at indices -> uint8 (..., size, size, 3); see crops_of."""
        if len(self.shards) == 1:
            return crops_of(self.shards[0], indices, top, left, size)
        indices, top, left = np.broadcast_arrays(indices, top, left)
        shards = np.searchsorted(self.starts, indices, "right") - 1
        crops = np.empty((*indices.shape, size, size, 3), np.uint8)
        for shard in np.unique(shards):
            mine = shards == shard
            places = indices[mine] - self.starts[shard]
            crops[mine] = crops_of(self.shards[shard], places, top[mine], left[mine], size)
        return crops

    def mean_image(self) -> np.ndarray:
        """The mean of the split's images, pixel by pixel -> float64 (side, side, 3), 0..255"""
        return self._load("mean.npy", (self.side, self.side, 3), np.float64)

    def name(self, index: int) -> str:
        return f"picture {index} of {self.folder}"

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), os.path.split(self.folder)   # the images do not go to another process

    def __repr__(self) -> str:
        return (f"PackedPictures({self.folder!r}): {len(self)} pictures of {len(self.classes)} "
                f"classes, {self.side} x {self.side}")


def is_packed(folder: str, split: str) -> bool:
    """Whether that split is there. Raises ValueError if its packing has not ended."""
    manifest, plan = (os.path.isfile(os.path.join(folder, split, file))
                      for file in (MANIFEST, PLAN))
    if plan and not manifest:
        raise ValueError(f"{os.path.join(folder, split)} is not packed to its end; "
                         "the same `python -m data pack` again goes on with it")
    return manifest


def read_manifest(folder: str) -> Manifest:
    """The manifest of a split's folder. Raises FileNotFoundError or ValueError."""
    path = os.path.join(folder, MANIFEST)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{folder} holds no packed pictures: it has no {MANIFEST}")
    try:
        with open(path) as file:
            manifest = json.load(file)
        found = manifest["format"], manifest["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no manifest of packed pictures: {error}") from error
    if found != (FORMAT, VERSION):
        raise ValueError(f"{path} describes {found[0]!r}, version {found[1]}; "
                         f"this program reads {FORMAT!r}, version {VERSION}")
    missing = [key for key in KEYS if key not in manifest]
    if missing:
        raise ValueError(f"{path} is no manifest of packed pictures: it has no {missing[0]!r}")
    for odd in _odd(manifest):
        raise ValueError(f"{path} is no manifest of packed pictures: its {odd!r} is not as `python "
                         "-m data pack` writes it")
    return manifest


def _odd(manifest: Manifest) -> Iterator[str]:
    """What has another type than it should, or is a file elsewhere."""
    yield from (key for key, kind in KEYS.items() if type(manifest[key]) is not kind)
    yield from ("classes" for name in manifest["classes"] if not isinstance(name, str))
    yield from ("shards" for shard in manifest["shards"] if not isinstance(shard, dict) or any(
        type(shard.get(key)) is not kind for key, kind in SHARD_KEYS.items()))
    yield from (file for file in files_of(manifest) if file != os.path.basename(file))


def files_of(manifest: Manifest) -> dict[str, str]:
    """{file: SHA-256} of all that the manifest vouches for."""
    shards = {shard["file"]: shard["sha256"] for shard in manifest["shards"]}
    return {**shards, **manifest["sha256"]}


def damaged(folder: str, report: Callable[[int], object] = lambda size: None) -> list[str]:
    """The files of a split's folder that are missing or do not have the manifest's SHA-256."""
    def intact(file: str, expected: str) -> bool:
        path = os.path.join(folder, file)
        return os.path.isfile(path) and sha256(path, report) == expected
    expected = files_of(read_manifest(folder))
    return [file for file, checksum in expected.items() if not intact(file, checksum)]
