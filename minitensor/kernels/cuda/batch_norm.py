"""Batch normalisation: sums down the channels in two deterministic stages, then a pass over x."""
import math

from ...backend import Array, xp_of
from ..epilogue import ACTIVATIONS, Epilogue, Needs
from . import tuning
from .epilogue import arguments_of, laid_out, rows_of_block
from .launcher import launch
from .layout import as_nchw, contiguous, to_nhwc

FILE = "batch_norm.cu"


def _launch(kernel: str, arguments: tuple, x: Array, after: tuple = ()) -> None:
    """kernel(arguments..., rows, columns, height, after...) on all of x (N, H, W, C)."""
    columns, rows, height, blocks = _sizes(x)
    across = math.ceil(columns / tuning.COLUMN_SUM_BLOCK[0])
    launch(FILE, kernel, (*arguments, rows, columns, height, *after), dtype=x.dtype,
           grid=(across, blocks), threads=tuning.COLUMN_SUM_BLOCK)


def _sizes(x: Array) -> tuple[int, int, int, int]:
    """Columns, rows, rows of a block, and blocks below each other: of no rows one, whose sum is 0.
    """
    columns = x.shape[-1]
    rows = x.size // columns
    height = rows_of_block(rows, columns)
    return columns, rows, height, max(1, math.ceil(rows / height))


def _doubles(x: Array, *shape: int) -> Array:
    return xp_of(x).empty(shape, "float64")


def _exact(*statistics: Array) -> list[Array]:
    return [contiguous(a.astype("float64", copy=False)) for a in statistics]


def batch_statistics(x: Array) -> tuple[Array, Array]:
    x = to_nhwc(x)
    columns, rows, _, blocks = _sizes(x)
    sums, mean, variance = (_doubles(x, blocks, 2, columns), _doubles(x, columns),
                            _doubles(x, columns))
    _launch("batch_sums", (x, sums), x)
    launch(FILE, "batch_statistics", (x, sums, mean, variance, blocks, rows, columns),
           dtype=x.dtype, items=columns)
    return mean, variance


def batch_norm(x: Array, w: Array | None, epilogue: Epilogue, mean: Array, variance: Array,
               eps: float) -> Array:
    x, w, epilogue = to_nhwc(x), _in_order(w), laid_out(epilogue, to_nhwc)
    y = xp_of(x).empty_like(x)
    _launch("batch_norm", (x, w, y, *_exact(mean, variance), eps), x, arguments_of(epilogue))
    return as_nchw(y)


def batch_norm_backward(dy: Array, x: Array, w: Array | None, y: Array | None, mean: Array,
                        variance: Array, eps: float, of_batch: bool, activation: str | None,
                        needs: Needs) -> tuple[Array | None, ...]:
    dy, x, w = to_nhwc(dy), to_nhwc(x), _in_order(w)
    y = None if y is None else to_nhwc(y)
    mean, variance = _exact(mean, variance)
    columns, _, _, blocks = _sizes(x)
    g = None if y is None else xp_of(x).empty_like(x)
    sums, dw, db = (_doubles(x, blocks, 2, columns), xp_of(x).empty(columns, x.dtype),
                    xp_of(x).empty(columns, x.dtype))
    _launch("gradient_sums", (dy, x, y, g, sums, mean), x, (ACTIVATIONS.index(activation),))
    launch(FILE, "gradients", (sums, variance, eps, dw, db, blocks, columns), dtype=x.dtype,
           items=columns)
    g, dx = dy if g is None else g, None
    if needs[0]:
        dx = xp_of(x).empty_like(x)
        _launch("batch_norm_backward",
                (g, x, w, dx, mean, variance, sums if of_batch else None, eps), x)
    return None if dx is None else as_nchw(dx), dw, db, as_nchw(g) if needs[3] else None


def _in_order(w: Array | None) -> Array | None:
    return None if w is None else contiguous(w)
