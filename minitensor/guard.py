"""Catches in-place changes: an array that a backward pass still needs is read-only until that pass has run or its graph is dropped.

Writing to it raises NumPy's `ValueError: assignment destination is read-only` at the very line that would have made a gradient wrong.
(The idea is MyGrad's.) Two writes escape: through a view that was made before, and to CuPy arrays, which have no such flag.
"""
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


class Guard:
    """Keeps arrays, and the arrays whose memory they view, read-only until `release` or until the guard is garbage-collected."""

    def __init__(self, values: Iterable[Any]):
        """values that are arrays, or tuples that hold some, are guarded; others are passed over."""
        self.owners = [_lock(array) for array in _arrays(values)]

    def release(self) -> None:
        while self.owners:
            _unlock(self.owners.pop())

    __del__ = release


def _arrays(values: Iterable[Any]) -> Iterator[np.ndarray]:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, tuple):
            yield from _arrays(value)


class _Lock:
    def __init__(self) -> None:
        self.holders = 0
        self.to_restore: list[np.ndarray] = []  # the owner of the memory before its views: NumPy insists on that order


_locks: dict[int, _Lock] = {}


def _lock(array: np.ndarray) -> np.ndarray:
    """Make array read-only; returns the owner of its memory."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    lock = _locks.setdefault(id(owner), _Lock())
    lock.holders += 1
    for a in (owner, array):
        if a.flags.writeable:
            lock.to_restore.append(a)
            a.flags.writeable = False
    return owner


def _unlock(owner: np.ndarray) -> None:
    lock = _locks[id(owner)]
    lock.holders -= 1
    if lock.holders == 0:
        del _locks[id(owner)]
        for a in lock.to_restore:
            a.flags.writeable = True
