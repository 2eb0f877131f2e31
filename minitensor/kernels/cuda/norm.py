"""Local response normalisation: across channels the window is 1 x 1 x size, within one it is
size x size x 1."""
from typing import NamedTuple

from ...backend import Array, xp_of
from .launcher import launch
from .layout import as_nchw, to_nhwc

FILE = "norm.cu"


class Sides(NamedTuple):
    """`struct Sides` of norm.cu: of an image or of a window."""
    H: int
    W: int
    C: int


def _window(size: int, axes: tuple[int, ...]) -> Sides:
    return Sides(*(size if axis in axes else 1 for axis in (2, 3, 1)))


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float,
                        axes: tuple[int, ...]) -> tuple[Array, Array]:
    x = to_nhwc(x)
    y, scale = xp_of(x).empty_like(x), xp_of(x).empty_like(x)
    arguments = (x, y, scale, x.size, Sides(*x.shape[1:]), _window(size, axes),
                 alpha / size**len(axes), beta, k)
    launch(FILE, "local_response_norm", arguments, dtype=x.dtype, items=x.size)
    return as_nchw(y), as_nchw(scale)


def local_response_norm_backward(dy: Array, x: Array, scale: Array, size: int, alpha: float,
                                 beta: float, axes: tuple[int, ...]) -> Array:
    dy, x, scale = map(to_nhwc, (dy, x, scale))
    dx = xp_of(x).empty_like(x)
    arguments = (dy, x, scale, dx, x.size, Sides(*x.shape[1:]), _window(size, axes),
                 alpha / size**len(axes), beta)
    launch(FILE, "local_response_norm_backward", arguments, dtype=x.dtype, items=x.size)
    return as_nchw(dx)
