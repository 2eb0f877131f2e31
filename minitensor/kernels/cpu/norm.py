"""Local response normalisation, in blocks that stay in cache.

A sum over neighbours is a sum of slices of one flat array with zeros around each row: one for each
neighbour, and each a long stretch of memory.
"""
import numpy as np

from . import tuning
from .blocks import as_nhwc, empty_nhwc, split
from .memory import scratch
from .threads import parallel_for

NHWC_AXIS = {1: 3, 2: 1, 3: 2}      # where an axis of (N, C, H, W) is in (N, H, W, C)


def _as_images(a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """a (N, C, H, W) as contiguous (N, H, W, C); its pixels are images of their own if the windows
    lie across channels."""
    a = np.ascontiguousarray(as_nhwc(a))
    return a.reshape(-1, 1, 1, a.shape[3]) if axes == (1,) else a


def _blocks(a: np.ndarray) -> list[slice]:
    return split(len(a), max(1, tuning.BLOCK_ELEMENTS // max(1, a[:1].size)))


def _with_margins(shape: tuple[int, ...], size: int, before: int, axes: tuple[int, ...],
                  dtype) -> tuple[np.ndarray, np.ndarray]:
    """An array with size - 1 zeros added along each of axes, `before` of them in front, and the
    view of shape inside it."""
    added = [size - 1 if axis in axes else 0 for axis in range(4)]
    padded = scratch("lrn padded", tuple(map(sum, zip(shape, added))), dtype)
    padded.fill(0)
    start = [before if axis in axes else 0 for axis in range(4)]
    return padded, padded[tuple(slice(s, s + n) for s, n in zip(start, shape))]


def _window_sum(padded: np.ndarray, size: int, axes: tuple[int, ...],
                shape: tuple[int, ...]) -> np.ndarray:
    """The sums (n, H, W, C) over `size` neighbours along each of axes, from an array
    `_with_margins`."""
    flat, length = padded.reshape(-1), padded.size
    for axis in axes:
        step = padded.strides[axis] // padded.itemsize
        length -= (size - 1) * step
        total = flat[:length]
        sums = scratch(f"lrn sum {axis}", padded.shape, padded.dtype).reshape(-1)
        for i in range(1, size):
            total = np.add(total, flat[i * step:][:length], out=sums[:length])
        flat = sums if size > 1 else flat
    return flat.reshape(padded.shape)[tuple(map(slice, shape))]


def _divide_by_power(a: np.ndarray, scale: np.ndarray, beta: float, out: np.ndarray) -> None:
    """a / scale^beta. AlexNet's beta 0.75 is two square roots: scale^(1/2) · scale^(1/4)."""
    power = scratch("lrn power", scale.shape, scale.dtype)
    if beta == 0.75:
        root = np.sqrt(scale, out=scratch("lrn root", scale.shape, scale.dtype))
        np.multiply(root, np.sqrt(root, out=power), out=power)
    else:
        np.power(scale, beta, out=power)
    np.divide(a, power, out=out)


def local_response_norm(x: np.ndarray, size: int, alpha: float, beta: float, k: float,
                        axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    y, scale = empty_nhwc(x.shape, x.dtype), empty_nhwc(x.shape, x.dtype)
    last = tuple(NHWC_AXIS[axis] for axis in axes)
    all_x, all_y, all_scale = (_as_images(a, axes) for a in (x, y, scale))

    def task(n: slice) -> None:
        x, y, scale = all_x[n], all_y[n], all_scale[n]
        padded, squares = _with_margins(x.shape, size, size // 2, last, x.dtype)
        np.multiply(x, x, out=squares)
        sums = _window_sum(padded, size, last, x.shape)
        np.multiply(sums, alpha / size**len(axes), out=scale)
        np.add(scale, k, out=scale)
        _divide_by_power(x, scale, beta, out=y)

    parallel_for(task, _blocks(all_x))
    return y, scale


def local_response_norm_backward(dy: np.ndarray, x: np.ndarray, scale: np.ndarray, size: int,
                                 alpha: float, beta: float, axes: tuple[int, ...]) -> np.ndarray:
    dx = empty_nhwc(x.shape, x.dtype)
    last = tuple(NHWC_AXIS[axis] for axis in axes)
    all_dy, all_x, all_scale, all_dx = (_as_images(a, axes) for a in (dy, x, scale, dx))

    def task(n: slice) -> None:
        dy, x, scale, dx = all_dy[n], all_x[n], all_scale[n], all_dx[n]
        padded, ratio = _with_margins(x.shape, size, (size - 1) - size // 2, last, x.dtype)
        _divide_by_power(dy, scale, beta, out=dx)                           # dy / scale^beta
        product = np.multiply(dx, x, out=scratch("lrn product", x.shape, x.dtype))
        np.divide(product, scale, out=ratio)                                # dy x / scale^(beta+1)
        sums = _window_sum(padded, size, last, x.shape)
        np.multiply(sums, -2 * alpha * beta / size**len(axes), out=product)
        np.multiply(product, x, out=product)
        np.add(dx, product, out=dx)

    parallel_for(task, _blocks(all_x))
    return dx
