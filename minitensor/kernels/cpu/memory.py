"""Memory that is used again: the first touch of a fresh page costs as much as the work on it.

`scratch` is for what a kernel needs while it runs, `empty` for what it returns: a result's memory
is given out again once nobody holds the result. (AlexNet's training step at batch 128 then took
0.71 of the time, at batch 16 0.92, with the same peak memory.)
"""
import math
import sys
import threading
import weakref

import numpy as np

from . import tuning

_local = threading.local()          # .scratch: this thread's buffers


def _aligned(memory: np.ndarray, shape: tuple[int, ...], dtype) -> np.ndarray:
    """The array of that shape that begins at the first cache line of memory, which is a line longer
    than the array."""
    start = -memory.ctypes.data % tuning.LINE_BYTES
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return memory[start:][:size].view(dtype).reshape(shape)


# ---- scratch -------------------------------------------------------------------------------------

class _Buffers(dict):
    """One thread's buffers by name."""

    def __hash__(self) -> int:                                      # type: ignore[override]
        return id(self)


_all_buffers: "weakref.WeakSet[_Buffers]" = weakref.WeakSet()


def scratch(name: str, shape: tuple[int, ...], dtype) -> np.ndarray:
    """An uninitialised C-contiguous array on a cache line's boundary, in this thread's buffer of
    that name.

    The next scratch() of the same name in the same thread overwrites it: never return it from a
    kernel, never ask twice for one name.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffers = getattr(_local, "scratch", None)
    if buffers is None:
        buffers = _local.scratch = _Buffers()
        _all_buffers.add(buffers)
    memory = buffers.get(name)
    if memory is None or memory.size < size:
        buffers.pop(name, None)
        memory = _aligned(np.empty(size + tuning.LINE_BYTES, np.uint8), (size,), np.uint8)
        if sum(kept.size for kept in buffers.values()) + size <= tuning.SCRATCH_BYTES:
            buffers[name] = memory
    return np.ndarray(shape, dtype, memory)


# ---- results -------------------------------------------------------------------------------------

_results: list[np.ndarray] = []     # bytes; every result is a view of one, and holds it as its base
_lock = threading.Lock()


def _holders(results: list[np.ndarray], i: int) -> int:
    return sys.getrefcount(results[i])


_IDLE = _holders([np.empty(0)], 0)  # what `_holders` says of memory that only its list holds


def _counts_are_exact() -> bool:
    """Without the GIL a reference count says nothing about what other threads hold."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def empty(shape: tuple[int, ...], dtype) -> np.ndarray:
    """An uninitialised C-contiguous array, in the memory of an earlier result that has been dropped
    if there is one of that size."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < tuning.KEPT_RESULT_BYTES or not _counts_are_exact():
        return np.empty(shape, dtype)
    with _lock:
        return _aligned(_memory(size + tuning.LINE_BYTES), shape, dtype)


def _memory(size: int) -> np.ndarray:
    """The smallest idle memory that fits; else new, for which as much idle memory is let go:
    results never hold more than they did."""
    idle = [i for i in range(len(_results)) if _holders(_results, i) == _IDLE]
    fitting = [i for i in idle if size <= _results[i].size <= tuning.LOOSEST_FIT * size]
    if fitting:
        return _results[min(fitting, key=lambda i: _results[i].size)]
    surplus = size
    for i in reversed(idle):                    # from the end: earlier positions stay what they are
        if surplus > 0:
            surplus -= _results.pop(i).size
    _results.append(np.empty(size, np.uint8))
    return _results[-1]


# ---- both ----------------------------------------------------------------------------------------

def kept_bytes() -> tuple[int, int]:
    """Of scratch memory in all threads, and of results, held or dropped."""
    scratches = sum(memory.size for buffers in list(_all_buffers) for memory in buffers.values())
    with _lock:
        return scratches, sum(memory.size for memory in _results)


def free_buffers() -> None:
    """Give back the scratch memory of all threads, and that of dropped results. The next kernels
    allocate it again."""
    for buffers in list(_all_buffers):
        buffers.clear()
    with _lock:
        _results[:] = [_results[i] for i in range(len(_results)) if _holders(_results, i) > _IDLE]
