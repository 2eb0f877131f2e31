"""Worker processes that make batches ahead of their use.

A worker is a fresh Python started with `subprocess`, neither forked (the parent's threads may hold
locks) nor started by multiprocessing (which runs the user's script again). Its standard input is a
socket: requests and short replies pass there, the pixels through shared memory. When the parent
ends, however it ends, the socket closes and the worker ends too. Ctrl-C does not reach it.
"""
from __future__ import annotations

import mmap
import multiprocessing.connection
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from .protocols import Batch, Dataset, Maker

AHEAD = 2       # batches asked of a worker before the first is used; each has a memory of its own
START = ("import sys; sys.path[:] = {path!r}; from data.workers import serve; "
         "serve({memories}, {progress})")


class DeadWorker(RuntimeError):
    """A worker process ended unasked; the message names the image it was working on."""


class WorkerTraceback(Exception):
    """Where in a worker an error arose, as text."""


class Worker:
    """The parent's side of one worker process, which serves `maker`, a pickled BatchMaker."""

    def __init__(self, maker: bytes):
        # Sent with the first request, when all workers are starting: a large one takes its time.
        self.unsent_maker: bytes | None = maker
        ours, theirs = socket.socketpair()
        self.memories = [_SharedMemory() for _ in range(AHEAD)]
        self.progress = _SharedMemory()
        fds = [memory.fd for memory in self.memories]
        command = START.format(path=sys.path, memories=fds, progress=self.progress.fd)
        self.process = subprocess.Popen(
            [sys.executable, "-c", command], stdin=theirs.fileno(),
            pass_fds=[*fds, self.progress.fd], start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
        theirs.close()
        self.connection = multiprocessing.connection.Connection(ours.detach())
        self.stop = weakref.finalize(self, _stop, self.process, self.connection)

    def ask(self, epoch: int, number: int, memory: int) -> None:
        """Ask for a batch in shared memory number `memory`."""
        if self.unsent_maker is not None:
            self.connection.send_bytes(self.unsent_maker)
            self.unsent_maker = None
        self.connection.send((epoch, number, memory))

    def answer(self) -> Batch:
        """The oldest batch asked for and not yet taken. Raises what the worker raised."""
        reply, *details = self.connection.recv()
        if reply == "error":
            error, text = details
            raise error from WorkerTraceback(text)
        memory, shape, dtype, labels, skipped = details
        return self.memories[memory].array(shape, dtype).copy(), labels, skipped

    def obituary(self, dataset: Dataset) -> str:
        """What to say of a worker that has died."""
        code = self.process.wait()
        how = (f"was killed by {signal.Signals(-code).name}" if code < 0
               else f"ended with exit status {code}")
        index = self.progress.read_number()
        place = ("between two batches" if index is None
                 else f"while working on {dataset.name(index)}")
        return f"a worker process {how} {place}"


def _stop(process: subprocess.Popen, connection: multiprocessing.connection.Connection) -> None:
    connection.close()
    process.kill()
    process.wait()


class _SharedMemory:
    """Memory that two processes see, known by a file descriptor.

    It has no name that could be left behind.
    """

    def __init__(self, fd: int | None = None):
        self.fd = fd if fd is not None else _nameless_file()
        weakref.finalize(self, os.close, self.fd)

    def array(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The memory as an array, enlarged first if it is too small."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not size:                # which mmap takes for all there is
            return np.empty(shape, dtype)
        if os.fstat(self.fd).st_size < size:
            os.ftruncate(self.fd, size)
        return np.frombuffer(mmap.mmap(self.fd, size), dtype).reshape(shape)

    def write_number(self, number: int) -> None:
        os.pwrite(self.fd, number.to_bytes(8, "little"), 0)

    def clear(self) -> None:
        os.ftruncate(self.fd, 0)

    def read_number(self) -> int | None:
        """The number written last, or None after `clear` or at the start."""
        content = os.pread(self.fd, 8, 0)
        return int.from_bytes(content, "little") if content else None


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):     # Linux
        return os.memfd_create("batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def serve(memory_fds: Sequence[int], progress_fd: int) -> None:
    """The worker's side: make what is asked for until the parent closes the socket."""
    memories, progress = [_SharedMemory(fd) for fd in memory_fds], _SharedMemory(progress_fd)
    with multiprocessing.connection.Connection(0) as connection:
        try:
            _answer_requests(connection, memories, progress)
        except (EOFError, ConnectionError):
            pass        # the parent is gone


def _answer_requests(connection: multiprocessing.connection.Connection,
                     memories: list[_SharedMemory], progress: _SharedMemory) -> None:
    maker = None
    while True:
        try:
            maker = maker or _unpickled(connection.recv_bytes())
            epoch, number, memory = connection.recv()
            images, labels, skipped = maker.make(epoch, number, memories[memory].array,
                                                 progress.write_number)
            progress.clear()
            connection.send(("batch", memory, images.shape, images.dtype.str, labels, skipped))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            connection.send(("error", _sendable(error), traceback.format_exc()))


def _unpickled(maker: bytes) -> Maker:
    try:
        return pickle.loads(maker)
    except Exception as error:
        raise RuntimeError(
            "a worker process cannot rebuild the dataset and the transform "
            f"({error}); define their classes in a module that can be imported, not in the script "
            "itself, or use num_workers=0") from error


def _sendable(error: Exception) -> Exception:
    """`error` itself if it survives pickling, else its text."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
