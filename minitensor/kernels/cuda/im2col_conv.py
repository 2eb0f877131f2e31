"""Convolution as im2col and one product of cuBLAS per group, over so many images at a time that their columns fit.

    y (pixels, F) = columns (pixels, KH·KW·C) · wᵀ (KH·KW·C, F)        dcolumns = dy · w        dw = dyᵀ · columns
"""
from collections.abc import Callable, Iterator

from ...backend import Array, xp_of
from .epilogue import add_bias
from .geometry import Geometry
from ..geometry import output_size
from .launcher import launch
from .layout import Pair

FILE = "im2col.cu"
COLUMN_BYTES = 2**30                # of the images that are done at once


def columns_of(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """(G, N, OH, OW, KH, KW, C/G) of x (N, H, W, C)."""
    N, H, W, C = x.shape
    out = tuple(output_size(*side) for side in zip((H, W), kernel_size, stride, padding, dilation))
    columns = xp_of(x).empty((groups, N, *out, *kernel_size, C // groups), x.dtype)
    _launch("im2col", x, columns, columns, x, stride, padding, dilation)
    return columns


def image_of(columns: Array, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """(N, H, W, C): the adjoint of `columns_of`."""
    groups, N, *_, C_per_group = columns.shape
    x = xp_of(columns).empty((N, *image_size, groups * C_per_group), columns.dtype)
    _launch("col2im", columns, x, columns, x, stride, padding, dilation)
    return x


def _launch(kernel: str, source: Array, result: Array, columns: Array, x: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    groups, N, OH, OW, KH, KW, C_per_group = columns.shape
    args = (source, result, result.size, N, *x.shape[1:3], C_per_group, groups, OH, OW, KH, KW, *stride, *padding, *dilation)
    launch(FILE, kernel, args, dtype=x.dtype, items=result.size)


def _parts(images: int, image_bytes: int) -> Iterator[slice]:
    """0 ... images in slices whose columns take COLUMN_BYTES at most; one image at least."""
    step = max(1, COLUMN_BYTES // image_bytes)
    return (slice(start, min(start + step, images)) for start in range(0, images, step))


def _column_bytes(w: Array, out: Pair, groups: int) -> int:
    """Of one image."""
    return out[0] * out[1] * groups * w[0].size * w.itemsize


def _by_group(rows: Array, groups: int) -> list[Array]:
    """Views (pixels, F/G) of rows (N, OH, OW, F)."""
    F = rows.shape[3] // groups
    matrix = rows.reshape(-1, rows.shape[3])
    return [matrix[:, g * F:(g + 1) * F] for g in range(groups)]


def _filters_by_group(w: Array, groups: int) -> list[Array]:
    """Views (F/G, KH·KW·C/G) of w (F, KH, KW, C/G)."""
    F = len(w) // groups
    return [w[g * F:(g + 1) * F].reshape(F, -1) for g in range(groups)]


def _columns_by_group(x: Array, kernel_size: Pair, geometry: Geometry) -> Array:
    """(G, pixels, KH·KW·C/G)."""
    columns = columns_of(x, kernel_size, *geometry)
    return columns.reshape(geometry.groups, -1, kernel_size[0] * kernel_size[1] * columns.shape[-1])


def convolve(x: Array, w: Array, b: Array | None, geometry: Geometry, relu: bool) -> Array:
    """y (N, OH, OW, F) of x (N, H, W, C), w (F, KH, KW, C/G)."""
    xp, groups, kernel_size = xp_of(x), geometry.groups, w.shape[1:3]
    out = geometry.output_size(x.shape[1:3], kernel_size)
    y = xp.empty((len(x), *out, len(w)), x.dtype)
    for images in _parts(len(x), _column_bytes(w, out, groups)):
        columns = _columns_by_group(x[images], kernel_size, geometry)
        for target, columns_of_group, filters in zip(_by_group(y[images], groups), columns, _filters_by_group(w, groups)):
            target[...] = xp.matmul(columns_of_group, filters.T)
    add_bias(y, b, relu)
    return y


def input_gradient(dy: Array, w: Array, image_size: Pair, geometry: Geometry,
                   multiply: Callable[[Array, Array], Array] | None = None) -> Array:
    """dx (N, H, W, C) of dy (N, OH, OW, F), w (F, KH, KW, C/G). multiply: who multiplies two matrices, if not cuBLAS."""
    xp, groups, C_per_group = xp_of(dy), geometry.groups, w.shape[3]
    dx = xp.empty((len(dy), *image_size, groups * C_per_group), dy.dtype)
    for images in _parts(len(dy), _column_bytes(w, dy.shape[1:3], groups)):
        part = dy[images]
        dcolumns = xp.empty((groups, *part.shape[:3], *w.shape[1:]), dy.dtype)
        for target, gradient, filters in zip(dcolumns, _by_group(part, groups), _filters_by_group(w, groups)):
            target[...] = (multiply or xp.matmul)(gradient, filters).reshape(target.shape)
        dx[images] = image_of(dcolumns, image_size, *geometry[:3])
    return dx


def weight_gradient(dy: Array, x: Array, kernel_size: Pair, geometry: Geometry) -> Array:
    """dw (F, KH, KW, C/G) of dy (N, OH, OW, F), x (N, H, W, C)."""
    xp, groups = xp_of(dy), geometry.groups
    dw = xp.zeros((dy.shape[3], *kernel_size, x.shape[3] // groups), dy.dtype)
    for images in _parts(len(dy), _column_bytes(dw, dy.shape[1:3], groups)):
        columns = _columns_by_group(x[images], kernel_size, geometry)
        for target, gradient, columns_of_group in zip(_filters_by_group(dw, groups), _by_group(dy[images], groups), columns):
            target += xp.matmul(gradient.T, columns_of_group)
    return dw
