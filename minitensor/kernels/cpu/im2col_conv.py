"""Convolution as a matrix product, block by block: the general algorithm, for every stride, padding, dilation and group.

    y (pixels, F) = columns (pixels, KH·KW·C) · wᵀ (KH·KW·C, F)

as in the reference set, but a block of columns is made, multiplied and forgotten while it is in the second-level cache: the whole of them
would be up to 25 times the input. In channels-last memory a row of a window is one run of KW·C numbers, so making them is a copy of long
runs, and the product lands in y as it is, where bias and relu meet it still in cache.
"""
import numpy as np

from .blocks import Strip, channels_last, load_strip, split, strips
from .memory import scratch
from .threads import parallel_for

Pair = tuple[int, int]

BLOCK_BYTES = 2**21                 # columns of one block: they stay in cache until they are multiplied
FEW_PIXELS = 256                    # up to here a product is cut by filters instead: BLAS reads all of w again for every block of pixels
FILTER_PIECES = 4
GRADIENT_PIECES = 8                 # partial sums of a weight gradient; a fixed number, so that it rounds alike on any number of threads


def _columns(x, relu_of, block: Strip, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair,
             out: np.ndarray | None = None) -> np.ndarray:
    """(pixels of the block, KH·KW·C), in out or else scratch: under every output pixel the pixels of x (N, H, W, C) its window sees."""
    (KH, KW), (SH, SW), (DH, DW), (n, rows, OW) = kernel, stride, dilation, block.shape
    height, width = (rows - 1) * SH + (KH - 1) * DH + 1, (OW - 1) * SW + (KW - 1) * DW + 1
    windows = load_strip("x", x, relu_of, block.images, block.start * SH - padding[0], -padding[1], (height, width))
    (sn, sh, sw, sc), C = windows.strides, windows.shape[3]
    shape, strides = (n, rows, OW, KH, KW, C), (sn, sh * SH, sw * SW, sh * DH, sw * DW, sc)
    columns = scratch("columns", (block.tiles, KH * KW * C), x.dtype) if out is None else out
    np.copyto(columns.reshape(shape), np.lib.stride_tricks.as_strided(windows, shape, strides))
    return columns


