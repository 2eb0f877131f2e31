"""Catches in-place changes to arrays that a backward pass still needs.

An array is guarded until that pass has run or its graph is dropped. A guarded NumPy array is
read-only: writing to it raises NumPy's `ValueError: assignment destination is read-only` at the
very line that would have made a gradient wrong. (The idea is MyGrad's.) CuPy arrays have no such
flag, so whatever the engine itself writes in place calls `writable` (x += 1, x[0] = 1) or
`check_writable` (Optimizer.step, load_state_dict) first, on either device; they name the op. Three
writes escape: one through a NumPy view made before, one in memory that is not NumPy's own and has
no buffer (DLPack, PyTorch's, a pickle's), and one that a user's own code makes in a CuPy array.

Views that ops take (x[0], x.T) are arrays that are read-only, so that `view.data[0] = 1` does not
escape, but `view += 1` and `view[0] = 1` change what they view, as in PyTorch.
"""
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from .backend import is_array


class Guard:
    """Guards arrays and the arrays whose memory they view, until `release` or its own deletion."""

    def __init__(self, holder: str, values: Iterable[Any]):
        """holder: the op that needs them. values: arrays, tuples, lists and dicts of them, and
        anything else, which is passed over."""
        self.holder = holder
        self.owners = [_lock(array, holder) for array in _arrays(values)]

    def release(self) -> None:
        """Make the arrays writeable again, unless another Guard holds them; harmless twice."""
        while self.owners:
            _unlock(self.owners.pop(), self.holder)

    __del__ = release

    def __reduce__(self) -> Any:
        raise RuntimeError("a tensor with a graph can be neither copied nor pickled before its "
                           "backward; use .detach()")


def check_writable(name: str, array: Any) -> None:
    """Raises RuntimeError, which begins with name, where a backward pass that has not run needs
    array, or another array in the same memory, and where array is read-only for another reason."""
    _check_free(name, array)
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise RuntimeError(f"{name} is read-only, as the memory it was made of is; use .clone()")


def _check_free(name: str, array: Any) -> None:
    lock = _locks.get(id(_owner(array)))
    if lock is not None:
        raise RuntimeError(f"{name} is still needed by a backward pass that has not run: "
                           f"{min(lock.holders)} keeps it; call backward first, drop its result, "
                           "or compute it under no_grad")


# ---- views -----------------------------------------------------------------------------------

_views: WeakValueDictionary[int, np.ndarray] = WeakValueDictionary()    # that `view_of` made, by id


def view_of(x: Any, view: Any) -> Any:
    """view, which an op took of x: read-only, where it is NumPy's, but for `writable`."""
    if isinstance(view, np.ndarray) and view.base is not None:
        if view.flags.writeable or _is_ours(x):
            _views[id(view)] = view
        view.flags.writeable = False
    return view


def _is_ours(x: np.ndarray) -> bool:
    """Whether x, which is read-only, is so because it is such a view or is guarded."""
    lock = _locks.get(id(_owner(x)))
    guarded = lock is not None and any(a is x for a in lock.to_restore)
    return guarded or _views.get(id(x)) is x


def writable(name: str, array: Any) -> Any:
    """array, to be written to in place, be it a view of another tensor's that an op took.

    Raises what `check_writable` raises.
    """
    _check_free(name, array)
    view = _views.get(id(array))
    if view is not None and view is array:
        array = view.view()
        array.flags.writeable = True
    check_writable(name, array)
    return array


def frozen(array: Any) -> Any:
    """A read-only view of array, where it is NumPy's."""
    if isinstance(array, np.ndarray):
        array = array.view()
        array.flags.writeable = False
    return array


# ---- locks -----------------------------------------------------------------------------------

def _arrays(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if is_array(value):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _arrays(value)
        elif isinstance(value, dict):
            yield from _arrays(value.values())


class _Lock:
    def __init__(self) -> None:
        self.holders: Counter[str] = Counter()  # by name, how many ops of it
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


def _lock(array: Any, holder: str) -> Any:
    """Guard array; returns the owner of its memory."""
    owner = _owner(array)
    with _one_at_a_time:
        lock = _locks.setdefault(id(owner), _Lock())
        lock.holders[holder] += 1
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


def _unlock(owner: Any, holder: str) -> None:
    with _one_at_a_time:
        lock = _locks[id(owner)]
        lock.holders[holder] -= 1
        if not lock.holders[holder]:
            del lock.holders[holder]
        if not lock.holders:
            del _locks[id(owner)]
            for a in lock.to_restore:
                a.flags.writeable = True
