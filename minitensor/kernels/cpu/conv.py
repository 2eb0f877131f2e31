"""The fast convolution: which algorithm takes which shape, and the gradients in terms of them."""
import numpy as np

from ..reference import output_size
from . import im2col_conv, winograd
from .blocks import Source, channels_last, empty_channels_last, split
from .threads import parallel_for

Pair = tuple[int, int]


def _winograd_tiling(images: int, C: int, F: int, kernel: Pair, stride: Pair, dilation: Pair, groups: int,
                     out: Pair) -> winograd.Tiling | None:
    """Winograd where it saves a third of the multiplications, transforms included; else None: the block-wise im2col.

    Never for a handful of images: the transformed filters are 2.5 to 5 times the filters, and reading them takes longer than the products.
    A stride is taken away by space to depth first.
    """
    (KH, KW), step = kernel, stride[0]
    r = -(-KH // step)
    if KH != KW or stride[1] != step or dilation != (1, 1) or r not in (3, 4, 5) or (step > 1 and groups > 1):
        return None
    tiling, multiplications = winograd.best_tiling(images, C * step**2, F, groups, r, out)
    return tiling if multiplications < 2 / 3 * images * out[0] * out[1] * KH * KW * C * F // groups else None


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int,
           relu: bool) -> np.ndarray:
    OH, OW = (output_size(*side) for side in zip(x.shape[2:], w.shape[2:], stride, padding, dilation))
    y = empty_channels_last((len(x), len(w), OH, OW), x.dtype)
    _convolve(x, None, w, b, stride, padding, dilation, groups, relu, y)
    return y


def _convolve(x, relu_of, w, b, stride, padding, dilation, groups, relu, y) -> None:
    """conv2d into y, of an x that counts as 0 where relu_of <= 0."""
    tiling = _winograd_tiling(len(x), x.shape[1], len(w), w.shape[2:], stride, dilation, groups, y.shape[2:])
    if tiling:
        source = Source(channels_last(x), channels_last(relu_of), padding, stride[0])
        winograd.convolve(source, _space_to_depth(w, stride[0]), b, groups, relu, tiling, channels_last(y))
    else:
        im2col_conv.convolve(x, relu_of, w, b, stride, padding, dilation, groups, relu, y)


def _space_to_depth(w: np.ndarray, step: int) -> np.ndarray:
    """w (F, C, K, K), made r·step wide with zeros, as (F, step²·C, r, r): the filter that goes with `Source`."""
    if step == 1:
        return w
    F, C, K, _ = w.shape
    r = -(-K // step)
    wide = np.zeros((F, C, r * step, r * step), w.dtype)
    wide[:, :, :K, :K] = w
    return wide.reshape(F, C, r, step, r, step).transpose(0, 3, 5, 1, 2, 4).reshape(F, -1, r, r)


def _depth_to_space(deep: np.ndarray, step: int, K: int) -> np.ndarray:
    """The inverse of `_space_to_depth`, for a gradient deep (F, r, r, step²·C): a view (F, K, K, C)."""
    F, r, _, _ = deep.shape
    wide = deep.reshape(F, r, r, step, step, -1).swapaxes(2, 3)                         # (F, r, step, r, step, C)
    return wide.reshape(F, r * step, r * step, -1)[:, :K, :K]


def conv2d_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray, y: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair,
                    groups: int, needs: tuple[bool, bool, bool]) -> tuple[np.ndarray | None, ...]:
    dx = _input_gradient(dy, y, x, w, stride, padding, dilation, groups) if needs[0] else None
    dw = _weight_gradient(dy, y, x, w, stride, padding, dilation, groups) if needs[1] else None
    return dx, dw, _bias_gradient(dy, y) if needs[2] else None


def _input_gradient(dy, y, x, w, stride, padding, dilation, groups) -> np.ndarray:
    """A stride of 1 makes it a convolution of dy with the filters turned by half a circle, the roles of C and F exchanged."""
    dx = empty_channels_last(x.shape, x.dtype)
    reach = [(k - 1) * d - p for k, d, p in zip(w.shape[2:], dilation, padding)]
    if stride == (1, 1) and min(reach) >= 0:
        F, _, KH, KW = w.shape
        by_group = w[:, :, ::-1, ::-1].reshape(groups, F // groups, -1, KH, KW)
        turned = by_group.swapaxes(1, 2).reshape(x.shape[1], F // groups, KH, KW)       # (C, F/G, KH, KW)
        _convolve(dy, y, turned, None, (1, 1), (reach[0], reach[1]), dilation, groups, False, dx)
    else:
        im2col_conv.input_gradient(dy, y, w, stride, padding, dilation, groups, dx)
    return dx


def _weight_gradient(dy, y, x, w, stride, padding, dilation, groups) -> np.ndarray:
    """In w's own order in memory, so that the optimiser reads both alike."""
    dw = empty_channels_last(w.shape, w.dtype)
    tiling = _winograd_tiling(len(x), x.shape[1], len(w), w.shape[2:], stride, dilation, groups, dy.shape[2:])
    if tiling:
        step = stride[0]
        deep = channels_last(dw) if step == 1 else np.empty((len(w), tiling.r, tiling.r, step**2 * w.shape[1]), w.dtype)
        winograd.weight_gradient(Source(channels_last(dy), channels_last(y), (0, 0)), Source(channels_last(x), None, padding, step),
                                 groups, tiling, deep)
        if step > 1:
            channels_last(dw)[...] = _depth_to_space(deep, step, w.shape[2])
    else:
        im2col_conv.weight_gradient(dy, y, x, stride, padding, dilation, groups, dw)
    return dw if channels_last(w).flags.c_contiguous else np.ascontiguousarray(dw)


def _bias_gradient(dy, y) -> np.ndarray:
    """db (F,): one sum per image, then the sum of those, which also rounds less."""
    dy, y = channels_last(dy), channels_last(y)
    sums = np.empty((len(dy), dy.shape[3]), dy.dtype)

    def add_up(images: slice) -> None:
        masked = dy[images] if y is None else dy[images] * (y[images] > 0)
        np.add.reduce(masked, axis=(1, 2), out=sums[images])

    parallel_for(add_up, split(len(dy), 1))
    return sums.sum(axis=0)
