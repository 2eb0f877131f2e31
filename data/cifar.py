"""CIFAR-10 and CIFAR-100 in each of their official forms, and pickled again by any Python.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""
from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from . import cifar_pickles
from .archives import find_files
from .crops import crops_of

PLANES = 3072               # bytes of an image: 32 x 32 for red, then for green, then for blue


class CIFAR10:
    """CIFAR-10, found in `root`: the official archive, the folder that it unpacks to, or the folder
    that one of them lies in.

    Binary: data_batch_1.bin ... 5 and test_batch.bin, of records: a label, then PLANES. Python:
    data_batch_1 ... 5 and test_batch, pickled dicts (see cifar_pickles.py), of which nothing but
    arrays, numbers and text is built. Raises FileNotFoundError where neither is, ValueError, with
    the path, for a damaged or foreign file.
    """

    classes: Sequence[str] = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog",
                              "horse", "ship", "truck")
    side = 32
    title = "CIFAR-10"
    inside = ("cifar-10-batches-bin", "cifar-10-batches-py",
              "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")
    train_files, test_files = tuple(f"data_batch_{n}" for n in range(1, 6)), ("test_batch",)
    label_key = "labels"
    label_keys: Sequence[str] = (label_key,)    # in the order of a record's first bytes
    images_per_file: int | None = 10_000        # None: any number

    def __init__(self, root: str | os.PathLike[str], train: bool = True):
        self.root, self.train = os.fspath(root), bool(train)
        files = find_files(root, self.inside, self.train_files if train else self.test_files)
        planes, found = zip(*(self._read(path, content) for path, content in files.items()))
        images = np.concatenate(planes).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.images = np.ascontiguousarray(images)      # (N, 32, 32, 3)
        self.labels = np.concatenate(found).astype(np.int64)

    @classmethod
    def is_in(cls, root: str | os.PathLike[str]) -> bool:
        """Whether its test images are there."""
        try:
            return bool(find_files(root, cls.inside, cls.test_files))
        except FileNotFoundError:
            return False

    def _read(self, path: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
        """-> planes uint8 (n, 3072), labels (n,)"""
        if path.endswith(".bin"):
            planes, labels = self._records(path, content)
        else:
            planes, labels = cifar_pickles.read(path, content, self.label_key, self.title)
        count = self.images_per_file or max(1, len(planes))
        if planes.shape != (count, PLANES) or labels.shape != (count,):
            raise ValueError(
                f"{path} holds {len(planes)} pictures and {len(labels)} labels, "
                f"not {count:,} of each: it is truncated, or no {self.title} batch")
        highest = len(self.classes) - 1
        if labels.min() < 0 or labels.max() > highest:
            wrong = labels[(labels < 0) | (labels > highest)][0]
            raise ValueError(f"{path} holds the label {wrong}, outside 0..{highest}: "
                             f"it is no {self.title} batch")
        return planes, labels

    def _records(self, path: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
        size = len(self.label_keys) + PLANES
        if len(content) % size:
            raise ValueError(f"{path} has {len(content):,} bytes, no multiple of {size:,}: "
                             f"it is truncated, or no {self.title} batch")
        records = np.frombuffer(content, np.uint8).reshape(-1, size)
        return records[:, -PLANES:], records[:, self.label_keys.index(self.label_key)]

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
        return f"picture {index} of {self.title}'s {'training' if self.train else 'test'} set"

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({self.root!r}, train={self.train}): {len(self)} pictures "
                f"of {len(self.classes)} classes")


class CIFAR100(CIFAR10):
    """CIFAR-100 with its "fine" labels, of 100 classes, or its "coarse" ones, of 20.

    Binary: train.bin and test.bin, of records: coarse label, fine label, PLANES. Python: train and
    test. The names of the classes are in meta, or fine_label_names.txt, beside them; where that is
    missing they are the labels' numbers. The rest is as in CIFAR10, but for the number of images.
    """

    title = "CIFAR-100"
    inside = ("cifar-100-binary", "cifar-100-python",
              "cifar-100-binary.tar.gz", "cifar-100-python.tar.gz")
    train_files, test_files = ("train",), ("test",)
    label_keys = ("coarse_labels", "fine_labels")
    images_per_file = None

    def __init__(self, root: str | os.PathLike[str], train: bool = True, labels: str = "fine"):
        counts = {"fine": 100, "coarse": 20}
        if labels not in counts:
            raise ValueError(f'CIFAR100: labels must be "fine" or "coarse", not {labels!r}')
        names = self._names(root, f"{labels}_label_names")
        self.classes = names or tuple(map(str, range(counts[labels])))
        self.label_key = f"{labels}_labels"
        super().__init__(root, train)

    def _names(self, root: str | os.PathLike[str], key: str) -> tuple[str, ...]:
        for name in ("meta", f"{key}.txt"):
            try:
                (path, content), = find_files(root, self.inside, (name,)).items()
            except FileNotFoundError:
                continue
            if name == "meta":
                return cifar_pickles.read_names(path, content, key, self.title)
            return tuple(content.decode("latin1").split())
        return ()
