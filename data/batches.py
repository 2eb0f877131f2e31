"""Which images a batch holds, and its making: the same in the parent and in every worker."""
from __future__ import annotations

from typing import Any

import numpy as np

from .images import UnreadableImage
from .protocols import Allocate, Announce, Batch, Dataset, Transform


class BatchMaker:
    """Makes batch `number` of `epoch` from nothing but its arguments.

    So it does not matter which process does it, or when.
    """

    def __init__(self, dataset: Dataset, batch_size: int, transform: Transform, shuffle: bool,
                 seed: int, drop_last: bool, on_error: str):
        self.dataset: Any = dataset
        self.batch_size = batch_size
        self.transform = transform
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.on_error = on_error
        self._order = -1, np.empty(0, np.int64)         # the latest epoch and its order

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def indices(self, epoch: int, number: int) -> np.ndarray:
        """Which images are in the batch -> int64 (n,)"""
        order = self._order             # of one epoch, even if another thread changes it meanwhile
        if order[0] != epoch:
            count = len(self.dataset)
            shuffled = self._rng(epoch, 0).permutation(count) if self.shuffle else np.arange(count)
            order = self._order = epoch, shuffled
        return order[1][number * self.batch_size:(number + 1) * self.batch_size]

    def _rng(self, epoch: int, use: int) -> np.random.Generator:
        """`use` 0 is for the order, 1 + index for an image."""
        return np.random.default_rng((self.seed, epoch, use))

    def make(self, epoch: int, number: int, allocate: Allocate = np.empty,
             announce: Announce = lambda index: None) -> Batch:
        """-> images (n, H, W, 3) or (n, 10, H, W, 3), labels int64 (n,), skipped [(path, reason)]

        The images lie in memory from `allocate(shape, dtype)`. `announce(index)` is called before
        each. Raises UnreadableImage if told to; else a batch may be empty, of shape (0, 0, 0, 3).
        """
        indices = self.indices(epoch, number)
        images: np.ndarray | None = None
        labels: list[int] = []
        skipped: list[tuple[str, str]] = []
        for index in indices.tolist():
            announce(index)
            try:
                image, label = self.dataset[index]
            except UnreadableImage as error:
                skipped.append((error.path, error.reason))
                if self.on_error == "raise":
                    raise
                continue
            pixels = self._pixels(image, index, epoch)
            if images is None:
                images = allocate((len(indices), *pixels.shape), pixels.dtype)
            if pixels.shape != images.shape[1:]:
                raise ValueError(
                    f"{self.dataset.name(index)} became {pixels.shape[-3]} x {pixels.shape[-2]} "
                    f"pixels, others of its batch {images.shape[-3]} x {images.shape[-2]}: "
                    "the transform needs a crop")
            images[len(labels)] = pixels
            labels.append(label)
        if images is None:
            images = np.empty((0, 0, 0, 3), np.float32)
        return images[:len(labels)], np.array(labels, np.int64), skipped

    def _pixels(self, image: np.ndarray, index: int, epoch: int) -> np.ndarray:
        """The transformed image -> (H, W, 3), or (10, H, W, 3) from ten crops"""
        try:
            pixels = self.transform(image, self._rng(epoch, 1 + index))
        except ValueError as error:
            raise ValueError(f"{self.dataset.name(index)}: {error}") from error
        if pixels.ndim < 3 or pixels.shape[-3] != 3:
            raise ValueError("DataLoader: the transform must give (3, H, W), as Normalize does, "
                             f"not {pixels.shape}: {self.transform!r}")
        return np.moveaxis(pixels, -3, -1)
