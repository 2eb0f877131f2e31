"""Batches for training and evaluation."""
from __future__ import annotations

import contextlib
from collections.abc import Generator

import numpy as np

from .batch_at_once import SquareBatchMaker, steps_at_once
from .batches import BatchMaker
from .checks import whole
from .pools import Processes, Threads
from .protocols import Batches, Dataset, Transform

ImagesAndLabels = Generator[tuple[np.ndarray, np.ndarray], None, None]


class DataLoader:
    """Batches of `dataset`'s images, each put through `transform`, which must give (3, H, W), as
    Normalize does.

    A batch is images float32 (N, 3, H, W), channels last in memory, and labels int64 (N,). The
    order of an epoch depends on (seed, epoch) alone, the random choices for an image on (seed,
    epoch, index) alone, or, where the whole batch can be made at once (see batch_at_once.py), on
    (seed, epoch, number of the batch): batches are the same for any `num_workers`. Each `for` over
    a loader is the next epoch; `epoch(n)` is any of them.

    num_workers     0 makes batches in this process; with more, so many processes (threads, for
                    batches made at once) make up to two batches each ahead. They start when first
                    needed and stay for the next epochs until `close()` or the end of a `with`
    drop_last       leaves out an epoch's last batch if it is smaller than the others
    on_error        for unreadable images: "raise" UnreadableImage, or "skip" them and list them in
                    `skipped` [(path, reason)]

    A worker process that dies raises DeadWorker.
    """

    def __init__(self, dataset: Dataset, batch_size: int, transform: Transform, *,
                 shuffle: bool = False, seed: int = 0, num_workers: int = 0,
                 drop_last: bool = False, on_error: str = "raise"):
        if on_error not in ("raise", "skip"):
            raise ValueError(f'DataLoader: on_error must be "raise" or "skip", not {on_error!r}')
        if not callable(transform):
            raise TypeError(f"DataLoader: transform must be callable, not {transform!r}")
        self.dataset = dataset
        self.batch_size = whole("DataLoader: batch_size", batch_size, 1)
        seed = whole("DataLoader: seed", seed, 0)
        arguments = dataset, self.batch_size, transform, shuffle, seed, drop_last, on_error
        steps = steps_at_once(transform, getattr(dataset, "side", None))
        self._maker = SquareBatchMaker(steps, *arguments) if steps else BatchMaker(*arguments)
        self._pool = (Threads if steps else Processes)(self._maker, num_workers)
        self.num_workers = num_workers
        self.skipped: list[tuple[str, str]] = []
        self._epochs_begun = 0
        if len(self) == 0:
            raise ValueError(f"DataLoader: {dataset!r} has {len(dataset)} pictures, "
                             f"too few for a batch of {batch_size}")

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._maker)

    def __iter__(self) -> ImagesAndLabels:
        """The next epoch: the first `for` over a loader is epoch 0, the second epoch 1, and so on.
        """
        self._epochs_begun += 1
        return self.epoch(self._epochs_begun - 1)

    def indices(self, epoch: int, number: int) -> np.ndarray:
        """Which of the dataset's images batch `number` of `epoch` is made of -> int64 (n,)"""
        return self._maker.indices(epoch, number)

    def epoch(self, epoch: int, start: int = 0) -> ImagesAndLabels:
        """Generate the batches of epoch number `epoch`, from batch number `start` on."""
        numbers = range(whole("DataLoader: start", start, 0), len(self))
        return self._tidied(self._pool.batches(whole("DataLoader: epoch", epoch, 0), numbers))

    def _tidied(self, batches: Batches) -> ImagesAndLabels:
        with contextlib.closing(batches):
            for images, labels, skipped in batches:
                self.skipped += [entry for entry in skipped if entry not in self.skipped]
                yield np.moveaxis(images, -1, -3), labels

    def close(self) -> None:
        """Stop the workers; the next epoch starts new ones."""
        self._pool.close()

    def __enter__(self) -> DataLoader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, "
                f"num_workers={self.num_workers}): {len(self)} batches")
