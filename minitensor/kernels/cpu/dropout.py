"""Dropout, in blocks that stay in cache from the draw to the result."""
import math

import numpy as np

from . import tuning
from .blocks import select, split
from .threads import parallel_for


def dropout(x: np.ndarray, p: float, key: tuple[int, int]) -> np.ndarray:
    """`numpy.random.Philox` makes the same draws as the reference set's, faster, and starts
    anywhere in the sequence."""
    if not x.flags.c_contiguous:
        y = np.empty_like(x)
        y[...] = dropout(np.ascontiguousarray(x), p, key)
        return y
    y = np.empty_like(x)
    flat_x, flat_y, limit = x.reshape(-1), y.reshape(-1), math.ceil(p * 2**24) << 8

    def task(block: slice) -> None:
        size = block.stop - block.start
        philox = np.random.Philox(key=np.array(key, np.uint64), counter=block.start // 8)
        words = philox.random_raw(-(-size // 2))            # two draws each, the low half first
        draws = words.astype("<u8", copy=False).view("<u4")[:size]
        select(draws >= limit, flat_x[block], flat_y[block])
        np.divide(flat_y[block], x.dtype.type(1 - p), out=flat_y[block])

    parallel_for(task, split(x.size, tuning.BLOCK_ELEMENTS))
    return y
