"""Pooling: a thread per output forward, a thread per input backward, which gathers from the windows
over it."""
from typing import NamedTuple

from ...backend import Array, xp_of
from ..geometry import Pair, output_sizes
from .launcher import launch
from .layout import as_nchw, to_nhwc

FILE = "pool.cu"


class Windows(NamedTuple):
    """`struct Windows` of pool.cu; of adaptive windows only the sizes of x and y count."""
    H: int
    W: int
    C: int
    OH: int
    OW: int
    KH: int = 1
    KW: int = 1
    SH: int = 1
    SW: int = 1
    PH: int = 0
    PW: int = 0


def _winner_option(cells: int) -> tuple[str, ...]:
    return ("-DWINNER=uint8_t",) if cells <= 256 else ("-DWINNER=int",)


def _launch(kernel: str, arrays: tuple, result: Array, windows: Windows, *numbers) -> None:
    """One thread per number of result."""
    launch(FILE, kernel, (*arrays, result.size, windows, *numbers), dtype=result.dtype,
           items=result.size, options=_winner_option(windows.KH * windows.KW))


def _forward(x: Array, kernel_size: Pair, stride: Pair, padding: Pair,
             ceil_mode: bool) -> tuple[Array, Windows]:
    """y (N, OH, OW, C) to be written, and the windows, of x (N, H, W, C)."""
    N, H, W, C = x.shape
    out = output_sizes((H, W), kernel_size, stride, padding, ceil_mode=ceil_mode)
    windows = Windows(H, W, C, *out, *kernel_size, *stride, *padding)
    return xp_of(x).empty((N, *out, C), x.dtype), windows


def _backward(dy: Array, image_size: Pair, *window: Pair) -> tuple[Array, Windows]:
    """dx (N, H, W, C) to be written, and the windows, of dy (N, OH, OW, C)."""
    N, OH, OW, C = dy.shape
    windows = Windows(*image_size, C, OH, OW, *(size for pair in window for size in pair))
    return xp_of(dy).empty((N, *image_size, C), dy.dtype), windows


def max_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[Array, Array | None]:
    x, xp, cells = to_nhwc(x), xp_of(x), kernel_size[0] * kernel_size[1]
    y, windows = _forward(x, kernel_size, stride, padding, ceil_mode)
    winner = xp.empty(y.shape, xp.uint8 if cells <= 256 else xp.int32) if with_winner else None
    _launch("max_pool2d", (x, y, winner), y, windows)
    return as_nchw(y), None if winner is None else as_nchw(winner)


def max_pool2d_backward(dy: Array, winner: Array, image_size: Pair, kernel_size: Pair, stride: Pair,
                        padding: Pair) -> Array:
    dy, winner = to_nhwc(dy), to_nhwc(winner)
    dx, windows = _backward(dy, image_size, kernel_size, stride, padding)
    _launch("max_pool2d_backward", (dy, winner, dx), dx, windows)
    return as_nchw(dx)


def avg_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               count_include_pad: bool) -> Array:
    x = to_nhwc(x)
    y, windows = _forward(x, kernel_size, stride, padding, ceil_mode)
    _launch("avg_pool2d", (x, y), y, windows, count_include_pad)
    return as_nchw(y)


def avg_pool2d_backward(dy: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> Array:
    dy = to_nhwc(dy)
    dx, windows = _backward(dy, image_size, kernel_size, stride, padding)
    _launch("avg_pool2d_backward", (dy, dx), dx, windows, count_include_pad)
    return as_nchw(dx)


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    x = to_nhwc(x)
    N, H, W, C = x.shape
    y = xp_of(x).empty((N, *output_size, C), x.dtype)
    _launch("adaptive_avg_pool2d", (x, y), y, Windows(H, W, C, *output_size))
    return as_nchw(y)


def adaptive_avg_pool2d_backward(dy: Array, image_size: Pair) -> Array:
    dy = to_nhwc(dy)
    dx, windows = _backward(dy, image_size)
    _launch("adaptive_avg_pool2d_backward", (dy, dx), dx, windows)
    return as_nchw(dx)
