"""Threads: what every fast CPU kernel stands on.

A kernel cuts its work into pieces whose number does not depend on the number of threads, so neither do its results. Every piece runs
its matrix products on one BLAS thread: two levels of threads would fight for the same cores. NumPy releases the interpreter's lock in
every loop and product, which is why plain Python threads are enough.
"""
import ctypes
import math
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


# ---- how many threads ------------------------------------------------------------------------------------------------------

CGROUP = "/sys/fs/cgroup"           # where Linux tells a container its limits


def _default_num_threads() -> int:
    """The first of BLAS's own environment variables that holds a number, else the cores this process may use."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()             # OMP_NUM_THREADS may be a list, one number per level
        if value.isdigit() and int(value) > 0:
            return int(value)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _quota() or cores)


def _quota() -> int | None:
    """How many cores' time this container is given, rounded up: microseconds in a period, by cgroups version 2 or 1. None: no limit."""
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with suppress(OSError, ValueError):                                 # no such file, or "max"
            quota, period = [int(word) for file in files for word in Path(CGROUP, file).read_text().split()]
            return math.ceil(quota / period) if quota > 0 else None
    return None


_num_threads = _default_num_threads()
_lock = threading.Lock()            # guards the BLAS setting and the pool below
_holders = 0                        # parallel_for calls under way, from any thread of the program
_threads_before_hold = 1


def get_num_threads() -> int:
    """How many threads the CPU kernels use."""
    return _num_threads


def set_num_threads(n: int) -> None:
    """Let the CPU kernels, and the BLAS under NumPy, use n threads in their next calls. Raises ValueError unless n is an integer >= 1."""
    global _num_threads, _threads_before_hold, _pool
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"set_num_threads: n must be an integer >= 1, not {n!r}")
    with _lock:
        _num_threads = _threads_before_hold = int(n)
        if _holders == 0 and (blas := _blas()) is not None:
            blas.set_num_threads(_num_threads)
        pool, _pool = _pool, None
    if pool is not None:
        pool.shutdown(wait=False)                                           # after what it was given: a computation may be under way


# ---- BLAS held to one thread -----------------------------------------------------------------------------------------------

class _Blas(NamedTuple):
    get_num_threads: Callable[[], int]
    set_num_threads: Callable[[int], None]


@cache
def _blas() -> _Blas | None:
    """The two thread functions of the OpenBLAS that NumPy has loaded; None when there is another BLAS (MKL, Accelerate, ...)."""
    try:
        with open("/proc/self/maps") as maps:
            paths = _openblas_paths(maps.read())
    except OSError:                                                         # not Linux
        paths = []
    for path in filter(os.path.exists, paths):
        library = ctypes.CDLL(path)
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                if hasattr(library, f"{prefix}_set_num_threads{suffix}"):
                    return _Blas(*(getattr(library, f"{prefix}_{verb}_num_threads{suffix}") for verb in ("get", "set")))
    return None


def _openblas_paths(maps: str) -> list[str]:
    """The libraries among the files that Linux lists as mapped into this process. A path is the rest of its line: it may hold spaces."""
    return sorted(set(re.findall(r"/.*openblas[^/\n]*\.so[^/\n]*$", maps, re.MULTILINE)))


@contextmanager
def _one_blas_thread(blas: _Blas) -> Iterator[None]:
    """OpenBLAS's setting is global, so the first one in lowers it and the last one out restores it."""
    global _holders, _threads_before_hold
    with _lock:
        if _holders == 0:
            _threads_before_hold = blas.get_num_threads()
            blas.set_num_threads(1)
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                blas.set_num_threads(_threads_before_hold)


# ---- the pool --------------------------------------------------------------------------------------------------------------

_pool: Any = None                   # a ThreadPoolExecutor, made by the first parallel_for that needs one
_local = threading.local()          # .inside: this thread is running a piece


def _get_pool():
    global _pool
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor                  # here, to keep `import minitensor` light
        _pool = ThreadPoolExecutor(_num_threads - 1, thread_name_prefix="minitensor")
    return _pool


def parallel_for(task: Callable[[Any], None], pieces: Iterable, uses_blas: bool = False) -> None:
    """task(piece) for every piece, over the threads; returns when all are done. The first exception is raised here, the rest dropped.

    Called from inside a task, it runs inline; but a lone piece is run as if its task had been called, and may spread its own work. A task
    that calls matrix products says uses_blas: it is then given one BLAS thread, or, when BLAS cannot be told so, all pieces run in this
    thread and BLAS spreads each product itself.
    """
    if getattr(_local, "inside", False):
        for piece in pieces:
            task(piece)
        return
    pieces = list(pieces)
    blas = _blas() if uses_blas else None
    with _one_blas_thread(blas) if blas else nullcontext():
        if len(pieces) == 1:
            task(pieces[0])
        else:
            _run(task, pieces, alone=uses_blas and blas is None)


def _run(task: Callable[[Any], None], pieces: list, alone: bool) -> None:
    """alone: without other threads."""
    queue = iter(pieces)                                                    # next() on it is atomic: each piece is taken once

    def work() -> None:
        _local.inside = True
        try:
            for piece in queue:
                task(piece)
        except BaseException:
            for _ in queue:                                                 # nobody starts another piece
                pass
            raise
        finally:
            _local.inside = False

    with _lock:                                                             # the pool stays open until all helpers have their work
        helpers = 0 if alone else min(_num_threads, len(pieces)) - 1
        futures = [_get_pool().submit(copy_context().run, work) for _ in range(helpers)]     # np.errstate holds in the helpers too
    try:
        work()
    finally:
        errors = [future.exception() for future in futures]                 # waits for all of them
    for error in errors:
        if error is not None:
            raise error


# ---- processes that fork, as a data loader's workers do --------------------------------------------------------------------

def _after_fork_in_child() -> None:
    """The pool's threads stayed in the parent, and a lock may have been held there."""
    global _pool, _lock, _holders
    _pool, _lock, _holders = None, threading.Lock(), 0
    _local.inside = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
