"""Winograd's convolution of a batch: how its tiles are cut into blocks, and these into tasks.

A block of tiles goes through three steps: transform, multiply, restore. Its transforms stay in
cache from one step to the next.
"""
import math
from collections.abc import Sequence

import numpy as np

from ..epilogue import Epilogue
from ..geometry import Pair
from . import tuning
from .blocks import PaddedInput, Rows, add_product, row_blocks, split, sum_over, tasks_of
from .threads import parallel_for
from .winograd import planes, restore_filters, restore_output
from .winograd import transform_gradient, transform_input
from .winograd_matrices import Tiling

BlockOfRows = list[Rows]            # the rows of tiles that go through the three steps together


def _tasks(N: int, out: Pair, C: int, filters: int, t: Tiling,
           itemsize: int) -> list[Sequence[BlockOfRows]]:
    """The blocks of a batch, task by task. filters: numbers of all transformed filters.

    Many transformed filters: one task, so that all threads work on its blocks one after the other.
    Few: every thread's own cache holds them and a block of its own; to wait for the other threads
    three times a block would take longer than the products.
    """
    down, across = -(-out[0] // t.m), -(-out[1] // t.m)
    rows = row_blocks(N, down, across, across * t.n**2 * C * itemsize, tuning.TRANSFORM_BYTES)
    if filters > tuning.OWN_FILTERS_ELEMENTS:
        return [_blocks(rows, tuning.BLOCK_TILES)]
    return tasks_of(_blocks(rows, tuning.OWN_BLOCK_TILES), tuning.WINOGRAD_SUMS)


def _blocks(all_rows: list[Rows], most: int) -> list[BlockOfRows]:
    """Runs of rows of at most so many tiles, or of one element of all_rows."""
    blocks: list[BlockOfRows] = []
    tiles = most
    for rows in all_rows:
        if not blocks or tiles + rows.size > most:
            blocks.append([])
            tiles = 0
        blocks[-1].append(rows)
        tiles += rows.size
    return blocks


class _Block:
    """V (n², tiles, G, C/G), the transformed input, and M (n², tiles, G, F/G), the products; in the
    backward pass M is the transformed gradient. A bias is one more plane: see `restore_output`.

    A step is spread over the threads, unless the block is one of several tasks (`alone` is false):
    then it runs in the thread that has the task.
    """

    def __init__(self, block: BlockOfRows, t: Tiling, groups: int, C: int, F: int, dtype,
                 alone: bool, bias: np.ndarray | None = None):
        self.t, self.places, tiles = t, [], 0
        for rows in block:
            self.places.append((rows, slice(tiles, tiles + rows.size)))     # among all tiles
            tiles += rows.size
        self.V = planes("V", t.n**2, (tiles, groups, C // groups), dtype)
        self.M = planes("M", t.n**2 + (bias is not None), (tiles, groups, F // groups), dtype)
        if bias is not None:
            self.M[t.n**2] = bias.reshape(groups, -1)
        self.points = split(t.n**2, tuning.POINTS_OF_A_TASK if alone else t.n**2)
        # Over all groups: V (n², tiles, C), M (n², tiles, F).
        self.V_all, self.M_all = (a.reshape(len(a), tiles, -1) for a in (self.V, self.M))

    def transform(self, x: PaddedInput, dy: PaddedInput | None = None) -> None:
        def task(place: tuple[Rows, slice]) -> None:
            rows, tiles = place
            transform_input(x, rows, self.t, self.V_all[:, tiles])
            if dy is not None:
                transform_gradient(dy, rows, self.t, self.M_all[:, tiles])
        parallel_for(task, self.places, uses_blas=True)

    def multiply(self, U: np.ndarray) -> None:
        """M = V · U, point by point; U (n², G, C/G, F/G)."""
        def task(some: slice) -> None:
            np.matmul(self.V[some].swapaxes(1, 2), U[some], out=self.M[some].swapaxes(1, 2))
        parallel_for(task, self.points, uses_blas=True)

    def restore(self, epilogue: Epilogue, y: np.ndarray) -> None:
        def task(place: tuple[Rows, slice]) -> None:
            rows, tiles = place
            restore_output(self.M_all[:, tiles], rows, self.t, epilogue, y)
        parallel_for(task, self.places, uses_blas=True)

    def add_filter_gradient(self, dU: np.ndarray, fresh: bool) -> None:
        """dU (n², G, F/G, C/G) += Mᵀ · V, point by point; written if dU is fresh."""
        def task(some: slice) -> None:
            for M, V, total in zip(self.M[some], self.V[some], dU[some]):
                add_product(M.transpose(1, 2, 0), V.swapaxes(0, 1), total, fresh)
        parallel_for(task, self.points, uses_blas=True)


def convolve(x: PaddedInput, U: np.ndarray, epilogue: Epilogue, t: Tiling, y: np.ndarray) -> None:
    """Fills y (N, OH, OW, F) from `transform_filters`' U; the residual is laid out as y."""
    (N, OH, OW, F), C, groups = y.shape, x.x.shape[3], U.shape[1]
    tasks = _tasks(N, (OH, OW), C, U.size, t, y.itemsize)

    def run(blocks: Sequence[BlockOfRows]) -> None:
        for rows in blocks:
            block = _Block(rows, t, groups, C, F, y.dtype, len(tasks) == 1, epilogue.bias)
            block.transform(x)
            block.multiply(U)
            block.restore(epilogue, y)

    parallel_for(run, tasks, uses_blas=True)


def weight_gradient(dy: PaddedInput, x: PaddedInput, groups: int, t: Tiling,
                    dw: np.ndarray) -> None:
    """Fills dw (F, r, r, C/G) from dy (N, OH, OW, F)."""
    (N, OH, OW, F), C = dy.x.shape, x.x.shape[3]
    shape = t.n**2, groups, F // groups, C // groups
    tasks = _tasks(N, (OH, OW), C, math.prod(shape), t, dw.itemsize)

    def add(rows: BlockOfRows, dU: np.ndarray, fresh: bool) -> None:
        block = _Block(rows, t, groups, C, F, dw.dtype, len(tasks) == 1)
        block.transform(x, dy)
        block.add_filter_gradient(dU, fresh)

    sums = planes("U", len(tasks) * t.n**2, shape[1:], dw.dtype).reshape(len(tasks), *shape)
    restore_filters(sum_over(tasks, add, sums), t, dw)
