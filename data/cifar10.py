"""CIFAR-10 in either of its official forms. Source: https://www.cs.toronto.edu/~kriz/cifar.html"""
from __future__ import annotations

import io
import os

import numpy as np

from . import pickles
from .crops import crops_of

FORMS = (("", ".bin"), ("cifar-10-batches-bin", ".bin"), ("", ""), ("cifar-10-batches-py", ""))
TRAIN_FILES, TEST_FILES = tuple(f"data_batch_{n}" for n in range(1, 6)), ("test_batch",)
RECORD = 3073               # bytes: a label, then planes of 32 x 32 for red, green and blue


class CIFAR10:
    """CIFAR-10, found in `root` or in the folder of it that the official archive unpacks to.

    Binary: data_batch_1.bin ... 5 and test_batch.bin, of records (see RECORD). Python:
    data_batch_1 ... 5 and test_batch, pickled dicts, of which nothing but arrays is built. Raises
    FileNotFoundError where neither is, ValueError, with the path, for a damaged or foreign file.
    """

    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
               "truck")
    images_per_file = 10_000
    side = 32

    def __init__(self, root: str | os.PathLike[str], train: bool = True):
        self.root = os.fspath(root)
        self.train = bool(train)
        paths = self._find(TRAIN_FILES if train else TEST_FILES)
        planes, labels = zip(*map(self._read, paths))
        images = np.concatenate(planes).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.images = np.ascontiguousarray(images)      # (N, 32, 32, 3)
        self.labels = np.concatenate(labels).astype(np.int64)

    @classmethod
    def is_in(cls, root: str | os.PathLike[str]) -> bool:
        """Whether its test images are there."""
        return bool(_paths_of(root, TEST_FILES))

    def _find(self, names: tuple[str, ...]) -> list[str]:
        paths = _paths_of(self.root, names)
        if not paths:
            raise FileNotFoundError(
                f"{self.root} holds neither {names[0]}.bin nor {names[0]}")
        return paths

    def _read(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """-> planes uint8 (n, 3072), labels (n,)"""
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path} is missing")
        planes, labels = _read_binary(path) if path.endswith(".bin") else _read_pickle(path)
        count = self.images_per_file
        if planes.shape != (count, RECORD - 1) or labels.shape != (count,):
            raise ValueError(
                f"{path} holds {len(planes)} pictures and {len(labels)} labels, "
                f"not {count:,} of each: it is truncated, or no CIFAR-10 batch")
        if labels.min() < 0 or labels.max() > 9:
            wrong = labels[(labels < 0) | (labels > 9)][0]
            raise ValueError(f"{path} holds the label {wrong}, outside 0..9: "
                             "it is no CIFAR-10 batch")
        return planes, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """-> (image uint8 (32, 32, 3), label)"""
        return self.images[index], int(self.labels[index])

    def crops(self, indices: np.ndarray, top: np.ndarray, left: np.ndarray,
              size: int) -> np.ndarray:
        """Crops of images at indices -> uint8 (..., size, size, 3); see crops_of."""
        return crops_of(self.images, indices, top, left, size)

    def name(self, index: int) -> str:
        return f"picture {index} of CIFAR-10's {'training' if self.train else 'test'} set"

    def __repr__(self) -> str:
        return f"CIFAR10({self.root!r}, train={self.train}): {len(self)} pictures of 10 classes"


def _paths_of(root: str | os.PathLike[str], names: tuple[str, ...]) -> list[str]:
    """The paths of the batches, of whichever form is there; none if the first is missing."""
    for folder, suffix in FORMS:
        paths = [os.path.join(root, folder, name + suffix) for name in names]
        if os.path.isfile(paths[0]):
            return paths
    return []


def _read_binary(path: str) -> tuple[np.ndarray, np.ndarray]:
    content = np.fromfile(path, np.uint8)
    if content.size % RECORD:
        raise ValueError(f"{path} has {content.size:,} bytes, no multiple of {RECORD:,}: "
                         "it is truncated, or no CIFAR-10 batch")
    records = content.reshape(-1, RECORD)
    return records[:, 1:], records[:, 0]


def _read_pickle(path: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with open(path, "rb") as file:
            stream = io.BytesIO(file.read())
        batch = pickles.load(stream, pickles.ARRAYS, content="CIFAR-10 batches")
        batch = {key.decode() if isinstance(key, bytes) else key: value
                 for key, value in batch.items()}
        planes, labels = _planes(batch["data"]), np.array(batch["labels"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no CIFAR-10 batch: {error}") from error
    if not (labels.dtype.kind == "i" and labels.ndim == 1):
        raise ValueError(f"{path} is no CIFAR-10 batch: its labels are not whole numbers")
    return planes, labels


def _planes(array: pickles.PickledArray) -> np.ndarray:
    """uint8 (n, 3072)"""
    if array.dtype.code not in ("u1", "|u1") or array.fortran:
        raise ValueError("its data are not uint8 (n, 3072)")
    return np.frombuffer(array.bytes(), np.uint8).reshape(array.shape)
