"""What follows a product, where it is no part of the product's kernel; and its gradients.

Sums of columns have two deterministic stages: many blocks sum some rows each, then one row of
blocks sums theirs.
"""
import math
from collections.abc import Callable

from ...backend import Array, xp_of
from ..epilogue import ACTIVATIONS, Epilogue
from . import tuning
from .activation import activation_backward
from .launcher import launch
from .layout import contiguous

FILE = "epilogue.cu"


def laid_out(epilogue: Epilogue, layout: Callable[[Array], Array] = contiguous) -> Epilogue:
    """The epilogue with its residual in the layout of y, both arrays in C order."""
    bias, residual, activation = epilogue
    return Epilogue(None if bias is None else contiguous(bias),
                    None if residual is None else layout(residual), activation)


def arguments_of(epilogue: Epilogue) -> tuple[Array | None, Array | None, int]:
    """What a kernel with an epilogue takes last: bias, residual, activation."""
    return epilogue.bias, epilogue.residual, ACTIVATIONS.index(epilogue.activation)


def add_epilogue(y: Array, epilogue: Epilogue) -> None:
    """y (..., F), a product in C order, becomes activation(y + bias + residual) in place."""
    if any(part is not None for part in epilogue):
        launch(FILE, "add_epilogue", (y, y.size, y.shape[-1], *arguments_of(epilogue)),
               dtype=y.dtype, items=y.size)


def sum_parts(parts: Array, y: Array, epilogue: Epilogue) -> None:
    """y (..., F) = parts (split-K, *y.shape) added up in order, then the epilogue."""
    launch(FILE, "sum_parts",
           (parts, y, len(parts), y.size, y.shape[-1], *arguments_of(epilogue)),
           dtype=y.dtype, items=y.size)


def before_activation(dy: Array, y: Array | None, activation: str | None,
                      needs_db: bool) -> tuple[Array, Array | None]:
    """The gradient of product + bias + residual, and that of the bias if it is needed, from dy and
    the epilogue's result y (..., F) in C order; y is None where there is no activation."""
    if y is None or activation is None:
        return dy, column_sums(_rows(dy)) if needs_db else None
    if not needs_db:
        return activation_backward(dy, y, activation), None
    dx, db = activation_backward_column_sums(_rows(dy), _rows(y), activation)
    return dx.reshape(dy.shape), db


def _rows(a: Array) -> Array:
    """(..., F) as a matrix (rows, F)."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def column_sums(matrix: Array) -> Array:
    """(columns,) from (rows, columns) in C order."""
    return _finished(_first_stage("column_sums", matrix))


def activation_backward_column_sums(dy: Array, y: Array,
                                    activation: str) -> tuple[Array, Array]:
    """dx, the gradient before the activation, and its column sums, in one pass; matrices (rows,
    columns) in C order."""
    dx = xp_of(dy).empty_like(dy)
    return dx, _finished(_first_stage("activation_backward_column_sums", dy, y, dx,
                                      after=(ACTIVATIONS.index(activation),)))


def _first_stage(kernel: str, *matrices: Array, after: tuple[int, ...] = ()) -> Array:
    """Partial sums (blocks, columns)."""
    (rows, columns), dtype = matrices[0].shape, matrices[0].dtype
    across, height = math.ceil(columns / tuning.COLUMN_SUM_BLOCK[0]), rows_of_block(rows, columns)
    blocks = max(1, math.ceil(rows / height))                       # of no rows the sum is 0
    sums = xp_of(matrices[0]).empty((blocks, columns), dtype)
    launch(FILE, kernel, (*matrices, sums, rows, columns, height, *after), dtype=dtype,
           grid=(across, blocks), threads=tuning.COLUMN_SUM_BLOCK)
    return sums


def rows_of_block(rows: int, columns: int) -> int:
    """How many rows a block of the first stage sums."""
    width, side_by_side = tuning.COLUMN_SUM_BLOCK
    across = math.ceil(columns / width)
    return max(4 * side_by_side, math.ceil(rows * across / tuning.COLUMN_SUM_BLOCKS))


def _finished(sums: Array) -> Array:
    """(columns,) of partial sums."""
    blocks, columns = sums.shape
    if blocks == 1:
        return sums[0]
    total = xp_of(sums).empty(columns, sums.dtype)
    launch(FILE, "column_sums", (sums, total, blocks, columns, blocks), dtype=sums.dtype,
           grid=math.ceil(columns / tuning.COLUMN_SUM_BLOCK[0]), threads=tuning.COLUMN_SUM_BLOCK)
    return total
