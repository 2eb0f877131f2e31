"""The fast convolution: which algorithm takes which shape, and the gradients in terms of them."""
import numpy as np

from ..geometry import output_size
from . import im2col_conv, winograd
from .blocks import Source, channels_last, empty_channels_last, select, split
from .memory import scratch
from .threads import parallel_for

Pair = tuple[int, int]

SUM_BYTES = 2**20                   # of a gradient whose channels are added up in one call: it stays in the second-level cache


def _winograd_tiling(images: int, C: int, F: int, kernel: Pair, stride: Pair, dilation: Pair, groups: int,
                     out: Pair) -> winograd.Tiling | None:
    """Winograd where it saves a third of the multiplications, transforms included; else None: the block-wise im2col.

    Never for a handful of images: the transformed filters are 2.5 to 5 times the filters, and reading them takes longer than the products.
    """
    K = kernel[0]
    if kernel != (K, K) or K not in (3, 4, 5) or stride != (1, 1) or dilation != (1, 1):
        return None
    tiling, multiplications = winograd.best_tiling(images, C, F, groups, K, out)
    return tiling if multiplications < 2 / 3 * images * out[0] * out[1] * K * K * C * F // groups else None


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
        winograd.convolve(Source(channels_last(x), channels_last(relu_of), padding), w, b, groups, relu, tiling, channels_last(y))
    else:
        im2col_conv.convolve(x, relu_of, w, b, stride, padding, dilation, groups, relu, y)


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
        winograd.weight_gradient(Source(channels_last(dy), channels_last(y), (0, 0)), Source(channels_last(x), None, padding), groups,
                                 tiling, channels_last(dw))
    else:
        im2col_conv.weight_gradient(dy, y, x, stride, padding, dilation, groups, dw)
    return dw if channels_last(w).flags.c_contiguous else np.ascontiguousarray(dw)


def _bias_gradient(dy, y) -> np.ndarray:
    """db (F,): one sum per image, then the sum of those, which also rounds less."""
    dy, y = channels_last(dy), channels_last(y)
    sums = np.empty((len(dy), dy.shape[3]), dy.dtype)

    def add_up(images: slice) -> None:
        masked = dy[images]
        if y is not None:
            masked = select(y[images] > 0, masked, scratch("masked", masked.shape, dy.dtype))
        np.add.reduce(masked, axis=(1, 2), out=sums[images])

    parallel_for(add_up, split(len(dy), max(1, SUM_BYTES // max(1, dy[:1].nbytes))))
    return sums.sum(axis=0)
