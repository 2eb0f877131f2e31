"""Dropout: a mask that is drawn anew from its key wherever it is needed, and never stored."""
from typing import Any

from ...backend import Array, xp_of
from ..philox import philox_uint32


def dropout(x: Array, p: float, key: tuple[int, Any]) -> Array:
    """x / (1 - p) where the draw of an element is at least p, else 0, even for inf and NaN (which
    PyTorch multiplies by 0, to NaN).

    Being linear in x it is its own backward: dx = dropout(dy, p, key). Element i (in logical C
    order) owns draw i of `philox_uint32(key)`: its upper 24 bits are a number in [0, 1) that
    float32 holds exactly. key is (seed, step); step may be an array () of uint64 on x's device,
    where a CUDA graph can change it between replays.
    """
    xp = xp_of(x)
    draw = philox_uint32(xp, key, x.size).reshape(x.shape) >> 8
    return xp.where(draw >= p * 2**24, x / x.dtype.type(1 - p), x.dtype.type(0))
