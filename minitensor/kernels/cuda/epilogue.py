"""Sums of columns, in two deterministic stages: many blocks sum some rows each, then one row of blocks sums theirs."""
import math

from ...backend import Array, xp_of
from .launcher import launch

FILE = "epilogue.cu"
BLOCK = 32, 8           # threads: columns, and rows that are summed side by side
BLOCKS = 1024           # of the first stage, about: a number of its own, so that sums round alike on every GPU


def _tall(rows: int, columns: int) -> int:
    """How many rows a block of the first stage sums."""
    across = math.ceil(columns / BLOCK[0])
    return max(4 * BLOCK[1], math.ceil(rows * across / BLOCKS))


def column_sums(matrix: Array) -> Array:
    """(columns,) from (rows, columns) in C order."""
    return _finish(*_first_stage("column_sums", matrix))


def relu_backward_column_sums(dy: Array, y: Array) -> tuple[Array, Array]:
    """dx = relu_backward(dy, y) and its column sums, in one pass; matrices (rows, columns) in C order."""
    dx = xp_of(dy).empty_like(dy)
    return dx, _finish(*_first_stage("relu_backward_column_sums", dy, y, dx))


def _first_stage(kernel: str, *matrices: Array) -> tuple[Array, int]:
    """Partial sums (blocks, columns)."""
    (rows, columns), dtype = matrices[0].shape, matrices[0].dtype
    height = _tall(rows, columns)
    blocks = max(1, math.ceil(rows / height))                               # of no rows the sum is 0
    sums = xp_of(matrices[0]).empty((blocks, columns), dtype)
    launch(FILE, kernel, (*matrices, sums, rows, columns, height), dtype=dtype, grid=(math.ceil(columns / BLOCK[0]), blocks), threads=BLOCK)
    return sums, blocks


def _finish(sums: Array, blocks: int) -> Array:
    if blocks == 1:
        return sums[0]
    total = xp_of(sums).empty(sums.shape[1], sums.dtype)
    launch(FILE, "column_sums", (sums, total, blocks, total.size, blocks), dtype=sums.dtype, grid=math.ceil(total.size / BLOCK[0]),
           threads=BLOCK)
    return total


def sum_parts(parts: Array, b: Array | None, relu: bool, y: Array) -> None:
    """y = parts (count, *y.shape) added up in order, plus b (columns of y,), then max(·, 0) if relu."""
    launch(FILE, "sum_parts", (parts, b, y, len(parts), y.size, y.shape[-1], relu), dtype=y.dtype, items=y.size)


def add_bias(y: Array, b: Array | None, relu: bool) -> None:
    """In place: y (..., F) + b (F,), then max(·, 0) if relu; y is in C order."""
    if b is not None or relu:
        launch(FILE, "add_bias", (y, b, y.size, y.shape[-1], relu), dtype=y.dtype, items=y.size)
