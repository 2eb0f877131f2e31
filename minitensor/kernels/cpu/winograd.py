"""Winograd's convolution: m x m outputs from n² = (m + r - 1)² products instead of m² r².

    y = Aᵀ [ (G w Gᵀ) · (Bᵀ x B) ] A        (Lavin & Gray 2016, "Fast Algorithms for Convolutional
                                             Neural Networks", equation 8)

for one tile x (n, n), one filter w (r, r) and the elementwise product ·; `convolve_tile` is all of
it. Along one side, F(2, 3) makes 2 outputs from 4 products instead of 6, with the matrices

         [-1  0  1  0]        [ -1    0    0 ]
    Bᵀ = [ 0  1  1  0]    G = [ 1/2  1/2  1/2]    Aᵀ = [1  1  1  0]
         [ 0 -1  1  0]        [ 1/2 -1/2  1/2]         [0  1 -1  1]
         [ 0 -1  0  1]        [  0    0    1 ]

    p0 = (x2 - x0) · (-w0)                         y0 = p0 + p1 + p2      = x0 w0 + x1 w1 + x2 w2
    p1 = (x1 + x2) · (w0 + w1 + w2) / 2            y1 = p1 - p2 + p3      = x1 w0 + x2 w1 + x3 w2
    p2 = (x2 - x1) · (w0 - w1 + w2) / 2
    p3 = (x3 - x1) · w2

Summed over channels, the products at each of the n² points become one matrix product
(tiles, C) · (C, F). A transform of both sides, Bᵀ x B, is one product with the Kronecker square
Bᵀ ⊗ Bᵀ (n², n²), which BLAS does faster than any loop of ours. The adjoint of the formula in w is
the weight gradient: dw = Gᵀ [ (Bᵀ x B) · (A dy Aᵀ) ] G.

Multiplications per output pixel and channel, transforms apart, for AlexNet, edges included:
    conv2        5 x 5 on 27 x 27    m = 4, n = 8     4.3 instead of 25
    conv3 ... 5  3 x 3 on 13 x 13    m = 5, n = 7     2.6 instead of 9
Error in float32, norm-wise against float64: n = 6: 1.7e-6, n = 7: 4.2e-6, n = 8: 5.1e-6 (a direct
convolution: 2e-7). It is bounded because `winograd_range` looks for outliers first.

This file holds the formula and its transforms, `winograd_matrices` the matrices, `winograd_conv`
how a batch is cut into blocks and tasks.
"""
import math

import numpy as np

from ..epilogue import Epilogue
from ..geometry import Pair
from . import tuning
from .blocks import PaddedInput, Rows, split
from .epilogue import finish
from .memory import scratch
from .threads import parallel_for
from .winograd_matrices import MOST_POINTS, Tiling, matrices, squares
from .winograd_range import has_wide_filter