def _as_matrices(w: np.ndarray, groups: int) -> np.ndarray:
    """w (F, C/G, KH, KW) as (G, F/G, KH·KW·C/G); a view when w is channels-last in memory."""
    return np.ascontiguousarray(channels_last(w)).reshape(groups, len(w) // groups, -1)


def _group(size: int, groups: int, g: int) -> slice:
    return slice(g * size // groups, (g + 1) * size // groups)


def _add_bias_and_relu(rows: np.ndarray, b: np.ndarray | None, relu: bool) -> None:
    if b is not None:
        np.add(rows, b, out=rows)
    if relu:
        np.maximum(rows, 0, out=rows)


def convolve(x: np.ndarray, relu_of: np.ndarray | None, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair,
             groups: int, relu: bool, y: np.ndarray) -> None:
    """Fills y (N, F, OH, OW), channels-last in memory; x counts as 0 where relu_of <= 0."""
    x, relu_of, y = channels_last(x), channels_last(relu_of), channels_last(y)
    kernel, F, matrices = w.shape[2:], y.shape[3], _as_matrices(w, groups)
    channels = [_group(x.shape[3], groups, g) for g in range(groups)]
    by_group = [(x[..., c], None if relu_of is None else relu_of[..., c]) for c in channels]

    N, OH, OW, _ = y.shape
    blocks = strips(N, OH, OW, OW * matrices[0, 0].nbytes, BLOCK_BYTES)

    def multiply(block: Strip) -> None:
        rows = y[block.images, block.start: block.stop].reshape(-1, F)                  # a view: whole rows, or whole images
        for g, matrix in enumerate(matrices):
            columns = _columns(*by_group[g], block, kernel, stride, padding, dilation)
            np.matmul(columns, matrix.T, out=rows[:, _group(F, groups, g)])
        _add_bias_and_relu(rows, b, relu)

    def make_columns(block: Strip) -> None:
        first = (block.images.start * y.shape[1] + block.start) * y.shape[2]
        for g in range(groups):
            _columns(*by_group[g], block, kernel, stride, padding, dilation, all_columns[g, first: first + block.tiles])

    def multiply_filters(filters: slice) -> None:
        for g, matrix in enumerate(matrices):
            rows = y.reshape(-1, groups, F // groups)[:, g, filters]
            np.matmul(all_columns[g], matrix[filters].T, out=rows)
            _add_bias_and_relu(rows, None if b is None else b.reshape(groups, -1)[g, filters], relu)

    if y[..., 0].size > FEW_PIXELS:
        parallel_for(multiply, blocks, uses_blas=True)
    else:
        all_columns = scratch("all columns", (groups, y[..., 0].size, matrices.shape[2]), x.dtype)
        parallel_for(make_columns, blocks)
        parallel_for(multiply_filters, split(F // groups, -(-F // groups // FILTER_PIECES)), uses_blas=True)


def input_gradient(dy: np.ndarray, relu_of: np.ndarray | None, w: np.ndarray, stride: Pair, padding: Pair, dilation: Pair, groups: int,
                   dx: np.ndarray) -> None:
    """Fills dx (N, C, H, W), channels-last in memory: dy · w gives the gradient of the columns, which is added where they were read."""
    dy, relu_of, dx = channels_last(dy), channels_last(relu_of), channels_last(dx)
    (_, OH, OW, F), (H, W, C), (KH, KW) = dy.shape, dx.shape[1:], w.shape[2:]
    (SH, SW), (PH, PW), (DH, DW) = stride, padding, dilation
    matrices = _as_matrices(w, groups)
    padded_size = max(H + 2 * PH, (OH - 1) * SH + (KH - 1) * DH + 1), max(W + 2 * PW, (OW - 1) * SW + (KW - 1) * DW + 1)

    def scatter(image: int) -> None:
        padded = scratch("padded", (*padded_size, C), dx.dtype)
        padded[...] = 0
        for block in strips(1, OH, OW, OW * matrices[0, 0].nbytes, BLOCK_BYTES):
            rows = load_strip("dy", dy, relu_of, slice(image, image + 1), block.start, 0, (block.stop - block.start, OW))
            for g, matrix in enumerate(matrices):
                dcolumns = scratch("columns", (block.tiles, KH * KW * C // groups), dx.dtype)
                np.matmul(rows.reshape(-1, F)[:, _group(F, groups, g)], matrix, out=dcolumns)
                dcolumns = dcolumns.reshape(-1, OW, KH, KW, C // groups)
                target = padded[block.start * SH:, :, _group(C, groups, g)]
                for i in range(KH):
                    for j in range(KW):
                        seen = target[i * DH:, j * DW:][: (len(dcolumns) - 1) * SH + 1: SH, : (OW - 1) * SW + 1: SW]
                        np.add(seen, dcolumns[:, :, i, j], out=seen)
        np.copyto(dx[image], padded[PH: PH + H, PW: PW + W])

    parallel_for(scatter, range(len(dy)), uses_blas=True)


def weight_gradient(dy: np.ndarray, relu_of: np.ndarray | None, x: np.ndarray, stride: Pair, padding: Pair, dilation: Pair, groups: int,
                    dw: np.ndarray) -> None:
    """Fills dw (F, C/G, KH, KW), channels-last in memory: the sum over all blocks of dyᵀ (F, pixels) · columns (pixels, KH·KW·C/G)."""
    dy, relu_of, x = channels_last(dy), channels_last(relu_of), channels_last(x)
    (N, OH, OW, F), kernel = dy.shape, dw.shape[2:]
    matrices = channels_last(dw).reshape(groups, F // groups, -1)                      # a view
    blocks = strips(N, OH, OW, OW * matrices[0, 0].nbytes, BLOCK_BYTES)
    pieces = split(len(blocks), max(1, -(-len(blocks) // GRADIENT_PIECES)))
    sums = scratch("sums", (len(pieces), *matrices.shape), x.dtype)

    def add_up(piece: int) -> None:
        sums[piece] = 0
        for block in blocks[pieces[piece]]:
            rows = load_strip("dy", dy, relu_of, block.images, block.start, 0, block.shape[1:]).reshape(-1, F)
            for g in range(groups):
                product = scratch("product", matrices.shape[1:], x.dtype)
                columns = _columns(x[..., _group(x.shape[3], groups, g)], None, block, kernel, stride, padding, dilation)
                np.matmul(rows[:, _group(F, groups, g)].T, columns, out=product)
                np.add(sums[piece, g], product, out=sums[piece, g])

    parallel_for(add_up, range(len(pieces)), uses_blas=True)
    np.add.reduce(sums, axis=0, out=matrices)
