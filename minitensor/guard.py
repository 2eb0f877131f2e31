"""Catches in-place changes: an array that a backward pass still needs is read-only until that pass has run or its graph is dropped.

Writing to it raises NumPy's `ValueError: assignment destination is read-only` at the very line that would have made a gradient wrong.
(The idea is MyGrad's.) CuPy arrays have no such flag and are not guarded.
"""
from collections.abc import Iterable

import numpy as np

from .backend import Array


class Guard:
    """Keeps arrays, and the arrays whose memory they view, read-only until `release` or until the guard is garbage-collected."""

    def __init__(self, arrays: Iterable[Array]):
        self.owners = [_lock(a) for a in arrays if isinstance(a, np.ndarray)]

    def release(self) -> None:
        while self.owners:
            _unlock(self.owners.pop())

    __del__ = release


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
