"""im2col and col2im. In memory columns are one matrix (pixels, KH·KW·C) per group: the rows a matrix product wants."""
from ...backend import Array, xp_of
from .launcher import launch
from ..geometry import output_size
from .layout import Pair, channels_first, channels_last, contiguous

FILE = "im2col.cu"


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    columns = columns_of(channels_last(x), kernel_size, stride, padding, dilation, 1)
    return columns[0].transpose(0, 5, 3, 4, 1, 2)


def col2im(columns: Array, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    return channels_first(image_of(contiguous(columns.transpose(0, 4, 5, 2, 3, 1))[None], image_size, stride, padding, dilation))


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
