"""Pooling. Windows that overlap (stride below kernel_size) are AlexNet's; Krizhevsky et al. 2012,
section 3.4."""
from ..kernels import kernels_for
from ..kernels.geometry import Pair
from ..tensor import Op, Tensor
from .checks import images, pair, windows_fit


class MaxPool2d(Op):
    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool):
        self.window, self.ceil_mode = (kernel_size, stride, padding), ceil_mode

    def forward(self, x):                   # (N, C, H, W) -> (N, C, OH, OW)
        self.image_size = x.shape[2:]
        y, self.winner = kernels_for(x).max_pool2d(x, *self.window, self.ceil_mode,
                                                   with_winner=any(self.needs))
        return y

    def backward(self, dy):                 # (N, C, OH, OW) -> (N, C, H, W)
        return kernels_for(dy).max_pool2d_backward(dy, self.winner, self.image_size, *self.window)


class AvgPool2d(Op):
    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
                 count_include_pad: bool):
        self.window, self.ceil_mode = (kernel_size, stride, padding), ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x):                   # (N, C, H, W) -> (N, C, OH, OW)
        self.image_size = x.shape[2:]
        return kernels_for(x).avg_pool2d(x, *self.window, self.ceil_mode, self.count_include_pad)

    def backward(self, dy):                 # (N, C, OH, OW) -> (N, C, H, W)
        return kernels_for(dy).avg_pool2d_backward(dy, self.image_size, *self.window,
                                                   self.count_include_pad)


class AdaptiveAvgPool2d(Op):
    def __init__(self, output_size: Pair):
        self.output_size = output_size

    def forward(self, x):                   # (N, C, H, W) -> (N, C, *output_size)
        self.image_size = x.shape[2:]
        return kernels_for(x).adaptive_avg_pool2d(x, self.output_size)

    def backward(self, dy):                 # (N, C, *output_size) -> (N, C, H, W)
        return kernels_for(dy).adaptive_avg_pool2d_backward(dy, self.image_size)


def max_pool2d(x: Tensor, kernel_size, stride=None, padding=0, *,
               ceil_mode: bool = False) -> Tensor:
    """The largest value of each window: x (N, C, H, W) -> (N, C, OH, OW). The first of equal values
    wins, and gets the gradient.

    stride defaults to kernel_size; padding counts as -inf and is at most half of kernel_size;
    ceil_mode lets a last window hang over the end.
    """
    window = _window("max_pool2d", x, kernel_size, stride, padding, ceil_mode)
    return MaxPool2d(*window, ceil_mode)(x)


def avg_pool2d(x: Tensor, kernel_size, stride=None, padding=0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Tensor:
    """The mean of each window: x (N, C, H, W) -> (N, C, OH, OW). With count_include_pad the zeros
    of the padding count as cells."""
    window = _window("avg_pool2d", x, kernel_size, stride, padding, ceil_mode)
    return AvgPool2d(*window, ceil_mode, count_include_pad)(x)


def adaptive_avg_pool2d(x: Tensor, output_size) -> Tensor:
    """Mean over a grid of output_size nearly equal windows, whatever H and W:
    x (N, C, H, W) -> (N, C, *output_size)."""
    images("adaptive_avg_pool2d", x)
    return AdaptiveAvgPool2d(pair("adaptive_avg_pool2d", "output_size", output_size, 1))(x)


def _window(op: str, x: Tensor, kernel_size, stride, padding,
            ceil_mode: bool) -> tuple[Pair, Pair, Pair]:
    images(op, x)
    kernel_size = pair(op, "kernel_size", kernel_size, 1)
    stride = pair(op, "stride", kernel_size if stride is None else stride, 1)
    padding = pair(op, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel_size)):
        raise ValueError(f"{op}: padding {padding} must be at most half of kernel_size "
                         f"{kernel_size}")
    windows_fit(op, x, kernel_size, stride, padding, ceil_mode=ceil_mode)
    return kernel_size, stride, padding
