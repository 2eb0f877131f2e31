"""Batches for training and evaluation."""
import contextlib

import numpy as np

from .batches import BatchMaker
from .checks import whole
from .pools import Processes, Threads
from .batch_at_once import SquareBatchMaker, steps_at_once


class DataLoader:
    """Batches of `dataset`'s pictures, each put through `transform` (see transforms.py; its last step is Normalize).

    A batch is images float32 (N, 3, H, W), channels last in memory, and labels int64 (N,). The order of an epoch depends on (seed, epoch)
    alone and a picture's chances on (seed, epoch, index) alone, or, where the whole batch can be made at once (see batch_at_once.py), on
    (seed, epoch, number of the batch): batches are the same for any `num_workers`. 0 makes them in this process; with more, so many
    processes (threads, for batches made at once) make up to two batches each ahead. They are started when first needed and stay for the
    next epochs until `close()`, the end of a `with`, or the end of the program. `drop_last` leaves out an epoch's last batch
    if it is smaller than the others.

    `on_error` says what to do about an unreadable picture: "raise" UnreadableImage, or "skip" it and list it in `skipped` [(path, reason)].
    A worker process that dies raises DeadWorker.
    """

    def __init__(self, dataset, batch_size, transform, *, shuffle=False, seed=0, num_workers=0, drop_last=False, on_error="raise"):
        if on_error not in ("raise", "skip"):
            raise ValueError(f'DataLoader: on_error must be "raise" or "skip", not {on_error!r}')
        if not callable(transform):
            raise TypeError(f"DataLoader: transform must be callable, not {transform!r}")
        self.dataset = dataset
        self.batch_size = whole("DataLoader: batch_size", batch_size, 1)
        arguments = dataset, self.batch_size, transform, shuffle, whole("DataLoader: seed", seed, 0), drop_last, on_error
        steps = steps_at_once(transform, getattr(dataset, "side", None))
        self._maker = SquareBatchMaker(steps, *arguments) if steps else BatchMaker(*arguments)
        self._crew = (Threads if steps else Processes)(self._maker, num_workers)
        self.num_workers = num_workers
        self.skipped = []
        if len(self) == 0:
            raise ValueError(f"DataLoader: {dataset!r} has {len(dataset)} pictures, too few for a batch of {batch_size}")

    def __len__(self):
        """Batches in an epoch."""
        return len(self._maker)

    def __iter__(self):
        return self.epoch(0)

    def indices(self, epoch, number):
        """Which of the dataset's pictures batch `number` of `epoch` is made of -> int64 (n,)"""
        return self._maker.indices(epoch, number)

    def epoch(self, epoch, start=0):
        """Generate the batches of epoch number `epoch`, from batch number `start` on."""
        numbers = range(whole("DataLoader: start", start, 0), len(self))
        return self._tidied(self._crew.batches(whole("DataLoader: epoch", epoch, 0), numbers))

    def _tidied(self, batches):
        with contextlib.closing(batches):
            for images, labels, skipped in batches:
                self.skipped += [entry for entry in skipped if entry not in self.skipped]
                yield np.moveaxis(images, -1, -3), labels

    def close(self):
        """Stop the workers; the next epoch starts new ones."""
        self._crew.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __repr__(self):
        return f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, num_workers={self.num_workers}): {len(self)} batches"
