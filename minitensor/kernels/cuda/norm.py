"""Local response normalisation: across channels the window is 1 x 1 x size, within one it is size x size x 1."""
from ...backend import Array, xp_of
from .launcher import launch
from .layout import channels_first, channels_last

FILE = "norm.cu"


def _sides(size: int, axes: tuple[int, ...]) -> tuple[int, int, int]:
    """The window's height, width and channels."""
    return size if 2 in axes else 1, size if 3 in axes else 1, size if 1 in axes else 1


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float, axes: tuple[int, ...]) -> tuple[Array, Array]:
    x = channels_last(x)
    y, scale = xp_of(x).empty_like(x), xp_of(x).empty_like(x)
    launch(FILE, "local_response_norm", (x, y, scale, x.size, *x.shape[1:], *_sides(size, axes), alpha / size**len(axes), beta, k),
           dtype=x.dtype, items=x.size)
    return channels_first(y), channels_first(scale)


def local_response_norm_backward(dy: Array, x: Array, scale: Array, size: int, alpha: float, beta: float,
                                 axes: tuple[int, ...]) -> Array:
    dy, x, scale = map(channels_last, (dy, x, scale))
    dx = xp_of(x).empty_like(x)
    launch(FILE, "local_response_norm_backward",
           (dy, x, scale, dx, x.size, *x.shape[1:], *_sides(size, axes), alpha / size**len(axes), beta), dtype=x.dtype, items=x.size)
    return channels_first(dx)
