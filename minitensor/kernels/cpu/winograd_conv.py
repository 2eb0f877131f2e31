"""Winograd's convolution: an m x m tile of y from n² = (m + r - 1)² products per channel instead of m² r².

    y = Aᵀ [ (G w Gᵀ) · (Bᵀ x B) ] A        (Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", equation 8)

for one tile x (n, n), one filter w (r, r) and the elementwise product ·. Summed over channels, the products at each of the n² points become
one matrix product (tiles, C) x (C, F). A two-sided transform Bᵀ x B is one product with the Kronecker square Bᵀ ⊗ Bᵀ (n², n²), which BLAS
does faster than any loop of ours. The adjoint of the formula in w is the weight gradient: dw = Gᵀ [ (Bᵀ x B) · (A dy Aᵀ) ] G.

Multiplications per output pixel and channel, transforms apart, for the convolutions of AlexNet, edges included:
    conv2        5 x 5 on 27 x 27    m = 4, n = 8     4.3 instead of 25
    conv3 ... 5  3 x 3 on 13 x 13    m = 5, n = 7     2.6 instead of 9
Error in float32, norm-wise against float64: n = 6: 1.7e-6, n = 7: 4.2e-6, n = 8: 5.1e-6 (a direct convolution: 2e-7).
"""
import math
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from .blocks import Source, Strip, split, strips
from .memory import scratch
from .threads import parallel_for

MAX_POINTS = 8                      # n: beyond it float32 loses too many digits
CHUNK_TILES = 400                   # tiles whose transforms are in flight together: enough rows for BLAS, few enough for the cache
OWN_FILTERS = 2**18                 # numbers: up to so many transformed filters stay in every core's second-level cache
OWN_CHUNK_TILES = 128               # of a chunk that one thread works on alone
TURNS = 16                          # partial sums of a weight gradient; a fixed number, so that it rounds alike on any number of threads
POINTS_PER_PIECE = 4                # of the n² products; one at a time, threads would wait for each other's Python between short products
STRIP_BYTES = 2**20                 # gathered tiles of one strip: they stay in the second-level cache


class Tiling(NamedTuple):
    """Output tiles of m x m, filters of r x r, n = m + r - 1 points a side."""
    m: int
    r: int
    n: int


def best_tiling(images: int, C: int, F: int, groups: int, r: int, out: tuple[int, int]) -> tuple[Tiling, float]:
    """The tiling with the fewest multiplications, and how many. r < MAX_POINTS."""
    candidates = [Tiling(n - r + 1, r, n) for n in range(r + 1, MAX_POINTS + 1)]
    return min(((t, _multiplications(t, images, C, F, groups, out)) for t in candidates), key=lambda pair: pair[1])


