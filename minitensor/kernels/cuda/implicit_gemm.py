"""Convolution as one matrix product whose columns are never stored: `src/conv.cu`, in full
precision or on the tensor cores.

The kernels load 16 bytes at once, hence channels of each group in fours: others are filled up with
zeros first.
"""
from ...backend import Array, xp_of
from ..epilogue import Epilogue
from . import im2col_conv
from .layout import ALIGNMENT, contiguous, filled_up
from .products import Gemm, launch_tiles
from .sizes import Sizes

FILE = "conv.cu"


def convolve(x: Array, w: Array, epilogue: Epilogue, s: Sizes) -> Array:
    """y (N, OH, OW, G·F) of x (N, H, W, G·C), w (G·F, KH, KW, C)."""
    y = xp_of(x).empty((s.N, s.OH, s.OW, len(w)), x.dtype)
    operands, wide = (filled_up(x, s.groups), filled_up(w)), s._replace(C=_fours(s.C))
    launch_tiles(FILE, "conv2d", operands, y, Gemm(s.pixels, s.F, wide.window), s.groups, wide,
                 epilogue)
    return y


def input_gradient(dy: Array, w: Array, s: Sizes) -> Array:
    """dx (N, H, W, G·C) of dy (N, OH, OW, G·F), w (G·F, KH, KW, C).

    With a stride most taps of the windows over a pixel would meet no dy: then the columns' gradient
    is multiplied and gathered instead.
    """
    if (s.SH, s.SW) != (1, 1):
        return im2col_conv.input_gradient(dy, w, s)
    operands = filled_up(dy, s.groups), _filters_filled_up(filled_up(w), s.groups)
    wide = s._replace(C=_fours(s.C), F=_fours(s.F))
    dx = xp_of(dy).empty((s.N, s.H, s.W, s.groups * wide.C), dy.dtype)
    launch_tiles(FILE, "conv2d_input_gradient", operands, dx,
                 Gemm(s.N * s.H * s.W, wide.C, s.KH * s.KW * wide.F), s.groups, wide)
    return _cut_back(dx, s.groups, s.C)


def weight_gradient(dy: Array, x: Array, s: Sizes) -> Array:
    """dw (G·F, KH, KW, C) of dy (N, OH, OW, G·F), x (N, H, W, G·C)."""
    operands = filled_up(dy, s.groups), filled_up(x, s.groups)
    wide = s._replace(C=_fours(s.C), F=_fours(s.F))
    dw = xp_of(dy).empty((s.groups, wide.F, s.KH, s.KW, wide.C), dy.dtype)
    launch_tiles(FILE, "conv2d_weight_gradient", operands, dw,
                 Gemm(wide.F, wide.window, s.pixels), s.groups, wide)
    return contiguous(dw[:, :s.F, :, :, :s.C]).reshape(s.groups * s.F, s.KH, s.KW, s.C)


def _fours(channels: int) -> int:
    return channels + -channels % ALIGNMENT


def _filters_filled_up(w: Array, groups: int) -> Array:
    """w (G·F, ...) with the filters of each group filled up to fours with zeros."""
    F = len(w) // groups
    if F % ALIGNMENT == 0:
        return w
    wide = xp_of(w).zeros((groups, _fours(F), *w.shape[1:]), w.dtype)
    wide[:, :F] = w.reshape(groups, F, *w.shape[1:])
    return wide.reshape(-1, *w.shape[1:])


def _cut_back(wide: Array, groups: int, C: int) -> Array:
    """The inverse of `filled_up`."""
    if wide.shape[-1] == groups * C:
        return wide
    by_group = wide.reshape(*wide.shape[:-1], groups, wide.shape[-1] // groups)
    return contiguous(by_group[..., :C]).reshape(*wide.shape[:-1], groups * C)
