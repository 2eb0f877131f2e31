"""Numbers that may change between the replays of a CUDA graph, which repeats its kernels'
arguments but reads memory anew."""
from typing import Any

from ...backend import Array


def scalar_or_pointer(value: Any) -> tuple[Any, Array | None]:
    """Two arguments for a kernel that takes either: (a number, None), or (0, the array () that
    holds it)."""
    return (0, value) if hasattr(value, "__setitem__") else (value, None)
