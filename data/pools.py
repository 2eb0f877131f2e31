"""Batches in order, made when they are wanted, or ahead of their use in a pool of workers."""
from __future__ import annotations

import collections
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

from .checks import whole
from .protocols import Batches, Maker
from .workers import AHEAD, DeadWorker, Worker


class Processes:
    """A pool of processes that has `maker` make its batches.

    With `num_workers` 0 they are made in this process; with more, so many processes make up to
    AHEAD batches each ahead. They are started when first needed and stay for the next epochs until
    `close()`. A worker process that dies raises DeadWorker.
    """

    def __init__(self, maker: Maker, num_workers: int):
        if num_workers and os.name != "posix":
            raise ValueError(f"DataLoader: num_workers={num_workers} needs Linux or macOS; "
                             "use num_workers=0")
        self.maker = maker
        self.num_workers = whole("DataLoader: num_workers", num_workers, 0)
        self._idle_workers: list[Worker] = []

    def batches(self, epoch: int, numbers: range) -> Batches:
        """Generate the batches of those numbers, in order."""
        if self.num_workers:
            return self._from_workers(epoch, numbers)
        return _from_here(self.maker, epoch, numbers)

    def _from_workers(self, epoch: int, numbers: range) -> Batches:
        workers = self._take_workers()
        count = len(workers)

        def ask(number: int) -> None:
            workers[number % count].ask(epoch, number, number // count % AHEAD)

        worker = workers[0]
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
            raise DeadWorker(worker.obituary(self.maker.dataset)) from None
        finally:
            for worker in workers:      # an epoch left early leaves work undone: the next one
                worker.stop()           # begins with fresh workers

    def _take_workers(self) -> list[Worker]:
        """The idle workers, or new ones; they belong to one epoch at a time."""
        workers, self._idle_workers = self._idle_workers, []
        if workers:
            return workers
        try:
            maker = pickle.dumps(self.maker)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"DataLoader: num_workers={self.num_workers} needs a dataset and a transform that "
                f"can be pickled ({error}); define them at the top of a module, "
                "or use num_workers=0") from error
        return [Worker(maker) for _ in range(self.num_workers)]

    def close(self) -> None:
        """Stop the worker processes; the next epoch starts new ones."""
        while self._idle_workers:
            self._idle_workers.pop().stop()


class Threads:
    """The same in threads of this process, for a maker whose work is NumPy's, without the GIL.

    A batch from a process has to be copied out of shared memory, which takes nearly as long as
    making one at once does.
    """

    def __init__(self, maker: Maker, num_workers: int):
        self.maker = maker
        self.num_workers = whole("DataLoader: num_workers", num_workers, 0)
        self._pool: ThreadPoolExecutor | None = None

    def batches(self, epoch: int, numbers: range) -> Batches:
        """Generate the batches of those numbers, in order."""
        if self.num_workers:
            return self._from_threads(epoch, numbers)
        return _from_here(self.maker, epoch, numbers)

    def _from_threads(self, epoch: int, numbers: range) -> Batches:
        pool = self._pool = self._pool or ThreadPoolExecutor(self.num_workers)
        ahead = self.num_workers * AHEAD
        waiting = collections.deque(pool.submit(self.maker.make, epoch, number)
                                    for number in numbers[:ahead])
        try:
            for number in numbers:
                batch = waiting.popleft().result()
                if number + ahead in numbers:
                    waiting.append(pool.submit(self.maker.make, epoch, number + ahead))
                yield batch
        finally:
            for task in waiting:
                task.cancel()

    def close(self) -> None:
        """End the threads; the next epoch starts new ones."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _from_here(maker: Maker, epoch: int, numbers: range) -> Batches:
    for number in numbers:
        yield maker.make(epoch, number)
