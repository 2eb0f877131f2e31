"""Dropout: the same mask as on the CPU."""
import math
from typing import Any

from ...backend import Array, xp_of
from .launcher import launch, scalar_or_pointer
from .layout import contiguous

DRAWS = 8       # elements that one thread decides: the draws of one counter of the generator


def dropout(x: Array, p: float, key: tuple[int, Any]) -> Array:
    x, (seed, step) = contiguous(x), key
    y = xp_of(x).empty_like(x)
    arguments = x, y, x.size, math.ceil(p * 2**24), 1 - p, seed, *scalar_or_pointer(step)
    launch("dropout.cu", "dropout", arguments, dtype=x.dtype, items=math.ceil(x.size / DRAWS))
    return y
