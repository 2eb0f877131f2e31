"""Arrays as kernels take them: gap-free, images channels-last. What is already so is not copied."""
import math
from collections.abc import Sequence

from ...backend import Array, xp_of
from . import tuning

WARP = 32               # threads that run in step, as in common.cuh
PACK_BYTES = 16         # of a vectorised load: what a thread reads at once
ALIGNMENT = 4           # channels and rows come in multiples of this where packs are loaded


def contiguous(a: Array) -> Array:
    """a in C order."""
    return a if a.flags.c_contiguous else a.copy()


def to_nhwc(a: Array) -> Array:
    """a (N, C, H, W) as an array (N, H, W, C) in C order."""
    return contiguous(a.transpose(0, 2, 3, 1))


def as_nchw(a: Array) -> Array:
    """The view (N, C, H, W) of a (N, H, W, C)."""
    return a.transpose(0, 3, 1, 2)


def in_order(order: Sequence[int], *arrays: Array) -> list[Array]:
    """The arrays with their axes in that order, in C order."""
    return [contiguous(a.transpose(order)) for a in arrays]


def packs(a: Array) -> int:
    """How many threads it takes when each has 16 bytes of a."""
    return math.ceil(a.size * a.itemsize / PACK_BYTES)


def rows_along(axis: int, *arrays: Array) -> list[Array]:
    """The arrays as matrices (rows, K) in C order, K along axis."""
    return [contiguous(xp_of(a).moveaxis(a, axis, -1)).reshape(-1, a.shape[axis]) for a in arrays]


def from_rows(rows: Array, axis: int, like: Array) -> Array:
    """The inverse of `rows_along`: a view of like's shape."""
    xp = xp_of(rows)
    return xp.moveaxis(rows.reshape(xp.moveaxis(like, axis, -1).shape), -1, axis)


def threads_of_row(K: int) -> int:
    """Of a block per row: whole warps, one number a thread as far as that goes."""
    return min(tuning.ROW_THREADS, -(-K // WARP) * WARP)


def filled_up(a: Array, groups: int = 1) -> Array:
    """a (..., G·C) with the channels of each group filled up to fours with zeros; in C order, at
    an address of whole packs."""
    C = a.shape[-1] // groups
    if C % ALIGNMENT == 0:
        a = contiguous(a)
        return a if _address(a) % PACK_BYTES == 0 else a.copy()
    wide = xp_of(a).zeros((*a.shape[:-1], groups, C + -C % ALIGNMENT), a.dtype)
    wide[..., :C] = a.reshape(*a.shape[:-1], groups, C)
    return wide.reshape(*a.shape[:-1], groups * wide.shape[-1])


def _address(a: Array) -> int:
    """Where in the memory of its device a begins."""
    return (getattr(a, "__cuda_array_interface__", None) or a.__array_interface__)["data"][0]
