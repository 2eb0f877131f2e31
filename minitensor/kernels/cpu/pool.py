"""Max- and average-pooling, a few images at a time.

Forward, a window is separable: its maximum (or sum) is the one along its columns of the ones along
its rows, 4 operations for 3 x 3, not 8. In channels-last memory the step over rows works on runs of
W·C numbers, the step over columns on runs of C. With two threads few long calls win: each one that
gives up the GIL may have to wait for it afterwards.

Backward, cell after cell of the windows adds its share of dy to the pixels where it lies. (Sorting
the pixels by their place in the stride, so that all additions are of long runs, took 0.78 of the
processor's time at 64 x 112 x 112, 0.89 at 96 x 55 x 55 and 1.11 at 256 x 27 x 27 and
32 x 32 x 32, all 3/2, and four times the code.)
"""
from collections.abc import Callable, Iterator

import numpy as np

from .. import reference
from ..geometry import Pair, output_sizes, reaches
from . import tuning
from .blocks import as_nhwc, empty_nhwc, select, split
from .memory import scratch
from .threads import parallel_for


def _blocks(N: int, elements: int, most: int) -> list[slice]:
    """Slices of the batch: images of so many elements each, at most so many elements in a block,
    and at least POOL_TASKS blocks if there are that many images."""
    return split(N, max(1, min(most // max(1, elements), N // tuning.POOL_TASKS)))


# ---- forward -------------------------------------------------------------------------------------

def _padded(images: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, out: Pair,
            fill: float) -> np.ndarray:
    """What the windows see of images (n, H, W, C): the images themselves, or a padded copy."""
    n, H, W, C = images.shape
    seen = reaches(out, kernel_size, stride)
    if padding == (0, 0) and seen[0] <= H and seen[1] <= W:
        return images
    PH, PW = padding
    height, width = (min(s - p, size) for s, p, size in zip(seen, padding, (H, W)))
    padded = scratch("pool padded", (n, *seen, C), images.dtype)
    padded[:, :PH] = padded[:, PH + height:] = fill
    padded[:, :, :PW] = padded[:, :, PW + width:] = fill
    padded[:, PH: PH + height, PW: PW + width] = images[:, :height, :width]
    return padded


def _cells(a: np.ndarray, axis: int, kernel_size: int, stride: int, out: int) -> list[np.ndarray]:
    """The first, second, ... cell of all windows along an axis: slices of a."""
    before, span = (slice(None),) * axis, (out - 1) * stride + 1
    return [a[(*before, slice(i, i + span, stride))] for i in range(kernel_size)]


def _reduce(ufunc: np.ufunc, cells: list[np.ndarray], out: np.ndarray) -> None:
    total = cells[0]
    for cell in cells[1:]:
        total = ufunc(total, cell, out=out)
    if total is not out:                                            # a window of one cell
        np.copyto(out, total)


def _reduce_windows(ufunc: np.ufunc, neutral: float, images: np.ndarray, kernel_size: Pair,
                    stride: Pair, padding: Pair, out: np.ndarray) -> None:
    """ufunc over the cells of every window of images (n, H, W, C) into out (n, OH, OW, C); neutral
    outside the images."""
    (OH, OW), (KH, KW), (SH, SW) = out.shape[1:3], kernel_size, stride
    padded = _padded(images, kernel_size, stride, padding, (OH, OW), neutral)
    rows = scratch("pool rows", (len(padded), OH, *padded.shape[2:]), padded.dtype)
    _reduce(ufunc, _cells(padded, 1, KH, SH, OH), rows)
    _reduce(ufunc, _cells(rows, 2, KW, SW, OW), out)


def max_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[np.ndarray, np.ndarray | None]:
    N, C, H, W = x.shape
    out = output_sizes((H, W), kernel_size, stride, padding, ceil_mode=ceil_mode)
    y = empty_nhwc((N, C, *out), x.dtype)
    cell_dtype = np.uint8 if kernel_size[0] * kernel_size[1] <= 256 else np.int32
    winner = empty_nhwc(y.shape, cell_dtype) if with_winner else None

    def task(n: slice) -> None:
        images, largest = as_nhwc(x)[n], as_nhwc(y)[n]
        if winner is None:
            _reduce_windows(np.maximum, -np.inf, images, kernel_size, stride, padding, largest)
            return
        _largest_and_cell(images, kernel_size, stride, padding, largest, as_nhwc(winner)[n])
        # NaN equals nothing, itself included, and -inf equals the padding: look again, slowly.
        if np.isnan(largest.max()) or (any(padding) and largest.min() == -np.inf):
            winner[n] = reference.max_pool2d(x[n], kernel_size, stride, padding, ceil_mode, True)[1]

    parallel_for(task, _blocks(N, C * H * W, tuning.POOL_BLOCK_ELEMENTS))
    return y, winner


def _largest_and_cell(images: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair,
                      largest: np.ndarray, winner: np.ndarray) -> None:
    """The maximum of every window of images (n, H, W, C), and the number of the first cell that
    holds it, both (n, OH, OW, C)."""
    (OH, OW), (KH, KW) = largest.shape[1:3], kernel_size
    padded = _padded(images, kernel_size, stride, padding, (OH, OW), -np.inf)
    winner = winner.view(f"u{winner.itemsize}")
    rows = scratch("pool rows", (len(padded), OH, *padded.shape[2:]), padded.dtype)
    numbers = scratch("pool numbers", rows.shape, winner.dtype)     # KW times the winning row's
    _first_row(_cells(padded, 1, KH, stride[0], OH), KW, rows, numbers)

    columns = _cells(rows, 2, KW, stride[1], OW)
    _reduce(np.maximum, columns, largest)
    # A column that does not hold the maximum counts as the highest number there is; of those that
    # do, the lowest cell wins.
    highest = winner.dtype.type(np.iinfo(winner.dtype).max)
    lost = scratch("pool flags", winner.shape, np.bool_)
    candidate = scratch("pool candidate", winner.shape, winner.dtype)
    winner.fill(highest)
    for j, (column, number) in enumerate(zip(columns, _cells(numbers, 2, KW, stride[1], OW))):
        np.not_equal(column, largest, out=lost)
        np.multiply(lost.view(np.uint8), highest, out=candidate)
        np.bitwise_or(candidate, number + winner.dtype.type(j), out=candidate)
        np.minimum(winner, candidate, out=winner)


def _first_row(rows: list[np.ndarray], step: int, out: np.ndarray, numbers: np.ndarray) -> None:
    """The maximum of rows, and step times the number of the first that holds it."""
    larger = scratch("pool flags", numbers.shape, np.bool_)
    candidate = scratch("pool candidate", numbers.shape, numbers.dtype)
    largest = rows[0]
    numbers.fill(0)
    for i, row in enumerate(rows[1:], 1):
        np.greater(row, largest, out=larger)
        largest = np.maximum(largest, row, out=out)
        np.multiply(larger.view(np.uint8), numbers.dtype.type(i * step), out=candidate)
        np.maximum(numbers, candidate, out=numbers)     # the last that beat all rows before it
    if largest is not out:
        np.copyto(out, largest)


def avg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               count_include_pad: bool) -> np.ndarray:
    if max(kernel_size) > tuning.LONGEST_SUM and x.dtype == np.float32:
        return avg_pool2d(x.astype(np.float64), kernel_size, stride, padding, ceil_mode,
                          count_include_pad).astype(np.float32)
    N, C, H, W = x.shape
    out = output_sizes((H, W), kernel_size, stride, padding, ceil_mode=ceil_mode)
    divisors = reference.pool.divisors(x, (H, W), kernel_size, stride, padding, out,
                                       count_include_pad)[:, :, None]
    y = empty_nhwc((N, C, *out), x.dtype)

    def task(n: slice) -> None:
        means = as_nhwc(y)[n]
        _reduce_windows(np.add, 0.0, as_nhwc(x)[n], kernel_size, stride, padding, means)
        np.divide(means, divisors, out=means)

    parallel_for(task, _blocks(N, C * H * W, tuning.POOL_BLOCK_ELEMENTS))
    return y


# ---- backward ------------------------------------------------------------------------------------

Shares = Callable[[slice], Iterator[np.ndarray]]


def _add_up(shares: Shares, dy: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair,
            padding: Pair) -> np.ndarray:
    """dx (N, C, H, W). shares(n) yields what each cell of the windows of images n gets of their dy,
    (n, OH, OW, C), cell after cell."""
    (N, C, *out), (H, W), (SH, SW), (PH, PW) = dy.shape, image_size, stride, padding
    height, width = reaches((out[0], out[1]), (1, 1), stride)       # of one cell of all windows
    padded_size = max(PH + H, height + kernel_size[0] - 1), max(PW + W, width + kernel_size[1] - 1)
    overlap = kernel_size[0] > SH or kernel_size[1] > SW
    is_long = overlap and max(kernel_size) > tuning.LONGEST_SUM
    dx = empty_nhwc((N, C, H, W), dy.dtype)

    def task(n: slice) -> None:
        images = as_nhwc(dx)[n]
        padded = images
        if padded_size != (H, W) or is_long:
            padded = scratch("pool dx", (len(images), *padded_size, C),
                             np.float64 if is_long else dx.dtype)
        padded.fill(0)
        for (i, j), share in zip(np.ndindex(kernel_size), shares(n)):
            pixels = padded[:, i: i + height: SH, j: j + width: SW]
            if overlap:
                np.add(pixels, share, out=pixels)
            else:
                np.copyto(pixels, share)
        if padded is not images:
            np.copyto(images, padded[:, PH: PH + H, PW: PW + W])

    parallel_for(task, _blocks(N, C * H * W, tuning.BLOCK_ELEMENTS))
    return dx


def max_pool2d_backward(dy: np.ndarray, winner: np.ndarray, image_size: Pair, kernel_size: Pair,
                        stride: Pair, padding: Pair) -> np.ndarray:
    def shares(n: slice) -> Iterator[np.ndarray]:
        gradient, winners = as_nhwc(dy)[n], as_nhwc(winner)[n]
        won = scratch("pool won", gradient.shape, np.bool_)
        share = scratch("pool share", gradient.shape, dy.dtype)
        for cell in range(kernel_size[0] * kernel_size[1]):
            np.equal(winners, winner.dtype.type(cell), out=won)
            yield select(won, gradient, share)

    return _add_up(shares, dy, image_size, kernel_size, stride, padding)


def avg_pool2d_backward(dy: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair,
                        padding: Pair, count_include_pad: bool) -> np.ndarray:
    divisors = reference.pool.divisors(dy, image_size, kernel_size, stride, padding, dy.shape[2:],
                                       count_include_pad)[:, :, None]

    def shares(n: slice) -> Iterator[np.ndarray]:
        gradient = as_nhwc(dy)[n]
        share = np.divide(gradient, divisors, out=scratch("pool share", gradient.shape, dy.dtype))
        for _ in range(kernel_size[0] * kernel_size[1]):
            yield share

    return _add_up(shares, dy, image_size, kernel_size, stride, padding)
