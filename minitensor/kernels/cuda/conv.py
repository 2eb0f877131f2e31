"""Convolution: what its algorithms share. They are in `im2col_conv.py` and `implicit_gemm.py`, the
rule that chooses in `choose.py`, the ladder in `src/conv.cu`."""
from types import ModuleType

from ...backend import Array, xp_of
from ..epilogue import Epilogue, Needs
from ..geometry import Pair
from . import im2col_conv, implicit_gemm
from .choose import use_im2col
from .epilogue import arguments_of, before_activation, laid_out
from .launcher import launch
from .layout import as_nchw, contiguous, to_nhwc
from .products import tile_for
from .sizes import Sizes, sizes_of


def _algorithm(x: Array, s: Sizes) -> ModuleType:
    return im2col_conv if use_im2col(x, s.F) else implicit_gemm


def conv2d(x: Array, w: Array, epilogue: Epilogue, stride: Pair, padding: Pair, dilation: Pair,
           groups: int) -> Array:
    s = sizes_of(x.shape, w.shape, stride, padding, dilation, groups)
    y = _algorithm(x, s).convolve(to_nhwc(x), to_nhwc(w), laid_out(epilogue, to_nhwc), s)
    return as_nchw(y)


def conv2d_naive(x: Array, w: Array, epilogue: Epilogue, stride: Pair, padding: Pair,
                 dilation: Pair, groups: int) -> Array:
    """The first rung of the ladder: for the tests, which compare conv2d with it, and for whoever
    wants to see what the other rungs gain."""
    s = sizes_of(x.shape, w.shape, stride, padding, dilation, groups)
    x, w = to_nhwc(x), to_nhwc(w)
    y = xp_of(x).empty((s.N, s.OH, s.OW, len(w)), x.dtype)
    launch("conv.cu", "conv2d_naive", (x, w, y, s, *arguments_of(laid_out(epilogue, to_nhwc))),
           dtype=x.dtype, items=y.size, options=tile_for(x).options)
    return as_nchw(y)


def conv2d_backward(dy: Array, x: Array, w: Array, y: Array | None, stride: Pair, padding: Pair,
                    dilation: Pair, groups: int, activation: str | None,
                    needs: Needs) -> tuple[Array | None, ...]:
    s = sizes_of(x.shape, w.shape, stride, padding, dilation, groups)
    algorithm, dx, dw = _algorithm(x, s), None, None
    y = None if y is None else to_nhwc(y)
    dy, db = before_activation(to_nhwc(dy), y, activation, needs[2])
    if needs[0]:
        dx = as_nchw(algorithm.input_gradient(dy, to_nhwc(w), s))
    if needs[1]:
        dw = as_nchw(algorithm.weight_gradient(dy, to_nhwc(x), s))
    return dx, dw, db, as_nchw(dy) if needs[3] else None


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    N, C, *_ = x.shape
    s = sizes_of(x.shape, (0, C, *kernel_size), stride, padding, dilation)
    columns = im2col_conv.columns_of(to_nhwc(x), s)
    columns = columns.reshape(N, s.OH, s.OW, s.KH, s.KW, C)
    return columns.transpose(0, 5, 3, 4, 1, 2)


def col2im(columns: Array, image_size: Pair, stride: Pair, padding: Pair,
           dilation: Pair) -> Array:
    N, C, KH, KW, *_ = columns.shape
    s = sizes_of((N, C, *image_size), (0, C, KH, KW), stride, padding, dilation)
    columns = contiguous(columns.transpose(0, 4, 5, 2, 3, 1))
    return as_nchw(im2col_conv.image_of(columns.reshape(1, s.pixels, s.window), s))
