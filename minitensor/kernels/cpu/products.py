"""The matrix product on the threads of the other kernels, so that it rounds alike on any number."""
import math

import numpy as np

from . import tuning
from .blocks import split
from .memory import empty
from .threads import parallel_for


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`numpy.matmul`, once for each task of about MATMUL_TASK_PRODUCTS multiply-adds.

    A task is some of the matrices, along the longest leading axis. A lone matrix is cut along its
    rows or its columns, of which it has more.
    """
    if a.ndim > b.ndim == 2:                                # one matrix instead of many small ones
        rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
        return matmul(rows, b).reshape(*a.shape[:-1], b.shape[1])
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(m, (*leading, *m.shape[-2:])) for m in (a, b))
    y = empty((*leading, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    rows_axis, columns_axis = y.ndim - 2, y.ndim - 1
    axes = range(rows_axis) if max(leading, default=1) > 1 else (rows_axis, columns_axis)
    axis = max(axes, key=y.shape.__getitem__)

    def multiply(some: slice) -> None:
        part = (slice(None),) * axis + (some,)
        np.matmul(a if axis == columns_axis else a[part], b if axis == rows_axis else b[part],
                  out=y[part])

    products = y.size * a.shape[-1]
    step = max(1, y.shape[axis] * tuning.MATMUL_TASK_PRODUCTS // max(1, products))
    parallel_for(multiply, split(y.shape[axis], step), uses_blas=True)
    return y
