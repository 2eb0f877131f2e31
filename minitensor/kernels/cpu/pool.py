"""Max- and average-pooling, a few images at a time.

A window is separable: its maximum (or sum) is the one along its columns of the ones along its rows, 4 operations for 3 x 3, not 8. In
channels-last memory the step over rows works on runs of W·C numbers, the step over columns on runs of C. With two threads
few long calls win: each one that gives up the interpreter's lock may have to wait for it afterwards.
"""
from collections.abc import Callable, Iterator

import numpy as np

from .. import reference
from ..geometry import output_sizes
from ..geometry import Pair
from .blocks import channels_last, empty_channels_last, split
from .memory import scratch
from .threads import parallel_for

BLOCK = 2**20           # numbers of the larger images in a piece: calls long enough for threads, scratch that stays in cache


def _pieces(N: int, numbers: int) -> list[slice]:
    """Slices of the batch: images of so many numbers each, and at least four slices if there are that many images."""
    return split(N, max(1, min(BLOCK // numbers, N // 4)))


# ---- forward ---------------------------------------------------------------------------------------------------------------

def _seen(images: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, out: Pair, fill: float) -> np.ndarray:
    """What the windows see of images (n, H, W, C): the images themselves, or a padded copy."""
    n, H, W, C = images.shape
    reach = [(o - 1) * s + k for o, k, s in zip(out, kernel_size, stride)]
    if padding == (0, 0) and reach[0] <= H and reach[1] <= W:
        return images
    (PH, PW), (height, width) = padding, (min(r - p, size) for r, p, size in zip(reach, padding, (H, W)))
    seen = scratch("pool seen", (n, *reach, C), images.dtype)
    seen[:, :PH] = seen[:, PH + height:] = fill
    seen[:, :, :PW] = seen[:, :, PW + width:] = fill
    seen[:, PH: PH + height, PW: PW + width] = images[:, :height, :width]
    return seen


def _cells(a: np.ndarray, axis: int, kernel_size: int, stride: int, out: int) -> list[np.ndarray]:
    """The first, second, ... cell of all windows along an axis: slices of a."""
    before = (slice(None),) * axis
    return [a[(*before, slice(i, i + (out - 1) * stride + 1, stride))] for i in range(kernel_size)]


def _reduce(ufunc: np.ufunc, cells: list[np.ndarray], out: np.ndarray) -> None:
    total = cells[0]
    for cell in cells[1:]:
        total = ufunc(total, cell, out=out)
    if total is not out:                                                    # a window of one cell
        np.copyto(out, total)


def _reduce_windows(ufunc: np.ufunc, neutral: float, images: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair,
                    out: np.ndarray) -> None:
    """ufunc over the cells of every window of images (n, H, W, C) into out (n, OH, OW, C); neutral outside the images."""
    seen = _seen(images, kernel_size, stride, padding, out.shape[1:3], neutral)
    rows = scratch("pool rows", (len(seen), out.shape[1], *seen.shape[2:]), seen.dtype)
    _reduce(ufunc, _cells(seen, 1, kernel_size[0], stride[0], out.shape[1]), rows)
    _reduce(ufunc, _cells(rows, 2, kernel_size[1], stride[1], out.shape[2]), out)


def max_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[np.ndarray, np.ndarray | None]:
    (N, C, H, W), cells = x.shape, kernel_size[0] * kernel_size[1]
    y = empty_channels_last((N, C, *output_sizes((H, W), kernel_size, stride, padding, ceil_mode=ceil_mode)), x.dtype)
    winner = empty_channels_last(y.shape, np.uint8 if cells <= 256 else np.int32) if with_winner else None

    def piece(n: slice) -> None:
        images, largest = channels_last(x)[n], channels_last(y)[n]
        if winner is None:
            _reduce_windows(np.maximum, -np.inf, images, kernel_size, stride, padding, largest)
            return
        _largest_and_cell(images, kernel_size, stride, padding, largest, channels_last(winner)[n])
        # NaN equals nothing, itself included, and -inf equals the padding: look again, slowly.
        if np.isnan(largest.max()) or (any(padding) and largest.min() == -np.inf):
            winner[n] = reference.max_pool2d(x[n], kernel_size, stride, padding, ceil_mode, True)[1]

    parallel_for(piece, _pieces(N, C * H * W))
    return y, winner


def _largest_and_cell(images: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, largest: np.ndarray, winner: np.ndarray) -> None:
    """The maximum of every window of images (n, H, W, C), and the number of the first cell that holds it, both (n, OH, OW, C)."""
    (OH, OW), (KH, KW) = largest.shape[1:3], kernel_size
    seen = _seen(images, kernel_size, stride, padding, (OH, OW), -np.inf)
    winner = winner.view(f"u{winner.itemsize}")
    rows = scratch("pool rows", (len(seen), OH, *seen.shape[2:]), seen.dtype)
    numbers = scratch("pool numbers", rows.shape, winner.dtype)             # KW times the row that holds the maximum along it
    _first_row(_cells(seen, 1, KH, stride[0], OH), KW, rows, numbers)

    columns = _cells(rows, 2, KW, stride[1], OW)
    _reduce(np.maximum, columns, largest)
    # A column that does not hold the maximum counts as the highest number there is; of those that do, the lowest cell wins.
    highest, lost = winner.dtype.type(np.iinfo(winner.dtype).max), scratch("pool flags", winner.shape, np.bool_)
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
        np.maximum(numbers, candidate, out=numbers)                         # the last row that was larger than all before it
    if largest is not out:
        np.copyto(out, largest)


def avg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool) -> np.ndarray:
    N, C, H, W = x.shape
    out = output_sizes((H, W), kernel_size, stride, padding, ceil_mode=ceil_mode)
    cells = reference.pool.divisors(x, (H, W), kernel_size, stride, padding, out, count_include_pad)[:, :, None]
    y = empty_channels_last((N, C, *out), x.dtype)

    def piece(n: slice) -> None:
        means = channels_last(y)[n]
        _reduce_windows(np.add, 0.0, channels_last(x)[n], kernel_size, stride, padding, means)
        np.divide(means, cells, out=means)

    parallel_for(piece, _pieces(N, C * H * W))
    return y


# ---- backward --------------------------------------------------------------------------------------------------------------

class _Grid:
    """The pixels of one phase, those with equal (row % SH, column % SW) in the padded image, as a grid one pixel per window and a margin.

    On it cell (i, j) of window (oh, ow) is at (oh + i // SH, ow + j // SW): in flat memory, all windows' cells (i, j) are the windows
    themselves, moved by `offset`. So adding a cell's shares where they belong is one addition of two long runs.
    """

    def __init__(self, n: int, C: int, out: Pair, kernel_size: Pair, stride: Pair):
        self.out, self.stride = out, stride
        height, width = (o + (k - 1) // s for o, k, s in zip(out, kernel_size, stride))
        self.shape, self.size = (n, height, width, C), n * height * width * C
        self.margin = self.offset(kernel_size[0] - 1, kernel_size[1] - 1)   # how far the last cell's run goes beyond the grid

    def offset(self, i: int, j: int) -> int:
        return (i // self.stride[0] * self.shape[2] + j // self.stride[1]) * self.shape[3]

    def place(self, name: str, windows: np.ndarray) -> np.ndarray:
        """A number per window (n, OH, OW, C), flat on the grid, zeros beyond the windows."""
        grid, (OH, OW) = scratch(name, self.shape, windows.dtype), self.out
        grid[:, OH:] = grid[:, :, OW:] = 0
        grid[:, :OH, :OW] = windows
        return grid.reshape(-1)

    def sum(self, phase: Pair, kernel_size: Pair, share: Callable, dtype) -> np.ndarray:
        """The shares of all cells that lie in a phase, added up on the grid (n, height, width, C)."""
        total = scratch("pool total", (self.size + self.margin,), dtype)
        part = scratch("pool part", (self.size,), dtype)
        (KH, KW), (SH, SW) = kernel_size, self.stride
        share(phase[0] * KW + phase[1], total[:self.size])                  # the first cell, at offset 0
        total[self.size:] = 0
        for i in range(phase[0], KH, SH):
            for j in range(phase[1], KW, SW):
                if (i, j) != phase:
                    share(i * KW + j, part)
                    moved = total[self.offset(i, j):][:self.size]
                    np.add(moved, part, out=moved)
        return total[:self.size].reshape(self.shape)


def _pixels(phase: int, stride: int, padding: int, image: int, grid: int) -> tuple[slice, slice]:
    """Along one side: the part of the grid whose pixels g·stride + phase - padding are on the image, and those pixels."""
    offset = phase - padding
    first = min(max(0, -(offset // stride)), grid)
    stop = max(first, min(grid, (image - 1 - offset) // stride + 1))
    return slice(first, stop), slice(first * stride + offset, max(0, (stop - 1) * stride + offset + 1), stride)


def _phases(grid: _Grid, image_size: Pair, kernel_size: Pair, padding: Pair) -> Iterator[tuple[Pair, tuple, tuple]]:
    """Every phase that cells lie in, with where it is on the grid and on the images."""
    for phase in np.ndindex(*map(min, grid.stride, kernel_size)):
        sides = map(_pixels, phase, grid.stride, padding, image_size, grid.shape[1:3])
        on_grid, on_image = zip(*sides)
        yield phase, (slice(None), *on_grid), (slice(None), *on_image)


def _scatter_windows(dy: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, share_of: Callable) -> np.ndarray:
    """dx (N, C, H, W): to every pixel the sum, over the window cells that it is, of the cell's share of dy.

    share_of(n, grid) returns a function share(cell, out) that writes a cell's shares of all windows of images n, flat on the grid.
    """
    N, C, *out = dy.shape
    dx = empty_channels_last((N, C, *image_size), dy.dtype)
    sides = zip(out, kernel_size, stride, padding, image_size)
    gaps = any(s > k or (o - 1) * s + k < i + p for o, k, s, p, i in sides)     # pixels that no window sees

    def piece(n: slice) -> None:
        images = channels_last(dx)[n]
        grid = _Grid(len(images), C, (out[0], out[1]), kernel_size, stride)
        share = share_of(n, grid)
        if gaps:
            images.fill(0)
        for phase, on_grid, on_image in _phases(grid, image_size, kernel_size, padding):
            images[on_image] = grid.sum(phase, kernel_size, share, dx.dtype)[on_grid]

    parallel_for(piece, _pieces(N, C * image_size[0] * image_size[1]))
    return dx


def max_pool2d_backward(dy: np.ndarray, winner: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair,
                        padding: Pair) -> np.ndarray:
    def share_of(n: slice, grid: _Grid) -> Callable:
        gradient = grid.place("pool dy", channels_last(dy)[n])
        winning_cell = grid.place("pool winner", channels_last(winner)[n])

        def share(cell: int, out: np.ndarray) -> None:
            won = np.equal(winning_cell, winner.dtype.type(cell), out=scratch("pool won", out.shape, np.bool_))
            np.copyto(out, won)
            np.multiply(gradient, out, out=out)
        return share

    return _scatter_windows(dy, image_size, kernel_size, stride, padding, share_of)


def avg_pool2d_backward(dy: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> np.ndarray:
    cells = reference.pool.divisors(dy, image_size, kernel_size, stride, padding, dy.shape[2:], count_include_pad)[:, :, None]

    def share_of(n: slice, grid: _Grid) -> Callable:
        gradient = grid.place("pool dy", channels_last(dy)[n] / cells)
        return lambda cell, out: np.copyto(out, gradient)

    return _scatter_windows(dy, image_size, kernel_size, stride, padding, share_of)
