"""Max- and average-pooling, a few rows of one image at a time, while they are in cache.

A window is separable: its maximum (or sum) is the one along a column of the ones along its rows. So a 3x3 window costs 4 operations
instead of 8, and each runs over long stretches of channels-last memory.
"""
from collections.abc import Callable

import numpy as np

from .. import reference
from ..reference import Pair
from .threads import parallel_for, scratch

BLOCK = 2**17                   # numbers of the image that one piece reads: half a megabyte in float32
Block = tuple[int, slice]       # a piece of the work: an image and some of its output rows


def _empty(shape: tuple[int, ...], dtype) -> np.ndarray:
    """An uninitialised (N, C, H, W) array whose memory is (N, H, W, C)."""
    N, C, H, W = shape
    return np.empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)


def _channels_last(x: np.ndarray) -> np.ndarray:
    """(..., C, H, W) -> (..., H, W, C), a view."""
    return np.moveaxis(x, -3, -1)


def _blocks(x: np.ndarray, OH: int, stride: int) -> list[Block]:
    rows = max(1, BLOCK // (x.shape[1] * x.shape[3] * stride))
    parts = -(-OH // rows)
    bounds = [OH * part // parts for part in range(parts + 1)]
    return [(n, slice(*pair)) for n in range(len(x)) for pair in zip(bounds, bounds[1:])]


def _inside(offset: int, stride: int, image: int, windows: int) -> tuple[slice, slice]:
    """Which of the windows w have pixel w·stride + offset inside the image: those windows, and those pixels."""
    first = min(max(0, -(offset // stride)), windows)
    stop = max(first, min(windows, (image - 1 - offset) // stride + 1))
    return slice(first, stop), slice(first * stride + offset, max(0, (stop - 1) * stride + offset + 1), stride)


# ---- windows reduced to one number: inference, and averages ----------------------------------------------------------------

def _reduce_windows(x: np.ndarray, ufunc: np.ufunc, neutral: float, kernel_size: Pair, stride: Pair, padding: Pair,
                    out: Pair) -> np.ndarray:
    """y (N, C, OH, OW): ufunc over the cells of every window, whose value outside the image is neutral."""
    images, y = _channels_last(x), _empty((*x.shape[:2], *out), x.dtype)

    def piece(block: Block) -> None:
        n, rows = block
        image, target = images[n], _channels_last(y)[n, rows]                                   # (H, W, C), (rows, OW, C)
        columns = scratch("pool columns", (len(target), *image.shape[1:]), x.dtype)             # (rows, W, C)
        _reduce(columns, image, ufunc, neutral, kernel_size[0], stride[0], rows.start * stride[0] - padding[0])
        _reduce(target.swapaxes(0, 1), columns.swapaxes(0, 1), ufunc, neutral, kernel_size[1], stride[1], -padding[1])

    parallel_for(piece, _blocks(x, out[0], stride[0]))
    return y


def _reduce(target: np.ndarray, source: np.ndarray, ufunc: np.ufunc, neutral: float, cells: int, stride: int, offset: int) -> None:
    """target[w] = ufunc over i < cells of source[w·stride + offset + i], where that exists."""
    target.fill(neutral)
    for i in range(cells):
        windows, pixels = _inside(offset + i, stride, len(source), len(target))
        ufunc(target[windows], source[pixels], out=target[windows])


# ---- maxima with the cell that holds them: training ------------------------------------------------------------------------

def max_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[np.ndarray, np.ndarray | None]:
    out = reference._pool_output(x.shape[2:], kernel_size, stride, padding, ceil_mode)
    if not with_winner:
        return _reduce_windows(x, np.maximum, -np.inf, kernel_size, stride, padding, out), None
    (KH, KW), SH = kernel_size, stride[0]
    y = _empty((*x.shape[:2], *out), x.dtype)
    winner = _empty(y.shape, np.uint8 if KH * KW <= 256 else np.int32)

    def piece(block: Block) -> None:
        n, rows = block
        largest, cell = _channels_last(y)[n, rows], _channels_last(winner)[n, rows]             # (rows, OW, C)
        row_largest, row_cell = _row_maxima(_channels_last(x)[n], rows, kernel_size, stride, padding, out[1], cell.dtype)
        for i in range(KH):
            read = slice(i, i + (len(largest) - 1) * SH + 1, SH)
            _take_larger(largest, cell, row_largest[read], i * KW, row_cell[read])
        if np.isnan(largest.max()):                                        # NaN is not larger than anything: look again, slowly
            image = reference.max_pool2d(x[n: n + 1], kernel_size, stride, padding, ceil_mode, True)[1]
            cell[...] = _channels_last(image)[0, rows]

    parallel_for(piece, _blocks(x, out[0], SH))
    return y, winner


def _row_maxima(image: np.ndarray, rows: slice, kernel_size: Pair, stride: Pair, padding: Pair, OW: int,
                dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """For the R image rows that some output rows read: the maximum of KW neighbours (R, OW, C), and which of them it is.

    Columns are first sorted by `column % stride`, so that cell j of all windows is one contiguous slice of phase j % stride.
    """
    (H, W, C), (KH, KW), (SH, SW) = image.shape, kernel_size, stride
    top, R = rows.start * SH - padding[0], (rows.stop - rows.start - 1) * SH + KH
    largest, cell = scratch("pool row largest", (R, OW, C), image.dtype), scratch("pool row cell", (R, OW, C), dtype)
    there, pixel_rows = _inside(top, 1, H, R)
    for outside in (slice(0, there.start), slice(there.stop, R)):
        largest[outside], cell[outside] = -np.inf, 0
    image = image[pixel_rows]
    phases = []
    for q in range(min(SW, KW)):
        phase = scratch(f"pool phase {q}", (len(image), OW + (KW - 1 - q) // SW, C), image.dtype)
        windows, pixels = _inside(q - padding[1], SW, W, phase.shape[1])
        phase[:, :windows.start] = phase[:, windows.stop:] = -np.inf
        phase[:, windows] = image[:, pixels]
        phases.append(phase)
    for j in range(KW):
        _take_larger(largest[there], cell[there], phases[j % SW][:, j // SW: j // SW + OW], j)
    return largest, cell


def _take_larger(largest: np.ndarray, cell: np.ndarray, candidate: np.ndarray, number: int, plus=0) -> None:
    """In place: where candidate > largest, it and its cell number + plus take over. Number 0 comes first and takes all.

    A later cell has a larger number than all before, so that a maximum does the choice.
    """
    if number == 0:
        largest[...], cell[...] = candidate, plus
        return
    won, won_cell = scratch("pool won", largest.shape, np.bool_), scratch("pool won cell", largest.shape, cell.dtype)
    np.greater(candidate, largest, out=won)
    np.maximum(candidate, largest, out=largest)
    np.add(plus, cell.dtype.type(number), out=won_cell)
    np.multiply(won_cell, won.view(np.uint8), out=won_cell)
    np.maximum(cell, won_cell, out=cell)


# ---- gradients -------------------------------------------------------------------------------------------------------------

def _scatter_windows(dy: np.ndarray, cell_gradient: Callable, image_size: Pair, kernel_size: Pair, stride: Pair,
                     padding: Pair) -> np.ndarray:
    """dx (N, C, H, W): cell_gradient(n, i, j) (OH, OW, C) is added to the pixels that are cell (i, j) of the windows of image n.

    Pixels of one (row % stride, column % stride) are summed side by side, then put in their places at once.
    """
    (N, C, OH, OW), (H, W), (KH, KW), (SH, SW), (PH, PW) = dy.shape, image_size, kernel_size, stride, padding
    dx = _empty((N, C, H, W), dy.dtype)

    def piece(n: int) -> None:
        for p, q in np.ndindex(stride):
            height, width = max(OH + (KH - 1 - p) // SH, -(-(H + PH - p) // SH)), max(OW + (KW - 1 - q) // SW, -(-(W + PW - q) // SW))
            total = scratch("pool total", (height, width, C), dy.dtype)
            total.fill(0)
            for i in range(p, KH, SH):
                for j in range(q, KW, SW):
                    part = total[i // SH: i // SH + OH, j // SW: j // SW + OW]
                    np.add(part, cell_gradient(n, i, j), out=part)
            (from_rows, rows), (from_columns, columns) = _inside(p - PH, SH, H, height), _inside(q - PW, SW, W, width)
            _channels_last(dx)[n, rows, columns] = total[from_rows, from_columns]

    parallel_for(piece, range(N))
    return dx


def max_pool2d_backward(dy: np.ndarray, winner: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair,
                        padding: Pair) -> np.ndarray:
    dy_images, winners = _channels_last(dy), _channels_last(winner)

    def cell_gradient(n: int, i: int, j: int) -> np.ndarray:
        won = scratch("pool won", dy_images[n].shape, np.bool_)
        np.equal(winners[n], winner.dtype.type(i * kernel_size[1] + j), out=won)
        return np.multiply(dy_images[n], won, out=scratch("pool gradient", won.shape, dy.dtype))

    return _scatter_windows(dy, cell_gradient, image_size, kernel_size, stride, padding)


# ---- averages --------------------------------------------------------------------------------------------------------------

def avg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool) -> np.ndarray:
    out = reference._pool_output(x.shape[2:], kernel_size, stride, padding, ceil_mode)
    y = _reduce_windows(x, np.add, 0.0, kernel_size, stride, padding, out)
    y /= reference._pool_divisor(x, x.shape[2:], kernel_size, stride, padding, out, count_include_pad)
    return y


def avg_pool2d_backward(dy: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> np.ndarray:
    divisor = reference._pool_divisor(dy, image_size, kernel_size, stride, padding, dy.shape[2:], count_include_pad)
    share = _channels_last(np.divide(dy, divisor, out=_empty(dy.shape, dy.dtype)))
    return _scatter_windows(dy, lambda n, i, j: share[n], image_size, kernel_size, stride, padding)
