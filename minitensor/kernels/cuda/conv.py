"""Convolution: what its algorithms share. They are in `im2col_conv.py` and `implicit_gemm.py`, the rule that chooses in `choose.py`."""
from types import ModuleType

from ...backend import Array
from . import im2col_conv, implicit_gemm
from .activation import relu_backward
from .geometry import Geometry
from .layout import Pair, channels_first, channels_last, contiguous
from .choose import use_im2col
from .epilogue import column_sums, relu_backward_column_sums


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    columns = im2col_conv.columns_of(channels_last(x), kernel_size, stride, padding, dilation, 1)
    return columns[0].transpose(0, 5, 3, 4, 1, 2)


def col2im(columns: Array, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    return channels_first(im2col_conv.image_of(contiguous(columns.transpose(0, 4, 5, 2, 3, 1))[None], image_size, stride, padding, dilation))


def _algorithm(x: Array, w: Array, groups: int) -> ModuleType:
    return im2col_conv if use_im2col(x, len(w) // groups) else implicit_gemm


def conv2d(x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int, relu: bool) -> Array:
    algorithm, geometry = _algorithm(x, w, groups), Geometry(stride, padding, dilation, groups)
    b = None if b is None else contiguous(b)
    return channels_first(algorithm.convolve(channels_last(x), channels_last(w), b, geometry, relu))


def conv2d_backward(dy: Array, x: Array, w: Array, y: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int,
                    needs: tuple[bool, bool, bool]) -> tuple[Array | None, ...]:
    algorithm, geometry = _algorithm(x, w, groups), Geometry(stride, padding, dilation, groups)
    dy, db = _behind_relu(channels_last(dy), None if y is None else channels_last(y), needs[2])
    dx = algorithm.input_gradient(dy, channels_last(w), x.shape[2:], geometry) if needs[0] else None
    dw = algorithm.weight_gradient(dy, channels_last(x), w.shape[2:], geometry) if needs[1] else None
    return None if dx is None else channels_first(dx), None if dw is None else channels_first(dw), db


def _behind_relu(dy: Array, y: Array | None, needs_db: bool) -> tuple[Array, Array | None]:
    """The gradient behind the relu that made y, if one did, and the bias gradient if it is needed; arrays (N, OH, OW, F)."""
    if y is None:
        return dy, column_sums(_rows(dy)) if needs_db else None
    if not needs_db:
        return relu_backward(dy, y), None
    masked, db = relu_backward_column_sums(_rows(dy), _rows(y))
    return masked.reshape(dy.shape), db


def _rows(a: Array) -> Array:
    """(N, OH, OW, F) as (pixels, F)."""
    return a.reshape(-1, a.shape[-1])
