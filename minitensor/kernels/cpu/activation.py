"""Activations and dropout, in blocks that several steps in a row find in cache."""
import math
from collections.abc import Callable

import numpy as np

from .blocks import select, split
from .threads import parallel_for

BLOCK = 2**18           # numbers: calls long enough for threads; a few such arrays stay in the last-level cache


def flat_views(*arrays: np.ndarray) -> list[np.ndarray] | None:
    """The arrays as one-dimensional views in their order in memory; None unless all are dense and in the same order."""
    order = sorted(range(arrays[0].ndim), key=lambda axis: -arrays[0].strides[axis])
    in_order = [a.transpose(order) for a in arrays]
    return [a.reshape(-1) for a in in_order] if all(a.flags.c_contiguous for a in in_order) else None


def _blockwise(write: Callable, *arrays: np.ndarray) -> np.ndarray:
    """y, in the memory order of the first array: write(part of y, parts of the arrays) for every block."""
    y = np.empty_like(arrays[0])
    flat = flat_views(y, *arrays)
    if flat is None:
        write(y, *arrays)
    else:
        parallel_for(lambda block: write(*(a[block] for a in flat)), split(y.size, BLOCK))
    return y


def relu(x: np.ndarray) -> np.ndarray:
    return _blockwise(lambda y, x: np.maximum(x, 0, out=y), x)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _blockwise(lambda dx, dy, y: select(y > 0, dy, dx), dy, y)


def tanh(x: np.ndarray) -> np.ndarray:
    return _blockwise(lambda y, x: np.tanh(x, out=y), x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    def write(dx: np.ndarray, dy: np.ndarray, y: np.ndarray) -> None:
        np.multiply(y, y, out=dx)
        np.subtract(1, dx, out=dx)
        np.multiply(dx, dy, out=dx)
    return _blockwise(write, dy, y)


def sigmoid(x: np.ndarray) -> np.ndarray:
    def write(y: np.ndarray, x: np.ndarray) -> None:
        np.multiply(x, 0.5, out=y)
        np.tanh(y, out=y)
        np.multiply(y, 0.5, out=y)
        np.add(y, 0.5, out=y)
    return _blockwise(write, x)


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    def write(dx: np.ndarray, dy: np.ndarray, y: np.ndarray) -> None:
        np.subtract(1, y, out=dx)
        np.multiply(dx, y, out=dx)
        np.multiply(dx, dy, out=dx)
    return _blockwise(write, dy, y)


def dropout(x: np.ndarray, p: float, key: tuple[int, int]) -> np.ndarray:
    """`numpy.random.Philox` makes the same draws as the reference, faster, and starts anywhere in the sequence."""
    if not x.flags.c_contiguous:
        y = np.empty_like(x)
        y[...] = dropout(np.ascontiguousarray(x), p, key)
        return y
    y = np.empty_like(x)
    flat_x, flat_y, limit = x.reshape(-1), y.reshape(-1), math.ceil(p * 2**24) << 8

    def piece(block: slice) -> None:
        words = np.random.Philox(key=np.array(key, np.uint64), counter=block.start // 8).random_raw(-(-(block.stop - block.start) // 2))
        draws = words.astype("<u8", copy=False).view("<u4")[:block.stop - block.start]     # the low half of each word comes first
        select(draws >= limit, flat_x[block], flat_y[block])
        np.divide(flat_y[block], x.dtype.type(1 - p), out=flat_y[block])

    parallel_for(piece, split(x.size, BLOCK))
    return y
