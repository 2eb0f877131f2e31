"""What this package asks of a dataset, of a transform and of what makes batches."""
from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

import numpy as np

Transform = Callable[[np.ndarray, Any], np.ndarray]         # image, random Generator -> image
Allocate = Callable[[tuple[int, ...], Any], np.ndarray]     # shape, dtype -> array
Announce = Callable[[int], None]                            # index of the image in work
Batch = tuple[np.ndarray, Any, Any]                         # images (n, ...), what a Maker adds
Batches = Generator[Batch, None, None]


class Dataset(Protocol):
    """Labelled images of any size."""

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def labels(self) -> np.ndarray: ...                     # int64 (N,), places in classes

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """-> image uint8 (H, W, 3), label"""
        ...

    def name(self, index: int) -> str: ...                  # what messages call the image


class SquareDataset(Dataset, Protocol):
    """Equal square images in memory or in mapped files; many can be cropped at once."""

    @property
    def side(self) -> int | None: ...                       # None: they are not that, after all

    def crops(self, indices: np.ndarray, top: np.ndarray, left: np.ndarray,
              size: int) -> np.ndarray: ...                 # see crops.crops_of


class Maker(Protocol):
    """Makes batch `number` of `epoch`, in any process: see pools.py."""

    @property
    def dataset(self) -> Dataset: ...

    def make(self, epoch: int, number: int, allocate: Allocate = ...,
             announce: Announce = ...) -> Batch: ...
