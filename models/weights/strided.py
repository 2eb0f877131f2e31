"""Arrays laid over a file's bytes, with every number that the file gives checked against them."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_DIMENSIONS = 8
Arrays = dict[str, np.ndarray]
BFLOAT16 = np.dtype([("bfloat16", "<u2")])      # the upper half of a float32


def as_float32(array: np.ndarray) -> np.ndarray:
    """A copy, which needs the file no more. Raises ValueError for whole numbers."""
    if array.dtype == BFLOAT16:
        array = (array["bfloat16"].astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind != "f":
        raise ValueError(f"its parameters are {array.dtype}, not floating-point numbers")
    with np.errstate(over="ignore"):            # what is infinite then is refused by the caller
        return np.array(array, np.float32, order="C")


def strided(buffer: Any, dtype: np.dtype, offset: int, shape: Sequence[Any],
            strides: Sequence[Any]) -> np.ndarray:
    """A view of buffer; offset and strides count elements.

    Raises ValueError for what reaches outside, or is more than the buffer.
    """
    available = memoryview(buffer).nbytes // dtype.itemsize
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(_is_whole(number) for number in numbers):
        raise ValueError("an array's shape or strides are not whole numbers from 0 up")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"an array has {len(shape)} dimensions")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
    if math.prod(shape) > available or (math.prod(shape) and last >= available):
        raise ValueError(f"an array of shape {tuple(shape)} reaches outside the {available} values "
                         "that it is part of")
    if not math.prod(shape):
        return np.zeros(shape, dtype)
    return np.ndarray(tuple(shape), dtype, buffer, offset * dtype.itemsize,
                      tuple(stride * dtype.itemsize for stride in strides))


def contiguous(buffer: Any, dtype: np.dtype, shape: Sequence[Any],
               fortran: bool = False) -> np.ndarray:
    """All of buffer in this shape, the last index running fastest, or with fortran the first.

    Raises ValueError when it does not fit.
    """
    if len(shape) > MAX_DIMENSIONS or not all(_is_whole(n) for n in shape):
        raise ValueError("an array's shape is not a few whole numbers from 0 up")
    if math.prod(shape) * dtype.itemsize != memoryview(buffer).nbytes:
        raise ValueError(f"an array of shape {tuple(shape)} has {memoryview(buffer).nbytes} bytes")
    return np.frombuffer(buffer, dtype).reshape(tuple(shape), order="F" if fortran else "C")


def _is_whole(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**62
