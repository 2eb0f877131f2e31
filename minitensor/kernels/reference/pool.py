"""Pooling: the maximum or the mean of each window."""
import math

import numpy as np

from ...backend import Array, sum_of, xp_of
from ..geometry import Pair, adaptive_bounds, counted_cells, output_sizes, reaches
from .conv import cell


def max_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[Array, Array | None]:
    """y (N, C, OH, OW) and winner (N, C, OH, OW), the cell i·KW + j of each window that held the
    maximum, the first pixel on ties.

    Padding is -inf, and never wins. The first NaN wins. winner is uint8 (int32 for windows of more
    than 256 cells), None without with_winner.
    """
    xp, (KH, KW) = xp_of(x), kernel_size
    out = output_sizes(x.shape[2:], kernel_size, stride, padding, ceil_mode=ceil_mode)
    cells = _cells(x, kernel_size, stride, padding, out, -xp.inf)       # (KH·KW, N, C, OH, OW)
    y = cells.max(axis=0)
    if not with_winner:
        return y, None
    rows, columns = (xp.maximum(0, p - s * xp.arange(o))
                     for o, s, p in zip(out, stride, padding))
    first_pixel = rows[:, None] * KW + columns                          # cells before it: padding
    winner = xp.where(y == -xp.inf, first_pixel, cells.argmax(axis=0))
    return y, winner.astype(xp.uint8 if KH * KW <= 256 else xp.int32)


def max_pool2d_backward(dy: Array, winner: Array, image_size: Pair, kernel_size: Pair, stride: Pair,
                        padding: Pair) -> Array:
    """dx (N, C, H, W): each dy, even an infinite one, goes to the cell that won its window and to
    no other; where windows overlap they add up."""
    xp, KW = xp_of(dy), kernel_size[1]

    def share(i: int, j: int) -> Array:
        return xp.where(winner == i * KW + j, dy, dy.dtype.type(0))
    return _add_up(share, dy, image_size, kernel_size, stride, padding)


def avg_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               count_include_pad: bool) -> Array:
    """y (N, C, OH, OW): the mean of each window over the cells that count (see `divisors`).

    inf, NaN, and inf beside -inf as NaN, in the windows that hold them alone.
    """
    out = output_sizes(x.shape[2:], kernel_size, stride, padding, ceil_mode=ceil_mode)
    divisor = divisors(x, x.shape[2:], kernel_size, stride, padding, out, count_include_pad)
    return sum_of(_cells(x, kernel_size, stride, padding, out, 0.0), 0) / divisor


def avg_pool2d_backward(dy: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> Array:
    """dx (N, C, H, W): each dy is shared equally among the cells of its window."""
    equal = dy / divisors(dy, image_size, kernel_size, stride, padding, dy.shape[2:],
                          count_include_pad)
    return _add_up(lambda i, j: equal, dy, image_size, kernel_size, stride, padding)


def divisors(like: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
             out: Pair, count_include_pad: bool) -> Array:
    """(OH, OW) on like's device and of its dtype: how many cells each average counts."""
    rows, columns = (counted_cells(*side, count_include_pad)
                     for side in zip(image_size, kernel_size, stride, padding, out))
    return xp_of(like).asarray(np.outer(rows, columns), dtype=like.dtype)


def _cells(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, out: Pair,
           outside: float) -> Array:
    """(KH·KW, N, C, OH, OW): one cell of all windows after the other."""
    xp, (KH, KW), (PH, PW), (H, W) = xp_of(x), kernel_size, padding, x.shape[2:]
    height, width = reaches(out, kernel_size, stride)                   # over the end in ceil_mode
    margins = (0, 0), (0, 0), (PH, max(PH, height - PH - H)), (PW, max(PW, width - PW - W))
    padded = xp.pad(x, margins, constant_values=outside)
    return xp.stack([padded[cell(i, j, out, stride)] for i in range(KH) for j in range(KW)])


def _add_up(share, dy: Array, image_size: Pair, kernel_size: Pair, stride: Pair,
            padding: Pair) -> Array:
    """dx (N, C, H, W), the adjoint of `_cells`: share(i, j) (N, C, OH, OW) is what cell (i, j) of
    every window gets."""
    (KH, KW), (PH, PW), (H, W), out = kernel_size, padding, image_size, dy.shape[2:]
    height, width = reaches(out, kernel_size, stride)
    padded = xp_of(dy).zeros((*dy.shape[:2], max(height, PH + H), max(width, PW + W)))   # float64
    for i in range(KH):
        for j in range(KW):
            padded[cell(i, j, out, stride)] += share(i, j)
    return padded[:, :, PH: PH + H, PW: PW + W].astype(dy.dtype)


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """y (N, C, *output_size): the image cut into that many nearly equal windows, the mean of each.
    """
    y = xp_of(x).empty((*x.shape[:2], *output_size), dtype=x.dtype)
    for oh, rows in enumerate(adaptive_bounds(x.shape[2], output_size[0])):
        for ow, columns in enumerate(adaptive_bounds(x.shape[3], output_size[1])):
            window = x[:, :, rows, columns]
            y[:, :, oh, ow] = sum_of(window, (2, 3)) / math.prod(window.shape[2:])
    return y


def adaptive_avg_pool2d_backward(dy: Array, image_size: Pair) -> Array:
    """dx (N, C, H, W): each dy is shared equally among the cells of its window."""
    dx = xp_of(dy).zeros((*dy.shape[:2], *image_size), dtype=dy.dtype)
    for oh, rows in enumerate(adaptive_bounds(image_size[0], dy.shape[2])):
        for ow, columns in enumerate(adaptive_bounds(image_size[1], dy.shape[3])):
            cells = (rows.stop - rows.start) * (columns.stop - columns.start)
            dx[:, :, rows, columns] += dy[:, :, oh, ow, None, None] / cells
    return dx
