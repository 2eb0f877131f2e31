"""Catches in-place changes to arrays that a backward pass still needs.

An array is guarded until that pass has run or its graph is dropped. A guarded NumPy array is
read-only: writing to it raises NumPy's `ValueError: assignment destination is read-only` at the
very line that would have made a gradient wrong. (The idea is MyGrad's.) CuPy arrays have no such
flag, so whatever the engine itself writes in place (Optimizer.step, load_state_dict) asks `guarded`
first, on either device. Three writes escape: one through a NumPy view made before, one in memory
that is not NumPy's own and has no buffer (DLPack, PyTorch's, a pickle's), and one that a user's own
code makes in a CuPy array.
"""
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


class Guard:
    """Guards arrays and the arrays whose memory they view, until `release` or its own deletion."""

    def __init__(self, values: Iterable[Any]):
        """values: arrays, tuples of arrays, and anything else, which is passed over."""
        self.owners = [_lock(array) for array in _arrays(values)]

    def release(self) -> None:
        """Make the arrays writeable again, unless another Guard holds them; harmless twice."""
        while self.owners:
            _unlock(self.owners.pop())

    __del__ = release

    def __reduce__(self) -> Any:
        raise RuntimeError("a tensor with a graph can be neither copied nor pickled before its "
                           "backward; use .detach()")


def guarded(array: Any) -> bool:
    """Whether a backward pass that has not run needs array, or another array in the same memory."""
    return id(_owner(array)) in _locks


def _arrays(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple):
            yield from _arrays(value)
        elif isinstance(value, np.ndarray) or hasattr(type(value), "__cuda_array_interface__"):
            yield value


class _Lock:
    def __init__(self) -> None:
        self.holders = 0
        self.to_restore: list[np.ndarray] = []  # owners before their views, as NumPy demands


_locks: dict[int, _Lock] = {}
_one_at_a_time = threading.RLock()          # re-entrant: a Guard may be collected inside of it


def _owner(array: Any) -> Any:
    """What stands for array's memory, the same object for every view of it."""
    if not isinstance(array, np.ndarray):
        return array.data.mem
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _lock(array: Any) -> Any:
    """Guard array; returns the owner of its memory."""
    owner = _owner(array)
    with _one_at_a_time:
        lock = _locks.setdefault(id(owner), _Lock())
        lock.holders += 1
        if isinstance(array, np.ndarray):
            for a in (owner, array):
                if a.flags.writeable and _can_be_unlocked(a):
                    lock.to_restore.append(a)
                    a.flags.writeable = False
    return owner


def _can_be_unlocked(a: np.ndarray) -> bool:
    """Whether NumPy would make a writeable again: not where memory of others has no buffer that can
    be written to. Made read-only once, such an array would stay so for ever."""
    if a.base is None or isinstance(a.base, np.ndarray):
        return True
    try:
        return not memoryview(a.base).readonly
    except TypeError:
        return False


def _unlock(owner: Any) -> None:
    with _one_at_a_time:
        lock = _locks[id(owner)]
        lock.holders -= 1
        if lock.holders == 0:
            del _locks[id(owner)]
            for a in lock.to_restore:
                a.flags.writeable = True
