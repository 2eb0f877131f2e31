"""Convolution as im2col and one product per group, over so many images at a time that their columns
fit.

    y (pixels, F) = columns (pixels, KH·KW·C) · wᵀ (KH·KW·C, F)
    dcolumns = dy · w
    dw = dyᵀ · columns

In memory columns are one matrix (pixels, KH·KW·C) per group: the rows a matrix product wants.
"""
from collections.abc import Iterator

from ...backend import Array, xp_of
from ..epilogue import Epilogue
from . import tuning
from .epilogue import add_epilogue
from .launcher import launch
from .products import matmul, tile_for
from .sizes import Sizes


def columns_of(x: Array, s: Sizes) -> Array:
    """(G, pixels, KH·KW·C) of x (N, H, W, G·C)."""
    columns = xp_of(x).empty((s.groups, s.pixels, s.window), x.dtype)
    launch("conv.cu", "im2col", (x, columns, columns.size, s), dtype=x.dtype, items=columns.size,
           options=tile_for(x).options)
    return columns


def image_of(columns: Array, s: Sizes) -> Array:
    """(N, H, W, G·C): the adjoint of `columns_of`."""
    x = xp_of(columns).empty((s.N, s.H, s.W, s.groups * s.C), columns.dtype)
    launch("conv.cu", "col2im", (columns, x, x.size, s), dtype=x.dtype, items=x.size,
           options=tile_for(x).options)
    return x


def convolve(x: Array, w: Array, epilogue: Epilogue, s: Sizes) -> Array:
    """y (N, OH, OW, G·F) of x (N, H, W, G·C), w (G·F, KH, KW, C)."""
    y = xp_of(x).empty((s.N, s.OH, s.OW, len(w)), x.dtype)
    for images, part in _parts(s, x.itemsize):
        columns = columns_of(x[images], part)
        for target, rows, filters in zip(_by_group(y[images], s), columns, _filters(w, s)):
            target[...] = matmul(rows, filters.T)
    add_epilogue(y, epilogue)
    return y


def input_gradient(dy: Array, w: Array, s: Sizes) -> Array:
    """dx (N, H, W, G·C) of dy (N, OH, OW, G·F), w (G·F, KH, KW, C)."""
    xp = xp_of(dy)
    dx = xp.empty((s.N, s.H, s.W, s.groups * s.C), dy.dtype)
    for images, part in _parts(s, dy.itemsize):
        dcolumns = xp.empty((s.groups, part.pixels, s.window), dy.dtype)
        for target, rows, filters in zip(dcolumns, _by_group(dy[images], s), _filters(w, s)):
            target[...] = matmul(rows, filters)
        dx[images] = image_of(dcolumns, part)
    return dx


def weight_gradient(dy: Array, x: Array, s: Sizes) -> Array:
    """dw (G·F, KH, KW, C) of dy (N, OH, OW, G·F), x (N, H, W, G·C)."""
    dw = xp_of(dy).zeros((dy.shape[3], s.KH, s.KW, s.C), dy.dtype)
    for images, part in _parts(s, dy.itemsize):
        columns = columns_of(x[images], part)
        for target, rows, numbers in zip(_filters(dw, s), _by_group(dy[images], s), columns):
            target += matmul(rows.T, numbers)
    return dw


def _parts(s: Sizes, itemsize: int) -> Iterator[tuple[slice, Sizes]]:
    """The images in slices whose columns take IM2COL_BYTES at most, one image at least; each with
    its sizes."""
    image_bytes = s.OH * s.OW * s.groups * s.window * itemsize
    step = max(1, tuning.IM2COL_BYTES // image_bytes)
    for start in range(0, s.N, step):
        stop = min(start + step, s.N)
        yield slice(start, stop), s._replace(N=stop - start)


def _by_group(rows: Array, s: Sizes) -> list[Array]:
    """Views (pixels, F) of rows (N, OH, OW, G·F)."""
    matrix = rows.reshape(-1, rows.shape[3])
    return [matrix[:, g * s.F:(g + 1) * s.F] for g in range(s.groups)]


def _filters(w: Array, s: Sizes) -> list[Array]:
    """Views (F, KH·KW·C) of w (G·F, KH, KW, C)."""
    return [w[g * s.F:(g + 1) * s.F].reshape(s.F, -1) for g in range(s.groups)]
