"""Batches for training and evaluation."""
import contextlib
import os
import pickle

import numpy as np

from data.batches import BatchMaker
from data.checks import whole
from data.workers import AHEAD, DeadWorker, Worker


class DataLoader:
    """Batches of `dataset`'s pictures, each put through `transform` (see transforms.py; its last step is Normalize).

    A batch is images float32 (N, 3, H, W), channels last in memory, and labels int64 (N,). The order of an epoch depends on (seed, epoch)
    alone and a picture's chances on (seed, epoch, index) alone: batches are the same for any `num_workers`. 0 makes them in this process;
    with more, so many processes make up to two batches each ahead. They are started when first needed and stay for the next epochs until
    `close()`, the end of a `with`, or the end of the program.

    `on_error` says what to do about an unreadable picture: "raise" UnreadableImage, or "skip" it and list it in `skipped` [(path, reason)].
    A worker process that dies raises DeadWorker.
    """

    def __init__(self, dataset, batch_size, transform, *, shuffle=False, seed=0, num_workers=0, drop_last=False, on_error="raise"):
        if on_error not in ("raise", "skip"):
            raise ValueError(f'DataLoader: on_error must be "raise" or "skip", not {on_error!r}')
        if num_workers and os.name != "posix":
            raise ValueError(f"DataLoader: num_workers={num_workers} needs Linux or macOS; use num_workers=0")
        if not callable(transform):
            raise TypeError(f"DataLoader: transform must be callable, not {transform!r}")
        self.dataset = dataset
        self.batch_size = whole("DataLoader: batch_size", batch_size, 1)
        self._maker = BatchMaker(dataset, self.batch_size, transform, shuffle, whole("DataLoader: seed", seed, 0), drop_last, on_error)
        self.num_workers = whole("DataLoader: num_workers", num_workers, 0)
        self.skipped = []
        self._idle_workers = []
        if len(self) == 0:
            raise ValueError(f"DataLoader: {dataset!r} has {len(dataset)} pictures, too few for a batch of {batch_size}")

    def __len__(self):
        """Batches in an epoch."""
        return len(self._maker)

    def __iter__(self):
        return self.epoch(0)

    def epoch(self, epoch, start=0):
        """Generate the batches of epoch number `epoch`, from batch number `start` on."""
        numbers = range(whole("DataLoader: start", start, 0), len(self))
        batches = self._from_workers if self.num_workers else self._from_here
        return self._tidied(batches(whole("DataLoader: epoch", epoch, 0), numbers))

    def _tidied(self, batches):
        with contextlib.closing(batches):
            for images, labels, skipped in batches:
                self.skipped += [entry for entry in skipped if entry not in self.skipped]
                yield np.moveaxis(images, -1, -3), labels

    def _from_here(self, epoch, numbers):
        for number in numbers:
            yield self._maker.make(epoch, number)

    def _from_workers(self, epoch, numbers):
        workers = self._take_workers()
        count = len(workers)

        def ask(number):
            workers[number % count].ask(epoch, number, number // count % AHEAD)

        worker = None
        try:
            for number in numbers[:count * AHEAD]:
                worker = workers[number % count]
                ask(number)
            for number in numbers:
                worker = workers[number % count]
                batch = worker.answer()
                if number + count * AHEAD in numbers:
                    ask(number + count * AHEAD)
                yield batch
            self._idle_workers, workers = workers, []
        except (EOFError, ConnectionError):
            raise DeadWorker(worker.obituary(self.dataset)) from None
        finally:
            for worker in workers:      # an epoch left early leaves work undone: begin the next with fresh ones
                worker.stop()

    def _take_workers(self):
        """The idle workers, or new ones; they belong to one epoch at a time."""
        workers, self._idle_workers = self._idle_workers, []
        if workers:
            return workers
        try:
            maker = pickle.dumps(self._maker)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(f"DataLoader: num_workers={self.num_workers} needs a dataset and a transform that can be pickled ({error}); "
                            "define them at the top of a module, or use num_workers=0") from error
        return [Worker(maker) for _ in range(self.num_workers)]

    def close(self):
        """Stop the worker processes; the next epoch starts new ones."""
        while self._idle_workers:
            self._idle_workers.pop().stop()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __repr__(self):
        return f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, num_workers={self.num_workers}): {len(self)} batches"