def _multiplications(t: Tiling, images: int, C: int, F: int, groups: int, out: tuple[int, int]) -> float:
    tiles, points, filters = images * -(-out[0] // t.m) * -(-out[1] // t.m), t.n**2, C * F // groups
    transform_filters = 4 * points * t.r**2 * filters                       # bound by memory: it takes 4 times as long as its products
    return tiles * points * (filters + points * C + t.m**2 * F) + transform_filters


# ---- the three matrices ----------------------------------------------------------------------------------------------------

@cache
def _matrices(t: Tiling, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kronecker squares of Bᵀ (n², n²), G (n², r²) and Aᵀ (m², n²).

    Toom and Cook: interpolation at n - 1 points and at infinity; these points, in this order, lose the fewest digits.
    """
    half = Fraction(1, 2)
    points = [Fraction(0), Fraction(1), Fraction(-1), Fraction(2), -half, Fraction(-2), half][:t.n - 1]
    others = [[q for q in points if q != p] for p in points]
    B_T = [_polynomial(roots) + [0] for roots in others] + [_polynomial(points)]                    # (n, n)
    G = [[p**k / _product(p - q for q in roots) for k in range(t.r)] for p, roots in zip(points, others)]
    G.append([Fraction(k == t.r - 1) for k in range(t.r)])                                          # (n, r)
    A_T = [[p**i for p in points] + [Fraction(i == t.m - 1)] for i in range(t.m)]                   # (m, n)
    squares = (np.kron(matrix, matrix) for matrix in (np.array(rows, dtype=np.float64) for rows in (B_T, G, A_T)))
    B2, G2, A2 = (square.astype(dtype) for square in squares)
    return B2, G2, A2


def _product(factors) -> Fraction:
    result = Fraction(1)
    for factor in factors:
        result *= factor
    return result


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0)] + coefficients, [root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled)]
    return coefficients


def _planes(name: str, points: int, shape: tuple[int, ...], dtype) -> np.ndarray:
    """Scratch (points, *shape), a cache line between the planes: without it they often lie a multiple of 4096 bytes apart, and a transform,
    which touches all planes at once, would find them all in the same few places of the cache."""
    size, line = math.prod(shape), 64 // np.dtype(dtype).itemsize
    return scratch(name, (points, size + line), dtype)[:, :size].reshape(points, *shape)


# ---- the transforms --------------------------------------------------------------------------------------------------------

def _transform_filters(w: np.ndarray, groups: int, t: Tiling) -> np.ndarray:
    """U (n², G, C/G, F/G) from w (F, C/G, r, r)."""
    F, C_per_group = w.shape[:2]
    _, G2, _ = _matrices(t, w.dtype)
    by_channel = w.reshape(groups, F // groups, C_per_group, t.r, t.r).transpose(0, 2, 3, 4, 1)     # (G, C/G, r, r, F/G)
    U = _planes("U", t.n**2, (groups, C_per_group, F // groups), w.dtype)

    def transform(piece):
        g, channels = piece
        local = np.ascontiguousarray(by_channel[g, channels]).reshape(-1, t.r**2, F // groups)
        np.matmul(G2, local, out=U[:, g, channels].swapaxes(0, 1))

    parallel_for(transform, [(g, channels) for g in range(groups) for channels in split(C_per_group, 16)], uses_blas=True)
    return U


def _strips(images: int, t: Tiling, C: int, out: tuple[int, int], itemsize: int) -> list[Strip]:
    """Rows of tiles, as many as the cache holds of their n x n inputs."""
    rows, columns = -(-out[0] // t.m), -(-out[1] // t.m)
    return strips(images, rows, columns, columns * t.n**2 * C * itemsize, STRIP_BYTES)


def _tiles(windows: np.ndarray, strip: Strip, size: int, step: int) -> np.ndarray:
    """Gathered (tiles, size², C): tile (i, j) of an image of the strip is windows[image, i·step: i·step + size, j·step: j·step + size]."""
    (sn, sh, sw, sc), C = windows.strides, windows.shape[3]
    shape = (*strip.shape, size, size, C)
    view = np.lib.stride_tricks.as_strided(windows, shape, (sn, step * sh, step * sw, sh, sw, sc))
    tiles = scratch("tiles", shape, windows.dtype)
    np.copyto(tiles, view)
    return tiles.reshape(-1, size * size, C)


def _transform_input(x: Source, strip: Strip, t: Tiling, V: np.ndarray) -> None:
    """V (n², tiles of the strip, C) = Bᵀ x B."""
    _, rows, columns = strip.shape
    windows = x.load("x", strip.images, strip.start * t.m, 0, (rows * t.m + t.r - 1, columns * t.m + t.r - 1))
    np.matmul(_matrices(t, V.dtype)[0], _tiles(windows, strip, t.n, t.m), out=V.swapaxes(0, 1))


def _transform_gradient(dy: Source, strip: Strip, t: Tiling, P: np.ndarray) -> None:
    """P (n², tiles of the strip, F) = A dy Aᵀ."""
    _, rows, columns = strip.shape
    windows = dy.load("dy", strip.images, strip.start * t.m, 0, (rows * t.m, columns * t.m))
    np.matmul(_matrices(t, P.dtype)[2].T, _tiles(windows, strip, t.m, t.m), out=P.swapaxes(0, 1))


def _transform_output(M: np.ndarray, strip: Strip, t: Tiling, relu: bool, y: np.ndarray) -> None:
    """The strip's rows of y (N, OH, OW, F) = Aᵀ M A, from M (n² or n² + 1, tiles of the strip, F); the extra plane is the bias."""
    A2, F = _matrices(t, y.dtype)[2], y.shape[3]
    if len(M) > t.n**2:
        A2 = np.hstack([A2, np.ones((t.m**2, 1), y.dtype)])
    Y = scratch("Y", (strip.tiles, t.m**2, F), y.dtype)
    np.matmul(A2, M.swapaxes(0, 1), out=Y)
    Y = Y.reshape(*strip.shape, t.m, t.m, F)
    for tile_rows, rows in _edges(strip.start, strip.stop, t.m, y.shape[1]):
        for tile_columns, columns in _edges(0, strip.columns, t.m, y.shape[2]):
            block = Y[:, tile_rows.start - strip.start: tile_rows.stop - strip.start, tile_columns]
            n, down, across = block.shape[:3]
            height, width = (rows.stop - rows.start) // down, (columns.stop - columns.start) // across      # of a tile, less at the edge
            target = y[strip.images, rows, columns].reshape(n, down, height, across, width, F)              # a view
            _store(block[:, :, :, :height, :width].swapaxes(2, 3), relu, target)


def _store(block: np.ndarray, relu: bool, out: np.ndarray) -> None:
    if relu:
        np.maximum(block, 0, out=out)
    else:
        np.copyto(out, block)


def _edges(start: int, stop: int, m: int, size: int) -> list[tuple[slice, slice]]:
    """Tiles start ... stop of m pixels over a side of size pixels: the whole tiles and the cut one, as (tiles, pixels)."""
    whole = min(stop, size // m)
    parts = [(start, whole), (whole, stop)]
    return [(slice(a, b), slice(a * m, min(b * m, size))) for a, b in parts if a < b]


# ---- convolution and weight gradient ---------------------------------------------------------------------------------------

Chunk = list[tuple[Strip, slice]]   # strips, each with its place among the chunk's tiles


def _chunks(all_strips: list[Strip], most: int) -> list[Chunk]:
    """Runs of strips of at most so many tiles, or of one strip."""
    chunks: list[Chunk] = []
    end = most
    for strip in all_strips:
        if not chunks or end + strip.tiles > most:
            chunks.append([])
            end = 0
        chunks[-1].append((strip, slice(end, end + strip.tiles)))
        end += strip.tiles
    return chunks


def _turns(all_strips: list[Strip], filters: int) -> list[list[Chunk]]:
    """The chunks, by who takes them. Many transformed filters: one list, and all threads work on its chunks one after the other. Few: each
    thread has cache enough for chunks of its own, and waiting for the others three times a chunk would take longer than the products."""
    if filters > OWN_FILTERS:
        return [_chunks(all_strips, CHUNK_TILES)]
    chunks = _chunks(all_strips, OWN_CHUNK_TILES)
    return [chunks[some] for some in split(len(chunks), -(-len(chunks) // TURNS))]


def convolve(x: Source, w: np.ndarray, b: np.ndarray | None, groups: int, relu: bool, t: Tiling, y: np.ndarray) -> None:
    """Fills y (N, OH, OW, F) from w (F, C/G, r, r)."""
    C, F, points = x.x.shape[3], y.shape[3], t.n**2
    U = _transform_filters(w, groups, t)
    turns = _turns(_strips(len(y), t, C, y.shape[1:3], y.itemsize), U.size)

    def take(chunks: list[Chunk]) -> None:
        for chunk in chunks:
            tiles = chunk[-1][1].stop
            V = _planes("V", points, (tiles, groups, C // groups), y.dtype)
            M = _planes("M", points + (b is not None), (tiles, groups, F // groups), y.dtype)
            if b is not None:
                M[points] = b.reshape(groups, -1)

            def transform(piece):
                strip, place = piece
                _transform_input(x, strip, t, V.reshape(points, tiles, C)[:, place])

            def multiply(some: slice):                                      # (points, G, tiles, C/G) @ (points, G, C/G, F/G)
                np.matmul(V[some].swapaxes(1, 2), U[some], out=M[some].swapaxes(1, 2))

            def restore(piece):
                strip, place = piece
                _transform_output(M.reshape(-1, tiles, F)[:, place], strip, t, relu, y)

            parallel_for(transform, chunk, uses_blas=True)
            parallel_for(multiply, split(points, POINTS_PER_PIECE if len(turns) == 1 else points), uses_blas=True)
            parallel_for(restore, chunk, uses_blas=True)

    parallel_for(take, turns, uses_blas=True)


def weight_gradient(dy: Source, x: Source, groups: int, t: Tiling, dw: np.ndarray) -> None:
    """Fills dw (F, r, r, C/G) from dy (N, OH, OW, F)."""
    N, OH, OW, F = dy.x.shape
    C, points = x.x.shape[3], t.n**2
    shape = points, groups, F // groups, C // groups
    turns = _turns(_strips(N, t, C, (OH, OW), dw.itemsize), math.prod(shape))
    sums = _planes("U", len(turns) * points, shape[1:], dw.dtype)

    def take(turn: int) -> None:
        dU = sums[turn * points:][:points]
        for index, chunk in enumerate(turns[turn]):
            tiles = chunk[-1][1].stop
            V = _planes("V", points, (tiles, groups, C // groups), dw.dtype)
            P = _planes("M", points, (tiles, groups, F // groups), dw.dtype)

            def transform(piece):
                strip, place = piece
                _transform_input(x, strip, t, V.reshape(points, tiles, C)[:, place])
                _transform_gradient(dy, strip, t, P.reshape(points, tiles, F)[:, place])

            def multiply(some: slice):                                      # (points, G, F/G, tiles) @ (points, G, tiles, C/G)
                for P_, V_, dU_ in zip(P[some], V[some], dU[some]):
                    product = scratch("product", dU_.shape, dw.dtype) if index else dU_
                    np.matmul(P_.transpose(1, 2, 0), V_.swapaxes(0, 1), out=product)
                    if index:
                        np.add(dU_, product, out=dU_)

            parallel_for(transform, chunk, uses_blas=True)
            parallel_for(multiply, split(points, POINTS_PER_PIECE if len(turns) == 1 else points), uses_blas=True)

    parallel_for(take, range(len(turns)), uses_blas=True)
    dU = sums[:points]
    for turn in range(1, len(turns)):
        np.add(dU, sums[turn * points:][:points], out=dU)
    G2, by_filter = _matrices(t, dw.dtype)[1], dw.reshape(groups, F // groups, t.r**2, C // groups)

    def restore(piece):
        g, filters = piece
        np.matmul(G2.T, dU[:, g, filters].swapaxes(0, 1), out=by_filter[g, filters])

    parallel_for(restore, [(g, filters) for g in range(groups) for filters in split(F // groups, 16)], uses_blas=True)
