"""Convolution as a matrix product, block by block: the general algorithm, for every shape.

    y (pixels, F) = columns (pixels, KH·KW·C) · wᵀ (KH·KW·C, F)

as in the reference set, but a block of columns is made, multiplied and forgotten while it is in
the second-level cache: the whole of them would be up to 25 times the input. In channels-last memory
a row of a window is one run of KW·C numbers, so making them is a copy of long runs, and the product
lands in y as it is, where the epilogue meets it still in cache.
"""
from typing import NamedTuple

import numpy as np

from ..epilogue import Epilogue
from ..geometry import Pair, reaches
from . import tuning
from .blocks import PaddedInput, Rows, add_product, as_nhwc, row_blocks, split, sum_over, tasks_of
from .epilogue import finish, part_of
from .memory import scratch
from .threads import parallel_for


class Windows(NamedTuple):
    """Where the windows of a convolution lie on its padded input."""
    kernel: Pair
    stride: Pair
    dilation: Pair


def _columns(x: PaddedInput, block: Rows, windows: Windows,
             out: np.ndarray | None = None) -> np.ndarray:
    """(pixels of the block, KH·KW·C), in out or else scratch: under every output pixel the pixels
    of x that its window sees."""
    (KH, KW), (SH, SW), (DH, DW) = windows
    n, rows, OW = block.shape
    seen = x.load("x", block.images, block.start * SH, 0, reaches((rows, OW), *windows))
    (sn, sh, sw, sc), C = seen.strides, seen.shape[3]
    shape, strides = (n, rows, OW, KH, KW, C), (sn, sh * SH, sw * SW, sh * DH, sw * DW, sc)
    columns = scratch("columns", (block.size, KH * KW * C), seen.dtype) if out is None else out
    np.copyto(columns.reshape(shape), np.lib.stride_tricks.as_strided(seen, shape, strides))
    return columns


def _as_matrices(w: np.ndarray, groups: int) -> np.ndarray:
    """w (F, C/G, KH, KW) as (G, F/G, KH·KW·C/G); a view when w is channels-last in memory."""
    return np.ascontiguousarray(as_nhwc(w)).reshape(groups, len(w) // groups, -1)


def _group(size: int, groups: int, g: int) -> slice:
    return slice(g * size // groups, (g + 1) * size // groups)


def convolve(x: PaddedInput, w: np.ndarray, epilogue: Epilogue, windows: Windows, groups: int,
             y: np.ndarray) -> None:
    """Fills y (N, OH, OW, F); the residual is laid out as y."""
    (N, OH, OW, F), C = y.shape, x.x.shape[3]
    matrices = _as_matrices(w, groups)
    by_group = [x.channels(_group(C, groups, g)) for g in range(groups)]
    blocks = row_blocks(N, OH, OW, OW * matrices[0, 0].nbytes, tuning.COLUMNS_BYTES)
    all_filters = slice(0, F)

    def multiply(block: Rows) -> None:
        where = np.s_[block.images, block.start: block.stop]
        rows = y[where].reshape(-1, F)                      # a view: whole rows, or whole images
        for g, matrix in enumerate(matrices):
            np.matmul(_columns(by_group[g], block, windows), matrix.T,
                      out=rows[:, _group(F, groups, g)])
        finish(y[where], part_of(epilogue, all_filters, where), y[where])

    def make_columns(block: Rows) -> None:
        first = (block.images.start * OH + block.start) * OW
        for g in range(groups):
            _columns(by_group[g], block, windows, all_columns[g, first: first + block.size])

    def multiply_filters(some: slice) -> None:
        for g, matrix in enumerate(matrices):
            filters = slice(g * F // groups + some.start, g * F // groups + some.stop)
            np.matmul(all_columns[g], matrix[some].T, out=y.reshape(-1, F)[:, filters])
            where = np.s_[..., filters]
            finish(y[where], part_of(epilogue, filters, where), y[where])

    if N * OH * OW > tuning.FEW_PIXELS:
        parallel_for(multiply, blocks, uses_blas=True)
    else:
        all_columns = scratch("all columns", (groups, N * OH * OW, matrices.shape[2]), y.dtype)
        parallel_for(make_columns, blocks)
        parallel_for(multiply_filters, split(F // groups, -(-F // groups // tuning.FILTER_TASKS)),
                     uses_blas=True)


def input_gradient(dy: PaddedInput, w: np.ndarray, windows: Windows, padding: Pair, groups: int,
                   dx: np.ndarray) -> None:
    """Fills dx (N, H, W, C): dy · w gives the gradient of the columns, which is added where they
    were read."""
    (N, OH, OW, F), (H, W, C) = dy.x.shape, dx.shape[1:]
    (KH, KW), (SH, SW), (DH, DW) = windows
    (PH, PW), matrices = padding, _as_matrices(w, groups)
    height, width = reaches((OH, OW), *windows)
    padded_size = max(H + 2 * PH, height), max(W + 2 * PW, width)
    blocks = row_blocks(1, OH, OW, OW * matrices[0, 0].nbytes, tuning.COLUMNS_BYTES)

    def scatter(image: int) -> None:
        padded = scratch("padded", (*padded_size, C), dx.dtype)
        padded[...] = 0
        for block in blocks:
            _, rows, _ = block.shape
            gradients = dy.load("dy", slice(image, image + 1), block.start, 0, (rows, OW))
            for g, matrix in enumerate(matrices):
                dcolumns = scratch("columns", (block.size, KH * KW * C // groups), dx.dtype)
                np.matmul(gradients.reshape(-1, F)[:, _group(F, groups, g)], matrix, out=dcolumns)
                dcolumns = dcolumns.reshape(rows, OW, KH, KW, C // groups)
                target = padded[block.start * SH:, :, _group(C, groups, g)]
                for i in range(KH):
                    for j in range(KW):
                        cells = target[i * DH:, j * DW:]
                        cells = cells[: (rows - 1) * SH + 1: SH, : (OW - 1) * SW + 1: SW]
                        np.add(cells, dcolumns[:, :, i, j], out=cells)
        np.copyto(dx[image], padded[PH: PH + H, PW: PW + W])

    parallel_for(scatter, range(N), uses_blas=True)


def weight_gradient(dy: PaddedInput, x: PaddedInput, windows: Windows, groups: int,
                    dw: np.ndarray) -> None:
    """Fills dw (F, KH, KW, C/G): the sum over all blocks of
    dyᵀ (F, pixels) · columns (pixels, KH·KW·C/G)."""
    (N, OH, OW, F), C = dy.x.shape, x.x.shape[3]
    matrices = dw.reshape(groups, F // groups, -1)          # a view
    by_group = [x.channels(_group(C, groups, g)) for g in range(groups)]

    def add(block: Rows, total: np.ndarray, fresh: bool) -> None:
        rows = dy.load("dy", block.images, block.start, 0, block.shape[1:]).reshape(-1, F)
        for g in range(groups):
            add_product(rows[:, _group(F, groups, g)].T, _columns(by_group[g], block, windows),
                        total[g], fresh)

    blocks = row_blocks(N, OH, OW, OW * matrices[0, 0].nbytes, tuning.COLUMNS_BYTES)
    tasks = tasks_of(blocks, tuning.COLUMNS_SUMS)
    matrices[...] = sum_over(tasks, add, scratch("sums", (len(tasks), *matrices.shape), dw.dtype))