def convolve_tile(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """y (m, m), the correlation of one tile x (n, n) with one filter w (r, r): the definition."""
    B_T, G, A_T = matrices(Tiling(len(x) - len(w) + 1, len(w)))
    U, V = G @ w @ G.T, B_T @ x @ B_T.T
    return A_T @ (U * V) @ A_T.T


# ---- which tiles ---------------------------------------------------------------------------------

def best_tiling(images: int, C: int, F: int, groups: int, r: int, out: Pair) -> tuple[Tiling, int]:
    """The tiling with the fewest multiplications, and how many. r < MOST_POINTS."""
    candidates = [Tiling(n - r + 1, r) for n in range(r + 1, MOST_POINTS + 1)]
    counted = [(t, multiplications(t, images, C, F, groups, out)) for t in candidates]
    return min(counted, key=lambda pair: pair[1])


def multiplications(t: Tiling, images: int, C: int, F: int, groups: int, out: Pair) -> int:
    """Those of the products and of the three transforms. The filters' counts FILTER_COST times: it
    waits for memory."""
    tiles, points = images * -(-out[0] // t.m) * -(-out[1] // t.m), t.n**2
    filters = C * F // groups
    return (tiles * points * (filters + points * C + t.m**2 * F)
            + tuning.FILTER_COST * points * t.r**2 * filters)


# ---- the transforms ------------------------------------------------------------------------------

def planes(name: str, points: int, shape: tuple[int, ...], dtype) -> np.ndarray:
    """Scratch (points, *shape) with a cache line between the planes.

    Without it they often lie a multiple of 4096 bytes apart, and a transform, which touches all
    planes at once, would find them all in the same few places of the cache.
    """
    size, line = math.prod(shape), tuning.LINE_BYTES // np.dtype(dtype).itemsize
    return scratch(name, (points, size + line), dtype)[:, :size].reshape(points, *shape)


def transform_filters(w: np.ndarray, groups: int, t: Tiling) -> np.ndarray | None:
    """U (n², G, C/G, F/G) = G w Gᵀ from w (F, C/G, r, r), in scratch; None if Winograd's algorithm
    may not take w."""
    (F, C_per_group), (_, G2, _) = w.shape[:2], squares(t, w.dtype)
    by_channel = w.reshape(groups, F // groups, C_per_group, t.r, t.r).transpose(0, 2, 3, 4, 1)
    U = planes("U", t.n**2, (groups, C_per_group, F // groups), w.dtype)
    chunks = split(C_per_group, tuning.TRANSFORMED_CHANNELS)
    largest = np.empty((len(chunks), groups, t.r**2, F // groups), w.dtype)

    def transform(task: tuple[int, int]) -> None:
        i, g = task
        some = np.ascontiguousarray(by_channel[g, chunks[i]]).reshape(-1, t.r**2, F // groups)
        np.matmul(G2, some, out=U[:, g, chunks[i]].swapaxes(0, 1))
        np.abs(some).max(axis=0, out=largest[task])

    with np.errstate(over="ignore", invalid="ignore"):                      # then it is None
        parallel_for(transform, list(np.ndindex(len(chunks), groups)), uses_blas=True)
    return None if has_wide_filter(largest.max(axis=0)) else U


def restore_filters(dU: np.ndarray, t: Tiling, dw: np.ndarray) -> None:
    """Fills dw (F, r, r, C/G) = Gᵀ dU G from dU (n², G, F/G, C/G)."""
    _, groups, F_per_group, C_per_group = dU.shape
    _, G2, _ = squares(t, dw.dtype)
    by_filter = dw.reshape(groups, F_per_group, t.r**2, C_per_group)        # a view

    def restore(task: tuple[int, slice]) -> None:
        g, filters = task
        np.matmul(G2.T, dU[:, g, filters].swapaxes(0, 1), out=by_filter[g, filters])

    tasks = [(g, filters) for g in range(groups)
             for filters in split(F_per_group, tuning.TRANSFORMED_CHANNELS)]
    parallel_for(restore, tasks, uses_blas=True)


def transform_input(x: PaddedInput, rows: Rows, t: Tiling, V: np.ndarray) -> None:
    """V (n², tiles of the rows, C) = Bᵀ x B."""
    np.matmul(squares(t, V.dtype)[0], _gather(x, "x", rows, t.n, t.m), out=V.swapaxes(0, 1))


def transform_gradient(dy: PaddedInput, rows: Rows, t: Tiling, M: np.ndarray) -> None:
    """M (n², tiles of the rows, F) = A dy Aᵀ."""
    np.matmul(squares(t, M.dtype)[2].T, _gather(dy, "dy", rows, t.m, t.m), out=M.swapaxes(0, 1))


def _gather(x: PaddedInput, name: str, rows: Rows, size: int, step: int) -> np.ndarray:
    """(tiles of the rows, size², C): tile (i, j) is the size x size pixels of x at (i, j)·step."""
    _, down, across = rows.shape
    height, width = (down - 1) * step + size, (across - 1) * step + size
    pixels = x.load(name, rows.images, rows.start * step, 0, (height, width))
    (sn, sh, sw, sc), C = pixels.strides, pixels.shape[3]
    shape, strides = (*rows.shape, size, size, C), (sn, step * sh, step * sw, sh, sw, sc)
    tiles = scratch("tiles", shape, pixels.dtype)
    np.copyto(tiles, np.lib.stride_tricks.as_strided(pixels, shape, strides))
    return tiles.reshape(-1, size * size, C)


def restore_output(M: np.ndarray, rows: Rows, t: Tiling, epilogue: Epilogue,
                   y: np.ndarray) -> None:
    """The rows of tiles of y (N, OH, OW, F): Aᵀ M A from M (n² or n² + 1, tiles, F).

    A bias is one more plane of M, and a column of ones in Aᵀ ⊗ Aᵀ adds it to every output. That is
    free in this product; a step of its own took 4 to 10 % of the convolution.
    """
    (_, OH, OW, F), (bias, residual, activation) = y.shape, epilogue
    A2 = squares(t, y.dtype)[2]
    if bias is not None:
        A2 = np.hstack([A2, np.ones((t.m**2, 1), y.dtype)])
    Y = scratch("Y", (rows.size, t.m**2, F), y.dtype)
    np.matmul(A2, M.swapaxes(0, 1), out=Y)
    Y = Y.reshape(*rows.shape, t.m, t.m, F)
    for tiles_down, down in _edges(rows.start, rows.stop, t.m, OH):
        for tiles_across, across in _edges(0, rows.columns, t.m, OW):
            some = Y[:, tiles_down.start - rows.start: tiles_down.stop - rows.start, tiles_across]
            n, i, j = some.shape[:3]
            height, width = (down.stop - down.start) // i, (across.stop - across.start) // j
            where, shape = np.s_[rows.images, down, across], (n, i, height, j, width, F)
            part = None if residual is None else residual[where].reshape(shape)     # a view
            finish(some[:, :, :, :height, :width].swapaxes(2, 3), Epilogue(None, part, activation),
                   y[where].reshape(shape))


def _edges(start: int, stop: int, m: int, size: int) -> list[tuple[slice, slice]]:
    """Tiles start ... stop of m pixels over a side of size pixels: the whole tiles and the cut one,
    as (tiles, pixels)."""
    whole = min(stop, size // m)
    parts = [(start, whole), (whole, stop)]
    return [(slice(a, b), slice(a * m, min(b * m, size))) for a, b in parts if a < b]
