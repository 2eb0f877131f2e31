"""The linear layer: cuBLAS, or the convolution of one picture of height 1 whose pixels are the rows."""
from ...backend import Array, xp_of
from . import implicit_gemm
from .activation import add_bias
from .geometry import PIXEL
from .layout import contiguous
from .products import cublas_multiplies
from .reduction import column_sums


def _picture(rows: Array) -> Array:
    """(N, C) as a picture (1, 1, N, C)."""
    return rows[None, None]


def _filters(w: Array) -> Array:
    """(F, C) as filters (F, 1, 1, C)."""
    return w[:, None, None]


def linear(x: Array, w: Array, b: Array | None) -> Array:
    if not cublas_multiplies(x):
        return implicit_gemm.convolve(_picture(x), _filters(w), b, PIXEL, False)[0, 0]
    y = xp_of(x).matmul(x, w.T)
    add_bias(y, b, False)
    return y


def linear_backward(dy: Array, x: Array, w: Array, needs: tuple[bool, bool, bool]) -> tuple[Array | None, ...]:
    xp, dx, dw, dy = xp_of(dy), None, None, contiguous(dy)
    own = not cublas_multiplies(dy)
    if needs[0]:
        dx = implicit_gemm.input_gradient(_picture(dy), _filters(w), (1, len(x)), PIXEL)[0, 0] if own else xp.matmul(dy, w)
    if needs[1]:
        dw = implicit_gemm.weight_gradient(_picture(dy), _picture(x), (1, 1), PIXEL)[:, 0, 0] if own else xp.matmul(dy.T, x)
    return dx, dw, column_sums(dy) if needs[2] else None
