"""Threads: what every fast CPU kernel stands on.

A kernel cuts its work into tasks whose number does not depend on the number of threads, so neither
do its results. Every task runs its matrix products on one BLAS thread: two levels of threads would
fight for the same cores. NumPy releases the GIL in every loop and product, which is why plain
Python threads are enough.
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


# ---- how many threads ----------------------------------------------------------------------------

CGROUP = "/sys/fs/cgroup"           # where Linux tells a container its limits


def default_num_threads() -> int:
    """The first of BLAS's own environment variables that holds a number, else the cores that this
    process may use."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()      # OMP's: a number for each level
        if value.isdigit() and int(value) > 0:
            return int(value)
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(cores, _quota() or cores)


def _quota() -> int | None:
    """How many cores' time this container is given, rounded up; None where there is no limit.

    It is stated as microseconds in a period, by version 2 or 1 of cgroups.
    """
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with suppress(OSError, ValueError):                         # no such file, or "max"
            words = [word for file in files for word in Path(CGROUP, file).read_text().split()]
            quota, period = map(int, words)
            return math.ceil(quota / period) if quota > 0 else None
    return None


_num_threads = default_num_threads()
_lock = threading.Lock()            # guards the BLAS setting and the pool below
_holders = 0                        # parallel_for calls under way, from any thread of the program
_threads_before_hold = 1


def get_num_threads() -> int:
    """How many threads the CPU kernels use."""
    return _num_threads


def set_num_threads(n: int) -> None:
    """Let the CPU kernels, and the BLAS under NumPy, use n threads in their next calls.

    Raises ValueError unless n is an integer >= 1.
    """
    global _num_threads, _threads_before_hold, _pool
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"set_num_threads: n must be an integer >= 1, not {n!r}")
    with _lock:
        _num_threads = _threads_before_hold = int(n)
        if _holders == 0 and (blas := openblas()) is not None:
            blas.set_num_threads(_num_threads)
        pool, _pool = _pool, None
    if pool is not None:
        pool.shutdown(wait=False)               # a computation under way still gets its tasks done


# ---- BLAS held to one thread ---------------------------------------------------------------------

class Blas(NamedTuple):
    get_num_threads: Callable[[], int]
    set_num_threads: Callable[[int], None]


@cache
def openblas() -> Blas | None:
    """The two thread functions of the OpenBLAS that NumPy has loaded; None if there is another BLAS
    (MKL, Accelerate, ...)."""
    try:
        with open("/proc/self/maps") as maps:
            paths = openblas_paths(maps.read())
    except OSError:                                                 # not Linux
        paths = []
    for path in filter(os.path.exists, paths):
        library = ctypes.CDLL(path)
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                names = [f"{prefix}_{verb}_num_threads{suffix}" for verb in ("get", "set")]
                if hasattr(library, names[1]):
                    return Blas(*(getattr(library, name) for name in names))
    return None


def openblas_paths(maps: str) -> list[str]:
    """The libraries among the files that Linux lists as mapped into this process.

    A path is the rest of its line: it may hold spaces.
    """
    return sorted(set(re.findall(r"/.*openblas[^/\n]*\.so[^/\n]*$", maps, re.MULTILINE)))


@contextmanager
def _one_blas_thread(blas: Blas) -> Iterator[None]:
    """OpenBLAS's setting is global: the first one in lowers it and the last one out restores it."""
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


# ---- the pool ------------------------------------------------------------------------------------

_pool: Any = None                   # a ThreadPoolExecutor, made when a parallel_for first needs one
_local = threading.local()          # .inside: this thread is running a task


def _get_pool():
    global _pool
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor   # here: `import minitensor` stays light
        _pool = ThreadPoolExecutor(_num_threads - 1, thread_name_prefix="minitensor")
    return _pool


def parallel_for(run: Callable[[Any], None], tasks: Iterable, uses_blas: bool = False) -> None:
    """run(task) for every task, over the threads; returns when all are done.

    The first exception is raised here, the rest are dropped. Called from inside a task, it runs
    inline; but a lone task runs as if `run` had been called, and may spread its own work.
    uses_blas: the tasks call matrix products. Each is then given one BLAS thread, or, when BLAS
    cannot be told so, all run in this thread and BLAS spreads each product itself.
    """
    if getattr(_local, "inside", False):
        for task in tasks:
            run(task)
        return
    tasks = list(tasks)
    blas = openblas() if uses_blas else None
    with _one_blas_thread(blas) if blas else nullcontext():
        if len(tasks) == 1:
            run(tasks[0])
        else:
            _run(run, tasks, alone=uses_blas and blas is None)


def _run(run: Callable[[Any], None], tasks: list, alone: bool) -> None:
    """alone: without other threads."""
    queue = iter(tasks)                         # next() on it is atomic: each task is taken once

    def work() -> None:
        _local.inside = True
        try:
            for task in queue:
                run(task)
        except BaseException:
            for _ in queue:                     # nobody starts another task
                pass
            raise
        finally:
            _local.inside = False

    with _lock:                                 # the pool stays open until all helpers have work
        helpers = 0 if alone else min(_num_threads, len(tasks)) - 1
        # In a copy of the context, np.errstate holds in the helpers too.
        futures = [_get_pool().submit(copy_context().run, work) for _ in range(helpers)]
    try:
        work()
    finally:
        errors = [future.exception() for future in futures]         # waits for all of them
    for error in errors:
        if error is not None:
            raise error


# ---- processes that fork, as a data loader's workers do ------------------------------------------

def _after_fork_in_child() -> None:
    """The pool's threads stayed in the parent, and a lock may have been held there."""
    global _pool, _lock, _holders
    _pool, _lock, _holders = None, threading.Lock(), 0
    _local.inside = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
