"""A kernel set on the GPU for tests that know NumPy only.

Arguments go up, results come down, and strides that leave gaps still do so there.
"""
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import numpy as np

import minitensor
from minitensor import kernels
from minitensor.backend import DEVICES, device_of, memory_order, to_device, to_numpy


@contextmanager
def plugged_in(name="cuda"):
    """In the with-block the set called name is in use; its kernels run on the GPU for any array."""
    there = kernels.kernel_set(name)
    moving = {kernel: _moving(getattr(there, kernel)) for kernel in kernels.KERNELS}
    wrapped = SimpleNamespace(**{**vars(there), **moving, "devices": DEVICES})
    with mock.patch.dict(kernels._sets, {name: wrapped}), minitensor.use_kernels(name):
        yield


def _moving(kernel):
    def call(*arguments, **keywords):
        moved = _each(_up, arguments)
        results = kernel(*moved, **keywords)
        lists = [i for i, argument in enumerate(arguments) if _holds_arrays_alone(argument)]
        for i in lists[:-1]:                            # an update works in place on all but dws
            for here, there in zip(arguments[i], moved[i]):
                here[...] = to_numpy(there)
        from_here = any(isinstance(a, np.ndarray) for a in arguments)
        return _each(_down, results) if from_here else results
    return call


def _holds_arrays_alone(value):
    return isinstance(value, (tuple, list)) and all(isinstance(v, np.ndarray) for v in value)


def _each(move, value):
    if not isinstance(value, (tuple, list)):
        return move(value)
    moved = (_each(move, v) for v in value)
    return value._make(moved) if hasattr(value, "_make") else type(value)(moved)


def _up(value):
    if not isinstance(value, np.ndarray):
        return value
    there = to_device(value, "cuda")
    if value.transpose(memory_order(value)[0]).flags.c_contiguous:
        return there
    wide = minitensor.backend.xp_of(there).zeros([2 * n for n in value.shape], value.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in value.shape)]
    view[...] = there
    return view


def _down(value):
    return to_numpy(value) if hasattr(value, "dtype") and device_of(value) == "cuda" else value
