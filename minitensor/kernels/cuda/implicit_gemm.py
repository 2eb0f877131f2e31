"""Convolution as one matrix product whose columns are never stored: `src/conv.cu`, in full precision or on the tensor cores.

The kernel reads 16 bytes at once, hence channels of each group in fours: others are filled up with zeros first. Where the result has fewer
tiles than the GPU can hold, the sum of each is cut into parts that a second kernel adds up, in the same order on every run and GPU.
"""
import math

from ...backend import Array, xp_of
from .launcher import launch
from ..precision import precision_of
from . import im2col_conv
from .geometry import PIXEL, Geometry
from .layout import CHANNELS, Pair, contiguous, filled_up
from .epilogue import sum_parts

FILE, THREADS = "conv.cu", 256
BLOCKS = 264                        # that fill a GPU, two for each of the 132 processors of an H200
FEWEST_STEPS = 8                    # of a part of the sum: beside fewer, adding the parts up would weigh; reckoned, not measured
OPTION = {"fp32": "FULL", "tf32": "TF32", "bf16": "BF16"}


def convolve(x: Array, w: Array, b: Array | None, geometry: Geometry, relu: bool) -> Array:
    """y (N, OH, OW, F) of x (N, H, W, C), w (F, KH, KW, C/G)."""
    out = geometry.output_size(x.shape[1:3], w.shape[1:3])
    y = xp_of(x).empty((len(x), *out, len(w)), x.dtype)
    x, w = filled_up(x, geometry.groups), filled_up(w, 1)
    F, window = len(w) // geometry.groups, w[0].size
    _multiply("conv2d", (x, w), y, (len(x) * out[0] * out[1], F, window), _sizes(x, out, F, w.shape[1:3], geometry), geometry.groups,
              (b, relu))
    return y


def input_gradient(dy: Array, w: Array, image_size: Pair, geometry: Geometry) -> Array:
    """dx (N, H, W, C) of dy (N, OH, OW, F), w (F, KH, KW, C/G).

    With a stride most taps of the windows over a pixel would meet no dy: then the columns' gradient is multiplied and gathered instead.
    """
    if geometry.stride != (1, 1):
        return im2col_conv.input_gradient(dy, w, image_size, geometry, _multiply_rows)
    groups, C_per_group = geometry.groups, w.shape[3]
    dy, w = filled_up(dy, groups), _filters_filled_up(filled_up(w, 1), groups)
    dx = xp_of(dy).empty((len(dy), *image_size, groups * w.shape[3]), dy.dtype)
    F, taps = len(w) // groups, w.shape[1] * w.shape[2]
    _multiply("conv2d_input_gradient", (dy, w), dx, (len(dy) * image_size[0] * image_size[1], w.shape[3], taps * F),
              _sizes(dx, dy.shape[1:3], F, w.shape[1:3], geometry), groups)
    return _cut_back(dx, groups, C_per_group)


def _multiply_rows(rows: Array, w: Array) -> Array:
    """(pixels, K) = rows (pixels, F) · w (F, K)."""
    return input_gradient(rows[None, None], w[:, None, None], (1, len(rows)), PIXEL)[0, 0]


def weight_gradient(dy: Array, x: Array, kernel_size: Pair, geometry: Geometry) -> Array:
    """dw (F, KH, KW, C/G) of dy (N, OH, OW, F), x (N, H, W, C)."""
    groups, F, C = geometry.groups, dy.shape[3] // geometry.groups, x.shape[3] // geometry.groups
    dy, x = filled_up(dy, groups), filled_up(x, groups)
    wide_F, wide_C = dy.shape[3] // groups, x.shape[3] // groups
    dw = xp_of(dy).empty((groups * wide_F, *kernel_size, wide_C), dy.dtype)
    _multiply("conv2d_weight_gradient", (dy, x), dw, (wide_F, dw[0].size, math.prod(dy.shape[:3])),
              _sizes(x, dy.shape[1:3], wide_F, kernel_size, geometry), groups)
    filters = dw.reshape(groups, wide_F, *dw.shape[1:])[:, :F, :, :, :C]
    return contiguous(filters).reshape(groups * F, *kernel_size, C)


def _sizes(x: Array, out: Pair, F: int, kernel_size: Pair, geometry: Geometry) -> tuple[int, ...]:
    """What the kernels are told, up to the number of groups; x (N, H, W, G·C) or its gradient."""
    stride, padding, dilation, groups = geometry
    return (*x.shape[:3], x.shape[3] // groups, F, *out, *kernel_size, *stride, *padding, *dilation, groups)


def _multiply(kernel: str, operands: tuple[Array, Array], result: Array, product: tuple[int, int, int], sizes: tuple[int, ...], groups: int,
              epilogue: tuple[Array | None, bool] | None = None) -> None:
    """The product of that many rows, columns and depth for each group, into result; epilogue: bias and relu, for conv2d alone."""
    (rows, columns, depth), precision = product, precision_of(result)
    if not depth:                                                           # no images: a gradient of sums of nothing
        result.fill(0)
        return
    side, step = 128 if result.itemsize == 4 else 64, 32 if precision == "bf16" else 16             # of a block's tile of the product
    tiles = math.ceil(rows / side) * math.ceil(columns / side)
    splits = _splits(tiles * groups, math.ceil(depth / step))
    target = result if splits == 1 else xp_of(result).empty((splits, *result.shape), result.dtype)
    in_kernel = () if epilogue is None else epilogue if splits == 1 else (None, False)
    launch(FILE, kernel, (*operands, target, *in_kernel, *sizes, splits), dtype=result.dtype, grid=(tiles, groups, splits), threads=THREADS,
           options=(f"-DPRECISION={OPTION[precision]}", f"-DSIDE={side}", f"-DDEPTH={step}"))
    if splits > 1:
        b, relu = epilogue or (None, False)
        sum_parts(target, b, relu, result)


def _splits(tiles: int, steps: int) -> int:
    """Into how many parts a sum of so many steps is cut, none of them empty."""
    parts = max(1, min(BLOCKS // max(1, tiles), steps // FEWEST_STEPS))
    share = math.ceil(steps / parts)
    return math.ceil(steps / share) if share else 1


def _filters_filled_up(w: Array, groups: int) -> Array:
    """w (G·F, ...) with the filters of each group filled up to fours with zeros."""
    F = len(w) // groups
    if F % CHANNELS == 0:
        return w
    wide = xp_of(w).zeros((groups, F + -F % CHANNELS, *w.shape[1:]), w.dtype)
    wide[:, :F] = w.reshape(groups, F, *w.shape[1:])
    return wide.reshape(-1, *w.shape[1:])


def _cut_back(wide: Array, groups: int, C: int) -> Array:
    """The inverse of `filled_up`."""
    if wide.shape[-1] == groups * C:
        return wide
    return contiguous(wide.reshape(*wide.shape[:-1], groups, wide.shape[-1] // groups)[..., :C]).reshape(*wide.shape[:-1], groups * C)
