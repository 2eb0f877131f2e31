"""Max- and average-pooling, a few images at a time, as operations on long one-dimensional arrays.

NumPy is fast where an operation runs over one long stretch of memory, and strides break it up. So the pixels are first sorted by
(row % stride, column % stride) into phases: cell (i, j) of every window is then one slice of a flat phase, at an offset of its own.
A window is also separable: its maximum (or sum) is the one along a column of the ones along its rows, 4 operations for 3x3, not 8.
"""
from collections.abc import Callable, Sequence

import numpy as np

from .. import reference
from ..reference import Pair
from .blocks import channels_last, empty_channels_last, split
from .threads import parallel_for, scratch

BLOCK = 2**20           # numbers of the larger images in a piece: calls long enough for threads, scratch that stays in cache


def _pieces(N: int, numbers: int) -> list[slice]:
    """Slices of the batch: images of so many numbers each, and at least four slices if there are that many images."""
    return split(N, max(1, min(BLOCK // numbers, N // 4)))


class _Phases:
    """Where pixels go. Phase (p, q) holds padded pixel (h·SH + p, w·SW + q) of each image at (h, w) of a grid, the same for all phases.

    Cell (i, j) of window (oh, ow) is in phase (i % SH, j % SW) at (oh + i // SH, ow + j // SW). What a grid has beyond the pixels or the
    windows, and a few numbers after the last image, keep the offset slices inside the array; what is computed there is never read.
    """

    def __init__(self, C: int, image_size: Pair, out: Pair, kernel_size: Pair, stride: Pair, padding: Pair):
        self.C, self.image_size, self.out, self.kernel_size, self.stride, self.padding = C, image_size, out, kernel_size, stride, padding
        self.grid = tuple(o + (k - 1) // s for o, k, s in zip(out, kernel_size, stride))
        self.spare = self.offset(kernel_size[0] - 1, kernel_size[1] - 1)

    def offset(self, i: int, j: int) -> int:
        """How far after its window cell (i, j) lies in its flat phase."""
        return (i // self.stride[0] * self.grid[1] + j // self.stride[1]) * self.C

    def numbers(self, n: int) -> int:
        return n * self.grid[0] * self.grid[1] * self.C

    def images(self, flat: np.ndarray, n: int) -> np.ndarray:
        """The grids (n, height, width, C) in a flat array."""
        return flat[:self.numbers(n)].reshape(n, *self.grid, self.C)

    def place(self, name: str, part: np.ndarray, rows: slice, columns: slice, fill: float) -> np.ndarray:
        """A flat scratch array whose grids hold part (n, ., ., C) at rows and columns, and fill around it."""
        flat = scratch(name, (self.numbers(len(part)) + self.spare,), part.dtype)
        grids = self.images(flat, len(part))
        grids[:, :rows.start] = grids[:, rows.stop:] = fill
        grids[:, rows, :columns.start] = grids[:, rows, columns.stop:] = fill
        grids[:, rows, columns] = part
        flat[grids.size:] = fill
        return flat

    def pixels(self, phase: Pair) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Rows and columns of the grid that hold pixels of the image, and rows and columns of the image they come from."""
        on_grid, on_image = zip(*map(_inside, phase, self.stride, self.padding, self.image_size, self.grid))
        return on_grid, on_image

    def load(self, images: np.ndarray, phase: Pair, fill: float) -> np.ndarray:
        """One phase of images (n, H, W, C), flat."""
        on_grid, on_image = self.pixels(phase)
        return self.place(f"pool phase {phase}", images[(slice(None), *on_image)], *on_grid, fill)

    def rows(self, images: np.ndarray, fill: float, reduce: Callable) -> list:
        """reduce(the KW cells along a row, name) for each row phase: all that the windows' rows need."""
        results, (KH, KW), (SH, SW) = [], self.kernel_size, self.stride
        length = self.numbers(len(images)) + self.offset(KH - 1, 0)
        for p in range(min(SH, KH)):
            phases = [self.load(images, (p, q), fill) for q in range(min(SW, KW))]
            results.append(reduce([phases[j % SW][self.offset(0, j):][:length] for j in range(KW)], f"pool row {p}"))
        return results

    def column(self, rows: Sequence[np.ndarray], n: int) -> list[np.ndarray]:
        """The KH cells along a column, from one flat array per row phase."""
        return [rows[i % self.stride[0]][self.offset(i, 0):][:self.numbers(n)] for i in range(self.kernel_size[0])]

    def place_windows(self, name: str, part: np.ndarray) -> np.ndarray:
        """A number per window, part (n, OH, OW, C), as a flat array with zeros beyond the windows."""
        return self.place(name, part, slice(0, self.out[0]), slice(0, self.out[1]), 0)[:self.numbers(len(part))]

    def windows(self, flat: np.ndarray, n: int) -> np.ndarray:
        """The windows' results (n, OH, OW, C) in a flat array."""
        return self.images(flat, n)[:, :self.out[0], :self.out[1]]


def _inside(phase: int, stride: int, padding: int, image: int, grid: int) -> tuple[slice, slice]:
    """Along one side: the part of the grid whose pixels g·stride + phase - padding are on the image, and those pixels."""
    offset = phase - padding
    first = min(max(0, -(offset // stride)), grid)
    stop = max(first, min(grid, (image - 1 - offset) // stride + 1))
    return slice(first, stop), slice(first * stride + offset, max(0, (stop - 1) * stride + offset + 1), stride)


# ---- forward ---------------------------------------------------------------------------------------------------------------

def _reduced_windows(phases: _Phases, images: np.ndarray, ufunc: np.ufunc, neutral: float) -> np.ndarray:
    """ufunc over the cells of every window of images (n, H, W, C), as a view (n, OH, OW, C); neutral outside the images."""
    def reduce(cells: list[np.ndarray], name: str) -> np.ndarray:
        total = cells[0]
        for cell in cells[1:]:
            total = ufunc(total, cell, out=scratch(name, cell.shape, cell.dtype))
        return total

    rows = phases.rows(images, neutral, reduce)
    return phases.windows(reduce(phases.column(rows, len(images)), "pool window"), len(images))


def max_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[np.ndarray, np.ndarray | None]:
    (N, C, H, W), cells = x.shape, kernel_size[0] * kernel_size[1]
    out = reference._pool_output((H, W), kernel_size, stride, padding, ceil_mode)
    phases = _Phases(C, (H, W), out, kernel_size, stride, padding)
    y = empty_channels_last((N, C, *out), x.dtype)
    winner = empty_channels_last(y.shape, np.uint8 if cells <= 256 else np.int32) if with_winner else None

    def piece(n: slice) -> None:
        images, largest = channels_last(x)[n], channels_last(y)[n]
        if winner is None:
            largest[...] = _reduced_windows(phases, images, np.maximum, -np.inf)
            return
        largest[...], channels_last(winner)[n] = _largest_and_cell(phases, images, winner.dtype)
        if np.isnan(largest.max()):                                         # NaN is not larger than anything: look again, slowly
            winner[n] = reference.max_pool2d(x[n], kernel_size, stride, padding, ceil_mode, True)[1]

    parallel_for(piece, _pieces(N, C * H * W))
    return y, winner


def _largest_and_cell(phases: _Phases, images: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of every window and the number of the first cell that holds it, as views (n, OH, OW, C)."""
    n, KW = len(images), phases.kernel_size[1]

    def along_row(cells: list[np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
        zero = scratch(f"{name} zero", cells[0].shape, dtype)
        zero.fill(0)
        return _first_largest(cells, [zero, *map(dtype.type, range(1, KW))], name)

    rows, row_numbers = zip(*phases.rows(images, -np.inf, along_row))
    numbers = [np.add(column, dtype.type(i * KW), out=scratch(f"pool number {i}", column.shape, dtype))
               for i, column in enumerate(phases.column(row_numbers, n))]
    largest, number = _first_largest(phases.column(rows, n), numbers, "pool window")
    return phases.windows(largest, n), phases.windows(number, n)


def _first_largest(candidates: list[np.ndarray], numbers: list, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of candidates, and the number of the first that holds it. Numbers grow, so that a maximum can choose among them too."""
    largest, number = candidates[0], numbers[0]
    won, if_won = scratch("pool won", largest.shape, np.bool_), scratch("pool if won", number.shape, number.dtype)
    for candidate, candidate_number in zip(candidates[1:], numbers[1:]):
        np.greater(candidate, largest, out=won)
        largest = np.maximum(largest, candidate, out=scratch(name, largest.shape, largest.dtype))
        np.multiply(won.view(np.uint8), candidate_number, out=if_won)
        number = np.maximum(number, if_won, out=scratch(f"{name} number", number.shape, number.dtype))
    return largest, number


def avg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool) -> np.ndarray:
    N, C, H, W = x.shape
    out = reference._pool_output((H, W), kernel_size, stride, padding, ceil_mode)
    phases = _Phases(C, (H, W), out, kernel_size, stride, padding)
    cells = reference._pool_divisor(x, (H, W), kernel_size, stride, padding, out, count_include_pad)[:, :, None]
    y = empty_channels_last((N, C, *out), x.dtype)

    def piece(n: slice) -> None:
        np.divide(_reduced_windows(phases, channels_last(x)[n], np.add, 0.0), cells, out=channels_last(y)[n])

    parallel_for(piece, _pieces(N, C * H * W))
    return y


# ---- backward --------------------------------------------------------------------------------------------------------------

def _scatter_windows(dy: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, share_of: Callable) -> np.ndarray:
    """dx (N, C, H, W): to every pixel the sum, over the window cells that it is, of the cell's share of dy.

    share_of(n, phases) returns a function share(cell, out) that writes a cell's shares of all windows of images n, flat.
    """
    N, C, *out = dy.shape
    phases = _Phases(C, image_size, tuple(out), kernel_size, stride, padding)
    dx = empty_channels_last((N, C, *image_size), dy.dtype)
    sides = zip(out, kernel_size, stride, padding, image_size)
    gaps = any(s > k or (o - 1) * s + k < i + p for o, k, s, p, i in sides)     # pixels that no window sees

    def piece(n: slice) -> None:
        images, share = channels_last(dx)[n], share_of(n, phases)
        if gaps:
            images.fill(0)
        for phase in np.ndindex(*map(min, stride, kernel_size)):
            total = _phase_total(phases, phase, phases.numbers(len(images)), share, dx.dtype)
            on_grid, on_image = phases.pixels(phase)
            images[(slice(None), *on_image)] = phases.images(total, len(images))[(slice(None), *on_grid)]

    parallel_for(piece, _pieces(N, C * image_size[0] * image_size[1]))
    return dx


def _phase_total(phases: _Phases, phase: Pair, length: int, share: Callable, dtype: np.dtype) -> np.ndarray:
    """The sum of the shares of the cells that lie in one phase, flat."""
    (KH, KW), (SH, SW) = phases.kernel_size, phases.stride
    total, part = scratch("pool total", (length + phases.spare,), dtype), scratch("pool share", (length,), dtype)
    for i in range(phase[0], KH, SH):
        for j in range(phase[1], KW, SW):
            if (i, j) == phase:                                             # the first, at offset 0
                share(i * KW + j, total[:length])
                total[length:] = 0
            else:
                share(i * KW + j, part)
                shifted = total[phases.offset(i, j):][:length]
                np.add(shifted, part, out=shifted)
    return total


def max_pool2d_backward(dy: np.ndarray, winner: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair,
                        padding: Pair) -> np.ndarray:
    def share_of(n: slice, phases: _Phases) -> Callable:
        gradient = phases.place_windows("pool dy", channels_last(dy)[n])
        winning_cell = phases.place_windows("pool winner", channels_last(winner)[n])

        def share(cell: int, out: np.ndarray) -> None:
            won = np.equal(winning_cell, winner.dtype.type(cell), out=scratch("pool won", out.shape, np.bool_))
            np.copyto(out, won)
            np.multiply(gradient, out, out=out)
        return share

    return _scatter_windows(dy, image_size, kernel_size, stride, padding, share_of)


def avg_pool2d_backward(dy: np.ndarray, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> np.ndarray:
    cells = reference._pool_divisor(dy, image_size, kernel_size, stride, padding, dy.shape[2:], count_include_pad)[:, :, None]

    def share_of(n: slice, phases: _Phases) -> Callable:
        gradient = phases.place_windows("pool dy", channels_last(dy)[n] / cells)
        return lambda cell, out: np.copyto(out, gradient)

    return _scatter_windows(dy, image_size, kernel_size, stride, padding, share_of)
