"""Activations, in blocks that several steps in a row find in cache."""
from collections.abc import Callable

import numpy as np

from . import tuning
from .blocks import flat_views, select, split
from .threads import parallel_for


def _blockwise(write: Callable, *arrays: np.ndarray) -> np.ndarray:
    """The result, in the first array's memory order: write(a block of each of the arrays, of the
    result) for every block."""
    result = np.empty_like(arrays[0])
    flat = flat_views(*arrays, result)
    if flat is None:
        write(*arrays, result)
    else:
        blocks = split(result.size, tuning.BLOCK_ELEMENTS)
        parallel_for(lambda block: write(*(a[block] for a in flat)), blocks)
    return result


# ---- of one block: out may be x itself -----------------------------------------------------------

def write_relu(x: np.ndarray, out: np.ndarray) -> None:
    np.maximum(x, 0, out=out)


def write_tanh(x: np.ndarray, out: np.ndarray) -> None:
    np.tanh(x, out=out)


def write_sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    with np.errstate(over="ignore"):            # exp(-x) may be infinite: 1 / inf is 0
        np.multiply(x, -1, out=out)             # np.negative writes wrong numbers 16 bytes apart
        np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.divide(1, out, out=out)


def write_relu_backward(dy: np.ndarray, y: np.ndarray, dx: np.ndarray) -> None:
    select(y != 0, dy, dx)


def write_tanh_backward(dy: np.ndarray, y: np.ndarray, dx: np.ndarray) -> None:
    np.multiply(y, y, out=dx)
    np.subtract(1, dx, out=dx)
    np.multiply(dx, dy, out=dx)


def write_sigmoid_backward(dy: np.ndarray, y: np.ndarray, dx: np.ndarray) -> None:
    np.subtract(1, y, out=dx)
    np.multiply(dx, y, out=dx)
    np.multiply(dx, dy, out=dx)


WRITE = {"relu": write_relu, "tanh": write_tanh, "sigmoid": write_sigmoid}
WRITE_BACKWARD = {"relu": write_relu_backward, "tanh": write_tanh_backward,
                  "sigmoid": write_sigmoid_backward}


# ---- the kernels ---------------------------------------------------------------------------------

def relu(x: np.ndarray) -> np.ndarray:
    return _blockwise(write_relu, x)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _blockwise(write_relu_backward, dy, y)


def tanh(x: np.ndarray) -> np.ndarray:
    return _blockwise(write_tanh, x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _blockwise(write_tanh_backward, dy, y)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return _blockwise(write_sigmoid, x)


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _blockwise(write_sigmoid_backward, dy, y)
