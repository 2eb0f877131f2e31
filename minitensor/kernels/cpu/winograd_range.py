"""Which images Winograd's convolution may not take.

Its transforms mix the pixels of a tile, so that an output's error grows with the largest pixel of
its tile, not of its window: one of 1e4 among pixels of 1 put 0.018 on outputs that do not see it, a
direct convolution 8e-6; an infinite one made all its tile NaN. Images with such a tile are
convolved directly. What is left errs by up to 2e-5 of the largest sum of |x| |w| over a window of
the tile, a direct convolution by up to 1e-6 of its own window's (float32, measured). A pixel is as
large as the norm of its channels, which are read once for it; below 1e-23 its square is zero, and
so is what it may spoil. In training AlexNet, from random weights, on photographs no tile's windows
differed by more than 8, in images and in gradients, in VGG-11 4 of 832 images of its first two
such layers by up to 22; where ReLUs die more do. The look takes 1 to 2 % of a step.
"""
from collections.abc import Callable
from functools import reduce

import numpy as np

from ..geometry import Pair
from . import tuning
from .blocks import PaddedInput, split
from .threads import parallel_for
from .winograd_matrices import Tiling


def wide_images(x: PaddedInput, groups: int, t: Tiling, out: Pair) -> np.ndarray:
    """(N,) whether an image has a tile with a pixel that is not finite, or whose windows' largest
    pixels differ by more than WIDEST_TILE times, in one of the groups (float32 squares overflow at
    1.8e19, which counts as not finite)."""
    return _found(x, lambda images: _wide(images, x.padding, groups, t, out))


def infinite_images(x: PaddedInput) -> np.ndarray:
    """(N,) whether an image is not finite; one whose sum overflows counts as such."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _found(x, lambda images: ~np.isfinite(images.sum(axis=(1, 2, 3))))


def _found(x: PaddedInput, look: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(N,) what look finds in the images; in those where it does, a second time without what a relu
    hides, which is seldom worth a copy."""
    found = look(x.x)
    if x.relu_output is not None and found.any():
        found[found] = look(np.where(x.relu_output[found] != 0, x.x[found], 0))
    return found


def _wide(x: np.ndarray, padding: Pair, groups: int, t: Tiling, out: Pair) -> np.ndarray:
    (N, H, W, C), (PH, PW) = x.shape, padding
    padded = np.zeros((N, H + 2 * PH, W + 2 * PW, groups), x.dtype)

    def task(n: slice) -> None:
        pixels = x[n].reshape(-1, H, W, groups, C // groups)
        np.einsum("nhwgc,nhwgc->nhwg", pixels, pixels,
                  out=padded[n, PH: PH + H, PW: PW + W])                    # squares of the norms

    parallel_for(task, split(N, max(1, tuning.BLOCK_ELEMENTS // max(1, H * W * C))))
    of_windows = _slide(np.maximum, padded, t.r, out)                       # (N, OH, OW, G)
    fits = _fits(_tiles(np.maximum, of_windows, t.m), _tiles(np.minimum, of_windows, t.m),
                 tuning.WIDEST_TILE**2)
    return np.logical_not(fits.all(axis=(1, 2, 3)))


def has_wide_filter(places: np.ndarray) -> bool:
    """Whether a filter has a weight that is not finite, or weights at one of its places that are
    WIDEST_FILTER times as large as all of those at another. places (G, r², F/G): the largest |w|
    at each place of each filter, NaN above all."""
    return not _fits(places.max(axis=1), places.min(axis=1), tuning.WIDEST_FILTER).all()


def _fits(largest: np.ndarray, smallest: np.ndarray, times: float) -> np.ndarray:
    """Not where NaN is."""
    return np.logical_and(largest / times <= smallest, largest < np.inf)


def _slide(ufunc: np.ufunc, a: np.ndarray, size: int, out: Pair) -> np.ndarray:
    """ufunc over the size x size windows of a (n, H, W, G), a pixel apart: (n, *out, G)."""
    rows = reduce(ufunc, [a[:, i: i + out[0]] for i in range(size)])
    return reduce(ufunc, [rows[:, :, i: i + out[1]] for i in range(size)])


def _tiles(ufunc: np.ufunc, a: np.ndarray, m: int) -> np.ndarray:
    """ufunc over the tiles of a (n, OH, OW, G), the last ones cut."""
    for axis in 1, 2:
        a = ufunc.reduceat(a, np.arange(0, a.shape[axis], m), axis=axis)
    return a
