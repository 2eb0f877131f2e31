"""Pooling: a thread per output forward, a thread per input backward, which gathers from the windows over it."""
from ...backend import Array, xp_of
from .launcher import launch
from ..geometry import output_size
from .layout import Pair, channels_first, channels_last

FILE = "pool.cu"


def _winner_option(cells: int) -> tuple[str, ...]:
    return ("-DWINNER=uint8_t",) if cells <= 256 else ("-DWINNER=int",)


def _launch(kernel: str, arrays: tuple, out: Array, image_size: Pair, windows: Pair, *numbers, cells: int = 1) -> None:
    """One thread per number of out; windows is (OH, OW)."""
    args = (*arrays, out.size, *image_size, out.shape[3], *windows, *numbers)
    launch(FILE, kernel, args, dtype=out.dtype, items=out.size, options=_winner_option(cells))


def max_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[Array, Array | None]:
    x, xp, cells = channels_last(x), xp_of(x), kernel_size[0] * kernel_size[1]
    y = _empty_output(x, kernel_size, stride, padding, ceil_mode)
    winner = xp.empty(y.shape, xp.uint8 if cells <= 256 else xp.int32) if with_winner else None
    _launch("max_pool2d", (x, y, winner), y, x.shape[1:3], y.shape[1:3], *kernel_size, *stride, *padding, cells=cells)
    return channels_first(y), None if winner is None else channels_first(winner)


def _empty_output(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool) -> Array:
    N, H, W, C = x.shape
    OH, OW = (output_size(*side, ceil_mode=ceil_mode) for side in zip((H, W), kernel_size, stride, padding))
    return xp_of(x).empty((N, OH, OW, C), x.dtype)


def max_pool2d_backward(dy: Array, winner: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    dy, winner = channels_last(dy), channels_last(winner)
    dx = _empty_gradient(dy, image_size)
    _launch("max_pool2d_backward", (dy, winner, dx), dx, image_size, dy.shape[1:3], *kernel_size, *stride, *padding,
            cells=kernel_size[0] * kernel_size[1])
    return channels_first(dx)


def _empty_gradient(dy: Array, image_size: Pair) -> Array:
    return xp_of(dy).empty((len(dy), *image_size, dy.shape[3]), dy.dtype)


def avg_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool) -> Array:
    x = channels_last(x)
    y = _empty_output(x, kernel_size, stride, padding, ceil_mode)
    _launch("avg_pool2d", (x, y), y, x.shape[1:3], y.shape[1:3], *kernel_size, *stride, *padding, count_include_pad)
    return channels_first(y)


def avg_pool2d_backward(dy: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> Array:
    dy = channels_last(dy)
    dx = _empty_gradient(dy, image_size)
    _launch("avg_pool2d_backward", (dy, dx), dx, image_size, dy.shape[1:3], *kernel_size, *stride, *padding, count_include_pad)
    return channels_first(dx)


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    x = channels_last(x)
    y = xp_of(x).empty((len(x), *output_size, x.shape[3]), x.dtype)
    _launch("adaptive_avg_pool2d", (x, y), y, x.shape[1:3], output_size)
    return channels_first(y)


def adaptive_avg_pool2d_backward(dy: Array, image_size: Pair) -> Array:
    dy = channels_last(dy)
    dx = _empty_gradient(dy, image_size)
    _launch("adaptive_avg_pool2d_backward", (dy, dx), dx, image_size, dy.shape[1:3])
    return channels_first(dx)
