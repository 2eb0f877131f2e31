"""The linear layer: cuBLAS, or the convolution of one picture of height 1 whose pixels are the rows, or a kernel for few rows.

Few rows need so little arithmetic that they stay in full precision.
"""
from ...backend import Array, xp_of
from .launcher import launch
from . import implicit_gemm
from .geometry import PIXEL
from .layout import contiguous, filled_up
from .choose import cublas_multiplies
from .epilogue import add_bias, column_sums

FEW_ROWS = 8
WARP = 32


def _picture(rows: Array) -> Array:
    """(N, C) as a picture (1, 1, N, C)."""
    return rows[None, None]


def _filters(w: Array) -> Array:
    """(F, C) as filters (F, 1, 1, C)."""
    return w[:, None, None]


def linear(x: Array, w: Array, b: Array | None) -> Array:
    b = None if b is None else contiguous(b)
    if cublas_multiplies(x):
        y = xp_of(x).matmul(x, w.T)
        add_bias(y, b, False)
        return y
    if len(x) <= FEW_ROWS:
        return _of_few_rows(x, w, b)
    return implicit_gemm.convolve(_picture(x), _filters(w), b, PIXEL, False)[0, 0]


def _of_few_rows(x: Array, w: Array, b: Array | None) -> Array:
    y = xp_of(x).empty((len(x), len(w)), x.dtype)
    x, w = filled_up(x, 1), filled_up(w, 1)
    launch("linear.cu", "linear_of_few_rows", (x, w, b, y, *x.shape, len(w)), dtype=x.dtype, items=len(w) * WARP,
           options=(f"-DROWS={FEW_ROWS}",))
    return y


def linear_backward(dy: Array, x: Array, w: Array, needs: tuple[bool, bool, bool]) -> tuple[Array | None, ...]:
    dy, multiply = contiguous(dy), _gradients_of_cublas if cublas_multiplies(dy) else _gradients_of_gemm
    dx, dw = multiply(dy, x, w, *needs[:2])
    return dx, dw, column_sums(dy) if needs[2] else None


def _gradients_of_cublas(dy: Array, x: Array, w: Array, needs_dx: bool, needs_dw: bool) -> tuple[Array | None, Array | None]:
    matmul = xp_of(dy).matmul
    return matmul(dy, w) if needs_dx else None, matmul(dy.T, x) if needs_dw else None


def _gradients_of_gemm(dy: Array, x: Array, w: Array, needs_dx: bool, needs_dw: bool) -> tuple[Array | None, Array | None]:
    dx = implicit_gemm.input_gradient(_picture(dy), _filters(w), (1, len(x)), PIXEL)[0, 0] if needs_dx else None
    dw = implicit_gemm.weight_gradient(_picture(dy), _picture(x), (1, 1), PIXEL)[:, 0, 0] if needs_dw else None
    return dx, dw
